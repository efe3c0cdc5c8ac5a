#include "workflow/matcher.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "workflow/matcher_priv.h"

struct matchers {
        struct matchers_config config;
        struct matcher *v[MATCHER_MAX_COUNT];
        size_t n;
        pcre2_match_context *limits;
        pcre2_match_data *data;
        uint64_t credit_ns, line_ns; /* line: what the line under way has used */
        uint64_t serials;
};

/* Of one matcher. */
struct begun {
        uint64_t serial;
        struct matcher_found state[MATCHER_MAX_PATTERNS]; /* behind each pattern but the last */
        bool is[MATCHER_MAX_PATTERNS];
};

struct matcher_progress {
        struct begun v[MATCHER_MAX_COUNT];
        void *user;
};

int matchers_new(const struct matchers_config *config, struct matchers **ret, struct err *e)
{
        struct matchers *m = calloc(1, sizeof(*m));
        if (!m)
                return err_nomem(e);
        m->config = *config;
        m->credit_ns = MATCHER_CREDIT_NS;
        m->limits = pcre2_match_context_create(NULL);
        m->data = pcre2_match_data_create(1 + MATCHER_MAX_REGEXP / 2, NULL); /* a group takes two bytes */
        if (!m->limits || !m->data) {
                matchers_free(m);
                return err_nomem(e);
        }
        pcre2_set_match_limit(m->limits, MATCHER_MAX_STEPS);
        pcre2_set_depth_limit(m->limits, MATCHER_MAX_DEPTH);
        pcre2_set_heap_limit(m->limits, MATCHER_MAX_HEAP);
        *ret = m;
        return 0;
}

struct matchers *matchers_free(struct matchers *m)
{
        if (!m)
                return NULL;
        for (size_t i = 0; i < m->n; i++)
                matcher_free(m->v[i]);
        pcre2_match_context_free(m->limits);
        pcre2_match_data_free(m->data);
        free(m);
        return NULL;
}

size_t matchers_count(const struct matchers *m)
{
        return m->n;
}

/* ---- the list ---- */

static void take_out(struct matchers *m, size_t i)
{
        matcher_free(m->v[i]);
        memmove(&m->v[i], &m->v[i + 1], (m->n - i - 1) * sizeof(struct matcher *));
        m->n--;
}

void matchers_remove(struct matchers *m, const char *owner)
{
        for (size_t i = m->n; i-- > 0;)
                if (str_ieq(m->v[i]->owner, owner))
                        take_out(m, i);
}

static size_t count_replaced(const struct matchers *m, struct matcher *const *list, size_t n)
{
        size_t replaced = 0;
        for (size_t i = 0; i < n; i++)
                for (size_t k = 0; k < m->n; k++)
                        replaced += str_ieq(m->v[k]->owner, list[i]->owner);
        return replaced;
}

int matchers_add(struct matchers *m, const void *file, size_t len, struct buf *names, struct err *e)
{
        struct matcher *list[MATCHER_MAX_COUNT] = {NULL};
        size_t n;
        int r = matcher_file_read(file, len, list, &n, e);
        if (r == 0 && m->n + n - count_replaced(m, list, n) > MATCHER_MAX_COUNT)
                r = err_set(e, ERR_RUN_FAILED, "A job can have %u problem matchers at a time", MATCHER_MAX_COUNT);
        for (size_t i = 0; r == 0 && i < n; i++)
                r = buf_printf(names, e, "%s'%s'", i ? ", " : "", list[i]->owner);
        if (r < 0) {
                for (size_t i = 0; i < n; i++)
                        matcher_free(list[i]);
                return r;
        }
        for (size_t i = 0; i < n; i++) {
                matchers_remove(m, list[i]->owner);
                list[i]->serial = ++m->serials;
        }
        memmove(&m->v[n], &m->v[0], m->n * sizeof(struct matcher *));
        memcpy(m->v, list, n * sizeof(struct matcher *));
        m->n += n;
        return 0;
}

int matchers_remove_file(struct matchers *m, const void *file, size_t len, struct err *e)
{
        struct matcher *list[MATCHER_MAX_COUNT] = {NULL};
        size_t n;
        int r = matcher_file_read(file, len, list, &n, e);
        for (size_t i = 0; r == 0 && i < n; i++) {
                matchers_remove(m, list[i]->owner);
                matcher_free(list[i]);
        }
        return r;
}

/* ---- progress ---- */

static void forget(struct begun *b, unsigned i)
{
        b->is[i] = false;
        for (unsigned f = 0; f < MATCHER_FIELDS; f++) {
                free(b->state[i].value[f]);
                b->state[i].value[f] = NULL;
        }
}

static void reset(struct begun *b)
{
        for (unsigned i = 0; i < MATCHER_MAX_PATTERNS; i++)
                forget(b, i);
}

