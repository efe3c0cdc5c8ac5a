/* Expressions over one row, and aggregates over many. */
#pragma once

#include "ast.h"
#include "csv.h"

/* What an expression can see: a row of the table (NULL: none), and the finished aggregates of its group (NULL: none). */
struct scope {
        const struct table *table;
        const struct value *row;
        const struct value *aggregates;
        struct region *region;
};

/* Resolve column names to indexes; an unknown one ends the program with the nearest known name. */
void expr_bind(struct expr *e, const struct table *t);
bool expr_has_aggregate(const struct expr *e);
struct value expr_eval(const struct expr *e, const struct scope *s);

/* One running aggregate. */
struct aggregate {
        size_t count;
        double sum;
        struct value least, greatest;
        struct value *seen; /* sorted, only for DISTINCT */
        size_t n_seen, cap_seen;
};

void aggregate_add(struct aggregate *a, const struct expr *e, const struct value *v);
struct value aggregate_result(const struct aggregate *a, const struct expr *e);
void aggregate_free(struct aggregate *a);
