#include "value.h"

#include "check.h"

static struct value cell(const char *s)
{
        return value_from_cell(s, strlen(s));
}

static void cells_become_what_they_look_like(void)
{
        static const char *const numbers[] = {"0", "-1", "+2.5", ".5", "3.", "1e3", "-1.5E-7"};
        static const char *const texts[] = {"-", "1e", "0x10", "inf", "nan", "1 ", "1,5", "e5", "."};

        CHECK(cell("").type == VALUE_NULL);
        for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
                CHECK(cell(numbers[i]).type == VALUE_NUMBER);
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                CHECK(cell(texts[i]).type == VALUE_TEXT);
}

static void values_sort_by_type_then_content(void)
{
        struct value order[] = {value_null(), value_bool(false), value_bool(true), value_number(-1), value_number(2),
                                value_text("a", 1), value_text("ab", 2), value_text("b", 1)};
        size_t n = sizeof(order) / sizeof(order[0]);

        for (size_t i = 0; i < n; i++)
                for (size_t j = 0; j < n; j++) {
                        int c = value_compare(&order[i], &order[j]);

                        CHECK((c < 0) == (i < j) && (c == 0) == (i == j));
                }
}

static void numbers_print_without_noise(void)
{
        struct text t = {0};
        struct value v = value_number(3);

        value_print(&v, &t);
        CHECK_TEXT(t.data, "3");
        text_clear(&t);
        v = value_number(0.1 + 0.2);
        value_print(&v, &t);
        CHECK_TEXT(t.data, "0.3");
        text_free(&t);
}

static void like_knows_its_two_signs(void)
{
        CHECK(value_like("hello", "hello"));
        CHECK(value_like("Hello", "hELLO"));
        CHECK(value_like("hello", "h%"));
        CHECK(value_like("hello", "%l%o"));
        CHECK(value_like("hello", "_ell_"));
        CHECK(value_like("", "%"));
        CHECK(!value_like("hello", "h"));
        CHECK(!value_like("", "_"));
        CHECK(value_like("aaaaaaaaaaaaaaaaaaaaaaaab", "%a%a%a%b"));
        CHECK(!value_like("aaaaaaaaaaaaaaaaaaaaaaaaa", "%a%a%a%b"));
}

int main(void)
{
        cells_become_what_they_look_like();
        values_sort_by_type_then_content();
        numbers_print_without_noise();
        like_knows_its_two_signs();
        return check_end("value");
}
