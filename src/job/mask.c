#include "job/mask.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/secret.h"
#include "job/mask_encode.h"

#define ROOT 0u
#define FILTER_BYTES 4u /* bytes of a pattern's beginning that the filter looks at */
#define FILTER_MIN_BITS 17u
#define FILTER_MAX_BITS 24u
#define FILTER_BITS_PER_PATTERN 64u
#define MAX_TIERS 24u    /* each weighs more than twice the next: more than the limits of mask.h make */
#define VALUE_WEIGHT 64u /* of a value beside its bytes */

/* Bytes in locked memory that grow by copying. */
struct locked {
        uint8_t *data;
        size_t len, cap;
};

/* A piece of locked memory. */
struct span {
        size_t at, len;
};

struct spans {
        struct span *v;
        size_t n, cap;
};

/* The automaton of some values; node i's children are first[i] .. first[i + 1] - 1, ordered by label. */
struct tier {
        size_t from, to; /* these of the index */
        size_t weight;
        uint32_t n_nodes, n_labels;
        uint8_t *label; /* locked memory */
        uint32_t *first, *fail, *depth;
        uint32_t *out; /* length of the longest pattern that ends at this node, 0: none */
        uint32_t root_next[256];
        uint64_t *filter; /* NULL when a pattern is too short for it */
        unsigned filter_shift;
};

struct masks {
        struct locked values;
        struct spans index; /* of values */
        struct tier tier[MAX_TIERS];
        size_t n_tiers, built; /* built: so many values are in tiers */
        size_t forms;          /* bytes of the forms of all values */
        uint32_t generation;
};

struct mask_stream {
        struct masks *masks;
        uint32_t generation; /* of the tiers that the states belong to */
        uint32_t state[MAX_TIERS];
        struct buf held;      /* the last bytes of the text, as many as the deepest state stands for */
        struct spans covered; /* ranges of `held` that will be masked: disjoint, in order */
        size_t written;       /* bytes at the start of `held` that a MASK_TEXT already written stands for */
        bool open;            /* the last thing written was a MASK_TEXT, which a touching range extends */
};

static void locked_free(struct locked *a)
{
        secret_free(a->data, a->cap);
        *a = (struct locked){0};
}

static int locked_reserve(struct locked *a, size_t more, struct err *e)
{
        if (a->cap - a->len >= more)
                return 0;
        size_t cap = MAX(a->cap * 2, (a->len + more + 4095) & ~(size_t)4095);
        void *data = NULL;
        int r = secret_alloc(cap, &data, e);
        if (r < 0)
                return err_wrap(e, r, "memory for masked values");
        if (a->len)
                memcpy(data, a->data, a->len);
        secret_free(a->data, a->cap);
        a->data = data;
        a->cap = cap;
        return 0;
}

static int spans_add(struct spans *s, size_t at, size_t len, struct err *e)
{
        if (s->n == s->cap) {
                size_t cap = s->cap ? s->cap * 2 : 64;
                struct span *v = reallocarray(s->v, cap, sizeof(*v));
                if (!v)
                        return err_nomem(e);
                s->v = v;
                s->cap = cap;
        }
        s->v[s->n++] = (struct span){at, len};
        return 0;
}

static int locked_add(struct locked *a, struct spans *s, const void *data, size_t len, struct err *e)
{
        int r = locked_reserve(a, len, e);
        if (r == 0)
                r = spans_add(s, a->len, len, e);
        if (r < 0)
                return r;
        memcpy(a->data + a->len, data, len);
        a->len += len;
        return 0;
}

static void tier_done(struct tier *t)
{
        secret_free(t->label, t->n_labels);
        free(t->first);
        free(t->fail);
        free(t->depth);
        free(t->out);
        free(t->filter);
        *t = (struct tier){0};
}

int masks_new(struct masks **ret, struct err *e)
{
        struct masks *m = calloc(1, sizeof(*m));
        if (!m)
                return err_nomem(e);
        *ret = m;
        return 0;
}

