/* Who has the values of secrets: a table of functions per kind.
 *
 * All calls block, bounded by the provider's own deadlines (http/http.h). What cannot be had is ERR_VAULT_MISMATCH with
 * a sentence about why; the caller adds which secret it was, and where it is named. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct order;
struct order_secret;
struct provider;

/* Credentials in their area (credentials.h), and whom to tell what the job's log should say. Borrowed for the life of
 * the provider. */
struct http;
struct provider_config {
        const struct order *order;
        struct http *http; /* without a server yet; NULL: nobody can be asked over the network */
        const void *credentials;
        size_t credentials_size;
        void (*note)(const char *text, void *user);
        void *user;
};

/* A value as it was found. The bytes are in locked memory. */
#define PROVIDER_MAX_VERSION 32u
struct provider_value {
        void *data; /* NULL: none */
        size_t len;
        char version[PROVIDER_MAX_VERSION]; /* "" where there are none */
};
#define PROVIDER_VALUE_INIT                                                                                            \
        {                                                                                                              \
                0                                                                                                      \
        }
int provider_value_set(struct provider_value *v, const void *data, size_t len, struct err *e);
void provider_value_done(struct provider_value *v); /* zeroes */

struct provider_kind {
        const char *name;
        /* Sign in. */
        int (*open)(const struct provider_config *c, struct provider **ret, struct err *e);
        int (*fetch)(struct provider *p, const struct order_secret *s, struct provider_value *ret, struct err *e);
        /* Is it there? By metadata: the value is not asked for. */
        int (*check)(struct provider *p, const struct order_secret *s, struct err *e);
        /* Is there a newer one than what was fetched last? NULL: never. */
        int (*changed)(struct provider *p, const struct order_secret *s, bool *ret, struct err *e);
        /* What was read and is not needed any more can be forgotten. NULL: nothing is kept. */
        void (*rest)(struct provider *p);
        /* Renew what runs out. *ret_due_ms: when to call again, on clock_mono_ms(); UINT64_MAX: never. *ret_look is set
         * when `changed` should be asked now. NULL: nothing runs out. */
        int (*tend)(struct provider *p, uint64_t *ret_due_ms, bool *ret_look, struct err *e);
        /* Give back what was lent, with retries until a deadline on clock_mono_ms(); what could not be is told through
         * `note`. *ret: how many were revoked. Always frees. */
        void (*close)(struct provider *p, uint64_t deadline_ms, unsigned *ret);
};

extern const struct provider_kind provider_local, provider_vault;
/* By the name that an order has; NULL: unknown. */
const struct provider_kind *provider_find(const char *name);
