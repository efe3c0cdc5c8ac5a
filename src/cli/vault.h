/* How this host signs in to Vault: a file that only its owner can read, with the address that its credentials are for.
 *
 * A repository's profile names the server that its secrets are in. What the file holds goes to no other server than its
 * `address`, whatever a profile says: who can change a repository cannot have the credentials sent elsewhere. */
#pragma once

#include <stddef.h>

#include "base/cleanup.h"
#include "base/str.h"

struct err;
struct order_vault;
struct profile_file;
struct vault_account;

#define VAULT_ACCOUNT_FILE "vault.conf" /* in the state folder */
#define VAULT_MAX_ACCOUNT 65536u        /* bytes of such a file */

/* file: NULL: that of the state folder, if there is one. *ret NULL: there is none. ERR_USAGE names the file. */
int vault_account_load(const char *state, const char *file, struct vault_account **ret, struct err *e);
struct vault_account *vault_account_free(struct vault_account *a); /* zeroes; NULL is fine; always NULL */
CLEANUP_DEFINE(struct vault_account, vault_account_free)

/* How many bytes vault_account_add() needs. */
size_t vault_account_size(const struct vault_account *a);
/* What it signs in with, into an area of credentials (secrets/credentials.h). */
int vault_account_add(const struct vault_account *a, void *area, size_t size, size_t *used, struct err *e);

/* The server that a profile names, as devdep-secrets takes it. Texts belong to profile and account; ca: the
 * certificates of the profile's `vault.ca`, "" for none. ERR_VAULT_MISMATCH: there is no vault in the profile, no
 * account (NULL), or one of another server. */
int vault_server(const struct vault_account *a, const struct profile_file *f, const char *ca, struct order_vault *ret,
                 struct err *e);