struct masks *masks_free(struct masks *m)
{
        if (!m)
                return NULL;
        for (size_t i = 0; i < m->n_tiers; i++)
                tier_done(&m->tier[i]);
        locked_free(&m->values);
        free(m->index.v);
        free(m);
        return NULL;
}

static bool is_known(const struct masks *m, const void *value, size_t len)
{
        for (size_t i = 0; i < m->index.n; i++)
                if (m->index.v[i].len == len && memcmp(m->values.data + m->index.v[i].at, value, len) == 0)
                        return true;
        return false;
}

static int count_form(const void *form, size_t len, void *user, struct err *e)
{
        (void)form;
        (void)e;
        *(size_t *)user += len;
        return 0;
}

int masks_add(struct masks *m, const void *value, size_t len, struct err *e)
{
        size_t forms = 0;
        if (!len || is_known(m, value, len))
                return 0;
        if (len > MASK_MAX_VALUE || m->values.len + len > MASK_MAX_TOTAL || m->index.n >= MASK_MAX_VALUES)
                return MASK_E_FULL;
        int r = mask_forms(value, len, count_form, &forms, e);
        if (r < 0)
                return r;
        if (forms > MASK_MAX_FORMS - m->forms)
                return MASK_E_FULL;
        r = locked_add(&m->values, &m->index, value, len, e);
        m->forms += r == 0 ? forms : 0;
        return r;
}

/* ---- building ---- */

/* What building needs beside the automaton: all forms, sorted, and the range of forms below each node. */
struct build {
        struct tier *t;
        struct locked text;
        struct spans forms;
        uint32_t *low, *high;
        size_t n_max; /* nodes that there is room for */
};

static int take_form(const void *form, size_t len, void *user, struct err *e)
{
        struct build *b = user;
        return locked_add(&b->text, &b->forms, form, len, e);
}

static int collect_forms(struct build *b, const struct masks *m, struct err *e)
{
        for (size_t i = b->t->from; i < b->t->to; i++) {
                struct span s = m->index.v[i];
                int r = mask_forms(m->values.data + s.at, s.len, take_form, b, e);
                if (r != 0)
                        return r;
        }
        return 0;
}

static int span_compare(const void *x, const void *y, void *user)
{
        const struct span *a = x, *b = y;
        const uint8_t *text = user;
        int r = memcmp(text + a->at, text + b->at, MIN(a->len, b->len));
        return r ? r : (a->len > b->len) - (a->len < b->len);
}

static void sort_forms(struct build *b)
{
        size_t n = 0;
        if (!b->forms.n)
                return;
        qsort_r(b->forms.v, b->forms.n, sizeof(b->forms.v[0]), span_compare, b->text.data);
        for (size_t i = 1; i < b->forms.n; i++)
                if (span_compare(&b->forms.v[n], &b->forms.v[i], b->text.data) != 0)
                        b->forms.v[++n] = b->forms.v[i];
        b->forms.n = n + 1;
}

static uint8_t form_byte(const struct build *b, size_t form, uint32_t depth)
{
        return b->text.data[b->forms.v[form].at + depth];
}

static int alloc_nodes(struct build *b, struct err *e)
{
        struct tier *t = b->t;
        size_t n = 1;
        for (size_t i = 0; i < b->forms.n; i++)
                n += b->forms.v[i].len;
        if (n >= UINT32_MAX)
                return err_set(e, ERR_RESOURCES, "the masked values have too many forms");
        void *label = NULL;
        int r = secret_alloc(n, &label, e);
        if (r < 0)
                return err_wrap(e, r, "memory for masked values");
        t->label = label;
        t->n_labels = (uint32_t)n;
        b->n_max = n;
        t->first = calloc(n + 1, sizeof(uint32_t));
        t->fail = calloc(n, sizeof(uint32_t));
        t->depth = calloc(n, sizeof(uint32_t));
        t->out = calloc(n, sizeof(uint32_t));
        b->low = calloc(n, sizeof(uint32_t));
        b->high = calloc(n, sizeof(uint32_t));
        return t->first && t->fail && t->depth && t->out && b->low && b->high ? 0 : err_nomem(e);
}

