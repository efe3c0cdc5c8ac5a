/* What store.c and put.c share. */
#pragma once

#include "blob/store.h"

struct store {
        enum store_kind kind;
        struct store_limits limits;
        bool writer;
        int dir, objects, entries, incoming, lock; /* descriptors */
};

/* The folder's lock; ERR_RESOURCES when somebody keeps it. */
int store_lock(struct store *s, struct err *e);
void store_unlock(struct store *s);
/* Every manifest that can be read, newest first, whether or not its archive is there. */
int store_load(struct store *s, struct store_list *ret, struct err *e);
/* With the lock held: remove one of `all`, and its archive when no other one names it. The removed one's id becomes 0.
 */
int store_drop(struct store *s, struct store_list *all, size_t i, struct err *e);
/* Does any of them name that archive? */
bool store_is_named(const struct store_list *all, const char *digest);
bool store_is_past(const struct store *s, const struct store_entry *x, uint64_t now_ms);
