#include "workflow/casemap.h"

#define DOTLESS_I 0x131u
#define REPLACEMENT 0xfffdu

struct table {
        const struct casemap_range *ranges;
        size_t n;
        const struct casemap_special *special;
        size_t n_special;
};

static struct table table_of(enum casemap_direction direction)
{
        if (direction == CASEMAP_UPPER)
                return (struct table){casemap_upper, casemap_upper_n, casemap_upper_special, casemap_upper_special_n};
        return (struct table){casemap_lower, casemap_lower_n, casemap_lower_special, casemap_lower_special_n};
}

static const struct casemap_special *find_special(const struct table *t, uint32_t point)
{
        for (size_t low = 0, high = t->n_special; low < high;) {
                size_t mid = (low + high) / 2;
                if (t->special[mid].point == point)
                        return &t->special[mid];
                if (t->special[mid].point < point)
                        low = mid + 1;
                else
                        high = mid;
        }
        return NULL;
}

static uint32_t map_single(const struct table *t, uint32_t point)
{
        for (size_t low = 0, high = t->n; low < high;) {
                size_t mid = (low + high) / 2;
                const struct casemap_range *r = &t->ranges[mid];
                if (point < r->first)
                        high = mid;
                else if (point > r->last)
                        low = mid + 1;
                else
                        return (point - r->first) % r->step ? point : (uint32_t)((int32_t)point + r->distance);
        }
        return point;
}

static uint32_t map_ascii(uint32_t point, enum casemap_direction direction)
{
        if (direction == CASEMAP_UPPER && point >= 'a' && point <= 'z')
                return point - ('a' - 'A');
        if (direction == CASEMAP_LOWER && point >= 'A' && point <= 'Z')
                return point + ('a' - 'A');
        return point;
}

/* Map one code point to 1 to 3; returns how many. The dotless i (U+0131) keeps its form, as GitHub's evaluator has it.
 */
static size_t map_point(uint32_t point, enum casemap_direction direction, uint32_t ret[3])
{
        if (point < 0x80) {
                ret[0] = map_ascii(point, direction);
                return 1;
        }
        if (point == DOTLESS_I) {
                ret[0] = point;
                return 1;
        }
        struct table t = table_of(direction);
        const struct casemap_special *s = find_special(&t, point);
        if (!s) {
                ret[0] = map_single(&t, point);
                return 1;
        }
        size_t n = 0;
        while (n < 3 && s->to[n]) {
                ret[n] = s->to[n];
                n++;
        }
        return n;
}

/* Decode one code point; an invalid byte counts as one U+FFFD, so that a walk always ends. */
static uint32_t decode(const unsigned char **at, const unsigned char *end)
{
        const unsigned char *p = *at;
        unsigned char c = *p;
        size_t more = c < 0x80 ? 0 : (c & 0xe0) == 0xc0 ? 1 : (c & 0xf0) == 0xe0 ? 2 : (c & 0xf8) == 0xf0 ? 3 : 4;

        *at = p + 1;
        if (more == 0)
                return c;
        if (more == 4 || (size_t)(end - p) <= more)
                return REPLACEMENT;
        uint32_t point = c & (0x3fu >> more);
        for (size_t i = 1; i <= more; i++) {
                if ((p[i] & 0xc0) != 0x80)
                        return REPLACEMENT;
                point = point << 6 | (p[i] & 0x3fu);
        }
        *at = p + more + 1;
        return point > 0x10ffff ? REPLACEMENT : point;
}

void casemap_start(struct casemap_cursor *c, const char *text, size_t len, enum casemap_direction direction)
{
        *c = (struct casemap_cursor){
                .at = (const unsigned char *)text, .end = (const unsigned char *)text + len, .direction = direction};
}

int32_t casemap_next(struct casemap_cursor *c)
{
        if (c->next_pending < c->n_pending)
                return (int32_t)c->pending[c->next_pending++];
        if (c->at >= c->end)
                return -1;
        uint32_t point = decode(&c->at, c->end);
        if (point < 0x80)
                return (int32_t)map_ascii(point, c->direction);
        c->n_pending = map_point(point, c->direction, c->pending);
        c->next_pending = 1;
        return (int32_t)c->pending[0];
}
