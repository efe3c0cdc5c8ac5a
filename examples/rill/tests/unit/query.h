/* Run a query over CSV text and give the result in a format, for the tests of everything above the parser. */
#pragma once

#include "csv.h"
#include "execute.h"
#include "output.h"

static inline void run_query(const char *csv, const char *query, enum output_format format, struct text *out)
{
        struct region region = {0};
        struct table table;
        struct result result;
        struct query *q = query_parse(query, &region);

        csv_parse("test.csv", csv, strlen(csv), ',', &region, &table);
        query_execute(q, &table, &region, &result);
        text_clear(out);
        output_write(&result, format, out);
        result_free(&result);
        table_free(&table);
        region_free(&region);
}
