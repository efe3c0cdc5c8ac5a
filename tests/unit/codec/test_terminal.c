#include "test.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "codec/terminal.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct row {
        const char *in, *out, *plain; /* plain: without colours; NULL: as out */
} rows[] = {
        {"text\tand\nlines\n", "text\tand\nlines\n", NULL},
        {"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", NULL},
        {"\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m\x1b[0m", "red"},
        {"\x1b[m\x1b[38;5;8m\x1b[48;2;8;8;8mx", "\x1b[m\x1b[38;5;8m\x1b[48;2;8;8;8mx\x1b[0m", "x"},
        {"\x1b[8mhidden", "\\x1b[8mhidden", NULL},
        {"\x1b[1;8mhidden", "\\x1b[1;8mhidden", NULL},
        {"\x1b[38;5;1;8mhidden", "\\x1b[38;5;1;8mhidden", NULL},
        {"\x1b[008mhidden", "\\x1b[008mhidden", NULL},
        {"\x1b[2J\x1b[1;1H\x1b[A", "\\x1b[2J\\x1b[1;1H\\x1b[A", NULL},
        {"\x1b[?25l\x1b[>c\x1b[ q", "\\x1b[?25l\\x1b[>c\\x1b[ q", NULL},
        {"\x1b]52;c;cm0=\x07", "\\x1b]52;c;cm0=\\x07", NULL},
        {"\x1b]0;title\x1b\\", "\\x1b]0;title\\x1b\\", NULL},
        {"\x1bP$q\x1b\\\x1b_x\x1b^x\x1bXx", "\\x1bP$q\\x1b\\\\x1b_x\\x1b^x\\x1bXx", NULL},
        {"\x1b"
         "c\x1b(0\x1b#8",
         "\\x1b"
         "c\\x1b(0\\x1b#8",
         NULL},
        {"\x1b\x1b[31mx", "\\x1b\x1b[31mx\x1b[0m", "\\x1bx"},
        {"\x1b[31\nm", "\\x1b[31\nm", NULL},
        {"\x9b"
         "31m\x9d"
         "0;x",
         "\\x9b31m\\x9d0;x", NULL},
        {"\xc2\x9b"
         "31m\xc2\x9d",
         "\\x9b31m\\x9d", NULL},
        {"\b\a\v\f\x0e\x0f\x7f", "\\x08\\x07\\x0b\\x0c\\x0e\\x0f\\x7f", NULL},
        {"\xe2\x80\xae\xe2\x80\xaa\xe2\x81\xa6\xe2\x81\xa9\xe2\x80\x8e\xe2\x80\x8f\xd8\x9c",
         "\\u{202e}\\u{202a}\\u{2066}\\u{2069}\\u{200e}\\u{200f}\\u{61c}", NULL},
        {"one\r\ntwo\r\r\n", "one\ntwo\n", NULL},
        {"real\rfake", "real\\rfake", NULL},
        {"end\r", "end\\r", NULL},
        {"cut \xe2\x82", "cut \\xe2\\x82", NULL},
        {"bad \xff\xc0\xaf\xed\xa0\x80.", "bad \\xff\\xc0\\xaf\\xed\\xa0\\x80.", NULL},
        {"\xe2\x82x\xc3\xa9", "\\xe2\\x82x\xc3\xa9", NULL},
        {"cut \x1b[3", "cut \\x1b[3", NULL},
        {"cut \x1b", "cut \\x1b", NULL},
};

static void expect(const struct row *row, bool no_color, size_t step)
{
        AUTO(buf_done) struct buf b = BUF_INIT;
        struct terminal t;
        size_t len = strlen(row->in);
        terminal_init(&t, no_color);
        for (size_t i = 0; i < len; i += step)
                assert_int_equal(terminal_filter(&t, row->in + i, len - i < step ? len - i : step, &b, NULL), 0);
        assert_int_equal(terminal_flush(&t, &b, NULL), 0);
        assert_string_equal(buf_cstr(&b), no_color && row->plain ? row->plain : row->out);
}

static void only_text_and_colours_pass_however_it_is_cut(void **state)
{
        (void)state;
        for (size_t i = 0; i < COUNT(rows); i++)
                for (size_t step = 1; step < 8; step++) {
                        expect(&rows[i], false, step);
                        expect(&rows[i], true, step);
                }
}

static void overlong_colour_sequence_is_shown(void **state)
{
        (void)state;
        AUTO(buf_done) struct buf b = BUF_INIT;
        struct terminal t;
        char text[TERMINAL_MAX_SGR + 2] = "\x1b[";
        /* One byte below the limit, with the "m", it is a colour; with one digit more it is not. */
        memset(text + 2, '1', TERMINAL_MAX_SGR - 3);
        text[TERMINAL_MAX_SGR - 2] = 'm';
        text[TERMINAL_MAX_SGR - 1] = 0;
        terminal_init(&t, false);
        assert_int_equal(terminal_filter(&t, text, strlen(text), &b, NULL), 0);
        assert_string_equal(buf_cstr(&b), text);
        buf_clear(&b);
        memset(text + 2, '1', TERMINAL_MAX_SGR - 1);
        text[TERMINAL_MAX_SGR] = 'm';
        terminal_init(&t, false);
        assert_int_equal(terminal_filter(&t, text, TERMINAL_MAX_SGR + 1, &b, NULL), 0);
        assert_contains(buf_cstr(&b), "\\x1b[111");
}

static void colours_end_with_the_text(void **state)
{
        (void)state;
        AUTO(buf_done) struct buf b = BUF_INIT;
        struct terminal t;
        terminal_init(&t, false);
        assert_int_equal(terminal_filter(&t, "\x1b[31mx", 6, &b, NULL), 0);
        assert_int_equal(terminal_flush(&t, &b, NULL), 0);
        assert_int_equal(terminal_filter(&t, "y", 1, &b, NULL), 0);
        assert_int_equal(terminal_flush(&t, &b, NULL), 0);
        assert_string_equal(buf_cstr(&b), "\x1b[31mx\x1b[0my");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(only_text_and_colours_pass_however_it_is_cut),
                cmocka_unit_test(overlong_colour_sequence_is_shown),
                cmocka_unit_test(colours_end_with_the_text),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
