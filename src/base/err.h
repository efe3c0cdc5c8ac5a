/* Errors: a code that a program exits with, and one sentence that a person can act on.
 *
 * Convention of the whole tree: a function that can fail takes `struct err *e` last and returns
 *   0         success;
 *   negative  failure: *e was filled once, where it happened. The caller passes the value on,
 *             with err_wrap() where its own context helps;
 *   positive  a condition named in that function's header (MODULE_E_NAME), handled by the caller
 *             and never forwarded.
 * struct err lives on the caller's stack, so reporting "no memory" needs none. `e` may be NULL
 * where a caller does not care for the text. */
#pragma once

#include <stdarg.h>

/* The public codes (table in docs/errors.md and `devdep-cli errors`). The values never change. */
enum err_code {
        ERR_SUCCESS = 0,
        ERR_RUN_FAILED = 1,
        ERR_USAGE = 2,
        ERR_CANCELLED = 3,
        ERR_NO_RUNNER = 6,
        ERR_IMAGE_REFUSED = 7,
        ERR_OIDC_TIMEOUT = 101,
        ERR_DOMAIN_RESTRICTED = 102,
        ERR_VAULT_MISMATCH = 201,
        ERR_VM_BOOT_FAILED = 301,
        ERR_GUEST_LOST = 302,
        ERR_PROTOCOL = 303,
        ERR_RESOURCES = 304, /* also: a system call that should have worked did not */
        ERR_EGRESS_VIOLATION = 401,
};

#define ERR_MAX_MESSAGE 1024 /* bytes, NUL included; longer text is cut with "..." */

struct err {
        enum err_code code;
        int errnum;         /* errno of the failed call, or 0 */
        const char *origin; /* "file.c:line" of the first report; static storage */
        char msg[ERR_MAX_MESSAGE];
};

#define ERR_INIT                                                                                                       \
        {                                                                                                              \
                .code = ERR_SUCCESS                                                                                    \
        }

/* One row of the public table. `status` is the eight-bit process status. */
struct err_info {
        enum err_code code;
        const char *name; /* "ERR_USAGE" */
        int status;
        int retryable;       /* may the same run succeed if started again unchanged? */
        const char *meaning; /* one sentence */
        const char *remedy;  /* what to do next, one sentence */
};

/* The table, ordered by code; *n rows. Static storage. */
const struct err_info *err_table(unsigned *n);
/* The row of a code; never NULL (an unknown code gets the row of ERR_RUN_FAILED). */
const struct err_info *err_info(enum err_code code);

/* Fill *e; always return -1. The errno form appends ": " and strerror(errnum). */
#define err_set(e, code, ...) err_set_at((e), (code), 0, ERR_HERE, __VA_ARGS__)
#define err_errno(e, code, errnum, ...) err_set_at((e), (code), (errnum), ERR_HERE, __VA_ARGS__)
/* "No memory" in the same form. */
#define err_nomem(e) err_set_at((e), ERR_RESOURCES, 12 /* ENOMEM */, ERR_HERE, "out of memory")

int err_set_at(struct err *e, enum err_code code, int errnum, const char *origin, const char *fmt, ...)
        __attribute__((format(printf, 5, 6), cold));
/* Put "context: " before the message; returns r unchanged. */
int err_wrap(struct err *e, int r, const char *fmt, ...) __attribute__((format(printf, 3, 4), cold));

#define ERR_STR_(x) #x
#define ERR_STR(x) ERR_STR_(x)
#define ERR_HERE __FILE__ ":" ERR_STR(__LINE__)
