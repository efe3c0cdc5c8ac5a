/* Run a parsed query over a table: filter, group, sort, cut. */
#pragma once

#include "ast.h"
#include "csv.h"

/* A finished result; all of it lives in the region except the row list. */
struct result {
        const char **columns;
        size_t n_columns;
        struct value **rows;
        size_t n_rows;
};

void query_execute(struct query *q, const struct table *t, struct region *r, struct result *ret);
void result_free(struct result *r);
