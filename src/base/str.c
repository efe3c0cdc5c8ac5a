#include "base/str.h"

#include "base/cleanup.h"
#include "base/err.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Strings longer than this are never compared for "did you mean". */
#define MAX_DISTANCE_LEN 128

static char *str_vprintf(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));

static char *str_vprintf(const char *fmt, va_list ap)
{
        va_list again;
        va_copy(again, ap);
        int n = vsnprintf(NULL, 0, fmt, again);
        va_end(again);
        if (n < 0)
                return NULL;
        char *s = malloc((size_t)n + 1);
        if (s)
                vsnprintf(s, (size_t)n + 1, fmt, ap);
        return s;
}

char *str_printf(const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        char *s = str_vprintf(fmt, ap);
        va_end(ap);
        return s;
}

char *str_dup(const char *s)
{
        return s ? str_ndup(s, strlen(s)) : NULL;
}

char *str_ndup(const char *s, size_t n)
{
        size_t len = strnlen(s, n);
        char *copy = malloc(len + 1);
        if (!copy)
                return NULL;
        memcpy(copy, s, len);
        copy[len] = 0;
        return copy;
}

bool str_eq(const char *a, const char *b)
{
        if (!a || !b)
                return a == b;
        return strcmp(a, b) == 0;
}

static unsigned char fold(char c)
{
        return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : (unsigned char)c;
}

bool str_ieq(const char *a, const char *b)
{
        if (!a || !b)
                return a == b;
        for (; *a && fold(*a) == fold(*b); a++, b++)
                ;
        return fold(*a) == fold(*b);
}

bool str_iin(const char *s, const char *const *list, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (str_ieq(list[i], s))
                        return true;
        return false;
}

bool str_starts(const char *s, const char *prefix)
{
        return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
        size_t n = strlen(s), m = strlen(suffix);
        return n >= m && strcmp(s + n - m, suffix) == 0;
}

bool str_copy(char *dst, size_t size, const char *src)
{
        size_t n = strlen(src);
        bool fits = n < size;
        if (!size)
                return false;
        n = fits ? n : size - 1;
        memcpy(dst, src, n);
        dst[n] = 0;
        return fits;
}

void str_copy_plain(char *dst, size_t size, const char *src)
{
        size_t n = 0;
        for (; src[n] && n + 1 < size; n++)
                dst[n] = src[n] >= 0x20 && src[n] < 0x7f ? src[n] : '?';
        dst[n] = 0;
}

/* How many bytes a sequence that begins with c has, and the smallest code point that may use so many. */
static unsigned utf8_shape(uint8_t c, uint32_t *ret_bits, uint32_t *ret_least)
{
        static const struct {
                uint8_t mask, lead, n;
                uint32_t least;
        } shapes[] = {{0x80, 0x00, 1, 0}, {0xe0, 0xc0, 2, 0x80}, {0xf0, 0xe0, 3, 0x800}, {0xf8, 0xf0, 4, 0x10000}};
        for (unsigned i = 0; i < 4; i++) {
                if ((c & shapes[i].mask) == shapes[i].lead) {
                        *ret_bits = (uint32_t)(c & ~shapes[i].mask);
                        *ret_least = shapes[i].least;
                        return shapes[i].n;
                }
        }
        return 0;
}

