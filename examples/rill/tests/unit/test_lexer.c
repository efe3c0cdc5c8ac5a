#include "lexer.h"

#include "check.h"

static void words_have_types_and_columns(void)
{
        static const struct {
                enum token_type type;
                const char *text;
                size_t column;
        } expected[] = {
                {TOKEN_KEYWORD, "SELECT", 1}, {TOKEN_NAME, "a.b", 8},      {TOKEN_OPERATOR, "<=", 12},
                {TOKEN_NUMBER, "1.5e2", 15},  {TOKEN_TEXT, "it's", 21},    {TOKEN_NAME, "from", 29},
                {TOKEN_OPERATOR, "||", 36},   {TOKEN_OPERATOR, "<>", 38},
        };
        struct region r = {0};
        struct lexer l;

        lexer_init(&l, "select a.b <= 1.5e2 'it''s' \"from\" ||<>", &r);
        for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
                CHECK(l.token.type == expected[i].type);
                CHECK_TEXT(l.token.text, expected[i].text);
                CHECK(l.token.column == expected[i].column);
                lexer_next(&l);
        }
        CHECK(l.token.type == TOKEN_END);
        lexer_next(&l);
        CHECK(l.token.type == TOKEN_END);
        region_free(&r);
}

static void paths_need_no_quotes(void)
{
        struct region r = {0};
        struct lexer l;

        lexer_init(&l, "from ../data/my-file.csv where", &r);
        CHECK_TEXT(lexer_take_from(&l), "../data/my-file.csv");
        CHECK(lexer_is(&l, "WHERE"));
        lexer_init(&l, "from 'a file.csv' where", &r);
        CHECK_TEXT(lexer_take_from(&l), "a file.csv");
        CHECK(lexer_accept(&l, "WHERE"));
        region_free(&r);
}

int main(void)
{
        words_have_types_and_columns();
        paths_need_no_quotes();
        return check_end("lexer");
}
