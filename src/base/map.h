/* A hash map from byte strings to pointers, keyed with a random seed (SipHash-1-3), so that foreign keys
 * cannot be chosen to collide. Insertion order is kept for iteration. Keys are copied; values are not owned
 * unless a destructor is given. */
#pragma once

#include <stddef.h>

#include "base/cleanup.h"

struct err;
struct map;

/* free_value may be NULL. */
int map_new(void (*free_value)(void *), struct map **ret, struct err *e);
struct map *map_free(struct map *m); /* always NULL */
CLEANUP_DEFINE(struct map, map_free)
/* Set; an older value of the key is destroyed. Fails for no memory only. */
int map_set(struct map *m, const char *key, void *value, struct err *e);
void *map_get(const struct map *m, const char *key); /* NULL when absent */
size_t map_count(const struct map *m);
/* i counts from 0 to map_count() - 1 in insertion order; the key stays owned by the map. */
const char *map_key_at(const struct map *m, size_t i);
void *map_value_at(const struct map *m, size_t i);
