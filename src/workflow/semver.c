/* A range is read from left to right and decided at once: each comparator becomes at most two bounds, which are asked
 * and forgotten. The cases of each form are those of npm's replaceCaret, replaceTilde, replaceXRange and hyphenReplace.
 */
#include "workflow/semver.h"

#include <string.h>

#include "base/num.h"

#define BLANKS " \t\n\r\f\v"

/* ---- versions ---- */

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
        return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
}

/* Digits without a zero in front; how many bytes, 0: none. A number past SEMVER_MAX_NUMBER stays past it. */
static size_t read_number(const char *s, uint64_t *ret)
{
        size_t n = 0;
        *ret = 0;
        for (; is_digit(s[n]); n++)
                if (*ret <= SEMVER_MAX_NUMBER)
                        *ret = 10 * *ret + (uint64_t)(s[n] - '0');
        return n > 1 && s[0] == '0' ? 0 : n;
}

/* Words divided by dots; how many bytes, 0: a word is empty, or a number with a zero in front where that counts. */
static size_t read_words(const char *s, bool numbers_count)
{
        size_t n = 0;
        for (;; n++) {
                size_t from = n, digits = 0;
                while (is_word(s[n]))
                        digits += is_digit(s[n++]);
                bool bad_number = numbers_count && digits == n - from && digits > 1 && s[from] == '0';
                if (n == from || bad_number)
                        return 0;
                if (s[n] != '.')
                        return n;
        }
}

/* "-pre+build" behind the numbers; how many bytes, or SIZE_MAX: malformed. */
static size_t read_qualifier(const char *s, struct semver *ret)
{
        size_t n = 0;
        if (s[n] == '-') {
                ret->pre = s + n + 1;
                if (!(ret->pre_len = read_words(ret->pre, true)))
                        return SIZE_MAX;
                n += 1 + ret->pre_len;
        }
        if (s[n] == '+') {
                ret->build = s + n + 1;
                if (!(ret->build_len = read_words(ret->build, false)))
                        return SIZE_MAX;
                n += 1 + ret->build_len;
        }
        return n;
}

bool semver_parse(const char *text, struct semver *ret)
{
        const char *s = text + strspn(text, BLANKS);
        *ret = (struct semver){.pre = "", .build = ""};
        if (strlen(text) > SEMVER_MAX_LENGTH)
                return false;
        s += *s == 'v';
        for (int i = 0; i < 3; i++) {
                size_t n = read_number(s, &ret->number[i]);
                s += n;
                if (!n || ret->number[i] > SEMVER_MAX_NUMBER || (i < 2 && *s++ != '.'))
                        return false;
        }
        size_t n = read_qualifier(s, ret);
        return n != SIZE_MAX && !s[n + strspn(s + n, BLANKS)];
}

static int order(uint64_t a, uint64_t b)
{
        return a < b ? -1 : a > b;
}

static bool is_number(const char *s, size_t n)
{
        while (n && is_digit(s[n - 1]))
                n--;
        return n == 0;
}

/* Numbers by their value and below words, words by their bytes. */
static int compare_words(const char *a, size_t an, const char *b, size_t bn)
{
        bool numbers = is_number(a, an) && is_number(b, bn);
        if (is_number(a, an) != is_number(b, bn))
                return is_number(a, an) ? -1 : 1;
        if (numbers && an != bn)
                return an < bn ? -1 : 1;
        int r = memcmp(a, b, MIN(an, bn));
        return r ? r : order(an, bn);
}

static int compare_pre(const struct semver *a, const struct semver *b)
{
        size_t i = 0, k = 0;
        if (!a->pre_len || !b->pre_len)
                return !a->pre_len - !b->pre_len;
        while (i < a->pre_len && k < b->pre_len) {
                size_t an = 0, bn = 0;
                while (i + an < a->pre_len && a->pre[i + an] != '.')
                        an++;
                while (k + bn < b->pre_len && b->pre[k + bn] != '.')
                        bn++;
                int r = compare_words(a->pre + i, an, b->pre + k, bn);
                if (r)
                        return r;
                i += an + 1;
                k += bn + 1;
        }
        return (i < a->pre_len) - (k < b->pre_len);
}

int semver_compare(const struct semver *a, const struct semver *b)
{
        for (int i = 0; i < 3; i++)
                if (a->number[i] != b->number[i])
                        return order(a->number[i], b->number[i]);
        return compare_pre(a, b);
}

/* ---- ranges ---- */

/* A version of a range, of which parts may be left open. */
struct partial {
        unsigned fixed; /* how many of the numbers in front are no x */
        bool mixed;     /* a number stands behind an x */
        bool marked;    /* something but one "v" stands in front of it */
        struct semver v;
};

