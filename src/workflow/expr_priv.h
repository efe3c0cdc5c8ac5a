/* Inside of the expression language: tokens, tree, functions. Only expr*.c includes this. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/arena.h"
#include "workflow/expr.h"

#define EXPR_MAX_ARGS 255
#define EXPR_MAX_TREE_MEMORY ((size_t)16 << 20)

enum token_kind {
        TOKEN_END,
        TOKEN_LEFT_PAREN,
        TOKEN_RIGHT_PAREN,
        TOKEN_LEFT_BRACKET,
        TOKEN_RIGHT_BRACKET,
        TOKEN_COMMA,
        TOKEN_DOT,
        TOKEN_NOT,
        TOKEN_NOT_EQUAL,
        TOKEN_EQUAL,
        TOKEN_GREATER,
        TOKEN_GREATER_EQUAL,
        TOKEN_LESS,
        TOKEN_LESS_EQUAL,
        TOKEN_AND,
        TOKEN_OR,
        TOKEN_STAR,
        TOKEN_NUMBER,
        TOKEN_STRING,
        TOKEN_NAME,
        TOKEN_TRUE,
        TOKEN_FALSE,
        TOKEN_NULL,
};

struct token {
        enum token_kind kind;
        uint32_t offset, len; /* of the text */
        double number;
};

struct tokens {
        struct token *v; /* the last one is TOKEN_END */
        size_t n, cap;
};

enum function_id {
        FN_CASE,
        FN_CONTAINS,
        FN_ENDS_WITH,
        FN_FORMAT,
        FN_FROM_JSON,
        FN_JOIN,
        FN_STARTS_WITH,
        FN_TO_JSON,
        FN_HASH_FILES,
        FN_SUCCESS,
        FN_FAILURE,
        FN_CANCELLED,
        FN_ALWAYS,
};

struct function {
        const char *name;
        enum function_id id;
        uint16_t min_args, max_args;
};

enum node_kind {
        NODE_LITERAL, /* literal */
        NODE_CONTEXT, /* name */
        NODE_NOT,     /* args[0] */
        NODE_AND,     /* args[n], n >= 2 */
        NODE_OR,
        NODE_COMPARE, /* args[n], n >= 2, joined from the left by ops[n - 1] */
        NODE_INDEX,   /* args[0] [ args[1] ] */
        NODE_FILTER,  /* args[0] .* */
        NODE_CALL,    /* function, args[n] */
};

struct node {
        enum node_kind kind;
        uint32_t offset; /* in the text */
        struct value *literal;
        const char *name;
        const struct function *function;
        struct node **args;
        enum token_kind *ops;
        size_t n, cap;
        struct node *next; /* all nodes of a tree, for release */
};

struct expr {
        struct arena *arena;
        struct node *root;
        struct node *all;
};

/* Fill *fault and *e with GitHub's wording; returns -1. `text` is quoted in "Located at position N within expression:
 * TEXT". */
int expr_fail_at(enum expr_fault_kind kind, const char *text, size_t len, size_t offset, struct expr_fault *fault,
                 struct err *e, const char *fmt, ...) __attribute__((format(printf, 7, 8)));

int expr_lex(const char *text, size_t len, struct arena *a, struct tokens *ret, struct expr_fault *fault,
             struct err *e);

const struct function *expr_function(const char *name, size_t len, const struct expr_env *env);

/* One evaluation: what it may still allocate, and why it stopped. */
struct evaluation {
        const struct expr_env *env;
        size_t budget; /* bytes of new values left */
};

/* Take bytes from the budget; negative when it is used up. */
int expr_charge(struct evaluation *ev, size_t bytes, struct err *e);
int expr_call(struct evaluation *ev, const struct function *f, struct value *const *args, size_t n, struct value **ret,
              struct err *e);
/* Could format() be filled? n: arguments, the format included. ERR_USAGE: it fails, with GitHub's wording. */
int expr_check_format(const struct value *format, size_t n, struct err *e);
/* The notes of one expression; start is added to their offsets. */
int expr_notes(const struct expr *x, size_t start, int (*fn)(void *user, const struct expr_note *note, struct err *e),
               void *user, struct err *e);
bool expr_is_constant(const struct expr *x);
