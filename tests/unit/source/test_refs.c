#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/num.h"
#include "source/limits.h"
#include "source/refs.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static struct refs *fresh(void)
{
        struct refs *r;
        assert_int_equal(refs_new(40, &r, NULL), 0);
        return r;
}

static int add(struct refs *r, const char *text, struct err *e)
{
        return refs_add_packed(r, text, strlen(text), e);
}

static void a_loose_ref_is_newer_than_a_packed_one(void **state)
{
        struct refs *r = fresh();
        (void)state;
        assert_int_equal(refs_set(r, "refs/heads/x", A, NULL), 0);
        assert_int_equal(
                add(r, "# pack-refs with: peeled fully-peeled sorted \n" B " refs/heads/x\n" B " refs/tags/t\n^" A "\n",
                    NULL),
                0);
        assert_string_equal(refs_get(r, "refs/heads/x"), A);
        assert_string_equal(refs_get(r, "refs/tags/t"), B);
        assert_int_equal(refs_count(r), 2);
        refs_free(r);
}

static void packed_refs_are_written_sorted(void **state)
{
        struct refs *r = fresh();
        struct buf out = BUF_INIT;
        (void)state;
        assert_int_equal(add(r, B " refs/tags/t\n" A " refs/heads/x", NULL), 0);
        assert_int_equal(refs_write_packed(r, &out, NULL), 0);
        assert_string_equal(buf_cstr(&out), "# pack-refs with: sorted \n" A " refs/heads/x\n" B " refs/tags/t\n");
        buf_done(&out);
        refs_free(r);
}

static void a_bad_line_is_named(void **state)
{
        static const char *const bad[] = {A "\n",
                                          A " HEAD\n",
                                          A " refs/heads/../x\n",
                                          "xyz refs/heads/x\n",
                                          A "a refs/heads/x\n",
                                          "^" A "a\n",
                                          A " refs/heads/x\tevil\n",
                                          "\n"};
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                struct refs *r = fresh();
                struct err e = ERR_INIT;
                char text[300];
                snprintf(text, sizeof(text), B " refs/heads/first\n%s", bad[i]);
                assert_true(add(r, text, &e) < 0);
                assert_int_equal(e.code, ERR_USAGE);
                assert_non_null(strstr(e.msg, "packed-refs, line 2"));
                refs_free(r);
        }
}

static void a_line_with_a_nul_or_too_long_is_refused(void **state)
{
        struct refs *r = fresh();
        struct err e = ERR_INIT;
        char text[SOURCE_MAX_REF_NAME + 200];
        (void)state;
        assert_true(refs_add_packed(r, A " refs/heads/x\0y\n", 57, &e) < 0);
        memset(text, 'a', sizeof(text));
        assert_true(refs_add_packed(r, text, sizeof(text), &e) < 0);
        refs_free(r);
}

static void replace_refs_are_left_out(void **state)
{
        struct refs *r = fresh();
        (void)state;
        assert_int_equal(add(r, A " refs/replace/" B "\n", NULL), 0);
        assert_int_equal(refs_count(r), 0);
        refs_free(r);
}

static void there_is_a_largest_number_of_refs(void **state)
{
        struct refs *r = fresh();
        struct err e = ERR_INIT;
        char name[64];
        (void)state;
        for (unsigned i = 0; i < SOURCE_MAX_REFS; i++) {
                snprintf(name, sizeof(name), "refs/heads/%u", i);
                assert_int_equal(refs_set(r, name, A, NULL), 0);
        }
        assert_int_equal(refs_set(r, "refs/heads/0", B, NULL), 0);
        assert_true(refs_set(r, "refs/heads/more", A, &e) < 0);
        assert_int_equal(e.code, ERR_RESOURCES);
        refs_free(r);
}

static void a_ref_file_says_an_id_or_a_name(void **state)
{
        char *id, *name;
        struct err e = ERR_INIT;
        (void)state;
        assert_int_equal(ref_file_parse(A "\n", 41, 40, "HEAD", &id, &name, &e), 0);
        assert_string_equal(id, A);
        assert_null(name);
        free(id);
        assert_int_equal(ref_file_parse("ref: refs/heads/x\n", 18, 40, "HEAD", &id, &name, &e), 0);
        assert_string_equal(name, "refs/heads/x");
        assert_null(id);
        free(name);
        assert_true(ref_file_parse("ref: ../x\n", 10, 40, "HEAD", &id, &name, &e) < 0);
        assert_true(ref_file_parse(A "\n", 41, 64, "HEAD", &id, &name, &e) < 0);
        assert_true(ref_file_parse("", 0, 40, "HEAD", &id, &name, &e) < 0);
        assert_null(id);
        assert_null(name);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_loose_ref_is_newer_than_a_packed_one),
                cmocka_unit_test(packed_refs_are_written_sorted),
                cmocka_unit_test(a_bad_line_is_named),
                cmocka_unit_test(a_line_with_a_nul_or_too_long_is_refused),
                cmocka_unit_test(replace_refs_are_left_out),
                cmocka_unit_test(there_is_a_largest_number_of_refs),
                cmocka_unit_test(a_ref_file_says_an_id_or_a_name),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
