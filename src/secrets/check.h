/* Is everything there? Asked of a devdep-secrets that was started with `check`, by a caller who has nothing else to do
 * until it is known. */
#pragma once

struct err;

/* Each secret that is not there is told, by its name and with a sentence that begins with its place. `socket_fd` stays
 * the caller's. ERR_VAULT_MISMATCH: it could not be found out, with the provider's reason; also within
 * SECRETS_ANSWER_MS. */
int secrets_check(int socket_fd, int (*missing)(const char *name, const char *message, void *user, struct err *e),
                  void *user, struct err *e);