/* Append the children of a node: one per different byte at its depth among its forms. */
static void add_children(struct build *b, uint32_t node)
{
        struct tier *t = b->t;
        uint32_t low = b->low[node], high = b->high[node], depth = t->depth[node];
        t->first[node] = t->n_nodes;
        if (low < high && b->forms.v[low].len == depth) {
                t->out[node] = depth;
                low++;
        }
        while (low < high) {
                uint32_t end = low + 1, child = t->n_nodes++;
                uint8_t c = form_byte(b, low, depth);
                while (end < high && form_byte(b, end, depth) == c)
                        end++;
                assert(child < b->n_max);
                t->label[child] = c;
                t->depth[child] = depth + 1;
                b->low[child] = low;
                b->high[child] = end;
                low = end;
        }
}

/* The child of a node for a byte, or ROOT. */
static inline uint32_t child_of(const struct tier *t, uint32_t node, uint8_t c)
{
        uint32_t low = t->first[node], high = t->first[node + 1];
        while (high - low > 8) {
                uint32_t mid = low + (high - low) / 2;
                if (t->label[mid] <= c)
                        low = mid;
                else
                        high = mid;
        }
        for (uint32_t i = low; i < high; i++)
                if (t->label[i] == c)
                        return i;
        return ROOT;
}

static inline uint32_t step(const struct tier *t, uint32_t node, uint8_t c)
{
        while (node != ROOT) {
                uint32_t next = child_of(t, node, c);
                if (next != ROOT)
                        return next;
                node = t->fail[node];
        }
        return t->root_next[c];
}

/* Breadth-first: a node's fail link points to a node of less depth, which is complete by then. */
static void link_children(struct tier *t, uint32_t node)
{
        for (uint32_t c = t->first[node]; c < t->first[node + 1]; c++) {
                t->fail[c] = node == ROOT ? ROOT : step(t, t->fail[node], t->label[c]);
                if (!t->out[c])
                        t->out[c] = t->out[t->fail[c]];
        }
}

static void build_nodes(struct build *b)
{
        struct tier *t = b->t;
        t->n_nodes = 1;
        b->high[ROOT] = (uint32_t)b->forms.n;
        for (uint32_t i = 0; i < t->n_nodes; i++)
                add_children(b, i);
        t->first[t->n_nodes] = t->n_nodes;
        for (uint32_t c = t->first[ROOT]; c < t->first[ROOT + 1]; c++)
                t->root_next[t->label[c]] = c;
        for (uint32_t i = 0; i < t->n_nodes; i++)
                link_children(t, i);
}

static inline uint32_t load32(const uint8_t *p)
{
        uint32_t v;
        memcpy(&v, p, sizeof(v));
        return v;
}

static inline uint32_t filter_hash(const struct tier *t, const uint8_t *p)
{
        return (load32(p) * 2654435761u) >> t->filter_shift;
}

static inline bool filter_has(const struct tier *t, const uint8_t *p)
{
        uint32_t h = filter_hash(t, p);
        return t->filter[h >> 6] >> (h & 63) & 1;
}

static int build_filter(struct build *b, struct err *e)
{
        struct tier *t = b->t;
        unsigned bits = FILTER_MIN_BITS;
        for (size_t i = 0; i < b->forms.n; i++)
                if (b->forms.v[i].len < FILTER_BYTES)
                        return 0;
        while (bits < FILTER_MAX_BITS && (size_t)1 << bits < b->forms.n * FILTER_BITS_PER_PATTERN)
                bits++;
        t->filter = calloc((size_t)1 << (bits - 6), sizeof(uint64_t));
        if (!t->filter)
                return err_nomem(e);
        t->filter_shift = 32 - bits;
        for (size_t i = 0; i < b->forms.n; i++) {
                uint32_t h = filter_hash(t, b->text.data + b->forms.v[i].at);
                t->filter[h >> 6] |= (uint64_t)1 << (h & 63);
        }
        return 0;
}

static int tier_build(struct tier *t, const struct masks *m, struct err *e)
{
        struct build b = {.t = t};
        int r = collect_forms(&b, m, e);
        if (r == 0) {
                sort_forms(&b);
                r = alloc_nodes(&b, e);
        }
        if (r == 0) {
                build_nodes(&b);
                r = build_filter(&b, e);
        }
        locked_free(&b.text);
        free(b.forms.v);
        free(b.low);
        free(b.high);
        if (r < 0)
                tier_done(t);
        return r;
}

