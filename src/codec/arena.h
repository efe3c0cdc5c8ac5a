/* Memory that is released all at once: a parsed tree lives in one arena, so no path through a parser can leak a part of
 * it. An arena has a hard limit in bytes; what a foreign text makes us allocate is charged to that text. Memory is
 * zeroed. */
#pragma once

#include <stddef.h>

struct err;
struct arena;

/* max: limit in bytes (ERR_RESOURCES past it). */
int arena_new(size_t max, struct arena **ret, struct err *e);
struct arena *arena_free(struct arena *a); /* NULL is fine; always NULL */
/* Zeroed, aligned for any type; NULL when memory or the limit is out (*e filled). */
void *arena_alloc(struct arena *a, size_t size, struct err *e);
/* n * size, checked. */
void *arena_array(struct arena *a, size_t n, size_t size, struct err *e);
/* A NUL-terminated copy of len bytes. */
char *arena_str(struct arena *a, const char *s, size_t len, struct err *e);
/* Make room for one more item: *items (of item_size bytes each, n used, *cap allocated) may move. */
int arena_grow(struct arena *a, void *items_ptr, size_t n, size_t *cap, size_t item_size, struct err *e);
