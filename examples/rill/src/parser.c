/* Recursive descent, one function per level of precedence, loosest first:
 *   or < and < not < comparison (also IN, LIKE, BETWEEN, IS NULL) < || < + - < * / % < unary minus < primary */
#include <string.h>
#include <strings.h>

#include "ast.h"
#include "lexer.h"

#define MAX_LIST 256
#define MAX_DEPTH 200

struct parser {
        struct lexer lexer;
        struct region *region;
        struct query *query;
        int depth;
        bool in_aggregate;
};

static struct expr *parse_or(struct parser *p);

static struct expr *expr_new(struct parser *p, enum expr_type type, const char *name, size_t n_args)
{
        struct expr *e = region_alloc(p->region, sizeof(*e));

        e->type = type;
        e->name = name;
        e->column = p->lexer.token.column;
        e->slot = -1;
        e->n_args = n_args;
        e->args = region_alloc(p->region, (n_args ? n_args : 1) * sizeof(struct expr *));
        return e;
}

static struct expr *binary(struct parser *p, const char *name, struct expr *left, struct expr *right)
{
        struct expr *e = expr_new(p, EXPR_BINARY, name, 2);

        e->column = left->column;
        e->args[0] = left;
        e->args[1] = right;
        return e;
}

static struct expr *literal(struct parser *p, struct value v)
{
        struct expr *e = expr_new(p, EXPR_LITERAL, NULL, 0);

        e->literal = v;
        return e;
}

/* Expressions separated by commas, up to MAX_LIST. */
static size_t parse_list(struct parser *p, struct expr **ret)
{
        size_t n = 0;

        do {
                if (n == MAX_LIST)
                        lexer_fail(&p->lexer, "a shorter list");
                ret[n++] = parse_or(p);
        } while (lexer_accept(&p->lexer, ","));
        return n;
}

static bool is_aggregate(const char *name)
{
        static const char *const names[] = {"count", "sum", "avg", "min", "max"};

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                if (strcasecmp(names[i], name) == 0)
                        return true;
        return false;
}

static struct expr *parse_aggregate(struct parser *p, const char *name, size_t column)
{
        struct query *q = p->query;
        struct expr *e = expr_new(p, EXPR_AGGREGATE, name, 1);

        if (p->in_aggregate)
                lexer_fail(&p->lexer, "no aggregate inside an aggregate");
        if (q->n_aggregates == MAX_LIST)
                lexer_fail(&p->lexer, "fewer aggregates");
        e->column = column;
        e->distinct = lexer_accept(&p->lexer, "DISTINCT");
        p->in_aggregate = true;
        if (lexer_accept(&p->lexer, "*")) {
                if (strcasecmp(name, "count") != 0)
                        lexer_fail(&p->lexer, "count(*), the only aggregate over *");
                e->args[0] = literal(p, value_bool(true));
        } else {
                e->args[0] = parse_or(p);
        }
        p->in_aggregate = false;
        lexer_expect(&p->lexer, ")");
        e->slot = (int)q->n_aggregates;
        q->aggregates[q->n_aggregates++] = e;
        return e;
}

static struct expr *parse_call(struct parser *p, const char *name, size_t column)
{
        struct expr *args[MAX_LIST];
        size_t n = 0;

        if (is_aggregate(name))
                return parse_aggregate(p, name, column);
        if (!lexer_is(&p->lexer, ")"))
                n = parse_list(p, args);
        lexer_expect(&p->lexer, ")");
        struct expr *e = expr_new(p, EXPR_CALL, name, n);

        e->column = column;
        if (n > 0)
                memcpy(e->args, args, n * sizeof(args[0]));
        return e;
}

static struct expr *parse_case(struct parser *p)
{
        struct expr *args[MAX_LIST];
        size_t n = 0, column = p->lexer.token.column;

        while (lexer_accept(&p->lexer, "WHEN")) {
                if (n + 3 > MAX_LIST)
                        lexer_fail(&p->lexer, "fewer branches");
                args[n++] = parse_or(p);
                lexer_expect(&p->lexer, "THEN");
                args[n++] = parse_or(p);
        }
        if (n == 0)
                lexer_fail(&p->lexer, "WHEN");
        if (lexer_accept(&p->lexer, "ELSE"))
                args[n++] = parse_or(p);
        lexer_expect(&p->lexer, "END");
        struct expr *e = expr_new(p, EXPR_CASE, "CASE", n);

        e->column = column;
        memcpy(e->args, args, n * sizeof(args[0]));
        return e;
}

static struct expr *parse_name(struct parser *p)
{
        const char *name = p->lexer.token.text;
        size_t column = p->lexer.token.column;

