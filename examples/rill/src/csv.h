/* Comma-separated values as RFC 4180 has them: quoted fields, doubled quotes, line ends inside quotes, CRLF or LF. */
#pragma once

#include <stddef.h>
#include <stdio.h>

#include "text.h"
#include "value.h"

struct table {
        char **columns;
        size_t n_columns;
        struct value **rows; /* rows[i] has n_columns values; short lines are filled with nothing */
        size_t n_rows;
        size_t cap_rows;
};

/* The whole of `data` (which must outlive the table) with a header line. A longer line than the header, a quote in the
 * middle of a field and a quote that never ends are errors that name the line. */
void csv_parse(const char *name, const char *data, size_t len, char separator, struct region *r, struct table *ret);
/* Read a file ("-" is standard input) and parse it. */
void csv_load(const char *path, char separator, struct region *r, struct table *ret);
/* The index of a column, or -1; ASCII case folded. */
int table_column(const struct table *t, const char *name);
void table_free(struct table *t);
/* Write one field, quoted when it needs to be. */
void csv_write_field(struct text *out, const char *field, size_t len, char separator);