unsigned str_utf8_next(const void *data, size_t len, uint32_t *ret)
{
        const uint8_t *p = data;
        uint32_t cp, least;
        unsigned n = len ? utf8_shape(p[0], &cp, &least) : 0;
        if (!n || n > len)
                return 0;
        for (unsigned i = 1; i < n; i++) {
                if ((p[i] & 0xc0) != 0x80)
                        return 0;
                cp = (cp << 6) | (p[i] & 0x3fu);
        }
        if (cp < least || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
                return 0;
        *ret = cp;
        return n;
}

size_t str_utf8_encode(uint32_t cp, char ret[4])
{
        static const unsigned char lead[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
        size_t n = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
        for (size_t i = n; i-- > 1; cp >>= 6)
                ret[i] = (char)(0x80 | (cp & 0x3f));
        ret[0] = (char)(lead[n] | cp);
        return n;
}

/* Bytes of ASCII at the start, eight at a time. */
static size_t ascii_prefix(const uint8_t *p, size_t len)
{
        size_t n = 0;
        for (uint64_t word; len - n >= sizeof(word); n += sizeof(word)) {
                memcpy(&word, p + n, sizeof(word));
                if (word & 0x8080808080808080u)
                        break;
        }
        return n;
}

bool str_is_utf8(const void *data, size_t len)
{
        const uint8_t *p = data;
        for (size_t n; len; p += n, len -= n) {
                uint32_t cp;
                n = ascii_prefix(p, len);
                if (n == 0 && (n = str_utf8_next(p, len, &cp)) == 0)
                        return false;
        }
        return true;
}

bool str_is_control(uint32_t cp)
{
        if (cp < 0x20 || (cp >= 0x7f && cp <= 0x9f))
                return true;
        /* Directional controls and line separators; the BOM and tag characters are invisible carriers of text. */
        return cp == 0x61c || cp == 0x200e || cp == 0x200f || (cp >= 0x2028 && cp <= 0x202e) ||
               (cp >= 0x2066 && cp <= 0x2069) || cp == 0xfeff || (cp >= 0xe0000 && cp <= 0xe007f);
}

size_t str_escape(char *dst, size_t size, const void *data, size_t len)
{
        const uint8_t *p = data;
        size_t used = 0;
        while (len) {
                uint32_t cp;
                char piece[16];
                unsigned n = str_utf8_next(p, len, &cp);
                int w;
                if (!n)
                        w = snprintf(piece, sizeof(piece), "\\x%02x", p[0]);
                else if (!str_is_control(cp))
                        w = snprintf(piece, sizeof(piece), "%.*s", (int)n, (const char *)p);
                else if (cp == '\n' || cp == '\r' || cp == '\t')
                        w = snprintf(piece, sizeof(piece), "\\%c", cp == '\n' ? 'n' : cp == '\r' ? 'r' : 't');
                else
                        w = snprintf(piece, sizeof(piece), cp < 0x100 ? "\\x%02x" : "\\u{%x}", (unsigned)cp);
                if (used + (size_t)w >= size)
                        break;
                memcpy(dst + used, piece, (size_t)w);
                used += (size_t)w;
                p += n ? n : 1;
                len -= n ? n : 1;
        }
        if (size)
                dst[used] = 0;
        return len;
}

bool str_is_name(const char *s, size_t max)
{
        size_t n = strlen(s);
        if (n < 1 || n > max || s[0] == '.' || s[0] == '-')
                return false;
        for (; *s; s++) {
                char c = *s;
                if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                      c == '_' || c == '-'))
                        return false;
        }
        return true;
}

unsigned str_distance(const char *a, const char *b, unsigned limit)
{
        size_t n = strlen(a), m = strlen(b);
        if (n > MAX_DISTANCE_LEN || m > MAX_DISTANCE_LEN)
                return limit + 1;
        unsigned row[MAX_DISTANCE_LEN + 1];
        for (unsigned j = 0; j <= m; j++)
                row[j] = j;
        for (unsigned i = 1; i <= n; i++) {
                unsigned diagonal = row[0];
                row[0] = i;
                for (size_t j = 1; j <= m; j++) {
                        unsigned best = diagonal + (a[i - 1] != b[j - 1]);
                        diagonal = row[j];
                        if (row[j] + 1 < best)
                                best = row[j] + 1;
                        if (row[j - 1] + 1 < best)
                                best = row[j - 1] + 1;
                        row[j] = best;
                }
        }
        return row[m] > limit ? limit + 1 : row[m];
}

const char *str_nearest(const char *s, const char *const *candidates, size_t n)
{
        unsigned least = (unsigned)(strnlen(s, MAX_DISTANCE_LEN) + 2) / 3 + 1;
        const char *best = NULL;
        for (size_t i = 0; i < n; i++) {
                unsigned d = str_distance(s, candidates[i], least);
                if (d < least) {
                        least = d;
                        best = candidates[i];
                }
        }
        return best;
}

void strv_done(struct strv *s)
{
        for (size_t i = 0; i < s->n; i++)
                free(s->v[i]);
        free(s->v);
        *s = (struct strv)STRV_INIT;
}

/* Takes str over, also when it fails. */
static int strv_add_owned(struct strv *s, char *str, struct err *e)
{
        AUTO(auto_free) char *owned = str;
        if (!owned)
                return err_nomem(e);
        if (s->n + 1 >= s->cap) {
                size_t cap = s->cap ? s->cap * 2 : 8;
                char **v = reallocarray(s->v, cap, sizeof(*v));
                if (!v)
                        return err_nomem(e);
                s->v = v;
                s->cap = cap;
        }
        s->v[s->n++] = TAKE_PTR(owned);
        s->v[s->n] = NULL;
        return 0;
}

int strv_add(struct strv *s, const char *str, struct err *e)
{
        return strv_add_owned(s, str_dup(str), e);
}

int strv_addf(struct strv *s, struct err *e, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        char *str = str_vprintf(fmt, ap);
        va_end(ap);
        return strv_add_owned(s, str, e);
}

bool strv_has(const struct strv *s, const char *str)
{
        for (size_t i = 0; i < s->n; i++)
                if (str_eq(s->v[i], str))
                        return true;
        return false;
}
