/* Terminal text: byte 0 chooses colour and where the text is cut. The result does not depend on the cut, is UTF-8,
 * holds no control but newline and tab, and ESC only in colour sequences. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "codec/terminal.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void filter(const uint8_t *data, size_t size, size_t cut, bool no_color, struct buf *ret)
{
        struct terminal t;
        terminal_init(&t, no_color);
        assert(terminal_filter(&t, data, cut, ret, NULL) == 0);
        assert(terminal_filter(&t, data + cut, size - cut, ret, NULL) == 0);
        assert(terminal_flush(&t, ret, NULL) == 0);
        assert(t.n == 0);
}

/* The length of the colour sequence at p; anything else that begins with ESC ends the program. */
static size_t color_length(const uint8_t *p, size_t len)
{
        size_t n = 2;
        assert(len >= 3 && p[1] == '[');
        while (n < len && (p[n] == ';' || (p[n] >= '0' && p[n] <= '9')))
                n++;
        assert(n < len && p[n] == 'm' && n < TERMINAL_MAX_SGR);
        return n + 1;
}

static void check(const struct buf *b, bool no_color)
{
        for (size_t i = 0; i < b->len;) {
                uint32_t cp;
                unsigned n = str_utf8_next(b->data + i, b->len - i, &cp);
                assert(n);
                if (cp == 0x1b) {
                        assert(!no_color);
                        i += color_length(b->data + i, b->len - i);
                        continue;
                }
                assert(!str_is_control(cp) || cp == '\n' || cp == '\t');
                i += n;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (!size)
                return 0;
        bool no_color = data[0] & 1;
        AUTO(buf_done) struct buf whole = BUF_INIT;
        AUTO(buf_done) struct buf cut = BUF_INIT;
        filter(data + 1, size - 1, 0, no_color, &whole);
        filter(data + 1, size - 1, (size - 1) * data[0] / 256, no_color, &cut);
        assert(whole.len == cut.len && (!whole.len || memcmp(whole.data, cut.data, whole.len) == 0));
        check(&whole, no_color);
        return 0;
}
