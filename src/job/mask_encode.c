#include "job/mask_encode.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"

#define B64_STD "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
#define B64_URL "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

/* What one derivation needs. The scratch buffer holds secrets: it ends with buf_wipe(). */
struct forms {
        mask_form_fn *fn;
        void *user;
        struct buf scratch;
};

static bool is_alnum(uint8_t c)
{
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80;
}

static bool is_space(uint8_t c)
{
        return c == ' ' || (c >= '\t' && c <= '\r');
}

/* A line tells something when it is not `{`, `"a",` or empty. */
static bool line_tells(const uint8_t *v, size_t len)
{
        size_t n = 0;
        for (size_t i = 0; i < len; i++)
                n += is_alnum(v[i]);
        return n >= MASK_MIN_FORM;
}

/* A form of several lines is reported line by line: patterns never hold a newline. */
static int emit(struct forms *f, const uint8_t *form, size_t len, struct err *e)
{
        bool lines = memchr(form, '\n', len) != NULL;
        while (len) {
                const uint8_t *nl = memchr(form, '\n', len);
                size_t n = nl ? (size_t)(nl - form) : len;
                if (lines ? line_tells(form, n) : n >= MASK_MIN_FORM) {
                        int r = f->fn(form, n, f->user, e);
                        if (r != 0)
                                return r;
                }
                form += n + (nl ? 1 : 0);
                len -= n + (nl ? 1 : 0);
        }
        return 0;
}

static int emit_scratch(struct forms *f, struct err *e)
{
        int r = emit(f, f->scratch.data, f->scratch.len, e);
        buf_clear(&f->scratch);
        return r;
}

/* Six bits at a bit position of the value preceded by `shift` zero bytes. Bits past the end are zero. */
static unsigned six_bits(const uint8_t *v, size_t len, unsigned shift, size_t index)
{
        unsigned r = 0;
        for (size_t bit = index * 6; bit < index * 6 + 6; bit++) {
                size_t byte = bit / 8;
                unsigned b = byte < shift || byte - shift >= len ? 0 : v[byte - shift] >> (7 - bit % 8) & 1;
                r = r << 1 | b;
        }
        return r;
}

/* The characters that the value alone decides when `shift` (0-2) foreign bytes stand before it in its group of three.
 */
static int emit_base64_at(struct forms *f, const char *alphabet, const uint8_t *v, size_t len, unsigned shift,
                          struct err *e)
{
        size_t first = shift == 0 ? 0 : shift + 1, bits = (shift + len) * 8, last = bits / 6;
        for (size_t i = first; i < last; i++) {
                int r = buf_append_byte(&f->scratch, (uint8_t)alphabet[six_bits(v, len, shift, i)], e);
                if (r < 0)
                        return r;
        }
        int r = emit(f, f->scratch.data, f->scratch.len, e);
        if (r == 0 && bits % 6)
                r = buf_append_byte(&f->scratch, (uint8_t)alphabet[six_bits(v, len, shift, last)], e);
        return r != 0 ? r : emit_scratch(f, e);
}

/* `base64` wraps at 76 columns and PEM at 64: the value from its first byte on, in lines. */
static int emit_base64_wrapped(struct forms *f, const uint8_t *v, size_t len, size_t columns, struct err *e)
{
        size_t step = columns / 4 * 3;
        for (size_t at = 0; len > step && at < len; at += step) {
                int r = emit_base64_at(f, B64_STD, v + at, MIN(step, len - at), 0, e);
                if (r != 0)
                        return r;
        }
        return 0;
}

static int emit_base64(struct forms *f, const uint8_t *v, size_t len, struct err *e)
{
        int r = 0;
        for (unsigned shift = 0; r == 0 && shift < 3; shift++) {
                r = emit_base64_at(f, B64_STD, v, len, shift, e);
                if (r == 0)
                        r = emit_base64_at(f, B64_URL, v, len, shift, e);
        }
        if (r == 0)
                r = emit_base64_wrapped(f, v, len, 64, e);
        return r != 0 ? r : emit_base64_wrapped(f, v, len, 76, e);
}

static int emit_hex(struct forms *f, const uint8_t *v, size_t len, const char *digits, struct err *e)
{
        for (size_t i = 0; i < len; i++) {
                const char pair[2] = {digits[v[i] >> 4], digits[v[i] & 15]};
                int r = buf_append(&f->scratch, pair, 2, e);
                if (r < 0)
                        return r;
        }
        return emit_scratch(f, e);
}

