/* A result as a table for people, as CSV, or as JSON. */
#pragma once

#include "execute.h"

enum output_format { OUTPUT_TABLE, OUTPUT_CSV, OUTPUT_JSON };

/* "table", "csv" or "json"; ends the program on another name. */
enum output_format output_format_parse(const char *name);
void output_write(const struct result *r, enum output_format format, struct text *out);
