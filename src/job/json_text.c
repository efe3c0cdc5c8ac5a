#include "job/json_text.h"

#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* Eight bytes at a time: is there a byte that is a control character, a quote, a backslash, DEL or not ASCII? */
static inline int has_special(uint64_t v)
{
        const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
        uint64_t quote = v ^ (ones * '"'), slash = v ^ (ones * '\\'), del = v ^ (ones * 0x7f);
        uint64_t found = (v - ones * 0x20) | (quote - ones) | (slash - ones) | (del - ones);
        return ((found | v) & high) != 0;
}

static inline int is_plain(uint8_t c)
{
        return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static size_t plain_run(const uint8_t *p, size_t len)
{
        size_t i = 0;
        for (; i + 8 <= len; i += 8) {
                uint64_t v;
                memcpy(&v, p + i, sizeof(v));
                if (has_special(v))
                        break;
        }
        while (i < len && is_plain(p[i]))
                i++;
        return i;
}

/* Length of the well-formed UTF-8 sequence at p (first byte >= 0x80), or 0. */
static size_t utf8_length(const uint8_t *p, size_t len)
{
        uint8_t c = p[0], low = 0x80, high = 0xbf;
        size_t n = c >= 0xc2 && c <= 0xdf ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
        if (!n || n > len)
                return 0;
        if (c == 0xe0)
                low = 0xa0;
        else if (c == 0xed)
                high = 0x9f;
        else if (c == 0xf0)
                low = 0x90;
        else if (c == 0xf4)
                high = 0x8f;
        if (p[1] < low || p[1] > high)
                return 0;
        for (size_t i = 2; i < n; i++)
                if ((p[i] & 0xc0) != 0x80)
                        return 0;
        return n;
}

/* One character that is not plain: *used bytes of the text. */
static int append_special(struct buf *b, const uint8_t *p, size_t len, size_t *used, struct err *e)
{
        static const char from[] = "\b\f\n\r\t\"\\", to[] = "bfnrt\"\\";
        *used = 1;
        if (p[0] >= 0x80 || !p[0]) { /* C readers of the journal refuse \u0000 */
                size_t n = p[0] ? utf8_length(p, len) : 0;
                *used = n ? n : 1;
                return n ? buf_append(b, p, n, e) : buf_append(b, REPLACEMENT, 3, e);
        }
        const char *known = p[0] ? strchr(from, p[0]) : NULL;
        if (known) {
                const char pair[2] = {'\\', to[known - from]};
                return buf_append(b, pair, 2, e);
        }
        return buf_printf(b, e, "\\u%04x", p[0]);
}

int json_text_append(struct buf *b, const void *text, size_t len, struct err *e)
{
        const uint8_t *p = text;
        int r = buf_append_byte(b, '"', e);
        for (size_t i = 0; r == 0 && i < len;) {
                size_t n = plain_run(p + i, len - i);
                r = buf_append(b, p + i, n, e);
                i += n;
                if (r == 0 && i < len) {
                        r = append_special(b, p + i, len - i, &n, e);
                        i += n;
                }
        }
        return r < 0 ? r : buf_append_byte(b, '"', e);
}