/* Percent-encoding: `keep` is what stays beside letters and digits; a space may become a plus (forms). */
static int emit_url(struct forms *f, const uint8_t *v, size_t len, const char *keep, bool plus, bool lower,
                    struct err *e)
{
        for (size_t i = 0; i < len; i++) {
                int r;
                if ((v[i] < 0x80 && is_alnum(v[i])) || (v[i] && strchr(keep, v[i])))
                        r = buf_append_byte(&f->scratch, v[i], e);
                else if (v[i] == ' ' && plus)
                        r = buf_append_byte(&f->scratch, '+', e);
                else
                        r = buf_printf(&f->scratch, e, lower ? "%%%02x" : "%%%02X", v[i]);
                if (r < 0)
                        return r;
        }
        return emit_scratch(f, e);
}

/* One UTF-8 sequence as \uXXXX (with surrogates); returns its length, or 0 when it is not one. */
static size_t utf8_decode(const uint8_t *v, size_t len, uint32_t *ret)
{
        size_t n = v[0] >= 0xf0 ? 4 : v[0] >= 0xe0 ? 3 : v[0] >= 0xc2 ? 2 : 0;
        if (!n || n > len)
                return 0;
        uint32_t c = v[0] & (0xffu >> (n + 1));
        for (size_t i = 1; i < n; i++) {
                if ((v[i] & 0xc0) != 0x80)
                        return 0;
                c = c << 6 | (v[i] & 0x3f);
        }
        *ret = c;
        return n;
}

static int append_json_unicode(struct buf *b, uint32_t c, struct err *e)
{
        if (c < 0x10000)
                return buf_printf(b, e, "\\u%04x", c);
        c -= 0x10000;
        return buf_printf(b, e, "\\u%04x\\u%04x", 0xd800 + (c >> 10), 0xdc00 + (c & 0x3ff));
}

static int append_json_ascii(struct buf *b, uint8_t c, bool slash, struct err *e)
{
        static const char from[] = "\b\f\n\r\t\"\\/", to[] = "bfnrt\"\\/";
        const char *p = c ? strchr(from, c) : NULL;
        if (p && (c != '/' || slash))
                return buf_printf(b, e, "\\%c", to[p - from]);
        if (c < 0x20 || c == 0x7f)
                return buf_printf(b, e, "\\u%04x", c);
        return buf_append_byte(b, c, e);
}

static int emit_json(struct forms *f, const uint8_t *v, size_t len, bool ascii, bool slash, struct err *e)
{
        for (size_t i = 0; i < len;) {
                uint32_t c = 0;
                size_t n = ascii && v[i] >= 0x80 ? utf8_decode(v + i, len - i, &c) : 0;
                int r = n             ? append_json_unicode(&f->scratch, c, e)
                        : v[i] < 0x80 ? append_json_ascii(&f->scratch, v[i], slash, e)
                                      : buf_append_byte(&f->scratch, v[i], e);
                if (r < 0)
                        return r;
                i += n ? n : 1;
        }
        return emit_scratch(f, e);
}

static int emit_xml(struct forms *f, const uint8_t *v, size_t len, struct err *e)
{
        for (size_t i = 0; i < len; i++) {
                const char *entity = v[i] == '&'    ? "&amp;"
                                     : v[i] == '<'  ? "&lt;"
                                     : v[i] == '>'  ? "&gt;"
                                     : v[i] == '"'  ? "&quot;"
                                     : v[i] == '\'' ? "&apos;"
                                                    : NULL;
                int r = entity ? buf_append_str(&f->scratch, entity, e) : buf_append_byte(&f->scratch, v[i], e);
                if (r < 0)
                        return r;
        }
        return emit_scratch(f, e);
}

/* Every character of `special` gets `before` in front of it. */
static int emit_escaped(struct forms *f, const uint8_t *v, size_t len, const char *special, const char *before,
                        struct err *e)
{
        for (size_t i = 0; i < len; i++) {
                int r = v[i] && strchr(special, v[i]) ? buf_append_str(&f->scratch, before, e) : 0;
                if (r == 0)
                        r = buf_append_byte(&f->scratch, v[i], e);
                if (r < 0)
                        return r;
        }
        return emit_scratch(f, e);
}

/* Bash's $'...', as `set -x` and `declare -p` print a value with control characters. */
static int emit_ansi_c(struct forms *f, const uint8_t *v, size_t len, struct err *e)
{
        static const char from[] = "\a\b\033\f\n\r\t\v\\'", to[] = "abEfnrtv\\'";
        for (size_t i = 0; i < len; i++) {
                const char *p = v[i] ? strchr(from, v[i]) : NULL;
                int r = p             ? buf_printf(&f->scratch, e, "\\%c", to[p - from])
                        : v[i] < 0x20 ? buf_printf(&f->scratch, e, "\\%03o", v[i])
                                      : buf_append_byte(&f->scratch, v[i], e);
                if (r < 0)
                        return r;
        }
        return emit_scratch(f, e);
}

