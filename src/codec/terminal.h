/* Foreign text made safe for a terminal. Passed on: printable UTF-8, newline, tab, and colour sequences (ESC [ digits ;
 * ... m, at most TERMINAL_MAX_SGR bytes, without "conceal"). Everything else that a terminal would act on is written in
 * visible form ("\x1b]52;c;..."): C0 and DEL, C1 as bytes and in UTF-8, every other escape sequence, direction
 * controls, line separators, tag characters, bytes that are not UTF-8. A carriage return is dropped before a newline
 * and written as "\r" elsewhere, so that nothing overwrites what stands in the line. The text may be cut anywhere
 * between calls. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct buf;

#define TERMINAL_MAX_SGR 32

struct terminal {
        bool no_color;                     /* colour sequences are left out */
        bool colored;                      /* a colour may be active */
        unsigned n;                        /* bytes in pending */
        uint8_t pending[TERMINAL_MAX_SGR]; /* a sequence or character that is not complete yet */
};

void terminal_init(struct terminal *t, bool no_color);
/* Append the safe form of the next len bytes. */
int terminal_filter(struct terminal *t, const void *data, size_t len, struct buf *ret, struct err *e);
/* The text ends here: what was pending is written in visible form, and colours are switched off. t can be used again.
 */
int terminal_flush(struct terminal *t, struct buf *ret, struct err *e);
