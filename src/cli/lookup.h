/* Are the secrets that a profile names there? By metadata alone: no value is read. */
#pragma once

struct diag_list;
struct err;
struct profile_file;
struct vault_account;

/* f: a profile without errors; account NULL: nothing is asked, and a warning says so. Each of its environments is
 * looked at, too; what is missing is an error in `problems`, once. top: the repository, for `vault.ca`, or NULL.
 * ERR_VAULT_MISMATCH: it could not be found out. */
int lookup_secrets(struct profile_file *f, const struct vault_account *account, const char *top,
                   struct diag_list *problems, struct err *e);
