#include "execute.h"

#include <stdlib.h>
#include <string.h>

#include "eval.h"

/* One output row while it is sorted: the cells, then the sort keys. */
struct sortable {
        struct value *cells;
        struct value *keys;
        size_t index; /* keeps the sort stable */
        const struct query *query;
};

struct group {
        struct value *keys;
        const struct value *first; /* a row that stands for plain columns */
        struct aggregate *aggregates;
};

struct state {
        struct query *query;
        const struct table *table;
        struct region *region;
        struct result *result;
        struct sortable *out;
        size_t n_out, cap_out;
};

static void *grow(void *data, size_t n, size_t *cap, size_t size)
{
        if (n < *cap)
                return data;
        *cap = *cap ? *cap * 2 : 64;
        data = realloc(data, *cap * size);
        if (!data)
                fail("out of memory");
        return data;
}

/* SELECT * becomes one item for each column. */
static void expand_all(struct state *st)
{
        struct query *q = st->query;

        if (!q->all)
                return;
        q->n_items = st->table->n_columns;
        q->items = region_alloc(st->region, q->n_items * sizeof(*q->items));
        for (size_t i = 0; i < q->n_items; i++) {
                struct expr *e = region_alloc(st->region, sizeof(*e));

                e->type = EXPR_COLUMN;
                e->name = st->table->columns[i];
                q->items[i] = (struct select_item){.expr = e, .name = e->name};
        }
}

/* ORDER BY and GROUP BY may name an output column: by its name or its number. */
static struct expr *resolve_alias(const struct state *st, struct expr *e)
{
        const struct query *q = st->query;

        if (e->type == EXPR_LITERAL && e->literal.type == VALUE_NUMBER) {
                double n = e->literal.number;

                if (n < 1 || n > (double)q->n_items)
                        fail("there is no output column number %g", n);
                return q->items[(size_t)n - 1].expr;
        }
        if (e->type == EXPR_COLUMN && table_column(st->table, e->name) < 0)
                for (size_t i = 0; i < q->n_items; i++)
                        if (strcmp(q->items[i].name, e->name) == 0)
                                return q->items[i].expr;
        return e;
}

static void bind(struct state *st)
{
        struct query *q = st->query;

        expand_all(st);
        for (size_t i = 0; i < q->n_group; i++)
                q->group[i] = resolve_alias(st, q->group[i]);
        for (size_t i = 0; i < q->n_order; i++)
                q->order[i].expr = resolve_alias(st, q->order[i].expr);
        for (size_t i = 0; i < q->n_items; i++)
                expr_bind(q->items[i].expr, st->table);
        for (size_t i = 0; i < q->n_group; i++)
                expr_bind(q->group[i], st->table);
        for (size_t i = 0; i < q->n_order; i++)
                expr_bind(q->order[i].expr, st->table);
        if (q->having)
                expr_bind(q->having, st->table);
        if (!q->where)
                return;
        expr_bind(q->where, st->table);
        if (expr_has_aggregate(q->where))
                fail("an aggregate cannot stand in WHERE; use HAVING");
}

/* Evaluate the output cells and sort keys of one row or group. */
static void emit(struct state *st, const struct scope *s)
{
        const struct query *q = st->query;
        struct sortable row = {.index = st->n_out, .query = q};

        row.cells = region_alloc(st->region, (q->n_items + 1) * sizeof(struct value));
        row.keys = region_alloc(st->region, (q->n_order + 1) * sizeof(struct value));
        for (size_t i = 0; i < q->n_items; i++)
                row.cells[i] = expr_eval(q->items[i].expr, s);
        for (size_t i = 0; i < q->n_order; i++)
                row.keys[i] = expr_eval(q->order[i].expr, s);
        st->out = grow(st->out, st->n_out, &st->cap_out, sizeof(*st->out));
        st->out[st->n_out++] = row;
}

static bool passes_where(const struct state *st, const struct scope *s)
{
        if (!st->query->where)
                return true;
        struct value v = expr_eval(st->query->where, s);

        return value_is_true(&v);
}

static void run_rows(struct state *st)
{
        for (size_t i = 0; i < st->table->n_rows; i++) {
                struct scope s = {.table = st->table, .row = st->table->rows[i], .region = st->region};

                if (passes_where(st, &s))
                        emit(st, &s);
        }
}

static int compare_keys(const struct value *a, const struct value *b, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                int c = value_compare(&a[i], &b[i]);

                if (c != 0)
                        return c;
        }
        return 0;
}

/* Groups are kept sorted by key, so finding one is a binary search. */
static struct group *find_group(struct state *st, struct group **groups, size_t *n, size_t *cap, struct value *keys)
{
        const struct query *q = st->query;
        size_t low = 0, high = *n;

