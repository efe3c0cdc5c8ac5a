/* A value of a cell or of an expression: nothing, a truth, a number, or text. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "text.h"

enum value_type { VALUE_NULL, VALUE_BOOL, VALUE_NUMBER, VALUE_TEXT };

struct value {
        enum value_type type;
        bool truth;
        double number;
        const char *text; /* owned by a region; NUL-terminated */
        size_t len;
};

struct value value_null(void);
struct value value_bool(bool truth);
struct value value_number(double number);
struct value value_text(const char *text, size_t len);
/* What a CSV cell means: empty is nothing, a whole number or decimal is a number, the rest is text. */
struct value value_from_cell(const char *text, size_t len);

bool value_is_true(const struct value *v);
/* The number in v, also when it is text that reads as one; false when there is none. */
bool value_to_number(const struct value *v, double *ret);
/* Nothing sorts first, then truths, numbers, text (by bytes). */
int value_compare(const struct value *a, const struct value *b);
bool value_equal(const struct value *a, const struct value *b);
void value_print(const struct value *v, struct text *out);
const char *value_type_name(enum value_type type);
/* SQL's LIKE: % any run, _ one character, case folded for ASCII. */
bool value_like(const char *text, const char *pattern);