/* The values that are in no tier make a new one, together with those of tiers that would not weigh more than twice as
 * much: so a value is compiled as often as the logarithm of all, however they come. */
static int masks_build(struct masks *m, struct err *e)
{
        struct tier next = {.from = m->built, .to = m->index.n};
        if (next.from == next.to)
                return 0;
        for (size_t i = next.from; i < next.to; i++)
                next.weight += m->index.v[i].len + VALUE_WEIGHT;
        for (; m->n_tiers; tier_done(&m->tier[m->n_tiers])) {
                const struct tier *last = &m->tier[m->n_tiers - 1];
                if (last->weight > 2 * next.weight && m->n_tiers < MAX_TIERS)
                        break;
                next.from = m->built = last->from;
                next.weight += last->weight;
                m->n_tiers--;
        }
        m->generation++;
        int r = tier_build(&next, m, e);
        if (r < 0)
                return r;
        m->tier[m->n_tiers++] = next;
        m->built = next.to;
        return 0;
}

/* ---- scanning ---- */

/* The first place at or after i where a pattern may begin; the last FILTER_BYTES - 1 places always may. */
static size_t skip(const struct tier *t, const uint8_t *p, size_t i, size_t n)
{
        if (!t->filter) {
                while (i < n && !t->root_next[p[i]])
                        i++;
                return i;
        }
        for (; i + FILTER_BYTES <= n; i++)
                if (filter_has(t, p + i))
                        return i;
        return i;
}

static int cover(struct spans *covered, size_t from, size_t to, struct err *e)
{
        while (covered->n) {
                struct span *last = &covered->v[covered->n - 1];
                if (last->at + last->len < from)
                        break;
                to = MAX(to, last->at + last->len);
                from = MIN(from, last->at);
                covered->n--;
        }
        return spans_add(covered, from, to - from, e);
}

/* Scan p[i..n); p[0..i) ends with the bytes under way in *state. Ranges relative to p are added to *covered. */
static int scan(const struct tier *t, uint32_t *state, const uint8_t *p, size_t i, size_t n, struct spans *covered,
                struct err *e)
{
        size_t checked = SIZE_MAX; /* the beginning that the filter has let pass */
        uint32_t at = *state;
        while (i < n) {
                if (at == ROOT) {
                        i = skip(t, p, i, n);
                        if (i == n)
                                break;
                        checked = i;
                }
                at = step(t, at, p[i++]);
                if (t->out[at]) {
                        int r = cover(covered, i - t->out[at], i, e);
                        if (r < 0)
                                return r;
                }
                /* A short beginning that the filter does not know leads nowhere: go on behind its first byte. */
                size_t depth = t->depth[at], begin = i - depth;
                if (t->filter && depth && depth < FILTER_BYTES && begin != checked && begin + FILTER_BYTES <= n) {
                        checked = begin;
                        if (!filter_has(t, p + begin)) {
                                at = ROOT;
                                i = begin + 1;
                        }
                }
        }
        *state = at;
        return 0;
}

static int by_place(const void *x, const void *y)
{
        const struct span *a = x, *b = y;
        return (a->at > b->at) - (a->at < b->at);
}

/* What several tiers found, in order and disjoint. */
static void join(struct spans *s)
{
        size_t n = 0;
        if (s->n)
                qsort(s->v, s->n, sizeof(*s->v), by_place);
        for (size_t i = 0; i < s->n; i++) {
                struct span x = s->v[i], *last = n ? &s->v[n - 1] : NULL;
                if (last && last->at + last->len >= x.at)
                        last->len = MAX(last->at + last->len, x.at + x.len) - last->at;
                else
                        s->v[n++] = x;
        }
        s->n = n;
}

