#include "csv.h"

#include "check.h"

static void quoted_fields_keep_separators_quotes_and_lines(void)
{
        static const char data[] = "a,b\n\"x,y\",\"say \"\"hi\"\"\"\r\n\"two\nlines\",2\n";
        struct region r = {0};
        struct table t;

        csv_parse("t.csv", data, sizeof(data) - 1, ',', &r, &t);
        CHECK(t.n_columns == 2 && t.n_rows == 2);
        CHECK_TEXT(t.rows[0][0].text, "x,y");
        CHECK_TEXT(t.rows[0][1].text, "say \"hi\"");
        CHECK_TEXT(t.rows[1][0].text, "two\nlines");
        CHECK(t.rows[1][1].type == VALUE_NUMBER);
        table_free(&t);
        region_free(&r);
}

static void a_quoted_number_stays_text(void)
{
        static const char data[] = "a\n\"007\"\n007\n";
        struct region r = {0};
        struct table t;

        csv_parse("t.csv", data, sizeof(data) - 1, ',', &r, &t);
        CHECK(t.rows[0][0].type == VALUE_TEXT);
        CHECK(t.rows[1][0].type == VALUE_NUMBER);
        table_free(&t);
        region_free(&r);
}

static void short_lines_blank_lines_and_byte_order_marks_are_fine(void)
{
        static const char data[] = "\xef\xbb\xbfName,b\n\n1\n";
        struct region r = {0};
        struct table t;

        csv_parse("t.csv", data, sizeof(data) - 1, ',', &r, &t);
        CHECK(table_column(&t, "NAME") == 0);
        CHECK(table_column(&t, "c") == -1);
        CHECK(t.n_rows == 1 && t.rows[0][1].type == VALUE_NULL);
        table_free(&t);
        region_free(&r);
}

static void fields_are_quoted_only_when_needed(void)
{
        struct text out = {0};

        csv_write_field(&out, "plain", 5, ',');
        csv_write_field(&out, "a,b", 3, ',');
        csv_write_field(&out, "q\"", 2, ',');
        CHECK_TEXT(out.data, "plain\"a,b\"\"q\"\"\"");
        text_free(&out);
}

int main(void)
{
        quoted_fields_keep_separators_quotes_and_lines();
        a_quoted_number_stays_text();
        short_lines_blank_lines_and_byte_order_marks_are_fine();
        fields_are_quoted_only_when_needed();
        return check_end("csv");
}
