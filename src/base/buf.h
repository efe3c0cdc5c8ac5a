/* A growing byte buffer with a hard limit. Memory is zeroed by buf_wipe() only; a buffer that ever
 * held a secret ends with buf_wipe(), not buf_done(). Not NUL-terminated unless buf_cstr() is asked. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

struct err;

struct buf {
        uint8_t *data;
        size_t len; /* bytes used */
        size_t cap; /* bytes allocated */
        size_t max; /* limit of len; 0 means BUF_MAX_DEFAULT */
};

#define BUF_MAX_DEFAULT ((size_t)256 << 20)
#define BUF_INIT                                                                                                       \
        {                                                                                                              \
                0                                                                                                      \
        }
#define BUF_INIT_MAX(limit)                                                                                            \
        {                                                                                                              \
                .max = (limit)                                                                                         \
        }

void buf_done(struct buf *b); /* frees; the buffer may be used again */
void buf_wipe(struct buf *b); /* zeroes everything allocated, then frees */
/* All of these return 0 or negative (no memory, or the limit passed: ERR_RESOURCES). */
int buf_reserve(struct buf *b, size_t more, struct err *e);
int buf_append(struct buf *b, const void *data, size_t len, struct err *e);
int buf_append_str(struct buf *b, const char *s, struct err *e);
int buf_append_byte(struct buf *b, uint8_t c, struct err *e);
int buf_printf(struct buf *b, struct err *e, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int buf_vprintf(struct buf *b, struct err *e, const char *fmt, va_list ap) __attribute__((format(printf, 3, 0)));
/* Append foreign text in visible form (str_escape()). */
int buf_append_escaped(struct buf *b, const void *data, size_t len, struct err *e);
/* Big-endian integers, the byte order of every protocol in this tree. */
int buf_append_be16(struct buf *b, uint16_t v, struct err *e);
int buf_append_be32(struct buf *b, uint32_t v, struct err *e);
/* Drop n bytes from the front (n <= len); cheap when n == len. */
void buf_consume(struct buf *b, size_t n);
void buf_clear(struct buf *b); /* len = 0, memory kept */
/* NUL-terminate in place and return the text, owned by the buffer; NULL when memory is out. */
const char *buf_cstr(struct buf *b);
/* Hand the memory over as a NUL-terminated malloc'd string and reset the buffer; NULL when out of memory. */
char *buf_take_str(struct buf *b);