/* As scan(), by all tiers. */
static int scan_all(const struct masks *m, uint32_t *state, const uint8_t *p, size_t i, size_t n, struct spans *covered,
                    struct err *e)
{
        if (m->n_tiers == 1)
                return scan(&m->tier[0], &state[0], p, i, n, covered, e);
        size_t before = covered->n;
        int r = 0;
        for (size_t k = 0; r == 0 && k < m->n_tiers; k++) {
                struct spans found = {0};
                r = scan(&m->tier[k], &state[k], p, i, n, &found, e);
                for (size_t x = 0; r == 0 && x < found.n; x++)
                        r = spans_add(covered, found.v[x].at, found.v[x].len, e);
                free(found.v);
        }
        if (covered->n > before)
                join(covered);
        return r;
}

int mask_stream_new(struct masks *m, struct mask_stream **ret, struct err *e)
{
        struct mask_stream *s = calloc(1, sizeof(*s));
        if (!s)
                return err_nomem(e);
        s->masks = m;
        *ret = s;
        return 0;
}

struct mask_stream *mask_stream_free(struct mask_stream *s)
{
        if (!s)
                return NULL;
        buf_wipe(&s->held);
        free(s->covered.v);
        free(s);
        return NULL;
}

/* Write p[0..certain) with its covered ranges replaced; ranges past it stay, relative to p + certain. */
static int write_certain(struct mask_stream *s, const uint8_t *p, size_t certain, struct buf *ret, struct err *e)
{
        size_t at = s->written, i = 0, kept = 0;
        int r = 0;
        for (; r == 0 && i < s->covered.n && s->covered.v[i].at < certain; i++) {
                struct span c = s->covered.v[i];
                if (c.at > at) {
                        r = buf_append(ret, p + at, c.at - at, e);
                        s->open = false;
                }
                if (r == 0 && !s->open)
                        r = buf_append(ret, MASK_TEXT, sizeof(MASK_TEXT) - 1, e);
                s->open = true;
                at = MAX(at, c.at + c.len);
        }
        if (r == 0 && at < certain) {
                r = buf_append(ret, p + at, certain - at, e);
                s->open = false;
        }
        for (; i < s->covered.n; i++)
                s->covered.v[kept++] = (struct span){s->covered.v[i].at - certain, s->covered.v[i].len};
        s->covered.n = kept;
        s->written = at > certain ? at - certain : 0;
        return r;
}

/* New tiers do not know the states of the old ones: what is held is scanned again. */
static int stream_renew(struct mask_stream *s, struct err *e)
{
        int r = masks_build(s->masks, e);
        if (r < 0 || s->generation == s->masks->generation)
                return r;
        s->generation = s->masks->generation;
        memset(s->state, 0, sizeof(s->state));
        s->covered.n = 0;
        return scan_all(s->masks, s->state, s->held.data, 0, s->held.len, &s->covered, e);
}

static int stream_take(struct mask_stream *s, const uint8_t *p, size_t begin, size_t n, struct buf *ret,
                       size_t *ret_certain, struct err *e)
{
        int r = scan_all(s->masks, s->state, p, begin, n, &s->covered, e);
        if (r < 0)
                return r;
        *ret_certain = n;
        for (size_t i = 0; i < s->masks->n_tiers; i++)
                *ret_certain = MIN(*ret_certain, n - s->masks->tier[i].depth[s->state[i]]);
        return write_certain(s, p, *ret_certain, ret, e);
}

int mask_stream_feed(struct mask_stream *s, const void *text, size_t len, struct buf *ret, struct err *e)
{
        size_t certain = 0, begin = s->held.len;
        if (!s->masks->index.n)
                return buf_append(ret, text, len, e);
        int r = stream_renew(s, e);
        if (r < 0)
                return r;
        if (!begin) {
                r = stream_take(s, text, 0, len, ret, &certain, e);
                return r < 0 ? r : buf_append(&s->held, (const uint8_t *)text + certain, len - certain, e);
        }
        r = buf_append(&s->held, text, len, e);
        if (r == 0)
                r = stream_take(s, s->held.data, begin, s->held.len, ret, &certain, e);
        if (r == 0)
                buf_consume(&s->held, certain);
        return r;
}

