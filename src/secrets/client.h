/* The client of devdep-secrets: what devdep-job asks for (docs/protocol-secrets.md).
 *
 * One connected socket and one memory file on the loop; callbacks come from there only, and may not free the client.
 * Values that a callback gets lie in the memory file, which its writer zeroes: they are good until the verb that gives
 * them up. A devdep-secrets that ends or breaks the protocol is `failed`, after which nothing follows. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct err;
struct loop;
struct secrets;

struct secret {
        const char *name, *version;
        const char *value; /* text; not NUL-terminated */
        size_t len;
};

struct secrets_callbacks {
        /* The answer to secrets_ask(). */
        int (*values)(const struct secret *v, size_t n, void *user, struct err *e);
        /* One value was replaced: secrets_took() once the new one is everywhere. */
        int (*changed)(const struct secret *v, void *user, struct err *e);
        int (*note)(const char *text, void *user, struct err *e);
        /* The answer to secrets_rotate(), behind what changed. */
        int (*rotated)(uint64_t n, void *user, struct err *e);
        /* The answer to secrets_release(). Nothing follows. */
        int (*released)(uint64_t n_revoked, void *user, struct err *e);
        /* ERR_VAULT_MISMATCH with the provider's reason, or what happened to devdep-secrets. Nothing follows. */
        int (*failed)(const struct err *why, void *user, struct err *e);
};

/* Both descriptors are taken over on success; that of the memory file is mapped when it was filled. */
int secrets_new(struct loop *l, int socket_fd, int values_fd, const struct secrets_callbacks *callbacks, void *user,
                struct secrets **ret, struct err *e);
struct secrets *secrets_free(struct secrets *s); /* NULL is fine; always NULL */
int secrets_ask(struct secrets *s, struct err *e);
int secrets_took(struct secrets *s, struct err *e);
int secrets_rotate(struct secrets *s, struct err *e);
/* The memory file is unmapped at once. */
int secrets_release(struct secrets *s, struct err *e);
