/* Growing text and interned memory for one query: everything is freed at once. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A region of memory that lives as long as a query. Allocations never fail: the program ends with a message. */
struct region {
        struct region_block *blocks;
        size_t used;
};

void *region_alloc(struct region *r, size_t size);
char *region_copy(struct region *r, const char *text, size_t len);
void region_free(struct region *r);

struct text {
        char *data;
        size_t len;
        size_t cap;
};

void text_add(struct text *t, const char *data, size_t len);
void text_add_char(struct text *t, char c);
void text_printf(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_clear(struct text *t);
void text_free(struct text *t);

/* Columns that a terminal uses for UTF-8 text: one for each code point, two for wide East Asian ones, none for combining marks. */
size_t text_width(const char *utf8, size_t len);

/* Report on standard error and end with status 1. */
void fail(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
