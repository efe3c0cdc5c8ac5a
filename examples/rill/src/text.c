#include "text.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE ((size_t)64 * 1024)

struct region_block {
        struct region_block *next;
        size_t size;
        char data[];
};

void fail(const char *fmt, ...)
{
        va_list ap;

        fputs("rill: ", stderr);
        va_start(ap, fmt);
        vfprintf(stderr, fmt, ap);
        va_end(ap);
        fputc('\n', stderr);
        exit(1);
}

static struct region_block *block_new(size_t size)
{
        struct region_block *b = malloc(sizeof(*b) + size);

        if (!b)
                fail("out of memory");
        b->next = NULL;
        b->size = size;
        return b;
}

void *region_alloc(struct region *r, size_t size)
{
        size = (size + 15) & ~(size_t)15;
        if (!r->blocks || r->used + size > r->blocks->size) {
                struct region_block *b = block_new(size > BLOCK_SIZE ? size : BLOCK_SIZE);

                b->next = r->blocks;
                r->blocks = b;
                r->used = 0;
        }
        void *p = r->blocks->data + r->used;

        r->used += size;
        memset(p, 0, size);
        return p;
}

char *region_copy(struct region *r, const char *text, size_t len)
{
        char *p = region_alloc(r, len + 1);

        if (len > 0)
                memcpy(p, text, len);
        return p;
}

void region_free(struct region *r)
{
        while (r->blocks) {
                struct region_block *next = r->blocks->next;

                free(r->blocks);
                r->blocks = next;
        }
        r->used = 0;
}

static void text_reserve(struct text *t, size_t more)
{
        size_t need = t->len + more + 1;

        if (need <= t->cap)
                return;
        size_t cap = t->cap ? t->cap : 64;

        while (cap < need)
                cap *= 2;
        char *data = realloc(t->data, cap);

        if (!data)
                fail("out of memory");
        t->data = data;
        t->cap = cap;
}

void text_add(struct text *t, const char *data, size_t len)
{
        text_reserve(t, len);
        if (len > 0)
                memcpy(t->data + t->len, data, len);
        t->len += len;
        t->data[t->len] = '\0';
}

void text_add_char(struct text *t, char c)
{
        text_add(t, &c, 1);
}

void text_printf(struct text *t, const char *fmt, ...)
{
        va_list ap, again;

        va_start(ap, fmt);
        va_copy(again, ap);
        int n = vsnprintf(NULL, 0, fmt, ap);

        va_end(ap);
        if (n < 0)
                fail("cannot format text");
        text_reserve(t, (size_t)n);
        vsnprintf(t->data + t->len, (size_t)n + 1, fmt, again);
        va_end(again);
        t->len += (size_t)n;
}

void text_clear(struct text *t)
{
        t->len = 0;
        if (t->data)
                t->data[0] = '\0';
}

void text_free(struct text *t)
{
        free(t->data);
        *t = (struct text){0};
}

/* One code point; malformed bytes count as one column each. */
static uint32_t next_code_point(const char *s, size_t len, size_t *i)
{
        unsigned char c = (unsigned char)s[*i];
        int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
        uint32_t cp = more == 3 ? c & 0x07u : more == 2 ? c & 0x0fu : more == 1 ? c & 0x1fu : c;

        (*i)++;
        while (more-- > 0 && *i < len && ((unsigned char)s[*i] & 0xc0) == 0x80)
                cp = (cp << 6) | ((unsigned char)s[(*i)++] & 0x3fu);
        return cp;
}

static bool is_combining(uint32_t cp)
{
        return (cp >= 0x300 && cp <= 0x36f) || (cp >= 0x1ab0 && cp <= 0x1aff) || (cp >= 0x20d0 && cp <= 0x20ff) ||
               cp == 0x200b || cp == 0x200d || (cp >= 0xfe00 && cp <= 0xfe0f);
}

static bool is_wide(uint32_t cp)
{
        return (cp >= 0x1100 && cp <= 0x115f) || (cp >= 0x2e80 && cp <= 0xa4cf) || (cp >= 0xac00 && cp <= 0xd7a3) ||
               (cp >= 0xf900 && cp <= 0xfaff) || (cp >= 0xff00 && cp <= 0xff60) || (cp >= 0x1f300 && cp <= 0x1faff);
}

size_t text_width(const char *utf8, size_t len)
{
        size_t width = 0;

        for (size_t i = 0; i < len;) {
                uint32_t cp = next_code_point(utf8, len, &i);

                width += is_combining(cp) ? 0 : is_wide(cp) ? 2 : 1;
        }
        return width;
}
