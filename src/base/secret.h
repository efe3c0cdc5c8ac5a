/* Memory for secrets: locked, out of core dumps, not inherited by fork, zeroed on release.
 *
 * An *area* is such memory that other processes read, through a memory file. A memory file that is sealed whole can no
 * longer be wiped; so the one writable mapping of an area is made before F_SEAL_FUTURE_WRITE, SHRINK, GROW and SEAL are
 * set, and stays with whoever made it: everybody else can map the file for reading and nothing more. */
#pragma once

#include <stddef.h>

struct err;

/* len bytes, zeroed, page-aligned; refuses (ERR_RESOURCES) when the pages cannot be locked. */
int secret_alloc(size_t len, void **ret, struct err *e);
void secret_free(void *p, size_t len); /* zero, unlock, unmap; NULL is fine */
void secret_wipe(void *p, size_t len); /* a memset that is never optimised away */
/* malloc()'s memory that is zeroed before it is freed or moved: for libraries that a secret passes through, which take
 * functions of this kind. */
void *secret_heap_alloc(size_t len);
void *secret_heap_calloc(size_t n, size_t len);
void *secret_heap_realloc(void *p, size_t len);
void secret_heap_free(void *p);
void secret_heap_wipe(void *p); /* and not freed; NULL is fine */
char *secret_heap_dup(const char *text);
/* Whole process: PR_SET_DUMPABLE 0 and RLIMIT_CORE 0. */
int secret_no_dumps(struct err *e);
/* Fill with getrandom(2); aborts only if the kernel has no random device. */
void secret_random(void *p, size_t len);
/* Compare in constant time; 1 when equal. */
int secret_equal(const void *a, const void *b, size_t len);

struct secret_area {
        void *data; /* NULL: none */
        size_t size;
        int fd; /* of the memory file, for others */
};
#define SECRET_AREA_INIT                                                                                               \
        {                                                                                                              \
                .fd = -1                                                                                               \
        }
/* A new memory file of `size` zero bytes. Its pages are locked as they are used. */
int secret_area_new(const char *name, size_t size, struct secret_area *ret, struct err *e);
/* The same of a memory file that somebody else made (fd_memfd(), at its size, no seals) and nobody has mapped. Takes
 * the descriptor over on success. ERR_PROTOCOL for what is none, or is sealed already. */
int secret_area_take(int fd, struct secret_area *ret, struct err *e);
void secret_area_done(struct secret_area *a); /* zeroes, unmaps, closes */

/* The reader's side: out of core dumps, not inherited; its pages are locked by the maker. */
struct secret_view {
        const void *data; /* NULL: none */
        size_t size;
};
/* ERR_PROTOCOL unless the seals of an area are on it, so that nobody but its maker can change what is read. The
 * descriptor stays the caller's. */
int secret_view_open(int fd, size_t max, struct secret_view *ret, struct err *e);
void secret_view_done(struct secret_view *v); /* unmaps */
