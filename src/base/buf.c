#include "base/buf.h"

#include "base/err.h"
#include "base/secret.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_FIRST_CAP 64

void buf_done(struct buf *b)
{
        free(b->data);
        b->data = NULL;
        b->len = b->cap = 0;
}

void buf_wipe(struct buf *b)
{
        if (b->data)
                secret_wipe(b->data, b->cap);
        buf_done(b);
}

/* realloc() would leave a copy of a secret behind in freed memory, so growing always copies and wipes. */
static int buf_grow(struct buf *b, size_t cap, struct err *e)
{
        uint8_t *data = malloc(cap);
        if (!data)
                return err_nomem(e);
        if (b->len)
                memcpy(data, b->data, b->len);
        size_t len = b->len;
        buf_wipe(b);
        b->data = data;
        b->len = len;
        b->cap = cap;
        return 0;
}

int buf_reserve(struct buf *b, size_t more, struct err *e)
{
        size_t max = b->max ? b->max : BUF_MAX_DEFAULT;
        if (more > max || b->len > max - more)
                return err_set(e, ERR_RESOURCES, "a buffer would pass its limit of %zu bytes", max);
        size_t need = b->len + more;
        if (need <= b->cap)
                return 0;
        size_t cap = b->cap ? b->cap : BUF_FIRST_CAP;
        while (cap < need)
                cap = cap > SIZE_MAX / 2 ? need : cap * 2;
        return buf_grow(b, cap, e);
}

int buf_append(struct buf *b, const void *data, size_t len, struct err *e)
{
        if (!len)
                return 0;
        int r = buf_reserve(b, len, e);
        if (r < 0)
                return r;
        memcpy(b->data + b->len, data, len);
        b->len += len;
        return 0;
}

int buf_append_str(struct buf *b, const char *s, struct err *e)
{
        return buf_append(b, s, strlen(s), e);
}

int buf_append_byte(struct buf *b, uint8_t c, struct err *e)
{
        return buf_append(b, &c, 1, e);
}

int buf_vprintf(struct buf *b, struct err *e, const char *fmt, va_list ap)
{
        va_list again;
        va_copy(again, ap);
        int n = vsnprintf(NULL, 0, fmt, again);
        va_end(again);
        if (n < 0)
                return err_set(e, ERR_RESOURCES, "a text could not be formatted");
        size_t len = (size_t)n;
        int r = buf_reserve(b, len, e);
        if (r < 0)
                return r;
        /* vsnprintf also writes a NUL, which does not count against the limit. */
        if (b->cap - b->len <= len) {
                r = buf_grow(b, b->len + len + 1, e);
                if (r < 0)
                        return r;
        }
        vsnprintf((char *)b->data + b->len, len + 1, fmt, ap);
        b->len += len;
        return 0;
}

int buf_printf(struct buf *b, struct err *e, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        int r = buf_vprintf(b, e, fmt, ap);
        va_end(ap);
        return r;
}

int buf_append_escaped(struct buf *b, const void *data, size_t len, struct err *e)
{
        const uint8_t *p = data;
        while (len) {
                char text[256];
                size_t left = str_escape(text, sizeof(text), p, len);
                int r = buf_append_str(b, text, e);
                if (r < 0)
                        return r;
                p += len - left;
                len = left;
        }
        return 0;
}

int buf_append_be16(struct buf *b, uint16_t v, struct err *e)
{
        const uint8_t bytes[] = {(uint8_t)(v >> 8), (uint8_t)v};
        return buf_append(b, bytes, sizeof(bytes), e);
}

int buf_append_be32(struct buf *b, uint32_t v, struct err *e)
{
        const uint8_t bytes[] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
        return buf_append(b, bytes, sizeof(bytes), e);
}

void buf_consume(struct buf *b, size_t n)
{
        if (n < b->len)
                memmove(b->data, b->data + n, b->len - n);
        b->len -= n < b->len ? n : b->len;
}

void buf_clear(struct buf *b)
{
        b->len = 0;
}

const char *buf_cstr(struct buf *b)
{
        if (b->cap == b->len && buf_grow(b, b->len + 1, NULL) < 0)
                return NULL;
        b->data[b->len] = 0;
        return (const char *)b->data;
}

char *buf_take_str(struct buf *b)
{
        if (!buf_cstr(b))
                return NULL;
        char *s = (char *)b->data;
        b->data = NULL;
        b->len = b->cap = 0;
        return s;
}
