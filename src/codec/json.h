/* JSON from outside (RFC 8259), strictly: one object or array, valid UTF-8, no duplicate keys, no NUL in strings,
 * integers that fit in 64 bits, nothing after the end, bounded in size and depth. jansson's json_t is the value; a
 * reference is released with AUTO(json_decrefp).
 *
 * The getters name the field in their errors: "job.timeout_ms: expected an integer from 1 to 9, found a string".
 * `where` is the path of `obj` ("" for the root). What they return belongs to `obj`. All errors are ERR_USAGE. */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct buf;

#define JSON_MAX_DEPTH 64 /* nested objects and arrays */
#define JSON_MAX_PATH 256 /* bytes of a field's path in errors; longer ones are cut */

/* Seed jansson's hash tables, which otherwise open /dev/urandom at the first object. Call it before a process gives up
 * the right to open files. json_parse() does it by itself. */
void json_init(void);

/* Values are zeroed before their memory is freed: for a process whose JSON holds secrets. Before its first value. */
void json_wipe_memory(void);

/* Parse len bytes, at most max. `what` names the text in errors ("spec.json:3:14: ..."). *ret is a new reference. */
int json_parse(const void *data, size_t len, size_t max, const char *what, json_t **ret, struct err *e);

/* Append the text of a value. Key order is that of insertion unless sorted; numbers and escapes are canonical, so equal
 * values give equal bytes. No newline is added. ASCII: for what may be a terminal, where U+0080 to U+009F and the marks
 * that reorder text would act. */
enum { JSON_WRITE_PRETTY = 1, JSON_WRITE_SORTED = 2, JSON_WRITE_ASCII = 4 };
int json_write(const json_t *value, unsigned flags, struct buf *ret, struct err *e);

/* Required fields. Strings are at most max bytes. A null value counts as missing. */
int json_get_string(const json_t *obj, const char *where, const char *key, size_t max, const char **ret, struct err *e);
int json_get_int(const json_t *obj, const char *where, const char *key, int64_t min, int64_t max, int64_t *ret,
                 struct err *e);
/* The same for a field that may be missing: then *ret keeps the default that the caller put there. */
int json_opt_int(const json_t *obj, const char *where, const char *key, int64_t min, int64_t max, int64_t *ret,
                 struct err *e);

/* Refuse a value that is no object, or that has a key which is not among known[n]; suggests the nearest. */
int json_check_keys(const json_t *obj, const char *where, const char *const *known, size_t n, struct err *e);
