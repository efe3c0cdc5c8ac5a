/* Tokens to a tree. Precedence from loose to tight: || && ==/!= </<=/>/>= ! index. Depth is counted the way GitHub's
 * parser counts it, so that the same expression passes or fails in both. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "workflow/expr_priv.h"

struct parser {
        const char *text;
        size_t len;
        const struct expr_env *env;
        struct tokens tokens;
        size_t at;
        unsigned depth;
        struct expr *tree;
        struct expr_fault *fault;
        struct err *e;
};

static int parse_expression(struct parser *p, struct node **ret);

int expr_fail_at(enum expr_fault_kind kind, const char *text, size_t len, size_t offset, struct expr_fault *fault,
                 struct err *e, const char *fmt, ...)
{
        char what[512];
        size_t position = 1; /* in UTF-16 units, as GitHub counts */
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(what, sizeof(what), fmt, ap);
        va_end(ap);
        for (size_t i = 0; i < offset && i < len; i++) {
                unsigned char c = (unsigned char)text[i];
                position += ((c & 0xc0) != 0x80) + (c >= 0xf0);
        }
        if (fault)
                *fault = (struct expr_fault){.kind = kind, .offset = offset};
        return err_set(e, ERR_USAGE, "%s. Located at position %zu within expression: %.*s", what, position,
                       (int)MIN(len, (size_t)ERR_MAX_MESSAGE), text);
}

static const struct token *peek(const struct parser *p)
{
        return &p->tokens.v[p->at];
}

static bool check(const struct parser *p, enum token_kind kind)
{
        return kind != TOKEN_END && peek(p)->kind == kind;
}

static bool match(struct parser *p, enum token_kind kind)
{
        if (!check(p, kind))
                return false;
        p->at++;
        return true;
}

/* A string is shown as its value. */
static size_t unquote(const char *from, size_t len, char *to, size_t size)
{
        size_t n = 0;
        for (size_t i = 0; i < len && n < size; i++) {
                to[n++] = from[i];
                i += from[i] == '\'';
        }
        return n;
}

static int fail(struct parser *p, const struct token *t, const char *what)
{
        char value[400];
        const char *text = t->kind == TOKEN_END ? "EOF" : p->text + t->offset;
        size_t len = t->kind == TOKEN_END ? 3 : t->len;
        if (t->kind == TOKEN_STRING) {
                len = unquote(text + 1, len - 2, value, sizeof(value));
                text = value;
        }
        return expr_fail_at(EXPR_FAULT_PARSING, p->text, p->len, t->offset, p->fault, p->e, "%s: '%.*s'", what,
                            (int)len, text);
}

static int fail_end(struct parser *p)
{
        return fail(p, &p->tokens.v[p->at ? p->at - 1 : 0], "Unexpected end of expression");
}

static int deeper(struct parser *p)
{
        char what[64];
        if (++p->depth <= EXPR_MAX_DEPTH)
                return 0;
        snprintf(what, sizeof(what), "Exceeded max expression depth %d", EXPR_MAX_DEPTH);
        return fail(p, peek(p), what);
}

static struct node *new_node(struct parser *p, enum node_kind kind, const struct token *t)
{
        struct node *n = arena_alloc(p->tree->arena, sizeof(*n), p->e);
        if (!n)
                return NULL;
        n->kind = kind;
        n->offset = t->offset;
        n->next = p->tree->all;
        p->tree->all = n;
        return n;
}

static int add_arg(struct parser *p, struct node *n, struct node *arg)
{
        int r = arena_grow(p->tree->arena, &n->args, n->n, &n->cap, sizeof(*n->args), p->e);
        if (r == 0)
                n->args[n->n++] = arg;
        return r;
}

/* A string literal of a token: its quotes taken off, each '' made one quote. */
static int string_literal(struct parser *p, const struct token *t, struct value **ret)
{
        const char *from = p->text + t->offset + 1;
        size_t len = t->len - 2;
        char *copy = arena_alloc(p->tree->arena, len + 1, p->e);
        if (!copy)
                return -1;
        size_t n = unquote(from, len, copy, len);
        return value_string(copy, n, ret, p->e);
}

static int parse_literal(struct parser *p, const struct token *t, struct node **ret)
{
        struct node *n = new_node(p, NODE_LITERAL, t);
        if (!n)
                return -1;
        *ret = n;
        switch (t->kind) {
        case TOKEN_TRUE:
        case TOKEN_FALSE:
                n->literal = value_bool(t->kind == TOKEN_TRUE);
                return 0;
        case TOKEN_NUMBER:
                return value_number(t->number, &n->literal, p->e);
        case TOKEN_STRING:
                return string_literal(p, t, &n->literal);
        default:
                n->literal = value_null();
                return 0;
        }
}

static bool is_known_context(const struct parser *p, const char *name)
{
        if (!p->env || p->env->any_context)
                return true;
        return p->env->contexts && value_get(p->env->contexts, name);
}

