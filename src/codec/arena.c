#include "codec/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"

/* Blocks double from the first size to the last: most trees are small, and memory is zeroed block by block. */
#define FIRST_BLOCK ((size_t)8 << 10)
#define LAST_BLOCK ((size_t)64 << 10)
#define ALIGN alignof(max_align_t)

struct block {
        struct block *next;
        size_t size, used; /* of data */
        alignas(max_align_t) unsigned char data[];
};

struct arena {
        struct block *blocks; /* the newest first; only it has room */
        size_t total, max;
        size_t next_size; /* of the next ordinary block */
};

int arena_new(size_t max, struct arena **ret, struct err *e)
{
        struct arena *a = calloc(1, sizeof(*a));
        if (!a)
                return err_nomem(e);
        a->max = max;
        a->next_size = FIRST_BLOCK;
        *ret = a;
        return 0;
}

struct arena *arena_free(struct arena *a)
{
        if (!a)
                return NULL;
        for (struct block *b = a->blocks, *next; b; b = next) {
                next = b->next;
                free(b);
        }
        free(a);
        return NULL;
}

static struct block *add_block(struct arena *a, size_t need, struct err *e)
{
        size_t size = MAX(need, a->next_size);
        if (size > a->max - a->total) {
                err_set(e, ERR_RESOURCES, "the text needs more than %zu bytes of memory", a->max);
                return NULL;
        }
        struct block *b = calloc(1, sizeof(*b) + size);
        if (!b) {
                err_nomem(e);
                return NULL;
        }
        b->size = size;
        a->total += size;
        a->next_size = MIN(a->next_size * 2, LAST_BLOCK);
        /* A block made for one large item is put behind the current one, whose room is then not lost. */
        if (a->blocks && need > LAST_BLOCK / 4) {
                b->next = a->blocks->next;
                a->blocks->next = b;
        } else {
                b->next = a->blocks;
                a->blocks = b;
        }
        return b;
}

void *arena_alloc(struct arena *a, size_t size, struct err *e)
{
        if (size > SIZE_MAX / 2) {
                err_nomem(e);
                return NULL;
        }
        size = (size + ALIGN - 1) & ~(ALIGN - 1);
        struct block *b = a->blocks;
        if ((!b || b->size - b->used < size) && !(b = add_block(a, size, e)))
                return NULL;
        void *p = b->data + b->used;
        b->used += size;
        return p;
}

void *arena_array(struct arena *a, size_t n, size_t size, struct err *e)
{
        size_t bytes;
        if (!num_mul(n, size, &bytes)) {
                err_nomem(e);
                return NULL;
        }
        return arena_alloc(a, bytes, e);
}

char *arena_str(struct arena *a, const char *s, size_t len, struct err *e)
{
        char *copy = arena_alloc(a, len + 1, e);
        if (copy && len)
                memcpy(copy, s, len);
        return copy;
}

int arena_grow(struct arena *a, void *items_ptr, size_t n, size_t *cap, size_t item_size, struct err *e)
{
        void *old;
        if (n < *cap)
                return 0;
        size_t more = *cap ? *cap * 2 : 4;
        void *items = arena_array(a, more, item_size, e);
        if (!items)
                return -1;
        memcpy(&old, items_ptr, sizeof(old));
        if (n)
                memcpy(items, old, n * item_size);
        memcpy(items_ptr, &items, sizeof(items));
        *cap = more;
        return 0;
}
