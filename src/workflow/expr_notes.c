/* What stands in an expression, without evaluating it: for people who check workflows. */
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "workflow/expr_priv.h"

struct visit {
        size_t start; /* of the expression in the text */
        int (*fn)(void *user, const struct expr_note *note, struct err *e);
        void *user;
        struct err *e;
};

static int visit(struct visit *v, const struct node *n, bool shown);

/* The names of an access from its context on; false when it does not begin with a context. */
static bool read_path(const struct node *n, struct expr_note *ret)
{
        const char *names[EXPR_NOTE_MAX_PATH];
        size_t count = 0;
        for (; n->kind == NODE_INDEX || n->kind == NODE_FILTER; n = n->args[0]) {
                const struct node *index = n->kind == NODE_INDEX ? n->args[1] : NULL;
                bool named = index && index->kind == NODE_LITERAL && value_kind(index->literal) == VALUE_STRING;
                if (count == EXPR_NOTE_MAX_PATH - 1)
                        return false;
                names[count++] = named ? value_text(index->literal, NULL) : "*";
        }
        if (n->kind != NODE_CONTEXT)
                return false;
        names[count++] = n->name;
        ret->n = count;
        for (size_t i = 0; i < count; i++)
                ret->path[i] = names[count - 1 - i];
        return true;
}

static int visit_indexes(struct visit *v, const struct node *n)
{
        int r = 0;
        for (; r == 0 && (n->kind == NODE_INDEX || n->kind == NODE_FILTER); n = n->args[0])
                if (n->kind == NODE_INDEX)
                        r = visit(v, n->args[1], false);
        return r;
}

static int visit_access(struct visit *v, const struct node *n, bool shown)
{
        struct expr_note note = {.shown = shown, .offset = v->start + n->offset};
        if (read_path(n, &note)) {
                int r = v->fn(v->user, &note, v->e);
                return r < 0 ? r : visit_indexes(v, n);
        }
        int r = visit(v, n->args[0], shown);
        return r < 0 || n->kind == NODE_FILTER ? r : visit(v, n->args[1], false);
}

/* A format that cannot be filled with the arguments that are given fails at each evaluation. */
static int check_format(struct visit *v, const struct node *n)
{
        struct err problem = ERR_INIT;
        struct expr_note note = {.offset = v->start + n->offset, .problem = problem.msg};
        const struct node *format = n->args[0];
        if (format->kind != NODE_LITERAL || value_kind(format->literal) != VALUE_STRING ||
            expr_check_format(format->literal, n->n, &problem) == 0)
                return 0;
        if (problem.code != ERR_USAGE)
                return err_set(v->e, problem.code, "%s", problem.msg);
        return v->fn(v->user, &note, v->e);
}

static int visit_call(struct visit *v, const struct node *n, bool shown)
{
        enum function_id id = n->function->id;
        bool passes = id == FN_FORMAT || id == FN_JOIN || id == FN_TO_JSON || id == FN_FROM_JSON || id == FN_CASE;
        int r = id == FN_FORMAT ? check_format(v, n) : 0;
        for (size_t i = 0; r == 0 && i < n->n; i++) {
                bool predicate = id == FN_CASE && i % 2 == 0 && i + 1 < n->n;
                r = visit(v, n->args[i], shown && passes && !predicate);
        }
        return r;
}

static int visit(struct visit *v, const struct node *n, bool shown)
{
        int r = 0;
        switch (n->kind) {
        case NODE_LITERAL:
                return 0;
        case NODE_CONTEXT:
        case NODE_INDEX:
        case NODE_FILTER:
                return visit_access(v, n, shown);
        case NODE_CALL:
                return visit_call(v, n, shown);
        case NODE_AND: /* an operand before the last one is given only when it is false or empty */
        case NODE_OR:
        case NODE_NOT:
        case NODE_COMPARE:
                for (size_t i = 0; r == 0 && i < n->n; i++)
                        r = visit(v, n->args[i],
                                  shown && (n->kind == NODE_OR || (n->kind == NODE_AND && i + 1 == n->n)));
                return r;
        }
        return 0;
}

int expr_notes(const struct expr *x, size_t start, int (*fn)(void *user, const struct expr_note *note, struct err *e),
               void *user, struct err *e)
{
        struct visit v = {.start = start, .fn = fn, .user = user, .e = e};
        return visit(&v, x->root, true);
}

static bool is_constant(const struct node *n)
{
        if (n->kind == NODE_CONTEXT || (n->kind == NODE_CALL && n->function->id >= FN_HASH_FILES))
                return false;
        for (size_t i = 0; i < n->n; i++)
                if (!is_constant(n->args[i]))
                        return false;
        return true;
}

bool expr_is_constant(const struct expr *x)
{
        return is_constant(x->root);
}