static int parse_context(struct parser *p, const struct token *t, struct node **ret)
{
        char *name = arena_str(p->tree->arena, p->text + t->offset, t->len, p->e);
        if (!name)
                return -1;
        if (!is_known_context(p, name))
                return fail(p, t, "Unrecognized named-value");
        struct node *n = new_node(p, NODE_CONTEXT, t);
        if (!n)
                return -1;
        n->name = name;
        *ret = n;
        return 0;
}

static int check_call(struct parser *p, const struct token *t, struct node *n)
{
        n->function = expr_function(p->text + t->offset, t->len, p->env);
        if (!n->function)
                return fail(p, t, "Unrecognized function");
        if (n->n < n->function->min_args)
                return fail(p, t, "Too few parameters supplied");
        bool no_jobs = n->function->id >= FN_SUCCESS && !p->env->status_takes_jobs;
        if (n->n > n->function->max_args || (no_jobs && n->n))
                return fail(p, t, "Too many parameters supplied");
        if (n->function->id == FN_CASE && n->n % 2 == 0)
                return fail(p, t, "Even number of parameters supplied, requires an odd number of parameters");
        return 0;
}

static int parse_call(struct parser *p, const struct token *t, struct node **ret)
{
        struct node *n = new_node(p, NODE_CALL, t);
        int r = n ? 0 : -1;
        while (r == 0 && !match(p, TOKEN_RIGHT_PAREN)) {
                struct node *arg = NULL;
                if ((r = parse_expression(p, &arg)) < 0 || (r = add_arg(p, n, arg)) < 0)
                        break;
                if (!check(p, TOKEN_RIGHT_PAREN) && !match(p, TOKEN_COMMA))
                        r = fail(p, peek(p), "Unexpected symbol");
        }
        *ret = n;
        return r < 0 ? r : check_call(p, t, n);
}

static int parse_group(struct parser *p, struct node **ret)
{
        int r = parse_expression(p, ret);
        if (r < 0)
                return r;
        if (peek(p)->kind == TOKEN_END)
                return fail_end(p);
        return match(p, TOKEN_RIGHT_PAREN) ? 0 : fail(p, peek(p), "Unexpected symbol");
}

/* *indexable: may be followed by an index. */
static int parse_primary(struct parser *p, struct node **ret, bool *indexable)
{
        const struct token *t = peek(p);
        *indexable = false;
        switch (t->kind) {
        case TOKEN_TRUE:
        case TOKEN_FALSE:
        case TOKEN_NULL:
        case TOKEN_NUMBER:
        case TOKEN_STRING:
                p->at++;
                return parse_literal(p, t, ret);
        case TOKEN_NAME:
                p->at++;
                *indexable = true;
                return match(p, TOKEN_LEFT_PAREN) ? parse_call(p, t, ret) : parse_context(p, t, ret);
        case TOKEN_LEFT_PAREN:
                p->at++;
                *indexable = true;
                return parse_group(p, ret);
        case TOKEN_END:
                return fail_end(p);
        default:
                return fail(p, t, "Unexpected symbol");
        }
}

static int wrap_index(struct parser *p, const struct token *t, struct node *index, struct node **io)
{
        struct node *n = new_node(p, index ? NODE_INDEX : NODE_FILTER, t);
        if (!n || add_arg(p, n, *io) < 0 || (index && add_arg(p, n, index) < 0))
                return -1;
        *io = n;
        return 0;
}

static int parse_bracket(struct parser *p, const struct token *t, struct node **io)
{
        struct node *index = NULL;
        int r = match(p, TOKEN_STAR) ? 0 : parse_expression(p, &index);
        if (r < 0)
                return r;
        if (!match(p, TOKEN_RIGHT_BRACKET))
                return fail(p, peek(p), "Unexpected symbol");
        if ((r = deeper(p)) < 0)
                return r;
        return wrap_index(p, t, index, io);
}

static int parse_member(struct parser *p, const struct token *t, struct node **io)
{
        struct node *index = NULL;
        int r = deeper(p);
        if (r < 0)
                return r;
        const struct token *name = peek(p);
        if (match(p, TOKEN_NAME)) {
                if (!(index = new_node(p, NODE_LITERAL, name)))
                        return -1;
                if ((r = value_string(p->text + name->offset, name->len, &index->literal, p->e)) < 0)
                        return r;
        } else if (!match(p, TOKEN_STAR)) {
                return fail(p, name, "Unexpected symbol");
        }
        return wrap_index(p, t, index, io);
}

static int parse_index(struct parser *p, struct node **ret)
{
        unsigned depth = p->depth;
        bool indexable;
        int r = parse_primary(p, ret, &indexable);
        while (r == 0 && indexable) {
                const struct token *t = peek(p);
                if (match(p, TOKEN_LEFT_BRACKET))
                        r = parse_bracket(p, t, ret);
                else if (match(p, TOKEN_DOT))
                        r = parse_member(p, t, ret);
                else
                        break;
        }
        p->depth = depth;
        return r;
}

static int parse_unary(struct parser *p, struct node **ret)
{
        const struct token *t = peek(p);
        if (!match(p, TOKEN_NOT))
                return parse_index(p, ret);
        struct node *n = new_node(p, NODE_NOT, t), *arg = NULL;
        int r = n ? deeper(p) : -1;
        if (r == 0 && (r = parse_unary(p, &arg)) == 0)
                r = add_arg(p, n, arg);
        p->depth--;
        *ret = n;
        return r;
}

