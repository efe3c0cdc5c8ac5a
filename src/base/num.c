#include "base/num.h"

#include "base/err.h"
#include "base/str.h"

#include <string.h>

static int refuse_range(const char *s, const char *what, const char *min, const char *max, struct err *e)
{
        char found[80];
        str_escape(found, sizeof(found), s, strlen(s));
        return err_set(e, ERR_USAGE, "%s: expected a number from %s to %s, found '%s'", what, min, max, found);
}

/* Digits from s up to the first other byte; false when there are none or they pass 64 bits. */
static bool digits(const char **s, uint64_t *ret)
{
        const char *p = *s;
        uint64_t v = 0;
        for (; *p >= '0' && *p <= '9'; p++)
                if (!num_mul(v, 10u, &v) || !num_add(v, (uint64_t)(*p - '0'), &v))
                        return false;
        if (p == *s)
                return false;
        *s = p;
        *ret = v;
        return true;
}

/* Decimal text of v; p points at the end of a buffer that is large enough. */
static const char *decimal(char *p, uint64_t v, bool negative)
{
        *--p = 0;
        do
                *--p = (char)('0' + v % 10);
        while (v /= 10);
        if (negative)
                *--p = '-';
        return p;
}

int num_u64(const char *s, uint64_t min, uint64_t max, const char *what, uint64_t *ret, struct err *e)
{
        const char *p = s;
        uint64_t v;
        if (!digits(&p, &v) || *p || v < min || v > max) {
                char a[24], b[24];
                return refuse_range(s, what, decimal(a + sizeof(a), min, false), decimal(b + sizeof(b), max, false), e);
        }
        *ret = v;
        return 0;
}

static uint64_t magnitude(int64_t v)
{
        return v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
}

int num_i64(const char *s, int64_t min, int64_t max, const char *what, int64_t *ret, struct err *e)
{
        bool negative = s[0] == '-';
        const char *p = s + negative;
        uint64_t m;
        bool ok = digits(&p, &m) && !*p && m <= (uint64_t)INT64_MAX + negative;
        int64_t v = ok ? (int64_t)(negative ? 0 - m : m) : 0;
        if (!ok || v < min || v > max) {
                char a[24], b[24];
                return refuse_range(s, what, decimal(a + sizeof(a), magnitude(min), min < 0),
                                    decimal(b + sizeof(b), magnitude(max), max < 0), e);
        }
        *ret = v;
        return 0;
}

int num_size(const char *s, uint64_t max, const char *what, uint64_t *ret, struct err *e)
{
        static const char units[] = "KMGT";
        const char *p = s;
        uint64_t v = 0;
        bool ok = digits(&p, &v);
        const char *unit = ok && *p ? strchr(units, *p) : NULL;
        if (unit) {
                ok = num_mul(v, (uint64_t)1 << (10 * (unit - units + 1)), &v);
                p++;
                if (*p == 'i' && p[1] == 'B')
                        p++;
        }
        if (*p == 'B')
                p++;
        if (!ok || *p || v > max) {
                char found[80], b[24];
                str_escape(found, sizeof(found), s, strlen(s));
                return err_set(e, ERR_USAGE, "%s: expected a size such as 512M or 4G, at most %s bytes, found '%s'",
                               what, decimal(b + sizeof(b), max, false), found);
        }
        *ret = v;
        return 0;
}

int num_duration(const char *s, uint64_t max_ms, const char *what, uint64_t *ret_ms, struct err *e)
{
        static const char units[] = "smhdw";
        static const uint64_t ms[] = {1000, 60000, 3600000, 86400000, 604800000};
        const char *p = s;
        uint64_t v = 0;
        bool ok = digits(&p, &v);
        const char *unit = ok && *p && !p[1] ? strchr(units, *p) : NULL;
        if (!unit || !num_mul(v, ms[unit - units], &v) || v > max_ms) {
                char found[80], b[24];
                str_escape(found, sizeof(found), s, strlen(s));
                return err_set(e, ERR_USAGE,
                               "%s: expected a time such as 90s, 30m, 12h, 7d or 2w, at most %sd, found '%s'", what,
                               decimal(b + sizeof(b), max_ms / 86400000, false), found);
        }
        *ret_ms = v;
        return 0;
}

static int nibble(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int num_hex(const char *s, uint8_t *ret, size_t len, const char *what, struct err *e)
{
        size_t i = 0;
        for (; i < len; i++) {
                int high = nibble(s[2 * i]);
                int low = high < 0 ? -1 : nibble(s[2 * i + 1]);
                if (low < 0)
                        break;
                ret[i] = (uint8_t)(high << 4 | low);
        }
        if (i == len && !s[2 * len])
                return 0;
        char found[160];
        str_escape(found, sizeof(found), s, strlen(s));
        return err_set(e, ERR_USAGE, "%s: expected %zu hexadecimal digits, found '%s'", what, 2 * len, found);
}

void num_to_hex(const void *data, size_t len, char *ret)
{
        static const char hex[] = "0123456789abcdef";
        const uint8_t *p = data;
        for (size_t i = 0; i < len; i++) {
                ret[2 * i] = hex[p[i] >> 4];
                ret[2 * i + 1] = hex[p[i] & 15];
        }
        ret[2 * len] = 0;
}
