/* The content store on disk: the artifacts of one run, or the caches of one repository (docs/store-format.md).
 *
 * A folder holds archives named by their SHA-256, and a manifest per entry that names one. An archive is written to a
 * temporary file, synced and renamed, and then the manifest in the same way; what is removed loses its manifest first.
 * So at every moment each manifest's archive is there and whole, and what a crash leaves behind (a temporary file
 * without the lock of its writer, an archive that no manifest names) is removed when the folder is opened again.
 *
 * Reading takes no lock: an archive that is removed meanwhile stays readable through its open descriptor. Changes hold
 * the folder's lock for as long as they rename and remove, never while bytes come in. Several processes may have a
 * folder open at once. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "blob/manifest.h"

struct err;
struct store;
struct hash;
struct store_put;

#define STORE_E_MISSING 1 /* no such entry, or no such folder */
#define STORE_E_EXISTS 2  /* somebody else has that name, or that key */
#define STORE_E_USED 3    /* it was used meanwhile */
#define STORE_E_DAMAGED 4 /* the archive is not what the entry says; *e says so */

struct store_config {
        const char *folder;
        enum store_kind kind;
        struct store_limits limits;
        bool writer; /* make what is missing in it, and clean; else only look and remove */
};
/* STORE_E_MISSING for a folder that is not there, or, to a reader, nothing was ever put into. */
int store_open(const struct store_config *c, struct store **ret, struct err *e);
struct store *store_free(struct store *s); /* always NULL */
CLEANUP_DEFINE(struct store, store_free)

/* What can be read now: whole and not past its end. Newest first. */
struct store_list {
        struct store_entry *v;
        size_t n;
};
int store_list(struct store *s, struct store_list *ret, struct err *e);
void store_list_done(struct store_list *l);
/* Open an entry's archive for reading; ret may be NULL. A cache counts as used now, when s is a writer. */
int store_read(struct store *s, uint64_t id, struct store_entry *ret, int *ret_fd, struct err *e);
int store_remove(struct store *s, uint64_t id, struct err *e);
/* The same for a cache that was last used at used_ms, as store_list() said. STORE_E_USED: it was used since. */
int store_remove_unused(struct store *s, uint64_t id, uint64_t used_ms, struct err *e);
/* h: has been given all of an entry's archive. Is it what was put? STORE_E_DAMAGED. */
int store_verify(struct hash *h, const struct store_entry *x, struct err *e);
/* An archive is not what its name says: every entry that names it goes. */
int store_remove_archive(struct store *s, const char *digest, struct err *e);
/* A file without a name beside the archives, for bytes that may become one. Of a writer. */
int store_scratch(struct store *s, int *ret_fd, struct err *e);
/* ERR_RESOURCES: the host has less left than stays free. Asked for every STORE_CHECK_BYTES that are written. */
int store_check_space(struct store *s, struct err *e);
/* Remove what a crash left and what is past its end. store_open() does it for a writer. */
int store_clean(struct store *s, struct err *e);

/* Caches: the first of the scopes, in order, that has one; in it the first of the keys, in order: the entry of exactly
 * that key, else the newest whose key begins with it. */
struct store_lookup {
        const char *const *keys;
        size_t n_keys;
        const char *const *scopes;
        size_t n_scopes;
        const char *version;
};
int store_find(struct store *s, const struct store_lookup *l, struct store_entry *ret, struct err *e);

/* A new entry. Borrowed for the call. */
struct store_what {
        const char *name;            /* or key; must be valid (names.h) */
        const char *scope, *version; /* caches */
        const char *run, *job;
        const char *type; /* artifacts: as in an entry; NULL: none */
        uint32_t days;    /* artifacts: how long it is kept */
        bool overwrite;   /* artifacts: in place of the one of that name */
};
/* Begin: STORE_E_EXISTS. The bytes are those of a tar archive; what is no such archive, or past a limit, is ERR_USAGE,
 * a host without room ERR_RESOURCES. After an error only store_put_free() is allowed. */
int store_put_new(struct store *s, const struct store_what *w, struct store_put **ret, struct err *e);
int store_put_write(struct store_put *p, const void *data, size_t len, struct err *e);
/* The archive is whole: it becomes an entry, on disk before this returns. STORE_E_EXISTS: somebody else was first, and
 * nothing was changed. Caches: the least recently used ones give way. */
int store_put_commit(struct store_put *p, struct store_entry *ret, struct err *e);
struct store_put *store_put_free(struct store_put *p); /* removes what was not committed; always NULL */
CLEANUP_DEFINE(struct store_put, store_put_free)
