/* A parsed query. All of it lives in the query's region. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "value.h"

enum expr_type {
        EXPR_LITERAL,
        EXPR_COLUMN,
        EXPR_UNARY,     /* NOT, - */
        EXPR_BINARY,    /* arithmetic, comparison, AND, OR, || */
        EXPR_CALL,      /* scalar function */
        EXPR_AGGREGATE, /* count sum avg min max */
        EXPR_IN,        /* args[0] IN (args[1..]) */
        EXPR_LIKE,
        EXPR_IS_NULL,
        EXPR_CASE, /* args: when, then, ..., [else] */
};

struct expr {
        enum expr_type type;
        size_t column;     /* where in the query it begins */
        const char *name;  /* operator, function or column name */
        struct value literal;
        struct expr **args;
        size_t n_args;
        bool negated;      /* NOT IN, NOT LIKE, IS NOT NULL */
        bool distinct;     /* count(DISTINCT x) */
        int slot;          /* bound column index, or the aggregate's number */
};

struct select_item {
        struct expr *expr;
        const char *name; /* the output column's name */
};

struct order_item {
        struct expr *expr;
        bool descending;
};

struct query {
        struct select_item *items;
        size_t n_items;
        bool all; /* SELECT * */
        bool distinct;
        const char *from;
        struct expr *where;
        struct expr **group;
        size_t n_group;
        struct expr *having;
        struct order_item *order;
        size_t n_order;
        size_t limit; /* (size_t)-1: none */
        size_t offset;
        struct expr **aggregates; /* every EXPR_AGGREGATE, numbered by slot */
        size_t n_aggregates;
};

/* Parse a query; an error ends the program with the place. */
struct query *query_parse(const char *text, struct region *r);