int matcher_progress_new(void *user, struct matcher_progress **ret, struct err *e)
{
        struct matcher_progress *p = calloc(1, sizeof(*p));
        if (!p)
                return err_nomem(e);
        p->user = user;
        *ret = p;
        return 0;
}

struct matcher_progress *matcher_progress_free(struct matcher_progress *p)
{
        for (size_t i = 0; p && i < MATCHER_MAX_COUNT; i++)
                reset(&p->v[i]);
        free(p);
        return NULL;
}

static bool is_listed(const struct matchers *m, uint64_t serial)
{
        for (size_t i = 0; i < m->n; i++)
                if (m->v[i]->serial == serial)
                        return true;
        return false;
}

/* There is a place for each: what belonged to a matcher that is gone is free again. */
static struct begun *begun_of(const struct matchers *m, struct matcher_progress *p, const struct matcher *x)
{
        struct begun *place = NULL;
        for (size_t i = 0; i < MATCHER_MAX_COUNT; i++) {
                if (p->v[i].serial == x->serial)
                        return &p->v[i];
                if (!is_listed(m, p->v[i].serial))
                        place = &p->v[i];
        }
        assert(place);
        reset(place);
        place->serial = x->serial;
        return place;
}

/* ---- matching ---- */

/* 1: matched, the groups are in m->data; 0: not. */
static int try_pattern(struct matchers *m, struct matcher *x, const struct matcher_pattern *p, const char *line,
                       size_t len, struct err *e)
{
        int n = pcre2_match(p->code, (PCRE2_SPTR)line, len, 0, PCRE2_NO_UTF_CHECK, m->data, m->limits);
        if (n == PCRE2_ERROR_NOMEMORY)
                return err_nomem(e);
        if (n < 0 && n != PCRE2_ERROR_NOMATCH)
                x->strikes++;
        return n >= 0;
}

/* A group's text; one that took no part is "". NULL when memory is out. */
static char *group_text(const struct matchers *m, int group, const char *line)
{
        const PCRE2_SIZE *v = pcre2_get_ovector_pointer(m->data);
        if ((uint32_t)group >= pcre2_get_ovector_count(m->data) || v[2 * group] == PCRE2_UNSET ||
            v[2 * group + 1] < v[2 * group])
                return str_dup("");
        return str_ndup(line + v[2 * group], v[2 * group + 1] - v[2 * group]);
}

/* What was found before, and what this pattern adds. Empties *ret first; on failure it is empty. */
static int collect(const struct matchers *m, const struct matcher_found *before, const struct matcher_pattern *p,
                   const char *line, struct matcher_found *ret, struct err *e)
{
        struct matcher_found found = {{NULL}};
        bool failed = false;
        for (unsigned f = 0; f < MATCHER_FIELDS; f++) {
                const char *old = before ? before->value[f] : NULL;
                if (old)
                        found.value[f] = str_dup(old);
                else if (p->group[f] >= 0)
                        found.value[f] = group_text(m, p->group[f], line);
                failed |= !found.value[f] && (old || p->group[f] >= 0);
        }
        for (unsigned f = 0; f < MATCHER_FIELDS; f++)
                free(failed ? found.value[f] : ret->value[f]);
        *ret = failed ? (struct matcher_found){{NULL}} : found;
        return failed ? err_nomem(e) : 0;
}

static bool is_blank(const char *s)
{
        return !s || !s[strspn(s, " \t\r\n\v\f")];
}

/* false: not one of ours, and the line is only text. */
static bool read_level(const struct matcher *x, const struct matcher_found *f, enum issue_level *ret)
{
        const char *s = f->value[MATCHER_SEVERITY];
        if (!s || !*s)
                s = x->severity ? x->severity : "";
        *ret = str_ieq(s, "warning") ? ISSUE_WARNING : str_ieq(s, "notice") ? ISSUE_NOTICE : ISSUE_ERROR;
        return !*s || *ret != ISSUE_ERROR || str_ieq(s, "error");
}

static unsigned number_of(const char *s)
{
        uint64_t n = 0;
        return s && num_u64(s, 0, INT32_MAX, "number", &n, NULL) == 0 ? (unsigned)n : 0;
}

/* 1: told; 0: what was found makes no annotation. */
static int tell(struct matchers *m, const struct matcher_progress *p, const struct matcher *x,
                const struct matcher_found *f, struct err *e)
{
        struct matcher_hit h = {.issue = {.source = x->owner,
                                          .file = f->value[MATCHER_FILE],
                                          .message = f->value[MATCHER_MESSAGE],
                                          .code = is_blank(f->value[MATCHER_CODE]) ? NULL : f->value[MATCHER_CODE],
                                          .line = number_of(f->value[MATCHER_LINE]),
                                          .column = number_of(f->value[MATCHER_COLUMN])},
                                .from_path = f->value[MATCHER_FROM_PATH]};
        if (is_blank(h.issue.message) || !read_level(x, f, &h.issue.level))
                return 0;
        if (is_blank(h.issue.file))
                h.issue.file = NULL;
        int r = m->config.hit(&h, p->user, e);
        return r < 0 ? r : 1;
}

