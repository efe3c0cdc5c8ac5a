#include "wire/ring.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/secret.h"

#define RING_FIRST_SIZE ((size_t)1024)

void ring_init(struct ring *r, size_t max)
{
        *r = (struct ring){.max = max};
}

void ring_wipe(struct ring *r)
{
        if (r->mem)
                secret_wipe(r->mem, r->cap);
        free(r->mem);
        ring_init(r, r->max);
}

size_t ring_space(const struct ring *r)
{
        return r->max - r->len;
}

/* Move len bytes from the front to ret; zeros stay behind, for a ring lives as long as its stream. */
static void move_front(struct ring *r, uint8_t *ret, size_t len)
{
        size_t first = MIN(len, r->cap - r->head);
        if (first) {
                memcpy(ret, r->mem + r->head, first);
                secret_wipe(r->mem + r->head, first);
        }
        if (len > first) {
                memcpy(ret + first, r->mem, len - first);
                secret_wipe(r->mem, len - first);
        }
}

static int ring_grow(struct ring *r, size_t need, struct err *e)
{
        size_t cap = r->cap ? r->cap : RING_FIRST_SIZE;
        while (cap < need)
                cap *= 2;
        cap = MIN(cap, r->max);
        uint8_t *mem = malloc(cap);
        if (!mem)
                return err_nomem(e);
        size_t len = r->len;
        move_front(r, mem, len);
        free(r->mem);
        r->head = 0;
        r->mem = mem;
        r->cap = cap;
        r->len = len;
        return 0;
}

int ring_put(struct ring *r, const void *data, size_t len, struct err *e)
{
        assert(len <= ring_space(r));
        if (len == 0)
                return 0;
        if (r->len + len > r->cap) {
                int n = ring_grow(r, r->len + len, e);
                if (n < 0)
                        return n;
        }
        size_t tail = r->head + r->len;
        if (tail >= r->cap)
                tail -= r->cap;
        size_t first = MIN(len, r->cap - tail);
        memcpy(r->mem + tail, data, first);
        if (len > first)
                memcpy(r->mem, (const uint8_t *)data + first, len - first);
        r->len += len;
        return 0;
}

void ring_take(struct ring *r, void *ret, size_t len)
{
        assert(len <= r->len);
        move_front(r, ret, len);
        r->head += len;
        if (r->head >= r->cap)
                r->head -= r->cap;
        r->len -= len;
        if (r->len == 0)
                r->head = 0;
}
