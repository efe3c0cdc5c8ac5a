/* Values of GitHub's expression language: null, boolean, number (double), string, array, object.
 *
 * Reference-counted; not thread-safe. A value is built by its maker and is constant from then on: only arrays and
 * objects that nobody else holds yet are changed. Strings are UTF-8 with a length and may contain NUL bytes. Objects
 * keep insertion order; keys are looked up without regard to case (as GitHub does), the first spelling of a key is
 * kept.
 *
 * Functions that return a `struct value *` return a borrowed reference unless they are named _ref or write to `ret`. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

struct err;
struct buf;
struct json_t;
struct value;

#define VALUE_MAX_DEPTH 100                 /* nesting of arrays and objects, from JSON and to JSON */
#define VALUE_MAX_STRING ((size_t)10 << 20) /* bytes of one string */
#define VALUE_MAX_JSON ((size_t)16 << 20)   /* bytes of a JSON text read or written */
#define VALUE_MAX_MEMORY ((size_t)64 << 20) /* bytes of the values of a JSON text */

enum value_kind { VALUE_NULL, VALUE_BOOL, VALUE_NUMBER, VALUE_STRING, VALUE_ARRAY, VALUE_OBJECT };

struct value *value_ref(struct value *v);   /* NULL in gives NULL out */
struct value *value_unref(struct value *v); /* always NULL */
CLEANUP_DEFINE(struct value, value_unref)

/* Makers. Null and booleans are static and never fail; the others write a new reference to *ret. */
struct value *value_null(void);
struct value *value_bool(bool b);
int value_number(double d, struct value **ret, struct err *e);
int value_string(const char *s, size_t len, struct value **ret, struct err *e);
int value_str(const char *s, struct value **ret, struct err *e); /* NULL gives an empty string */
int value_array(struct value **ret, struct err *e);
int value_object(struct value **ret, struct err *e);
/* Take a reference of v of their own. Setting an existing key replaces its value. */
int value_add(struct value *array, struct value *v, struct err *e);
int value_set(struct value *object, const char *key, struct value *v, struct err *e);
/* The same, but a key that differs in case from one that is there changes nothing. */
int value_set_spelled(struct value *object, const char *key, struct value *v, struct err *e);
/* A new object with the same members; NULL, or what is no object, gives an empty one. */
int value_copy(const struct value *object, struct value **ret, struct err *e);
/* Shorthands for building contexts. */
int value_set_str(struct value *object, const char *key, const char *s, struct err *e); /* NULL gives null */
int value_set_number(struct value *object, const char *key, double d, struct err *e);
int value_set_bool(struct value *object, const char *key, bool b, struct err *e);

/* Reading. */
enum value_kind value_kind(const struct value *v);
const char *value_kind_name(enum value_kind kind); /* "Null", "Boolean", "Number", "String", "Array", "Object" */
bool value_is_true(const struct value *v);         /* of a boolean value */
double value_double(const struct value *v);        /* of a number value */
const char *value_text(const struct value *v, size_t *len); /* of a string value; NUL-terminated; len may be NULL */
size_t value_count(const struct value *v);                  /* items of an array or object, else 0 */
struct value *value_at(const struct value *v, size_t i);    /* item i of an array or object; NULL past the end */
const char *value_key_at(const struct value *v, size_t i);  /* of an object */
struct value *value_get(const struct value *v, const char *key); /* NULL when absent, or when v is NULL or no object */
/* Text of a member that is a string, else NULL. */
const char *value_get_str(const struct value *v, const char *key);

/* An array that `.*` made: a further property access goes to each of its items. Set by its maker only. */
void value_set_filtered(struct value *array);
bool value_is_filtered(const struct value *v);

/* GitHub's coercions. */
bool value_truthy(const struct value *v);      /* false, null, 0, -0, NaN and '' are false */
double value_to_number(const struct value *v); /* as JavaScript's Number(): '' is 0, ' 0x1f ' is 31, 'x' is NaN */
/* Append the text form: '' for null, "Object", "Array", numbers with at most 15 significant digits. */
int value_to_text(const struct value *v, struct buf *ret, struct err *e);
/* The same as a malloc'd string; NULL when out of memory. A NUL inside cuts it. */
char *value_to_str(const struct value *v);
/* Comparisons: types coerced, text without regard to case; arrays and objects are equal only to themselves. */
bool value_equal(const struct value *a, const struct value *b);
bool value_greater(const struct value *a, const struct value *b);
bool value_less(const struct value *a, const struct value *b);
/* Same kind, same content, deep, case-sensitive in strings: for tests and for matrix include/exclude. */
bool value_same(const struct value *a, const struct value *b);
/* Text without regard to case, by Unicode simple upper-casing: <0, 0, >0. */
int value_text_compare(const char *a, size_t a_len, const char *b, size_t b_len);

/* JSON. Of keys that differ only in case the first counts. Errors of a text are ERR_USAGE, with line and column. */
int value_from_json(const struct json_t *json, struct value **ret, struct err *e);
/* budget: bytes of memory that the values may take, what they took is subtracted; NULL: VALUE_MAX_MEMORY. */
int value_parse_json(const char *text, size_t len, size_t *budget, struct value **ret, struct err *e);
/* One value at the start of the text, which must be UTF-8; *used is set behind it. */
int value_parse_json_part(const char *text, size_t len, size_t *budget, size_t *used, struct value **ret,
                          struct err *e);
int value_to_json(const struct value *v, struct json_t **ret, struct err *e); /* a new json_t reference */
/* JSON text as GitHub's toJSON writes it: NaN and infinities are null, -0 is 0. Pretty: two spaces of indent. ASCII:
 * for what may be a terminal, where U+0080 to U+009F and the marks that reorder text would act. */
enum { VALUE_WRITE_PRETTY = 1, VALUE_WRITE_ASCII = 2 };
int value_to_json_text(const struct value *v, unsigned flags, struct buf *ret, struct err *e);