        lexer_next(&p->lexer);
        if (lexer_accept(&p->lexer, "("))
                return parse_call(p, name, column);
        struct expr *e = expr_new(p, EXPR_COLUMN, name, 0);

        e->column = column;
        return e;
}

static struct expr *parse_primary(struct parser *p)
{
        struct token t = p->lexer.token;
        struct expr *e = NULL;

        if (t.type == TOKEN_NAME)
                return parse_name(p);
        if (t.type == TOKEN_NUMBER)
                e = literal(p, value_number(t.number));
        else if (t.type == TOKEN_TEXT)
                e = literal(p, value_text(t.text, t.len));
        else if (lexer_is(&p->lexer, "NULL"))
                e = literal(p, value_null());
        else if (lexer_is(&p->lexer, "TRUE") || lexer_is(&p->lexer, "FALSE"))
                e = literal(p, value_bool(t.text[0] == 'T'));
        if (e) {
                lexer_next(&p->lexer);
                return e;
        }
        if (lexer_accept(&p->lexer, "CASE"))
                return parse_case(p);
        if (!lexer_accept(&p->lexer, "("))
                lexer_fail(&p->lexer, "a value");
        e = parse_or(p);
        lexer_expect(&p->lexer, ")");
        return e;
}

static struct expr *parse_unary(struct parser *p)
{
        if (!lexer_is(&p->lexer, "-"))
                return parse_primary(p);
        struct expr *e = expr_new(p, EXPR_UNARY, "-", 1);

        lexer_next(&p->lexer);
        e->args[0] = parse_primary(p);
        return e;
}

/* A level of left-associative operators over the next tighter level. */
static struct expr *parse_level(struct parser *p, const char *const *ops, size_t n, struct expr *(*next)(struct parser *))
{
        struct expr *left = next(p);

        for (;;) {
                size_t i = 0;

                while (i < n && !lexer_accept(&p->lexer, ops[i]))
                        i++;
                if (i == n)
                        return left;
                left = binary(p, ops[i], left, next(p));
        }
}

static struct expr *parse_product(struct parser *p)
{
        static const char *const ops[] = {"*", "/", "%"};

        return parse_level(p, ops, 3, parse_unary);
}

static struct expr *parse_sum(struct parser *p)
{
        static const char *const ops[] = {"+", "-"};

        return parse_level(p, ops, 2, parse_product);
}

static struct expr *parse_concat(struct parser *p)
{
        static const char *const ops[] = {"||"};

        return parse_level(p, ops, 1, parse_sum);
}

static struct expr *parse_in(struct parser *p, struct expr *left)
{
        struct expr *args[MAX_LIST];

        lexer_expect(&p->lexer, "(");
        size_t n = parse_list(p, args);

        lexer_expect(&p->lexer, ")");
        struct expr *e = expr_new(p, EXPR_IN, "IN", n + 1);

        e->args[0] = left;
        memcpy(e->args + 1, args, n * sizeof(args[0]));
        return e;
}

static struct expr *parse_between(struct parser *p, struct expr *left)
{
        struct expr *low = parse_concat(p);

        lexer_expect(&p->lexer, "AND");
        struct expr *high = parse_concat(p);

        return binary(p, "AND", binary(p, ">=", left, low), binary(p, "<=", left, high));
}

static struct expr *parse_is_null(struct parser *p, struct expr *left)
{
        struct expr *e = expr_new(p, EXPR_IS_NULL, "IS NULL", 1);

        e->negated = lexer_accept(&p->lexer, "NOT");
        lexer_expect(&p->lexer, "NULL");
        e->args[0] = left;
        return e;
}

static struct expr *negate(struct parser *p, struct expr *inner)
{
        struct expr *e = expr_new(p, EXPR_UNARY, "NOT", 1);

        e->args[0] = inner;
        return e;
}

static struct expr *parse_comparison(struct parser *p)
{
        static const char *const ops[] = {"=", "<>", "!=", "<=", ">=", "<", ">"};
        struct expr *left = parse_concat(p), *e;

        for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
                if (lexer_accept(&p->lexer, ops[i]))
                        return binary(p, ops[i], left, parse_concat(p));
        if (lexer_accept(&p->lexer, "IS"))
                return parse_is_null(p, left);
        bool negated = lexer_accept(&p->lexer, "NOT");

        if (lexer_accept(&p->lexer, "IN")) {
                e = parse_in(p, left);
        } else if (lexer_accept(&p->lexer, "LIKE")) {
                e = expr_new(p, EXPR_LIKE, "LIKE", 2);
                e->args[0] = left;
                e->args[1] = parse_concat(p);
        } else if (lexer_accept(&p->lexer, "BETWEEN")) {
                e = parse_between(p, left);
        } else {
                if (negated)
                        lexer_fail(&p->lexer, "IN, LIKE or BETWEEN after NOT");
                return left;
        }
        return negated ? negate(p, e) : e;
}