/* The last pattern matched: a looping one keeps what stood before it. */
static int finish(const struct matchers *m, const struct matcher *x, struct begun *b, unsigned last, const char *line,
                  struct matcher_found *ret, struct err *e)
{
        const struct matcher_pattern *p = &x->pattern[last];
        int r = collect(m, last ? &b->state[last - 1] : NULL, p, line, ret, e);
        for (unsigned i = 0; i < last; i++)
                if (!p->loop || i != last - 1)
                        forget(b, i);
        return r < 0 ? r : 1;
}

/* One matcher. 1: *ret is a whole problem. */
static int match(struct matchers *m, struct matcher *x, struct begun *b, const char *line, size_t len,
                 struct matcher_found *ret, struct err *e)
{
        for (unsigned i = x->n; i-- > 0;) {
                bool last = i + 1 == x->n;
                if (i && !b->is[i - 1])
                        continue;
                int r = try_pattern(m, x, &x->pattern[i], line, len, e);
                if (r > 0 && last)
                        return finish(m, x, b, i, line, ret, e);
                if (r > 0) {
                        r = collect(m, i ? &b->state[i - 1] : NULL, &x->pattern[i], line, &b->state[i], e);
                        b->is[i] = r == 0;
                } else if (r == 0 && !last)
                        forget(b, i);
                else if (r == 0 && i)
                        forget(b, i - 1);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int remove_for(struct matchers *m, const struct matcher_progress *p, struct matcher *x, const char *why,
                      struct err *e)
{
        char *text = str_printf("Removing problem matcher '%s': %s", x->owner, why);
        int r = text ? m->config.removed(text, p->user, e) : err_nomem(e);
        free(text);
        x->is_removed = true;
        return r;
}

static struct matcher *dearest(const struct matchers *m)
{
        struct matcher *x = m->v[0];
        for (size_t i = 1; i < m->n; i++)
                if (m->v[i]->used_ns > x->used_ns)
                        x = m->v[i];
        return x;
}

/* What the line cost, against what it brought. Who is too dear is removed at the end of the line. */
static int charge(struct matchers *m, const struct matcher_progress *p, size_t len, struct err *e)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < m->n; i++)
                if (m->v[i]->strikes >= MATCHER_MAX_STRIKES)
                        r = remove_for(m, p, m->v[i],
                                       "its patterns needed more steps than a match may take, three times", e);
        m->credit_ns = MIN(m->credit_ns + len * MATCHER_NS_PER_BYTE, (uint64_t)MATCHER_CREDIT_NS);
        m->credit_ns -= MIN(m->line_ns, m->credit_ns);
        if (r == 0 && !m->credit_ns && m->n) {
                m->credit_ns = MATCHER_CREDIT_NS;
                if (!dearest(m)->is_removed)
                        r = remove_for(m, p, dearest(m), "its patterns use too much processor time", e);
        }
        return r;
}

static void drop_removed(struct matchers *m)
{
        for (size_t i = m->n; i-- > 0;)
                if (m->v[i]->is_removed)
                        take_out(m, i);
}

/* What the other matchers had begun is forgotten. */
static void reset_others(const struct matchers *m, struct matcher_progress *p, const struct matcher *x)
{
        for (size_t k = 0; k < m->n; k++)
                if (m->v[k] != x)
                        reset(begun_of(m, p, m->v[k]));
}

/* One matcher on one line. 1: it found a problem that was told. */
static int ask(struct matchers *m, struct matcher_progress *p, struct matcher *x, const char *line, size_t len,
               struct err *e)
{
        struct matcher_found found = {{NULL}};
        uint64_t began = m->config.cpu_ns();
        int r = match(m, x, begun_of(m, p, x), line, len, &found, e);
        uint64_t used = m->config.cpu_ns() - began;
        x->used_ns += used;
        m->line_ns += used;
        if (r > 0) {
                reset_others(m, p, x);
                r = tell(m, p, x, &found, e);
        }
        for (unsigned f = 0; f < MATCHER_FIELDS; f++)
                free(found.value[f]);
        return r;
}

int matchers_line(struct matchers *m, struct matcher_progress *p, const char *line, size_t len, struct err *e)
{
        int told = 0;
        m->line_ns = 0;
        for (size_t i = 0; told == 0 && i < m->n; i++)
                told = ask(m, p, m->v[i], line, len, e);
        int r = told < 0 ? told : charge(m, p, len, e);
        drop_removed(m);
        return r < 0 ? r : told;
}