/* One set of comparators, asked about a version (NULL: only whether it is well-formed). */
struct set {
        const struct semver *version;
        bool holds;
        bool bounded;   /* something is asked at all */
        bool pre_named; /* a bound names a prerelease of the version's own numbers */
};

enum op { OP_NONE, OP_LT, OP_LE, OP_GT, OP_GE, OP_EQ };

static bool is_x(char c)
{
        return c == 'x' || c == 'X' || c == '*';
}

/* "+build", which says nothing, as often as it comes; how many bytes. */
static size_t skip_builds(const char *s)
{
        size_t n = 0;
        for (size_t words; s[n] == '+' && (words = read_words(s + n + 1, false)); n += 1 + words)
                ;
        return n;
}

/* marks: what may stand in front of it. How many bytes; 0: there is none. */
static size_t read_partial(const char *s, const char *marks, struct partial *ret)
{
        const char *at = s + strspn(s, marks);
        bool open = false;
        *ret = (struct partial){.v = {.pre = "", .build = ""}};
        ret->marked = at != s && !(at == s + 1 && *s == 'v');
        for (unsigned parts = 0;; at++) {
                uint64_t number = 0;
                size_t n = is_x(*at) ? 1 : read_number(at, &number);
                ret->mixed |= open && !is_x(*at);
                open |= is_x(*at);
                if (!n || (!open && number > SEMVER_MAX_NUMBER))
                        return 0;
                ret->v.number[parts] = open ? 0 : number;
                ret->fixed += !open;
                at += n;
                if (++parts == 3 && *at == '-') {
                        ret->v.pre = at + 1;
                        if (!(ret->v.pre_len = read_words(at + 1, true)))
                                return 0;
                        at += 1 + ret->v.pre_len;
                }
                if (parts == 3 || *at != '.')
                        return (size_t)(at - s) + skip_builds(at);
        }
}

static bool has(enum op op, int order_)
{
        switch (op) {
        case OP_LT:
                return order_ < 0;
        case OP_LE:
                return order_ <= 0;
        case OP_GT:
                return order_ > 0;
        case OP_GE:
                return order_ >= 0;
        default:
                return order_ == 0;
        }
}

static void ask(struct set *s, enum op op, const struct semver *bound)
{
        static const struct semver zero = {.pre = "", .build = ""};
        const struct semver *v = s->version;
        s->bounded |= op != OP_GE || semver_compare(bound, &zero) != 0;
        if (!v)
                return;
        s->holds &= has(op, semver_compare(v, bound));
        s->pre_named |= bound->pre_len && memcmp(v->number, bound->number, sizeof(v->number)) == 0;
}

/* From here on, up to the next of the number at `step`, its prereleases excluded: ">=1.2.0 <1.3.0-0". False: the next
 * is past what a number may be. */
static bool ask_below_next(struct set *s, const struct semver *from, unsigned step)
{
        struct semver next = {.pre = "0", .pre_len = 1, .build = ""};
        for (unsigned i = 0; i <= step; i++)
                next.number[i] = from->number[i];
        next.number[step]++;
        ask(s, OP_LT, &next);
        return next.number[step] <= SEMVER_MAX_NUMBER;
}

static struct semver without_pre(const struct semver *v)
{
        struct semver plain = {.pre = "", .build = ""};
        memcpy(plain.number, v->number, sizeof(plain.number));
        return plain;
}

/* All that begins like the fixed numbers: 1.x, 1.2.x; with nothing fixed everything. */
static bool ask_like(struct set *s, const struct partial *p)
{
        const struct semver from = without_pre(&p->v);
        if (!p->fixed)
                return true;
        ask(s, OP_GE, &from);
        return ask_below_next(s, &from, p->fixed - 1);
}

static bool ask_open(struct set *s, enum op op, const struct partial *p)
{
        struct semver bound = without_pre(&p->v);
        if (op == OP_NONE || op == OP_EQ)
                return ask_like(s, p);
        if (!p->fixed) { /* nothing is larger or smaller than anything; everything is what it may be */
                s->holds &= op == OP_LE || op == OP_GE;
                s->bounded |= !s->holds;
                return true;
        }
        if (op == OP_GT || op == OP_LE) { /* >1.2 is >=1.3.0, <=1.2 is <1.3.0-0 */
                bound.number[p->fixed - 1]++;
                op = op == OP_GT ? OP_GE : OP_LT;
        }
        if (op == OP_LT) {
                bound.pre = "0";
                bound.pre_len = 1;
        }
        ask(s, op, &bound);
        return bound.number[p->fixed - 1] <= SEMVER_MAX_NUMBER;
}

static bool ask_plain(struct set *s, enum op op, const struct partial *p)
{
        if (p->fixed < 3)
                return ask_open(s, op, p);
        if (p->marked)
                return false;
        ask(s, op == OP_NONE ? OP_EQ : op, &p->v);
        return true;
}

