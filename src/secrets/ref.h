/* Names of secrets, and references to where a provider has their values. Pure.
 *
 *   mount/path#key          a field of a KV version 2 secret
 *   mount/creds/role#key    a field of credentials that the provider makes for this job and lends (a dynamic secret)
 *
 * A reference comes from a repository's profile and becomes part of a URL: whatever has a meaning there is refused. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct err;

/* [A-Za-z_][A-Za-z0-9_]*, at most SECRETS_MAX_NAME bytes, and not GITHUB_..., as at GitHub. */
bool secret_name_is_valid(const char *name);

struct secret_ref {
        char *mount, *path, *key;
        bool dynamic;
};
/* ERR_USAGE says what is wrong with it. */
int secret_ref_parse(const char *text, struct secret_ref *ret, struct err *e);
void secret_ref_done(struct secret_ref *r);
