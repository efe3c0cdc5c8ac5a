#include "csv.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_COLUMNS 4096

struct reader {
        const char *name;
        const char *data;
        size_t len;
        size_t pos;
        size_t line;
        char separator;
        struct region *region;
        struct text field;
};

/* Line ends are LF or CRLF; a lone CR belongs to the field. */
static bool at_line_end(const struct reader *in)
{
        if (in->pos >= in->len)
                return true;
        if (in->data[in->pos] == '\n')
                return true;
        return in->data[in->pos] == '\r' && in->pos + 1 < in->len && in->data[in->pos + 1] == '\n';
}

static void skip_line_end(struct reader *in)
{
        if (in->pos < in->len && in->data[in->pos] == '\r')
                in->pos++;
        if (in->pos < in->len && in->data[in->pos] == '\n')
                in->pos++;
        in->line++;
}

static void read_quoted(struct reader *in)
{
        size_t start = in->line;

        in->pos++;
        for (;;) {
                if (in->pos >= in->len)
                        fail("%s:%zu: the quote that begins here never ends", in->name, start);
                char c = in->data[in->pos++];

                if (c == '"') {
                        if (in->pos < in->len && in->data[in->pos] == '"') {
                                text_add_char(&in->field, '"');
                                in->pos++;
                                continue;
                        }
                        break;
                }
                if (c == '\n')
                        in->line++;
                text_add_char(&in->field, c);
        }
        if (!at_line_end(in) && in->data[in->pos] != in->separator)
                fail("%s:%zu: text after a closing quote", in->name, in->line);
}

static void read_plain(struct reader *in)
{
        size_t start = in->pos;

        while (!at_line_end(in) && in->data[in->pos] != in->separator) {
                if (in->data[in->pos] == '"')
                        fail("%s:%zu: a quote inside a field that does not begin with one", in->name, in->line);
                in->pos++;
        }
        text_add(&in->field, in->data + start, in->pos - start);
}

/* One field into in->field; returns true when another one follows on this line. */
static bool read_field(struct reader *in, bool *quoted)
{
        text_clear(&in->field);
        *quoted = in->pos < in->len && in->data[in->pos] == '"';
        if (*quoted)
                read_quoted(in);
        else
                read_plain(in);
        if (in->pos < in->len && in->data[in->pos] == in->separator) {
                in->pos++;
                return true;
        }
        skip_line_end(in);
        return false;
}

static void read_header(struct reader *in, struct table *t)
{
        char **columns = region_alloc(in->region, MAX_COLUMNS * sizeof(*columns));
        bool more = true, quoted;

        while (more) {
                if (t->n_columns == MAX_COLUMNS)
                        fail("%s:1: more than %d columns", in->name, MAX_COLUMNS);
                more = read_field(in, &quoted);
                const char *name = in->field.data ? in->field.data : "";

                for (size_t i = 0; i < t->n_columns; i++)
                        if (strcasecmp(columns[i], name) == 0)
                                fail("%s:1: the column '%s' stands there twice", in->name, name);
                columns[t->n_columns++] = region_copy(in->region, name, in->field.len);
        }
        t->columns = columns;
}

static void add_row(struct table *t, struct value *row)
{
        if (t->n_rows == t->cap_rows) {
                size_t cap = t->cap_rows ? t->cap_rows * 2 : 64;
                struct value **rows = realloc(t->rows, cap * sizeof(struct value *));

                if (!rows)
                        fail("out of memory");
                t->rows = rows;
                t->cap_rows = cap;
        }
        t->rows[t->n_rows++] = row;
}

static void read_row(struct reader *in, struct table *t)
{
        struct value *row = region_alloc(in->region, t->n_columns * sizeof(*row));
        size_t line = in->line, n = 0;
        bool more = true, quoted;

        while (more) {
                more = read_field(in, &quoted);
                if (n == t->n_columns)
                        fail("%s:%zu: more fields than the header has columns (%zu)", in->name, line, t->n_columns);
                const char *copy = region_copy(in->region, in->field.data, in->field.len);

                row[n++] = quoted ? value_text(copy, in->field.len) : value_from_cell(copy, in->field.len);
        }
        add_row(t, row);
}

void csv_parse(const char *name, const char *data, size_t len, char separator, struct region *r, struct table *ret)
{
        struct reader in = {.name = name, .data = data, .len = len, .line = 1, .separator = separator, .region = r};

        *ret = (struct table){0};
        if (len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0)
                in.pos = 3;
        if (in.pos >= len)
                fail("%s: no header line", name);
        read_header(&in, ret);
        while (in.pos < in.len) {
                if (at_line_end(&in))
                        skip_line_end(&in);
                else
                        read_row(&in, ret);
        }
        text_free(&in.field);
}

void csv_load(const char *path, char separator, struct region *r, struct table *ret)
{
        bool standard_input = strcmp(path, "-") == 0;
        FILE *f = standard_input ? stdin : fopen(path, "rb");
        struct text all = {0};
        char block[65536];
        size_t n;

        if (!f)
                fail("%s: %s", path, strerror(errno));
        while ((n = fread(block, 1, sizeof(block), f)) > 0)
                text_add(&all, block, n);
        if (ferror(f))
                fail("%s: %s", path, strerror(errno));
        if (!standard_input)
                fclose(f);
        csv_parse(path, all.data ? all.data : "", all.len, separator, r, ret);
        text_free(&all);
}

int table_column(const struct table *t, const char *name)
{
        for (size_t i = 0; i < t->n_columns; i++)
                if (strcasecmp(t->columns[i], name) == 0)
                        return (int)i;
        return -1;
}

void table_free(struct table *t)
{
        free(t->rows);
        *t = (struct table){0};
}

void csv_write_field(struct text *out, const char *field, size_t len, char separator)
{
        bool quote = false;

        for (size_t i = 0; i < len && !quote; i++)
                quote = field[i] == '"' || field[i] == '\n' || field[i] == '\r' || field[i] == separator;
        if (!quote) {
                text_add(out, field, len);
                return;
        }
        text_add_char(out, '"');
        for (size_t i = 0; i < len; i++) {
                if (field[i] == '"')
                        text_add_char(out, '"');
                text_add_char(out, field[i]);
        }
        text_add_char(out, '"');
}