static struct expr *parse_not(struct parser *p)
{
        if (!lexer_accept(&p->lexer, "NOT"))
                return parse_comparison(p);
        return negate(p, parse_not(p));
}

static struct expr *parse_and(struct parser *p)
{
        static const char *const ops[] = {"AND"};

        return parse_level(p, ops, 1, parse_not);
}

static struct expr *parse_or(struct parser *p)
{
        static const char *const ops[] = {"OR"};

        if (++p->depth > MAX_DEPTH)
                lexer_fail(&p->lexer, "less nesting");
        struct expr *e = parse_level(p, ops, 1, parse_and);

        p->depth--;
        return e;
}

/* The name of an output column: AS name, the column's own name, or the text of the expression. */
static const char *item_name(struct parser *p, const struct expr *e, size_t start)
{
        if (lexer_accept(&p->lexer, "AS") || p->lexer.token.type == TOKEN_NAME) {
                const char *name = p->lexer.token.text;

                if (p->lexer.token.type != TOKEN_NAME)
                        lexer_fail(&p->lexer, "a name");
                lexer_next(&p->lexer);
                return name;
        }
        if (e->type == EXPR_COLUMN)
                return e->name;
        size_t end = p->lexer.token.column - 1;

        while (end > start && strchr(" \t\r\n", p->lexer.query[end - 1]))
                end--;
        return region_copy(p->region, p->lexer.query + start, end - start);
}

static void parse_items(struct parser *p)
{
        struct query *q = p->query;

        q->distinct = lexer_accept(&p->lexer, "DISTINCT");
        if (lexer_accept(&p->lexer, "*")) {
                q->all = true;
                return;
        }
        q->items = region_alloc(p->region, MAX_LIST * sizeof(*q->items));
        do {
                size_t start = p->lexer.token.column - 1;

                if (q->n_items == MAX_LIST)
                        lexer_fail(&p->lexer, "fewer columns");
                struct expr *e = parse_or(p);

                q->items[q->n_items++] = (struct select_item){.expr = e, .name = item_name(p, e, start)};
        } while (lexer_accept(&p->lexer, ","));
}

static void parse_order(struct parser *p)
{
        struct query *q = p->query;

        q->order = region_alloc(p->region, MAX_LIST * sizeof(*q->order));
        do {
                if (q->n_order == MAX_LIST)
                        lexer_fail(&p->lexer, "fewer sort keys");
                struct order_item *item = &q->order[q->n_order++];

                item->expr = parse_or(p);
                if (lexer_accept(&p->lexer, "DESC"))
                        item->descending = true;
                else
                        lexer_accept(&p->lexer, "ASC");
        } while (lexer_accept(&p->lexer, ","));
}

static size_t parse_count(struct parser *p)
{
        double n = p->lexer.token.number;

        if (p->lexer.token.type != TOKEN_NUMBER || n < 0 || n > 1e15 || n != (double)(size_t)n)
                lexer_fail(&p->lexer, "a whole number");
        lexer_next(&p->lexer);
        return (size_t)n;
}

static void parse_clauses(struct parser *p)
{
        struct query *q = p->query;

        if (lexer_accept(&p->lexer, "WHERE"))
                q->where = parse_or(p);
        if (lexer_accept(&p->lexer, "GROUP")) {
                struct expr *group[MAX_LIST];

                lexer_expect(&p->lexer, "BY");
                q->n_group = parse_list(p, group);
                q->group = region_alloc(p->region, q->n_group * sizeof(group[0]));
                memcpy(q->group, group, q->n_group * sizeof(group[0]));
        }
        if (lexer_accept(&p->lexer, "HAVING"))
                q->having = parse_or(p);
        if (lexer_accept(&p->lexer, "ORDER")) {
                lexer_expect(&p->lexer, "BY");
                parse_order(p);
        }
        if (lexer_accept(&p->lexer, "LIMIT"))
                q->limit = parse_count(p);
        if (lexer_accept(&p->lexer, "OFFSET"))
                q->offset = parse_count(p);
}

struct query *query_parse(const char *text, struct region *r)
{
        struct query *q = region_alloc(r, sizeof(*q));
        struct parser p = {.region = r, .query = q};

        q->limit = (size_t)-1;
        q->aggregates = region_alloc(r, MAX_LIST * sizeof(struct expr *));
        lexer_init(&p.lexer, text, r);
        lexer_expect(&p.lexer, "SELECT");
        parse_items(&p);
        q->from = lexer_take_from(&p.lexer);
        parse_clauses(&p);
        if (p.lexer.token.type != TOKEN_END)
                lexer_fail(&p.lexer, "the end of the query");
        return q;
}
