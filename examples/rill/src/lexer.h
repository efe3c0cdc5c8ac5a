/* Words of a query: names, numbers, 'text', "quoted names" and operators. */
#pragma once

#include <stddef.h>

#include "text.h"

enum token_type {
        TOKEN_END,
        TOKEN_NAME,    /* a word that is no keyword, or "quoted" */
        TOKEN_KEYWORD, /* see lexer.c; text is in capitals */
        TOKEN_NUMBER,
        TOKEN_TEXT,
        TOKEN_OPERATOR,
};

struct token {
        enum token_type type;
        const char *text; /* NUL-terminated, in the region */
        size_t len;
        double number;
        size_t column; /* from 1, in bytes of the query */
};

struct lexer {
        const char *query;
        size_t pos;
        struct region *region;
        struct token token; /* the current one */
};

void lexer_init(struct lexer *l, const char *query, struct region *r);
void lexer_next(struct lexer *l);
/* Is the current token this keyword or operator? */
int lexer_is(const struct lexer *l, const char *text);
/* The same, and step over it when it is. */
int lexer_accept(struct lexer *l, const char *text);
/* Step over it, or fail and show where. */
void lexer_expect(struct lexer *l, const char *text);
/* Step over FROM and the file name behind it: 'quoted', or everything up to the next blank. */
const char *lexer_take_from(struct lexer *l);
/* Fail with the query and a caret under the current token. */
void lexer_fail(const struct lexer *l, const char *expected) __attribute__((noreturn));
