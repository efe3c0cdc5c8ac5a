/* Strings: bounded, no locale. Functions that allocate return malloc'd memory owned by the caller. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/* A printf into new memory; NULL when out of memory. */
char *str_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
char *str_dup(const char *s);                                   /* NULL in gives NULL out */
char *str_ndup(const char *s, size_t n);                        /* stops at NUL or n bytes */
bool str_eq(const char *a, const char *b);                      /* NULL equals only NULL */
bool str_ieq(const char *a, const char *b);                     /* ASCII case folded */
bool str_iin(const char *s, const char *const *list, size_t n); /* is it in the list, ASCII case folded? */
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
/* Copy into dst[size], always NUL-terminated; returns false when it had to cut. */
bool str_copy(char *dst, size_t size, const char *src);
/* The same, cut silently, with '?' for everything but printable ASCII: foreign text for an error of ours. */
void str_copy_plain(char *dst, size_t size, const char *src);
/* Is it valid UTF-8 (no surrogates, no overlongs, at most U+10FFFF)? NUL bytes are allowed. */
bool str_is_utf8(const void *data, size_t len);
/* Decode one character: how many bytes it has (1..4), or 0 when the bytes are not UTF-8 or end inside a character. */
unsigned str_utf8_next(const void *data, size_t len, uint32_t *ret);
/* Write a character (at most U+10FFFF) as UTF-8; how many bytes. */
size_t str_utf8_encode(uint32_t cp, char ret[4]);
/* Characters that a terminal or a reader acts on instead of showing: C0, DEL, C1, direction controls, separators, BOM,
 * tags. */
bool str_is_control(uint32_t cp);
/* Write data to dst[size] in visible form, NUL-terminated: printable UTF-8 as it is, \n \r \t, other control characters
 * and invalid bytes as \xNN or \u{N}. Returns how many bytes of data did not fit (0: all written). Needs no memory. */
size_t str_escape(char *dst, size_t size, const void *data, size_t len);
/* Is it a safe name: 1..max bytes of [A-Za-z0-9._-], not starting with '.' or '-'? For file names made of foreign text.
 */
bool str_is_name(const char *s, size_t max);
/* Edit distance, capped: for "did you mean". Returns limit + 1 when larger than limit. */
unsigned str_distance(const char *a, const char *b, unsigned limit);
/* The candidate nearest to s within a third of its length, or NULL. */
const char *str_nearest(const char *s, const char *const *candidates, size_t n);

/* A growing list of strings that owns them; argv is NULL-terminated at all times once anything was added. */
struct strv {
        char **v;
        size_t n;
        size_t cap;
};
#define STRV_INIT                                                                                                      \
        {                                                                                                              \
                0                                                                                                      \
        }
void strv_done(struct strv *s);
int strv_add(struct strv *s, const char *str, struct err *e); /* copies */
int strv_addf(struct strv *s, struct err *e, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool strv_has(const struct strv *s, const char *str);
