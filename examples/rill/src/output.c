#include "output.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum output_format output_format_parse(const char *name)
{
        static const char *const names[] = {"table", "csv", "json"};

        for (int i = 0; i < 3; i++)
                if (strcmp(names[i], name) == 0)
                        return (enum output_format)i;
        fail("unknown format '%s'; known are table, csv and json", name);
}

static void pad(struct text *out, char c, size_t n)
{
        while (n-- > 0)
                text_add_char(out, c);
}

static size_t cell_width(const struct value *v, struct text *scratch)
{
        text_clear(scratch);
        value_print(v, scratch);
        return scratch->data ? text_width(scratch->data, scratch->len) : 0;
}

static size_t *column_widths(const struct result *r, struct text *scratch)
{
        size_t *widths = calloc(r->n_columns ? r->n_columns : 1, sizeof(*widths));

        if (!widths)
                fail("out of memory");
        for (size_t c = 0; c < r->n_columns; c++) {
                widths[c] = text_width(r->columns[c], strlen(r->columns[c]));
                for (size_t i = 0; i < r->n_rows; i++) {
                        size_t w = cell_width(&r->rows[i][c], scratch);

                        if (w > widths[c])
                                widths[c] = w;
                }
        }
        return widths;
}

/* Numbers stand to the right, everything else to the left; no blanks at the end of a line. */
static void write_row(const struct result *r, const struct value *row, const size_t *widths, struct text *scratch,
                      struct text *out)
{
        for (size_t c = 0; c < r->n_columns; c++) {
                size_t blank = widths[c] - cell_width(&row[c], scratch);

                if (c > 0)
                        text_add(out, "  ", 2);
                if (row[c].type == VALUE_NUMBER)
                        pad(out, ' ', blank);
                text_add(out, scratch->data ? scratch->data : "", scratch->len);
                if (row[c].type != VALUE_NUMBER && c + 1 < r->n_columns)
                        pad(out, ' ', blank);
        }
        text_add_char(out, '\n');
}

static void write_table(const struct result *r, struct text *out)
{
        struct text scratch = {0};
        size_t *widths = column_widths(r, &scratch);

        for (size_t c = 0; c < r->n_columns; c++) {
                size_t len = strlen(r->columns[c]);

                text_add(out, r->columns[c], len);
                if (c + 1 < r->n_columns)
                        pad(out, ' ', widths[c] - text_width(r->columns[c], len) + 2);
        }
        text_add_char(out, '\n');
        for (size_t c = 0; c < r->n_columns; c++) {
                pad(out, '-', widths[c]);
                if (c + 1 < r->n_columns)
                        text_add(out, "  ", 2);
        }
        text_add_char(out, '\n');
        for (size_t i = 0; i < r->n_rows; i++)
                write_row(r, r->rows[i], widths, &scratch, out);
        free(widths);
        text_free(&scratch);
}

static void write_csv(const struct result *r, struct text *out)
{
        struct text cell = {0};

        for (size_t c = 0; c < r->n_columns; c++) {
                if (c > 0)
                        text_add_char(out, ',');
                csv_write_field(out, r->columns[c], strlen(r->columns[c]), ',');
        }
        text_add_char(out, '\n');
        for (size_t i = 0; i < r->n_rows; i++) {
                for (size_t c = 0; c < r->n_columns; c++) {
                        text_clear(&cell);
                        value_print(&r->rows[i][c], &cell);
                        if (c > 0)
                                text_add_char(out, ',');
                        csv_write_field(out, cell.data ? cell.data : "", cell.len, ',');
                }
                text_add_char(out, '\n');
        }
        text_free(&cell);
}

static void write_json_text(const char *s, size_t len, struct text *out)
{
        text_add_char(out, '"');
        for (size_t i = 0; i < len; i++) {
                unsigned char c = (unsigned char)s[i];

                if (c == '"' || c == '\\')
                        text_printf(out, "\\%c", c);
                else if (c < 0x20)
                        text_printf(out, "\\u%04x", c);
                else
                        text_add_char(out, (char)c);
        }
        text_add_char(out, '"');
}

static void write_json_value(const struct value *v, struct text *out)
{
        if (v->type == VALUE_TEXT)
                write_json_text(v->text, v->len, out);
        else if (v->type == VALUE_NULL || (v->type == VALUE_NUMBER && !isfinite(v->number)))
                text_add(out, "null", 4);
        else
                value_print(v, out);
}

static void write_json(const struct result *r, struct text *out)
{
        text_add_char(out, '[');
        for (size_t i = 0; i < r->n_rows; i++) {
                text_printf(out, "%s\n  {", i > 0 ? "," : "");
                for (size_t c = 0; c < r->n_columns; c++) {
                        if (c > 0)
                                text_add(out, ", ", 2);
                        write_json_text(r->columns[c], strlen(r->columns[c]), out);
                        text_add(out, ": ", 2);
                        write_json_value(&r->rows[i][c], out);
                }
                text_add_char(out, '}');
        }
        text_add(out, r->n_rows > 0 ? "\n]\n" : "]\n", r->n_rows > 0 ? 3 : 2);
}

void output_write(const struct result *r, enum output_format format, struct text *out)
{
        switch (format) {
        case OUTPUT_TABLE:
                write_table(r, out);
                break;
        case OUTPUT_CSV:
                write_csv(r, out);
                break;
        case OUTPUT_JSON:
                write_json(r, out);
                break;
        }
}
