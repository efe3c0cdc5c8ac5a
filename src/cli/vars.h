/* Variables of whoever starts a run, as GitHub's configuration variables: the context `vars`. Those of an environment
 * are seen by jobs that name it, and there only by what runs in the guest (steps, outputs, the environment's url), as
 * at GitHub. Names know no case. */
#pragma once

#include <stddef.h>

struct err;
struct value;

#define VARS_MAX_FILE ((size_t)1 << 20)   /* bytes of a file */
#define VARS_MAX_COUNT 1000u              /* for all jobs, and of each environment */
#define VARS_MAX_ENVIRONMENTS 100u        /* with variables of their own */
#define VARS_MAX_VALUE ((size_t)48 << 10) /* bytes of one; GitHub's own limit */

struct vars {
        struct value *all;          /* an object of texts: for every job */
        struct value *environments; /* an object: environment to an object of texts */
};

int vars_init(struct vars *ret, struct err *e);
void vars_done(struct vars *v);

/* "NAME=VALUE" for every job, or "ENVIRONMENT/NAME=VALUE". A later one counts. ERR_USAGE says what is wrong. */
int vars_add(struct vars *v, const char *pair, struct err *e);
/* The lines of a file: NAME=VALUE, the value to the end of the line as it is; "[ENVIRONMENT]" begins those of an
 * environment; empty lines and those that begin with '#' say nothing. Errors are "NAME:LINE: ...". */
int vars_parse(struct vars *v, const char *name, const char *text, size_t len, struct err *e);
int vars_read(struct vars *v, const char *path, struct err *e);

/* What a job of the environment sees (NULL: of none): a new reference. */
int vars_of(const struct vars *v, const char *environment, struct value **ret, struct err *e);
