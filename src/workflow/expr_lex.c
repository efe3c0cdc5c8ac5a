/* Text to tokens, as GitHub's lexer cuts them: a name or number goes on up to a boundary character, and is judged as a
 * whole. */
#include <math.h>
#include <string.h>

#include "base/err.h"
#include "workflow/expr_priv.h"
#include "workflow/number.h"

struct lexer {
        const char *text;
        size_t len, at, start;
        struct arena *arena;
        struct tokens *out;
        struct expr_fault *fault;
        struct err *e;
};

/* Does a name or number end here? */
static bool at_boundary(const struct lexer *l)
{
        static const bool ends[256] = {
                ['('] = true, ['['] = true,  [')'] = true,  [']'] = true,  [','] = true,  ['.'] = true,
                ['!'] = true, ['>'] = true,  ['<'] = true,  ['='] = true,  ['&'] = true,  ['|'] = true,
                [' '] = true, ['\t'] = true, ['\n'] = true, ['\r'] = true, ['\v'] = true, ['\f'] = true,
        };
        if (l->at >= l->len)
                return true;
        unsigned char c = (unsigned char)l->text[l->at];
        return ends[c] || (c >= 0x80 && number_blank(l->text + l->at, l->len - l->at));
}

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static int add(struct lexer *l, enum token_kind kind, double number)
{
        int r = arena_grow(l->arena, &l->out->v, l->out->n, &l->out->cap, sizeof(*l->out->v), l->e);
        if (r < 0)
                return r;
        l->out->v[l->out->n++] = (struct token){
                .kind = kind, .offset = (uint32_t)l->start, .len = (uint32_t)(l->at - l->start), .number = number};
        return 0;
}

static int refuse(struct lexer *l)
{
        return expr_fail_at(EXPR_FAULT_LEXING, l->text, l->len, l->start, l->fault, l->e, "Unexpected symbol: '%.*s'",
                            (int)(l->at - l->start), l->text + l->start);
}

static enum token_kind previous(const struct lexer *l)
{
        return l->out->n ? l->out->v[l->out->n - 1].kind : TOKEN_END;
}

static bool match(struct lexer *l, char c)
{
        if (l->at >= l->len || l->text[l->at] != c)
                return false;
        l->at++;
        return true;
}

static int lex_number(struct lexer *l)
{
        while (l->at < l->len && (!at_boundary(l) || l->text[l->at] == '.'))
                l->at++;
        double d = number_parse(l->text + l->start, l->at - l->start);
        return isnan(d) ? refuse(l) : add(l, TOKEN_NUMBER, d);
}

static int lex_string(struct lexer *l)
{
        for (; l->at < l->len; l->at++) {
                if (l->text[l->at] != '\'')
                        continue;
                if (l->at + 1 >= l->len || l->text[l->at + 1] != '\'')
                        break;
                l->at++; /* '' is one quote */
        }
        if (l->at >= l->len)
                return refuse(l); /* no end */
        l->at++;
        return add(l, TOKEN_STRING, 0);
}

static bool is_name(const char *s, size_t len)
{
        for (size_t i = 0; i < len; i++) {
                bool letter = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || s[i] == '_';
                if (!letter && (i == 0 || (!is_digit(s[i]) && s[i] != '-')))
                        return false;
        }
        return len > 0;
}

static int lex_name(struct lexer *l)
{
        static const struct {
                const char *text;
                enum token_kind kind;
                double number;
        } words[] = {{"true", TOKEN_TRUE, 0},
                     {"false", TOKEN_FALSE, 0},
                     {"null", TOKEN_NULL, 0},
                     {"NaN", TOKEN_NUMBER, NAN},
                     {"Infinity", TOKEN_NUMBER, INFINITY}};

        while (!at_boundary(l))
                l->at++;
        size_t len = l->at - l->start;
        if (!is_name(l->text + l->start, len))
                return refuse(l);
        if (previous(l) != TOKEN_DOT)
                for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
                        if (strlen(words[i].text) == len && memcmp(words[i].text, l->text + l->start, len) == 0)
                                return add(l, words[i].kind, words[i].number);
        return add(l, TOKEN_NAME, 0);
}

static int lex_dot(struct lexer *l)
{
        switch (previous(l)) {
        case TOKEN_NAME:
        case TOKEN_RIGHT_BRACKET:
        case TOKEN_RIGHT_PAREN:
        case TOKEN_STAR:
                return add(l, TOKEN_DOT, 0);
        default:
                return lex_number(l); /* ".5" */
        }
}

static int lex_one(struct lexer *l)
{
        l->start = l->at;
        char c = l->text[l->at++];
        switch (c) {
        case '(':
                return add(l, TOKEN_LEFT_PAREN, 0);
        case ')':
                return add(l, TOKEN_RIGHT_PAREN, 0);
        case '[':
                return add(l, TOKEN_LEFT_BRACKET, 0);
        case ']':
                return add(l, TOKEN_RIGHT_BRACKET, 0);
        case ',':
                return add(l, TOKEN_COMMA, 0);
        case '*':
                return add(l, TOKEN_STAR, 0);
        case '.':
                return lex_dot(l);
        case '!':
                return add(l, match(l, '=') ? TOKEN_NOT_EQUAL : TOKEN_NOT, 0);
        case '<':
                return add(l, match(l, '=') ? TOKEN_LESS_EQUAL : TOKEN_LESS, 0);
        case '>':
                return add(l, match(l, '=') ? TOKEN_GREATER_EQUAL : TOKEN_GREATER, 0);
        case '=':
                return match(l, '=') ? add(l, TOKEN_EQUAL, 0) : lex_name(l);
        case '&':
                return match(l, '&') ? add(l, TOKEN_AND, 0) : lex_name(l);
        case '|':
                return match(l, '|') ? add(l, TOKEN_OR, 0) : lex_name(l);
        case ' ':
        case '\r':
        case '\t':
        case '\n':
                return 0;
        case '\'':
                return lex_string(l);
        case '-':
        case '+':
                return lex_number(l);
        default:
                return is_digit(c) ? lex_number(l) : lex_name(l);
        }
}

/* Length as GitHub counts it: UTF-16 units. */
static size_t utf16_length(const char *text, size_t len)
{
        size_t units = 0;
        for (size_t i = 0; i < len; i++) {
                unsigned char c = (unsigned char)text[i];
                units += (c & 0xc0) != 0x80;
                units += c >= 0xf0;
        }
        return units;
}

int expr_lex(const char *text, size_t len, struct arena *a, struct tokens *ret, struct expr_fault *fault, struct err *e)
{
        struct lexer l = {.text = text, .len = len, .arena = a, .out = ret, .fault = fault, .e = e};

        if (len > EXPR_MAX_LENGTH && utf16_length(text, len) > EXPR_MAX_LENGTH) {
                if (fault)
                        *fault = (struct expr_fault){.kind = EXPR_FAULT_LEXING, .offset = 0};
                return err_set(e, ERR_USAGE, "Exceeded max expression length %d", EXPR_MAX_LENGTH);
        }
        while (l.at < len) {
                int r = lex_one(&l);
                if (r < 0)
                        return r;
        }
        return add(&l, TOKEN_END, 0); /* placed where the last thing began, as GitHub places it */
}
