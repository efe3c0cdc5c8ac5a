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

/* What the built-in action of the step does not know is a warning; what it cannot do is an error, unless it is empty or
 * false. */
int inputs_check(struct step *s, struct err *e);
/* *ret: a new string, or NULL when absent. */
int inputs_text(struct step *s, const char *name, char **ret, struct err *e);
int inputs_bool(struct step *s, const char *name, bool fallback, bool *ret, struct err *e);
/* *ret_given (may be NULL): false when it is absent. */
int inputs_u64(struct step *s, const char *name, uint64_t min, uint64_t max, uint64_t fallback, uint64_t *ret,
               bool *ret_given, struct err *e);
