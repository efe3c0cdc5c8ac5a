#include "lexer.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const keywords[] = {
        "SELECT", "FROM", "WHERE", "GROUP", "BY",   "HAVING", "ORDER", "ASC",  "DESC", "LIMIT", "OFFSET", "AS",
        "AND",    "OR",   "NOT",   "LIKE",  "IN",   "IS",     "NULL",  "TRUE", "FALSE", "BETWEEN", "DISTINCT",
        "CASE",   "WHEN", "THEN",  "ELSE",  "END",
};

static const char *const operators[] = {"<=", ">=", "<>", "!=", "||", "=", "<", ">", "+", "-", "*", "/", "%", "(", ")", ","};

static bool is_name_start(char c)
{
        return isalpha((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_name_char(char c)
{
        return is_name_start(c) || isdigit((unsigned char)c) || c == '.';
}

static const char *find_keyword(const char *word, size_t len)
{
        for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
                if (strlen(keywords[i]) == len && strncasecmp(keywords[i], word, len) == 0)
                        return keywords[i];
        return NULL;
}

static void lex_word(struct lexer *l)
{
        size_t start = l->pos;

        while (is_name_char(l->query[l->pos]))
                l->pos++;
        const char *keyword = find_keyword(l->query + start, l->pos - start);

        if (keyword) {
                l->token.type = TOKEN_KEYWORD;
                l->token.text = keyword;
                l->token.len = strlen(keyword);
                return;
        }
        l->token.type = TOKEN_NAME;
        l->token.len = l->pos - start;
        l->token.text = region_copy(l->region, l->query + start, l->token.len);
}

static void lex_number(struct lexer *l)
{
        char *end = NULL;

        l->token.type = TOKEN_NUMBER;
        l->token.number = strtod(l->query + l->pos, &end);
        l->token.len = (size_t)(end - (l->query + l->pos));
        l->token.text = region_copy(l->region, l->query + l->pos, l->token.len);
        l->pos += l->token.len;
        if (is_name_start(l->query[l->pos]))
                lexer_fail(l, "a number that ends before a letter");
}

/* Text in single quotes, or a name in double quotes; the quote is doubled to stand for itself. */
static void lex_quoted(struct lexer *l, char quote)
{
        struct text out = {0};

        l->pos++;
        for (;;) {
                char c = l->query[l->pos];

                if (c == '\0') {
                        text_free(&out);
                        lexer_fail(l, "a closing quote");
                }
                l->pos++;
                if (c == quote) {
                        if (l->query[l->pos] != quote)
                                break;
                        l->pos++;
                }
                text_add_char(&out, c);
        }
        l->token.type = quote == '"' ? TOKEN_NAME : TOKEN_TEXT;
        l->token.len = out.len;
        l->token.text = region_copy(l->region, out.data, out.len);
        text_free(&out);
}

static void lex_operator(struct lexer *l)
{
        for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
                size_t len = strlen(operators[i]);

                if (strncmp(l->query + l->pos, operators[i], len) == 0) {
                        l->token.type = TOKEN_OPERATOR;
                        l->token.text = operators[i];
                        l->token.len = len;
                        l->pos += len;
                        return;
                }
        }
        lexer_fail(l, "a word, a number, text or an operator");
}

void lexer_next(struct lexer *l)
{
        while (isspace((unsigned char)l->query[l->pos]))
                l->pos++;
        char c = l->query[l->pos];

        l->token = (struct token){.type = TOKEN_END, .text = "", .column = l->pos + 1};
        if (c == '\0')
                return;
        if (c == '\'' || c == '"')
                lex_quoted(l, c);
        else if (is_name_start(c))
                lex_word(l);
        else if (isdigit((unsigned char)c) || (c == '.' && isdigit((unsigned char)l->query[l->pos + 1])))
                lex_number(l);
        else
                lex_operator(l);
}

void lexer_init(struct lexer *l, const char *query, struct region *r)
{
        *l = (struct lexer){.query = query, .region = r};
        lexer_next(l);
}

int lexer_is(const struct lexer *l, const char *text)
{
        if (l->token.type != TOKEN_KEYWORD && l->token.type != TOKEN_OPERATOR)
                return 0;
        return strcmp(l->token.text, text) == 0;
}

int lexer_accept(struct lexer *l, const char *text)
{
        if (!lexer_is(l, text))
                return 0;
        lexer_next(l);
        return 1;
}

void lexer_expect(struct lexer *l, const char *text)
{
        if (!lexer_accept(l, text))
                lexer_fail(l, text);
}

const char *lexer_take_from(struct lexer *l)
{
        const char *path;

        if (!lexer_is(l, "FROM"))
                lexer_fail(l, "FROM");
        while (isspace((unsigned char)l->query[l->pos]))
                l->pos++;
        const char *start = l->query + l->pos;

        if (*start == '\'' || *start == '"') {
                lexer_next(l);
                path = l->token.text;
        } else {
                size_t len = strcspn(start, " \t\r\n");

                path = region_copy(l->region, start, len);
                l->token.column = l->pos + 1;
                l->pos += len;
        }
        if (*path == '\0')
                lexer_fail(l, "a file name");
        lexer_next(l);
        return path;
}

void lexer_fail(const struct lexer *l, const char *expected)
{
        fail("query:%zu: expected %s\n  %s\n  %*s^", l->token.column, expected, l->query, (int)l->token.column - 1, "");
}
