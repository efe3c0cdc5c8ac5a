#include "test.h"

#include "base/err.h"
#include "secrets/values.h"

#include <stdlib.h>

static void values_have_places_of_their_own_and_go_with_their_bytes(void **state)
{
        static char area[64];
        struct values *v = NULL;
        size_t a, b, c, d;
        (void)state;
        assert_int_equal(values_new(area, sizeof(area), &v, NULL), 0);
        assert_int_equal(values_put(v, "first", 5, &a, NULL), 0);
        assert_int_equal(values_put(v, "", 0, &b, NULL), 0);
        assert_int_equal(values_put(v, "seventeen-letters", 17, &c, NULL), 0);
        assert_true(a != b && b != c);
        assert_memory_equal(area + a, "first", 5);
        assert_memory_equal(area + c, "seventeen-letters", 17);
        values_drop(v, a);
        for (size_t i = 0; i < 16; i++)
                assert_int_equal(area[a + i], 0);
        assert_memory_equal(area + c, "seventeen-letters", 17);
        assert_int_equal(values_put(v, "again", 5, &d, NULL), 0);
        assert_int_equal(d, a);
        values_free(v);
        for (size_t i = 0; i < sizeof(area); i++)
                assert_int_equal(area[i], 0);
}

static void what_does_not_fit_is_refused_and_changes_nothing(void **state)
{
        static char area[64], large[64];
        struct values *v = NULL;
        struct err e = ERR_INIT;
        size_t at;
        (void)state;
        memset(large, 'x', sizeof(large));
        assert_int_equal(values_new(area, sizeof(area), &v, NULL), 0);
        assert_int_equal(values_put(v, large, 64, &at, &e), -1);
        assert_contains(e.msg, "larger than");
        assert_int_equal(values_put(v, large, 63, &at, NULL), 0);
        assert_int_equal(values_put(v, "", 0, &at, NULL), -1);
        values_drop(v, 0);
        assert_int_equal(values_put(v, "", 0, &at, NULL), 0);
        values_free(v);
}

/* A thousand puts and drops in changing sizes, against a plain copy of what must be there. */
static void places_never_overlap(void **state)
{
        enum { N = 40, SIZE = 4096 };
        static char area[SIZE];
        struct {
                size_t at, len;
                char c;
        } live[N] = {0};
        struct values *v = NULL;
        unsigned seed = 1;
        (void)state;
        assert_int_equal(values_new(area, SIZE, &v, NULL), 0);
        for (unsigned round = 0; round < 1000; round++) {
                seed = seed * 1103515245u + 12345u;
                unsigned i = (seed >> 8) % N, len = (seed >> 16) % 200;
                char text[200];
                if (live[i].c) {
                        values_drop(v, live[i].at);
                        live[i].c = 0;
                        continue;
                }
                memset(text, (char)('a' + i % 26), sizeof(text));
                if (values_put(v, text, len, &live[i].at, NULL) < 0)
                        continue;
                live[i].len = len;
                live[i].c = (char)('a' + i % 26);
                for (unsigned k = 0; k < N; k++)
                        for (size_t n = 0; live[k].c && n < live[k].len; n++)
                                assert_int_equal(area[live[k].at + n], live[k].c);
        }
        values_free(v);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(values_have_places_of_their_own_and_go_with_their_bytes),
                cmocka_unit_test(what_does_not_fit_is_refused_and_changes_nothing),
                cmocka_unit_test(places_never_overlap),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
