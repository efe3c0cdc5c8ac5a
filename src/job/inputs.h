/* The inputs of an action: the step's `with`, read by who is built in. Names fold case, as at GitHub; for the
 * functions below an empty value is an absent one. Every error is ERR_RUN_FAILED and names the input. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct step;

/* Evaluate all of `with` into s->with. */
int inputs_evaluate(struct step *s, struct err *e);
bool inputs_given(const struct step *s, const char *name);

/* A warning in the words of GitHub's runner that names every input which is not `known`; nothing fails. */
int inputs_warn_unexpected(struct step *s, const char *const *known, size_t n_known, struct err *e);

/* The inputs of the action that a built-in one stands for. Each list ends with NULL, and may be NULL. */
struct inputs_lists {
        const char *const *known;   /* honoured */
        const char *const *more;    /* as well */
        const char *const *ignored; /* without a meaning here */
        const char *const *refused; /* an error where one is given and not false: the step would do something else */
};
#define INPUTS_MAX 64u /* in all lists */

/* What is in no list is a warning. */
int inputs_check(struct step *s, const struct inputs_lists *lists, struct err *e);
/* *ret: a new string, or NULL when absent. */
int inputs_text(struct step *s, const char *name, char **ret, struct err *e);
int inputs_bool(struct step *s, const char *name, bool fallback, bool *ret, struct err *e);
/* *ret_given (may be NULL): false when it is absent. */
int inputs_u64(struct step *s, const char *name, uint64_t min, uint64_t max, uint64_t fallback, uint64_t *ret,
               bool *ret_given, struct err *e);
