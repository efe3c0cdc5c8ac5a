#include "codec/terminal.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <string.h>

#define ESC 0x1b

void terminal_init(struct terminal *t, bool no_color)
{
        *t = (struct terminal){.no_color = no_color};
}

/* "Conceal" would hide text from the reader. Inside the colours 38;5;N and 38;2;R;G;B an 8 is only a number. */
static bool sgr_conceals(const uint8_t *params, unsigned n)
{
        unsigned values[TERMINAL_MAX_SGR] = {0}, count = 1;
        for (unsigned i = 0; i < n; i++) {
                if (params[i] == ';')
                        count++;
                else if (values[count - 1] < 1000)
                        values[count - 1] = values[count - 1] * 10 + (params[i] - '0');
        }
        for (unsigned i = 0; i < count; i++) {
                bool is_color = values[i] == 38 || values[i] == 48 || values[i] == 58;
                if (is_color && i + 1 < count && (values[i + 1] == 5 || values[i + 1] == 2))
                        i += values[i + 1] == 5 ? 2 : 4;
                else if (values[i] == 8)
                        return true;
        }
        return false;
}

enum piece { PIECE_PARTIAL, PIECE_SGR, PIECE_TEXT };

/* What begins at pending[0], an ESC: a colour sequence, its beginning, or anything else. */
static enum piece classify_escape(const struct terminal *t)
{
        for (unsigned i = 1; i < t->n; i++) {
                uint8_t c = t->pending[i];
                if (i == 1 && c == '[')
                        continue;
                if (i > 1 && ((c >= '0' && c <= '9') || c == ';'))
                        continue;
                return i > 1 && c == 'm' && !sgr_conceals(t->pending + 2, i - 2) ? PIECE_SGR : PIECE_TEXT;
        }
        return t->n < TERMINAL_MAX_SGR ? PIECE_PARTIAL : PIECE_TEXT;
}

/* Could the pending bytes become a UTF-8 character with more bytes? */
static bool is_partial_utf8(const struct terminal *t)
{
        uint8_t c = t->pending[0];
        unsigned want = c >= 0xf0 && c <= 0xf4 ? 4 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xc2 && c < 0xe0 ? 2 : 0;
        if (t->n >= want)
                return false;
        for (unsigned i = 1; i < t->n; i++)
                if ((t->pending[i] & 0xc0) != 0x80)
                        return false;
        return true;
}

static void drop(struct terminal *t, unsigned n)
{
        t->n -= n;
        memmove(t->pending, t->pending + n, t->n);
}

static int emit_sgr(struct terminal *t, struct buf *ret, struct err *e)
{
        unsigned n = t->n;
        if (!t->no_color) {
                int r = buf_append(ret, t->pending, n, e);
                if (r < 0)
                        return r;
                t->colored = true;
        }
        t->n = 0;
        return 0;
}

/* Write the first pending character, in visible form unless it is plain. */
static int emit_first(struct terminal *t, struct buf *ret, struct err *e)
{
        uint32_t cp;
        unsigned n = str_utf8_next(t->pending, t->n, &cp);
        bool plain = n == 1 && (cp == '\n' || cp == '\t');
        int r = plain ? buf_append_byte(ret, t->pending[0], e) : buf_append_escaped(ret, t->pending, n ? n : 1, e);
        if (r < 0)
                return r;
        drop(t, n ? n : 1);
        return 0;
}

/* Write what can be decided; the rest waits for more bytes, unless there are none (`last`). */
static int settle(struct terminal *t, bool last, struct buf *ret, struct err *e)
{
        int r = 0;
        while (r == 0 && t->n) {
                uint8_t c = t->pending[0];
                enum piece piece = PIECE_TEXT;
                if (c == ESC)
                        piece = classify_escape(t);
                else if (c == '\r' && t->n == 1)
                        piece = PIECE_PARTIAL;
                else if (c >= 0x80 && is_partial_utf8(t))
                        piece = PIECE_PARTIAL;
                if (piece == PIECE_PARTIAL && !last)
                        return 0;
                if (c == '\r' && t->n > 1 && (t->pending[1] == '\n' || t->pending[1] == '\r'))
                        drop(t, 1);
                else if (piece == PIECE_SGR)
                        r = emit_sgr(t, ret, e);
                else
                        r = emit_first(t, ret, e);
        }
        return r;
}

/* Bytes that stand for themselves whatever comes before or after. */
static size_t plain_run(const uint8_t *p, size_t len)
{
        size_t n = 0;
        while (n < len && ((p[n] >= 0x20 && p[n] < 0x7f) || p[n] == '\n' || p[n] == '\t'))
                n++;
        return n;
}

int terminal_filter(struct terminal *t, const void *data, size_t len, struct buf *ret, struct err *e)
{
        const uint8_t *p = data;
        while (len) {
                size_t n = t->n ? 0 : plain_run(p, len);
                int r;
                if (n) {
                        r = buf_append(ret, p, n, e);
                } else {
                        n = 1;
                        t->pending[t->n++] = *p;
                        r = settle(t, false, ret, e);
                }
                if (r < 0)
                        return r;
                p += n;
                len -= n;
        }
        return 0;
}

int terminal_flush(struct terminal *t, struct buf *ret, struct err *e)
{
        int r = settle(t, true, ret, e);
        if (r == 0 && t->colored)
                r = buf_append_str(ret, "\x1b[0m", e);
        if (r == 0)
                t->colored = false;
        return r;
}
