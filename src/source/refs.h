/* The refs of a repository, copied as data: a sorted table with checked names and ids. Pure but for memory. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct err;
struct buf;
struct refs;

struct ref {
        const char *name; /* full: "refs/heads/main" */
        const char *id;
};

int refs_new(size_t hex_len, struct refs **ret, struct err *e);
struct refs *refs_free(struct refs *r); /* always NULL */
/* A later id of a name wins. Names below refs/replace/ are left out: they change what an id means. ERR_USAGE for an
 * invalid name or id, ERR_RESOURCES past SOURCE_MAX_REFS. */
int refs_set(struct refs *r, const char *name, const char *id, struct err *e);
/* As refs_set(), but a name that is there already keeps its id. */
int refs_add(struct refs *r, const char *name, const char *id, struct err *e);
/* The bytes of a file `packed-refs`, added as by refs_add(): a loose ref is newer. Errors name the line. */
int refs_add_packed(struct refs *r, const void *data, size_t len, struct err *e);
const char *refs_get(const struct refs *r, const char *name); /* the id, or NULL */
size_t refs_count(const struct refs *r);
struct ref refs_at(const struct refs *r, size_t i); /* in order of insertion */
/* The bytes of a file `packed-refs`, sorted by name. */
int refs_write_packed(const struct refs *r, struct buf *ret, struct err *e);

/* What the file HEAD or a loose ref says. Exactly one of ret_id and ret_name is set (malloc'd), or ERR_USAGE. */
int ref_file_parse(const void *data, size_t len, size_t hex_len, const char *what, char **ret_id, char **ret_name,
                   struct err *e);
