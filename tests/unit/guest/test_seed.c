#include "test.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "guest/exec_child.h"
#include "guest/seed.h"

#include <string.h>

CLEANUP_DEFINE(struct fields, fields_free)

struct pair {
        const char *key, *value;
};

/* A field list; a pair with a NULL value is left out. */
static struct fields *list_of(const struct pair *pairs, size_t n)
{
        AUTO(buf_done) struct buf b = BUF_INIT;
        struct fields *list = NULL;
        size_t mark;
        assert_int_equal(fields_begin(&b, &mark, NULL), 0);
        for (size_t i = 0; i < n; i++)
                if (pairs[i].value)
                        assert_int_equal(fields_add_str(&b, pairs[i].key, pairs[i].value, NULL), 0);
        assert_int_equal(fields_end(&b, mark, NULL), 0);
        assert_int_equal(fields_parse(b.data, b.len, &list, NULL), 0);
        return list;
}

#define SEED_FIELDS 8

static void good(struct pair ret[SEED_FIELDS])
{
        const struct pair pairs[SEED_FIELDS] = {
                {"entropy", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},
                {"nonce", "0123456789abcdef"},
                {"time_ns", "1700000000000000001"},
                {"machine_id", "0123456789abcdef0123456789abcdef"},
                {"boot_id", "01234567-89ab-cdef-0123-456789abcdef"},
                {"hostname", "guest-1.example"},
                {"rootfs", "read-only"},
                {"pids", "300"},
        };
        memcpy(ret, pairs, sizeof(pairs));
}

static int parse_with(const char *key, const char *value, bool first, struct seed *ret, struct err *e)
{
        struct pair pairs[SEED_FIELDS];
        good(pairs);
        for (size_t i = 0; i < SEED_FIELDS; i++)
                if (key && strcmp(pairs[i].key, key) == 0)
                        pairs[i].value = value;
        AUTO(fields_freep) struct fields *list = list_of(pairs, SEED_FIELDS);
        return seed_parse(list, first, ret, e);
}

static void a_whole_seed_is_taken(void **state)
{
        struct seed s;
        struct err e = ERR_INIT;
        assert_int_equal(parse_with(NULL, NULL, true, &s, &e), 0);
        assert_true(s.read_only);
        assert_int_equal(s.pids, 300);
        assert_int_equal(parse_with("pids", NULL, true, &s, &e), 0);
        assert_int_equal(s.pids, 0);
        assert_int_equal(parse_with("pids", "16384", true, &s, &e), 0);
        assert_string_equal(s.hostname, "guest-1.example");
        assert_int_equal(s.time_ns, 1700000000000000001u);
        assert_memory_equal(s.nonce, "0123456789abcdef", GUEST_NONCE_SIZE);
        assert_int_equal(parse_with("rootfs", NULL, false, &s, &e), 0);
        assert_false(s.read_only);
        (void)state;
}

static void a_seed_with_anything_wrong_is_refused(void **state)
{
        static const struct pair wrong[] = {
                {"entropy", NULL},
                {"entropy", "short"},
                {"nonce", NULL},
                {"nonce", "0123456789abcdef0"},
                {"time_ns", NULL},
                {"time_ns", "-1"},
                {"time_ns", "4611686018427387905"},
                {"machine_id", "0123456789ABCDEF0123456789abcdef"},
                {"machine_id", "0123456789abcdef0123456789abcde"},
                {"boot_id", "0123456789abcdef0123456789abcdef0123"},
                {"boot_id", "01234567-89ab-cdef-0123-456789abcde"},
                {"hostname", ""},
                {"hostname", "a/b"},
                {"hostname", "-a"},
                {"hostname", ".a"},
                {"hostname", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
                {"rootfs", "tmpfs"},
                {"rootfs", ""},
                {"pids", "0"},
                {"pids", "16385"},
                {"pids", "many"},
        };
        for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
                struct seed s;
                struct err e = ERR_INIT;
                assert_int_equal(parse_with(wrong[i].key, wrong[i].value, true, &s, &e), -1);
                assert_non_null(strstr(e.msg, wrong[i].key));
        }
        (void)state;
}

static void only_the_first_seed_chooses_the_root(void **state)
{
        struct seed s;
        struct err e = ERR_INIT;
        assert_int_equal(parse_with("rootfs", "overlay", false, &s, &e), -1);
        (void)state;
}

static int parse_exec(const struct pair *pairs, size_t n, struct exec_request *ret, struct err *e)
{
        AUTO(fields_freep) struct fields *list = list_of(pairs, n);
        return exec_request_parse(list, false, ret, e);
}

static void an_exec_request_has_defaults(void **state)
{
        const struct pair pairs[] = {{"step", "s"}, {"arg", "sh"}, {"env", "A=1"}, {"arg", "-c"}, {"env", "B=2"}};
        AUTO(exec_request_done) struct exec_request q = {0};
        struct err e = ERR_INIT;
        assert_int_equal(parse_exec(pairs, 5, &q, &e), 0);
        assert_int_equal(q.argv.n, 2);
        assert_string_equal(q.argv.v[1], "-c");
        assert_string_equal(q.env.v[1], "B=2");
        assert_string_equal(q.user, "runner");
        assert_string_equal(q.cwd, "/");
        assert_false(q.has_stdin);
        assert_false(q.keep);
        (void)state;
}

static void an_exec_request_with_anything_wrong_is_refused(void **state)
{
        static const struct pair wrong[][2] = {
                {{"arg", "sh"}, {"step", NULL}},
                {{"arg", NULL}, {"step", "s"}},
                {{"arg", ""}, {"step", "s"}},
                {{"arg", "sh"}, {"step", "../agent"}},
        };
        static const struct pair more[] = {
                {"stdin", "yes"}, {"survivors", "some"}, {"rows", "0"}, {"columns", "65536"}};
        for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
                struct exec_request q;
                assert_int_equal(parse_exec(wrong[i], 2, &q, NULL), -1);
        }
        for (size_t i = 0; i < sizeof(more) / sizeof(*more); i++) {
                const struct pair pairs[] = {{"step", "s"}, {"arg", "sh"}, more[i]};
                struct exec_request q;
                assert_int_equal(parse_exec(pairs, 3, &q, NULL), -1);
        }
        (void)state;
}

static void as_many_arguments_as_the_limit_and_not_one_more(void **state)
{
        static struct pair pairs[EXEC_MAX_ARGS + 2];
        for (size_t i = 0; i < EXEC_MAX_ARGS + 2; i++)
                pairs[i] = (struct pair){"arg", "x"};
        pairs[0] = (struct pair){"step", "s"};
        for (size_t n = EXEC_MAX_ARGS; n <= EXEC_MAX_ARGS + 1; n++) {
                struct exec_request q = {0};
                int r = parse_exec(pairs, n + 1, &q, NULL);
                assert_int_equal(r, n == EXEC_MAX_ARGS ? 0 : -1);
                exec_request_done(&q);
        }
        (void)state;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_whole_seed_is_taken),
                cmocka_unit_test(a_seed_with_anything_wrong_is_refused),
                cmocka_unit_test(only_the_first_seed_chooses_the_root),
                cmocka_unit_test(an_exec_request_has_defaults),
                cmocka_unit_test(an_exec_request_with_anything_wrong_is_refused),
                cmocka_unit_test(as_many_arguments_as_the_limit_and_not_one_more),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