        while (low < high) {
                size_t middle = (low + high) / 2;
                int c = compare_keys((*groups)[middle].keys, keys, q->n_group);

                if (c == 0)
                        return &(*groups)[middle];
                if (c < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        *groups = grow(*groups, *n, cap, sizeof(**groups));
        memmove(*groups + low + 1, *groups + low, (*n - low) * sizeof(**groups));
        (*n)++;
        (*groups)[low] = (struct group){.keys = keys};
        (*groups)[low].aggregates = region_alloc(st->region, (q->n_aggregates + 1) * sizeof(struct aggregate));
        return &(*groups)[low];
}

static void add_to_group(struct state *st, struct group *g, const struct scope *s)
{
        const struct query *q = st->query;

        if (!g->first)
                g->first = s->row;
        for (size_t i = 0; i < q->n_aggregates; i++) {
                struct value v = expr_eval(q->aggregates[i]->args[0], s);

                aggregate_add(&g->aggregates[i], q->aggregates[i], &v);
        }
}

static void finish_group(struct state *st, struct group *g)
{
        const struct query *q = st->query;
        struct value *results = region_alloc(st->region, (q->n_aggregates + 1) * sizeof(*results));
        struct scope s = {.table = st->table, .row = g->first, .aggregates = results, .region = st->region};

        for (size_t i = 0; i < q->n_aggregates; i++) {
                results[i] = aggregate_result(&g->aggregates[i], q->aggregates[i]);
                aggregate_free(&g->aggregates[i]);
        }
        struct value keep = q->having ? expr_eval(q->having, &s) : value_bool(true);

        if (value_is_true(&keep))
                emit(st, &s);
}

static void run_groups(struct state *st)
{
        struct group *groups = NULL;
        size_t n = 0, cap = 0;

        if (st->query->n_group == 0) /* one group over everything, also over no row */
                find_group(st, &groups, &n, &cap, NULL);
        for (size_t i = 0; i < st->table->n_rows; i++) {
                struct scope s = {.table = st->table, .row = st->table->rows[i], .region = st->region};
                struct value *keys = region_alloc(st->region, (st->query->n_group + 1) * sizeof(*keys));

                if (!passes_where(st, &s))
                        continue;
                for (size_t k = 0; k < st->query->n_group; k++)
                        keys[k] = expr_eval(st->query->group[k], &s);
                add_to_group(st, find_group(st, &groups, &n, &cap, keys), &s);
        }
        for (size_t i = 0; i < n; i++)
                finish_group(st, &groups[i]);
        free(groups);
}

static int compare_sortable(const void *a, const void *b)
{
        const struct sortable *x = a, *y = b;

        for (size_t i = 0; i < x->query->n_order; i++) {
                int c = value_compare(&x->keys[i], &y->keys[i]);

                if (c != 0)
                        return x->query->order[i].descending ? -c : c;
        }
        return x->index < y->index ? -1 : 1;
}

/* SELECT DISTINCT keeps the first of equal rows. Quadratic, on purpose: results are small. */
static void drop_repeated(struct state *st)
{
        size_t kept = 0;

        for (size_t i = 0; i < st->n_out; i++) {
                size_t j = 0;

                while (j < kept && compare_keys(st->out[j].cells, st->out[i].cells, st->query->n_items) != 0)
                        j++;
                if (j == kept)
                        st->out[kept++] = st->out[i];
        }
        st->n_out = kept;
}

static void publish(struct state *st)
{
        const struct query *q = st->query;
        struct result *res = st->result;
        size_t from = q->offset < st->n_out ? q->offset : st->n_out;
        size_t n = st->n_out - from < q->limit ? st->n_out - from : q->limit;

        res->n_columns = q->n_items;
        res->columns = region_alloc(st->region, (q->n_items + 1) * sizeof(const char *));
        for (size_t i = 0; i < q->n_items; i++)
                res->columns[i] = q->items[i].name;
        res->rows = malloc((n ? n : 1) * sizeof(struct value *));
        if (!res->rows)
                fail("out of memory");
        for (size_t i = 0; i < n; i++)
                res->rows[i] = st->out[from + i].cells;
        res->n_rows = n;
}

void query_execute(struct query *q, const struct table *t, struct region *r, struct result *ret)
{
        struct state st = {.query = q, .table = t, .region = r, .result = ret};

        *ret = (struct result){0};
        bind(&st);
        if (q->n_aggregates > 0 || q->n_group > 0)
                run_groups(&st);
        else
                run_rows(&st);
        if (q->distinct)
                drop_repeated(&st);
        if (q->n_order > 0 && st.n_out > 1)
                qsort(st.out, st.n_out, sizeof(*st.out), compare_sortable);
        publish(&st);
        free(st.out);
}

void result_free(struct result *r)
{
        free(r->rows);
        *r = (struct result){0};
}