static bool ask_tilde(struct set *s, const struct partial *p)
{
        if (p->fixed < 3)
                return ask_like(s, p);
        ask(s, OP_GE, &p->v);
        return ask_below_next(s, &p->v, 1);
}

/* Up to the next of the first number that is not 0. */
static bool ask_caret(struct set *s, const struct partial *p)
{
        unsigned step = 0;
        if (!p->fixed)
                return true;
        while (step + 1 < p->fixed && p->v.number[step] == 0)
                step++;
        const struct semver from = p->fixed < 3 ? without_pre(&p->v) : p->v;
        ask(s, OP_GE, &from);
        return ask_below_next(s, &from, step);
}

/* The operator and the blanks behind it: those of "> =1.2" lie in it. */
static size_t read_op(const char *s, enum op *ret)
{
        size_t n = *s == '<' || *s == '>', blanks = strspn(s + n, BLANKS);
        bool split = n && blanks && s[n + blanks] == '=';
        bool equal = split || s[n] == '=';
        *ret = *s == '<' ? (equal ? OP_LE : OP_LT) : *s == '>' ? (equal ? OP_GE : OP_GT) : equal ? OP_EQ : OP_NONE;
        if (split)
                return n + blanks + 1;
        n += equal;
        return n ? n + strspn(s + n, BLANKS) : 0;
}

/* "~", "~>", "^" and the blanks around them. */
static size_t read_mark(const char *s)
{
        if (*s != '~' && *s != '^')
                return 0;
        size_t n = 1 + strspn(s + 1, BLANKS);
        n += *s == '~' && s[n] == '>';
        return n + strspn(s + n, BLANKS);
}

/* One comparator; how many bytes, 0: it is none. */
static size_t read_comparator(struct set *set, const char *s)
{
        size_t lead = read_mark(s);
        enum op op = OP_NONE;
        struct partial p;
        bool valid;
        if (!lead)
                lead = read_op(s, &op);
        size_t n = read_partial(s + lead, "v=", &p);
        if (!n || (s[lead + n] && !strchr(BLANKS "|", s[lead + n])))
                return 0;
        if (*s == '^')
                valid = ask_caret(set, &p);
        else
                valid = *s == '~' ? ask_tilde(set, &p) : !p.mixed && ask_plain(set, op, &p);
        return valid ? lead + n : 0;
}

/* "A - B", alone in its set; how many bytes, 0: it is none. */
static size_t read_hyphen(struct set *set, const char *s, bool *ret_valid)
{
        struct partial from, to;
        size_t n = read_partial(s, "v=" BLANKS, &from), blanks = strspn(s + n, BLANKS);
        if (!n || !blanks || s[n + blanks] != '-')
                return 0;
        n += blanks + 1;
        blanks = strspn(s + n, BLANKS);
        size_t more = read_partial(s + n + blanks, "v=" BLANKS, &to);
        n += blanks + more;
        size_t rest = strspn(s + n, BLANKS);
        if (!blanks || !more || (s[n + rest] && s[n + rest] != '|'))
                return 0;
        to.marked &= !to.v.pre_len; /* then it is put together anew */
        *ret_valid = (!from.fixed || ask_plain(set, OP_GE, &from)) && (!to.fixed || ask_plain(set, OP_LE, &to));
        return n + rest;
}

/* Up to "||" or the end; how many bytes, or SIZE_MAX: malformed. */
static size_t read_set(struct set *set, const char *s)
{
        bool valid = true;
        size_t n = strspn(s, BLANKS), hyphen = read_hyphen(set, s + n, &valid);
        n += hyphen;
        while (valid && !hyphen && s[n] && s[n] != '|') {
                size_t more = read_comparator(set, s + n);
                valid = more > 0;
                n += more;
                n += strspn(s + n, BLANKS);
        }
        return valid ? n : SIZE_MAX;
}

/* version NULL: any. Where one of the sets asks nothing, npm leaves the others out. */
static bool read_range(const char *range, const struct semver *version, bool *ret_holds)
{
        bool unbounded = false;
        *ret_holds = false;
        if (strlen(range) > SEMVER_MAX_RANGE)
                return false;
        for (const char *s = range;;) {
                struct set set = {.version = version, .holds = true};
                size_t n = read_set(&set, s);
                if (n == SIZE_MAX)
                        return false;
                *ret_holds |= set.holds && (!version || !version->pre_len || set.pre_named);
                unbounded |= !set.bounded;
                s += n;
                if (!*s) {
                        *ret_holds &= !unbounded || !version || !version->pre_len;
                        return true;
                }
                if (s[1] != '|')
                        return false;
                s += 2;
        }
}

bool semver_range_is_valid(const char *range)
{
        bool ignored;
        return read_range(range, NULL, &ignored);
}

bool semver_satisfies(const struct semver *version, const char *range)
{
        bool holds;
        return read_range(range, version, &holds) && holds;
}
