/* rill: ask questions of CSV files in SQL. */
#include <stdio.h>
#include <string.h>

#include "csv.h"
#include "execute.h"
#include "output.h"

#ifndef RILL_VERSION
#define RILL_VERSION "unversioned"
#endif

static void usage(FILE *to)
{
        fputs("usage: rill [-f table|csv|json] [-d SEPARATOR] QUERY\n"
              "       rill \"SELECT name, sum(amount) FROM sales.csv GROUP BY name ORDER BY 2 DESC LIMIT 5\"\n"
              "       rill \"SELECT * FROM -\" < data.csv\n",
              to);
}

int main(int argc, char **argv)
{
        enum output_format format = OUTPUT_TABLE;
        char separator = ',';
        int i = 1;

        for (; i < argc && argv[i][0] == '-'; i++) {
                if (strcmp(argv[i], "--help") == 0) {
                        usage(stdout);
                        return 0;
                } else if (strcmp(argv[i], "--version") == 0) {
                        puts("rill " RILL_VERSION);
                        return 0;
                } else if (strcmp(argv[i], "-f") == 0 && i + 1 < argc) {
                        format = output_format_parse(argv[++i]);
                } else if (strcmp(argv[i], "-d") == 0 && i + 1 < argc && strlen(argv[i + 1]) == 1) {
                        separator = argv[++i][0];
                } else {
                        usage(stderr);
                        return 2;
                }
        }
        if (i + 1 != argc) {
                usage(stderr);
                return 2;
        }
        struct region region = {0};
        struct query *q = query_parse(argv[i], &region);
        struct table table;
        struct result result;
        struct text out = {0};

        csv_load(q->from, separator, &region, &table);
        query_execute(q, &table, &region, &result);
        output_write(&result, format, &out);
        size_t written = out.len ? fwrite(out.data, 1, out.len, stdout) : 0;
        int status = written == out.len && fflush(stdout) == 0 ? 0 : 1;

        if (status != 0)
                perror("rill: standard output");
        text_free(&out);
        result_free(&result);
        table_free(&table);
        region_free(&region);
        return status;
}
