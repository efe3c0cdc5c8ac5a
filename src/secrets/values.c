#include "secrets/values.h"

#include "base/err.h"
#include "base/secret.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Places begin at multiples of this, so that even an empty value has one of its own. */
#define GRAIN 16u

struct place {
        size_t at, room, len;
};

struct values {
        unsigned char *area;
        size_t size;
        struct place *v; /* in the order of their places, never overlapping */
        size_t n, cap;
};

int values_new(void *area, size_t size, struct values **ret, struct err *e)
{
        struct values *v = calloc(1, sizeof(*v));
        if (!v)
                return err_nomem(e);
        v->area = area;
        v->size = size;
        *ret = v;
        return 0;
}

struct values *values_free(struct values *v)
{
        if (!v)
                return NULL;
        for (size_t i = 0; i < v->n; i++)
                secret_wipe(v->area + v->v[i].at, v->v[i].len);
        free(v->v);
        free(v);
        return NULL;
}

/* The first gap that is large enough: before which place, or n. */
static size_t find_gap(const struct values *v, size_t room, size_t *ret_at)
{
        size_t i = 0;
        for (*ret_at = 0; i < v->n && v->v[i].at - *ret_at < room; i++)
                *ret_at = v->v[i].at + v->v[i].room;
        return i;
}

static int grow(struct values *v, struct err *e)
{
        size_t cap = v->cap ? 2 * v->cap : 16;
        struct place *more = v->n < v->cap ? v->v : reallocarray(v->v, cap, sizeof(*more));
        if (!more)
                return err_nomem(e);
        v->cap = v->n < v->cap ? v->cap : cap;
        v->v = more;
        return 0;
}

int values_put(struct values *v, const void *value, size_t len, size_t *ret_at, struct err *e)
{
        size_t room = (len / GRAIN + 1) * GRAIN, at;
        size_t i = find_gap(v, room, &at);
        if (len > v->size || room > v->size - at)
                return err_set(e, ERR_RESOURCES, "the values of a job's secrets are larger than %zu KiB",
                               v->size >> 10);
        int r = grow(v, e);
        if (r < 0)
                return r;
        memmove(v->v + i + 1, v->v + i, (v->n - i) * sizeof(*v->v));
        v->v[i] = (struct place){.at = at, .room = room, .len = len};
        v->n++;
        memcpy(v->area + at, value, len);
        *ret_at = at;
        return 0;
}

void values_drop(struct values *v, size_t at)
{
        size_t i = 0;
        while (i < v->n && v->v[i].at != at)
                i++;
        assert(i < v->n);
        secret_wipe(v->area + at, v->v[i].len);
        memmove(v->v + i, v->v + i + 1, (v->n - i - 1) * sizeof(*v->v));
        v->n--;
}
