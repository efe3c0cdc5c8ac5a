/* Sizes and times: texts such as 2G and 30m. Only src/profile includes this. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "profile/fields.h"

#define MEASURE_TEXT_SIZE 32

/* Bytes or milliseconds of a text that fits RULE_SIZE or RULE_SPAN; it cannot overflow. */
uint64_t measure_read(enum field_kind kind, const char *text);
/* In the largest unit that leaves no rest. */
void measure_text(enum field_kind kind, uint64_t v, char ret[MEASURE_TEXT_SIZE]);
/* What a field is for, with the range of a size or a time; malloc'd, NULL: no memory. */
char *measure_about(const struct field *f);