static bool is_order(enum token_kind k)
{
        return k == TOKEN_GREATER || k == TOKEN_GREATER_EQUAL || k == TOKEN_LESS || k == TOKEN_LESS_EQUAL;
}

static bool is_equality(enum token_kind k)
{
        return k == TOKEN_EQUAL || k == TOKEN_NOT_EQUAL;
}

/* Operands of one level joined from the left; one flat node, so that a long chain needs no recursion. */
static int parse_chain(struct parser *p, bool (*is_op)(enum token_kind),
                       int (*operand)(struct parser *, struct node **), struct node **ret)
{
        int r = operand(p, ret);
        if (r < 0 || !is_op(peek(p)->kind))
                return r;
        size_t ops_cap = 0;
        struct node *n = new_node(p, NODE_COMPARE, peek(p));
        if (!n || add_arg(p, n, *ret) < 0)
                return -1;
        while (is_op(peek(p)->kind)) {
                struct node *right = NULL;
                if (arena_grow(p->tree->arena, &n->ops, n->n - 1, &ops_cap, sizeof(*n->ops), p->e) < 0)
                        return -1;
                n->ops[n->n - 1] = p->tokens.v[p->at++].kind;
                if ((r = operand(p, &right)) < 0 || (r = add_arg(p, n, right)) < 0)
                        return r;
        }
        *ret = n;
        return 0;
}

static int parse_order(struct parser *p, struct node **ret)
{
        return parse_chain(p, is_order, parse_unary, ret);
}
static int parse_equality(struct parser *p, struct node **ret)
{
        return parse_chain(p, is_equality, parse_order, ret);
}

static int parse_logical(struct parser *p, enum token_kind op, enum node_kind kind,
                         int (*operand)(struct parser *, struct node **), struct node **ret)
{
        int r = operand(p, ret);
        if (r < 0 || !check(p, op))
                return r;
        if ((r = deeper(p)) < 0)
                return r;
        struct node *n = new_node(p, kind, peek(p));
        if (!n || add_arg(p, n, *ret) < 0)
                return -1;
        while (match(p, op)) {
                struct node *right = NULL;
                if ((r = operand(p, &right)) < 0 || (r = add_arg(p, n, right)) < 0)
                        return r;
        }
        p->depth--;
        *ret = n;
        return 0;
}

static int parse_and(struct parser *p, struct node **ret)
{
        return parse_logical(p, TOKEN_AND, NODE_AND, parse_equality, ret);
}
static int parse_or(struct parser *p, struct node **ret)
{
        return parse_logical(p, TOKEN_OR, NODE_OR, parse_and, ret);
}

static int parse_expression(struct parser *p, struct node **ret)
{
        int r = deeper(p);
        if (r == 0)
                r = parse_or(p, ret);
        p->depth--;
        return r;
}

static int parse_all(struct parser *p)
{
        if (peek(p)->kind == TOKEN_END) {
                if (p->fault)
                        *p->fault = (struct expr_fault){.kind = EXPR_FAULT_PARSING};
                return err_set(p->e, ERR_USAGE, "An expression was expected");
        }
        int r = parse_expression(p, &p->tree->root);
        if (r < 0)
                return r;
        return peek(p)->kind == TOKEN_END ? 0 : fail(p, peek(p), "Unexpected symbol");
}

int expr_parse(const char *text, size_t len, const struct expr_env *env, struct expr **ret, struct expr_fault *fault,
               struct err *e)
{
        if (fault)
                *fault = (struct expr_fault){.kind = EXPR_FAULT_NONE};
        AUTO(expr_freep) struct expr *x = calloc(1, sizeof(*x));
        if (!x)
                return err_nomem(e);
        struct parser p = {.text = text, .len = len, .env = env, .tree = x, .fault = fault, .e = e};
        int r = arena_new(EXPR_MAX_TREE_MEMORY, &x->arena, e);
        if (r == 0)
                r = expr_lex(text, len, x->arena, &p.tokens, fault, e);
        if (r == 0)
                r = parse_all(&p);
        if (r == 0)
                *ret = TAKE_PTR(x);
        return r;
}

struct expr *expr_free(struct expr *x)
{
        if (!x)
                return NULL;
        for (struct node *n = x->all; n; n = n->next)
                value_unref(n->literal);
        arena_free(x->arena);
        free(x);
        return NULL;
}

bool expr_uses_status(const struct expr *x)
{
        for (const struct node *n = x->all; n; n = n->next)
                if (n->kind == NODE_CALL && n->function && n->function->id >= FN_SUCCESS)
                        return true;
        return false;
}

bool expr_uses_context(const struct expr *x, const char *name)
{
        for (const struct node *n = x->all; n; n = n->next)
                if (n->kind == NODE_CONTEXT && str_ieq(n->name, name))
                        return true;
        return false;
}

const char *expr_fault_name(enum expr_fault_kind kind)
{
        static const char *const names[] = {"none", "lexing", "parsing", "evaluation"};
        return names[kind];
}
