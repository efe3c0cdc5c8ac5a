/* GitHub's expression language: text to tree, tree and contexts to value.
 *
 * Pure: what needs the world (hashFiles, the state of a job) is a callback. An evaluation never changes a context and
 * may be repeated.
 *
 * Errors of an expression are negative returns with ERR_USAGE, GitHub's wording in *e, and the kind and place in
 * *fault; fault->kind is EXPR_FAULT_NONE when something else failed (no memory).
 *
 * Source of the rules: docs.github.com "Evaluate expressions", and the behaviour of npm @actions/expressions, which
 * tests run beside this code; where the two differ from each other is in docs/compatibility.md. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "workflow/value.h"

struct err;
struct expr;

#define EXPR_MAX_LENGTH 21000              /* characters of one expression */
#define EXPR_MAX_DEPTH 50                  /* of the tree, counted as GitHub counts it */
#define EXPR_MAX_MEMORY ((size_t)10 << 20) /* bytes of new values that one evaluation makes */
#define EXPR_MAX_TEXT ((size_t)1 << 20)    /* bytes of a text with ${{ }} parts */

enum expr_fault_kind { EXPR_FAULT_NONE, EXPR_FAULT_LEXING, EXPR_FAULT_PARSING, EXPR_FAULT_EVALUATION };

struct expr_fault {
        enum expr_fault_kind kind;
        size_t offset; /* byte offset in the text given where it was found */
};

const char *expr_fault_name(enum expr_fault_kind kind); /* "lexing", "parsing", "evaluation", "none" */

/* Status functions. */
enum expr_status { EXPR_SUCCESS, EXPR_FAILURE, EXPR_CANCELLED, EXPR_ALWAYS };

#define EXPR_E_PENDING 1

/* What an expression is evaluated with. Everything is borrowed. A zeroed struct has no contexts and neither hashFiles
 * nor status functions. */
struct expr_env {
        /* An object, context name to value. A name that is no member is an error unless `any_context` is set. */
        struct value *contexts;
        bool any_context;
        /* NULL: hashFiles is not available here (an unrecognised function). A new reference in *ret. The callback may
         * return EXPR_E_PENDING after it has noted the patterns; expr_eval() then stops and returns EXPR_E_PENDING too,
         * and is called again once the answer is known. */
        int (*hash_files)(void *user, const char *const *patterns, size_t n, struct value **ret, struct err *e);
        /* NULL: status functions are not available here. args: names of jobs in a job's `if`, n may be 0. always() is
         * not asked. */
        int (*status)(void *user, enum expr_status fn, const char *const *args, size_t n, bool *ret, struct err *e);
        bool status_takes_jobs; /* success('a', 'b') and failure('a') are allowed: a job's `if` */
        void *user;
        size_t *budget; /* bytes of new values that several evaluations may make; NULL: EXPR_MAX_MEMORY each */
};

/* Parse one expression (without ${{ }}). env gives the names and functions that are known; its values are not looked
 * at. */
int expr_parse(const char *text, size_t len, const struct expr_env *env, struct expr **ret, struct expr_fault *fault,
               struct err *e);
struct expr *expr_free(struct expr *x); /* NULL is fine; always NULL */
CLEANUP_DEFINE(struct expr, expr_free)
/* 0, EXPR_E_PENDING, or negative. *ret is a new reference. */
int expr_eval(const struct expr *x, const struct expr_env *env, struct value **ret, struct expr_fault *fault,
              struct err *e);
/* Does the tree call a status function? Does it read the named context (case-insensitive)? */
bool expr_uses_status(const struct expr *x);
bool expr_uses_context(const struct expr *x, const char *name);

/* What stands in an expression, for people who check workflows: each access to a context, and each format() that can
 * only fail. */
#define EXPR_NOTE_MAX_PATH 16 /* names of an access; a longer one is left out */
struct expr_note {
        const char *path[EXPR_NOTE_MAX_PATH]; /* "github", "event", "*": `*` is any member */
        size_t n;
        bool shown; /* its value may become the value of the expression, or part of it */
        size_t offset;
        const char *problem; /* NULL, or why the format fails; then n is 0 */
};

/* Parse and evaluate in one go. Same returns as expr_eval(). Nothing but blanks is null, as for GitHub's evaluator;
 * where a workflow needs an expression, expr_parse() refuses it. */
int expr_evaluate(const char *text, size_t len, const struct expr_env *env, struct value **ret,
                  struct expr_fault *fault, struct err *e);

/* Text with ${{ }} parts. When the whole text is one ${{ }} part, the value is given as it is (an array stays an
 * array); otherwise the parts are joined into a string. */
int expr_template(const char *text, size_t len, const struct expr_env *env, struct value **ret,
                  struct expr_fault *fault, struct err *e);
/* The same, coerced to a malloc'd string. */
int expr_template_str(const char *text, const struct expr_env *env, char **ret, struct expr_fault *fault,
                      struct err *e);
/* The same for fields that are a number or a boolean: a text that is none is ERR_USAGE and names `what`. */
int expr_template_bool(const char *text, const struct expr_env *env, const char *what, bool *ret,
                       struct expr_fault *fault, struct err *e);
int expr_template_number(const char *text, const struct expr_env *env, const char *what, double *ret,
                         struct expr_fault *fault, struct err *e);
/* Are all expressions of the text well-formed? Evaluates nothing. */
int expr_template_check(const char *text, size_t len, const struct expr_env *env, struct expr_fault *fault,
                        struct err *e);
bool expr_template_has_parts(const char *text, size_t len); /* is there a "${{"? */
/* Does an expression of the text read the context? Text that is not well-formed reads nothing. Negative: no memory. */
int expr_template_uses_context(const char *text, size_t len, const char *name, bool *ret, struct err *e);

/* Call fn for every note of every expression of a text; of a condition where `condition` is set. Text that is not
 * well-formed has none. fn returns 0 or negative, which is passed on. Negative: no memory. */
int expr_template_notes(const char *text, size_t len, bool condition,
                        int (*fn)(void *user, const struct expr_note *note, struct err *e), void *user, struct err *e);

/* The condition of an `if:`, with or without ${{ }}. NULL or empty text is success(). Where no status function is
 * called, `success() && (...)` is meant. 0, EXPR_E_PENDING, or negative. */
int expr_condition(const char *text, const struct expr_env *env, bool *ret, struct expr_fault *fault, struct err *e);
int expr_condition_check(const char *text, const struct expr_env *env, struct expr_fault *fault, struct err *e);
/* Is it text around ${{ }}, which makes it a string and therefore always true? */
bool expr_condition_is_text(const char *text);
/* Does it read no context and no function that asks the world? Then *ret_value is what it always gives. Negative: no
 * memory. */
int expr_condition_constant(const char *text, bool *ret, bool *ret_value, struct err *e);
int expr_condition_uses_context(const char *text, const char *name, bool *ret, struct err *e);
/* Does it call success(), failure(), cancelled() or always()? Negative: no memory. */
int expr_condition_uses_status(const char *text, bool *ret, struct err *e);
