/* The secrets of a run: what the person who starts it gave, what the repository's profile names, and which of
 * them one job gets.
 *
 * Values come from standard input, a descriptor or a file that only its owner can read; never from an argument or the
 * environment. They are held in locked memory, and leave this process only in an area (base/secret.h) of the
 * devdep-secrets of a job that names them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/secret.h"
#include "base/str.h"
#include "secrets/order.h"

struct err;
struct profile_file;
struct secret_store;
struct vault_account;

#define SECRETS_MAX_FILE ((size_t)1 << 20) /* bytes of a file of secrets */
#define SECRETS_MAX_CA ((size_t)1 << 20)   /* bytes of the certificates of `vault.ca` */

struct secret_options {
        const char *const *named; /* NAME: from standard input; NAME@N: from descriptor N */
        size_t n_named;
        const char *file; /* NAME=VALUE lines, as GITHUB_ENV has them; NULL: none */
};

/* Reads everything there is to read. *ret is never NULL on success. */
int secret_store_new(const struct secret_options *o, struct secret_store **ret, struct err *e);
struct secret_store *secret_store_free(struct secret_store *s); /* zeroes; NULL is fine; always NULL */
CLEANUP_DEFINE(struct secret_store, secret_store_free)

/* Add the secrets of a repository's profile: each comes from Vault unless the command line gives it. All is borrowed
 * for the life of the store; account NULL: a job that names one of them is refused. top: the repository, for
 * `vault.ca`; NULL: that of the profile's file. */
int secret_store_profile(struct secret_store *s, const struct profile_file *f, const struct vault_account *account,
                         const char *top, struct err *e);

/* For a run that may hold none: ERR_USAGE with the place of the first one, and `why`. */
int secret_store_refuse(const struct secret_store *s, const char *why, struct err *e);

/* What one job gets: an order, and the area with its credentials. */
struct job_order {
        struct order order; /* its texts belong to the store */
        struct secret_area credentials;
};
#define JOB_ORDER_INIT                                                                                                 \
        {                                                                                                              \
                .credentials = SECRET_AREA_INIT                                                                        \
        }
/* names: of secrets, in any case; all: every one there is. Names that nobody gave are passed over: they are empty, as
 * at GitHub. order.n is 0 when nothing is left; then there is no area. ERR_VAULT_MISMATCH names the
 * place of a secret whose server cannot be asked. */
int secret_store_order(const struct secret_store *s, const struct strv *names, bool all, struct job_order *ret,
                       struct err *e);
void job_order_done(struct job_order *o); /* zeroes */