static int emit_shell(struct forms *f, const uint8_t *v, size_t len, struct err *e)
{
        int r = emit_escaped(f, v, len, "'", "'\\'", e); /* 'it'\''s' */
        if (r == 0)
                r = emit_escaped(f, v, len, "'", "'\"'\"", e); /* the tail '"'"' of Python's shlex */
        if (r == 0)
                r = emit_escaped(f, v, len, "\"$`\\", "\\", e); /* inside double quotes */
        if (r == 0)
                r = emit_escaped(f, v, len, " \t\"'$`\\!#&*();<>?[]{}|~^,=", "\\", e); /* printf %q */
        return r != 0 ? r : emit_ansi_c(f, v, len, e);
}

static int emit_text_forms(struct forms *f, const uint8_t *v, size_t len, struct err *e)
{
        int r = emit_url(f, v, len, "-_.~", false, false, e);
        if (r == 0)
                r = emit_url(f, v, len, "-_.~", false, true, e);
        if (r == 0)
                r = emit_url(f, v, len, "-_.!~*'()", false, false, e); /* encodeURIComponent */
        if (r == 0)
                r = emit_url(f, v, len, "-_.*", true, false, e); /* a form */
        if (r == 0)
                r = emit_json(f, v, len, false, false, e);
        if (r == 0)
                r = emit_json(f, v, len, true, false, e);
        if (r == 0)
                r = emit_json(f, v, len, true, true, e);
        if (r == 0)
                r = emit_xml(f, v, len, e);
        return r != 0 ? r : emit_shell(f, v, len, e);
}

/* As names of hosts are written down: a value in one is looked up, and recorded, in small letters. */
static int emit_lower(struct forms *f, const uint8_t *v, size_t len, struct err *e)
{
        bool differs = false;
        for (size_t i = 0; i < len; i++) {
                bool upper = v[i] >= 'A' && v[i] <= 'Z';
                int r = buf_append_byte(&f->scratch, (uint8_t)(upper ? v[i] | 0x20 : v[i]), e);
                if (r < 0)
                        return r;
                differs |= upper;
        }
        if (!differs)
                buf_clear(&f->scratch);
        return emit_scratch(f, e);
}

static int emit_encodings(struct forms *f, const uint8_t *v, size_t len, struct err *e)
{
        int r = emit_base64(f, v, len, e);
        if (r == 0)
                r = emit_lower(f, v, len, e);
        if (r == 0)
                r = emit_hex(f, v, len, "0123456789abcdef", e);
        if (r == 0)
                r = emit_hex(f, v, len, "0123456789ABCDEF", e);
        return r != 0 ? r : emit_text_forms(f, v, len, e);
}

static void trim(const uint8_t **v, size_t *len)
{
        while (*len && is_space((*v)[0])) {
                (*v)++;
                (*len)--;
        }
        while (*len && is_space((*v)[*len - 1]))
                (*len)--;
}

static int emit_lines(struct forms *f, const uint8_t *v, size_t len, struct err *e)
{
        while (len) {
                const uint8_t *nl = memchr(v, '\n', len), *line = v;
                size_t n = nl ? (size_t)(nl - v) : len;
                v += n + (nl ? 1 : 0);
                len -= n + (nl ? 1 : 0);
                trim(&line, &n);
                if (!line_tells(line, n))
                        continue;
                int r = f->fn(line, n, f->user, e);
                if (r == 0)
                        r = emit_encodings(f, line, n, e);
                if (r != 0)
                        return r;
        }
        return 0;
}

static int emit_all(struct forms *f, const uint8_t *v, size_t len, struct err *e)
{
        bool lines = memchr(v, '\n', len) != NULL;
        int r = lines ? emit_lines(f, v, len, e) : f->fn(v, len, f->user, e);
        if (r == 0)
                r = emit_encodings(f, v, len, e);
        if (r == 0 && !lines && len > 2 && v[0] == v[len - 1] && (v[0] == '"' || v[0] == '\''))
                r = emit(f, v + 1, len - 2, e);
        return r;
}

int mask_forms(const void *value, size_t len, mask_form_fn *fn, void *user, struct err *e)
{
        struct forms f = {.fn = fn, .user = user, .scratch = BUF_INIT};
        const uint8_t *v = value, *inner = value;
        size_t inner_len = len;
        trim(&inner, &inner_len);
        if (!inner_len)
                return 0;
        int r = emit_all(&f, v, len, e);
        if (r == 0 && inner_len != len)
                r = emit_all(&f, inner, inner_len, e);
        buf_wipe(&f.scratch);
        return r;
}