int mask_stream_flush(struct mask_stream *s, struct buf *ret, struct err *e)
{
        int r = write_certain(s, s->held.data, s->held.len, ret, e);
        buf_clear(&s->held);
        memset(s->state, 0, sizeof(s->state));
        s->covered.n = 0;
        s->written = 0;
        s->open = false;
        return r;
}

/* ---- whole texts ---- */

/* The length of a control sequence that begins here, or 0. */
static size_t sequence_len(const uint8_t *p, size_t len)
{
        size_t n = 2;
        if (len < 3 || p[0] != 0x1b || p[1] != '[')
                return 0;
        while (n < len && p[n] >= 0x20 && p[n] <= 0x3f)
                n++;
        return n < len && p[n] >= 0x40 && p[n] <= 0x7e ? n + 1 : 0;
}

/* The text without its control sequences. */
static int append_bare(const uint8_t *p, size_t len, struct buf *ret, struct err *e)
{
        int r = 0;
        while (r == 0 && len) {
                size_t n = sequence_len(p, len);
                const uint8_t *next = n ? NULL : memchr(p + 1, 0x1b, len - 1);
                size_t run = n ? n : next ? (size_t)(next - p) : len;
                r = n ? 0 : buf_append(ret, p, run, e);
                p += run;
                len -= run;
        }
        return r;
}

/* The text with MASK_TEXT for each range, which are those of the text without sequences. */
static int replace_bare(const uint8_t *p, size_t len, const struct spans *covered, struct buf *ret, struct err *e)
{
        size_t bare = 0, k = 0;
        int r = 0;
        for (size_t i = 0; r == 0 && i < len;) {
                size_t n = sequence_len(p + i, len - i);
                const struct span *c = k < covered->n ? &covered->v[k] : NULL;
                bool begins = c && bare == c->at, within = c && bare > c->at;
                if (n) {
                        r = within ? 0 : buf_append(ret, p + i, n, e);
                        i += n;
                        continue;
                }
                if (begins)
                        r = buf_append(ret, MASK_TEXT, sizeof(MASK_TEXT) - 1, e);
                else if (!within)
                        r = buf_append_byte(ret, p[i], e);
                i++;
                bare++;
                k += c && bare == c->at + c->len;
        }
        return r;
}

int masks_colored(struct masks *m, const void *text, size_t len, struct buf *ret, struct err *e)
{
        AUTO(buf_wipe) struct buf bare = BUF_INIT;
        struct spans covered = {0};
        uint32_t state[MAX_TIERS] = {ROOT};
        if (!m->index.n || !len || !memchr(text, 0x1b, len))
                return 0;
        int r = append_bare(text, len, &bare, e);
        if (r < 0 || bare.len == len)
                return r;
        r = masks_build(m, e);
        if (r == 0)
                r = scan_all(m, state, bare.data, 0, bare.len, &covered, e);
        if (r == 0 && covered.n)
                r = replace_bare(text, len, &covered, ret, e);
        free(covered.v);
        return r;
}

int masks_text(struct masks *m, const void *text, size_t len, struct buf *ret, struct err *e)
{
        AUTO(buf_wipe) struct buf plain = BUF_INIT;
        struct mask_stream s = {.masks = m};
        int r = masks_colored(m, text, len, &plain, e);
        if (r == 0)
                r = mask_stream_feed(&s, plain.len ? plain.data : text, plain.len ? plain.len : len, ret, e);
        if (r == 0)
                r = mask_stream_flush(&s, ret, e);
        buf_wipe(&s.held);
        free(s.covered.v);
        return r;
}

int masks_found(struct masks *m, const void *text, size_t len, bool *ret, struct err *e)
{
        AUTO(buf_wipe) struct buf plain = BUF_INIT;
        struct spans covered = {0};
        uint32_t state[MAX_TIERS] = {ROOT};
        *ret = false;
        if (!m->index.n)
                return 0;
        int r = masks_colored(m, text, len, &plain, e);
        if (r == 0)
                r = masks_build(m, e);
        if (r == 0)
                r = scan_all(m, state, text, 0, len, &covered, e);
        *ret = covered.n > 0 || plain.len > 0;
        free(covered.v);
        return r;
}
