#include "pair.h"

#include "base/buf.h"
#include "base/num.h"
#include "base/str.h"
#include "wire/guest.h"
#include "wire/pool.h"

static struct pool_request a_request(enum pool_verb verb)
{
        struct pool_request q = {.verb = verb};

        if (verb == POOL_CLAIM || verb == POOL_WARM) {
                str_copy(q.image, sizeof(q.image), "default@sha256:00ff");
                str_copy(q.accel, sizeof(q.accel), "tcg");
                q.class = (struct pool_class){2, 2ull << 30, 16ull << 30};
        }
        q.count = verb == POOL_WARM ? 3 : 0;
        q.slot = verb == POOL_STOP ? 7 : 0;
        return q;
}

static int through(const struct pool_request *q, struct pool_request *ret, struct err *e)
{
        struct buf b = BUF_INIT;
        struct fields *f = NULL;

        assert_int_equal(pool_request_write(q, &b, NULL), 0);
        assert_true(b.len <= POOL_MAX_REQUEST);
        assert_int_equal(fields_parse(b.data, b.len, &f, NULL), 0);
        int r = pool_request_parse(f, ret, e);
        fields_free(f);
        buf_done(&b);
        return r;
}

static void each_verb_is_read_as_it_was_written(void **state)
{
        (void)state;
        for (enum pool_verb v = POOL_HELLO; v <= POOL_STOP; v++) {
                struct pool_request q = a_request(v), again;

                assert_int_equal(through(&q, &again, NULL), 0);
                assert_memory_equal(&q, &again, sizeof(q));
        }
        struct pool_request q = {.verb = POOL_STOP, .all = true}, again;
        assert_int_equal(through(&q, &again, NULL), 0);
        assert_true(again.all);
}

/* Keys and values in turn, NULL-terminated. */
static void expect_refused(const char *const *pairs, const char *part)
{
        struct buf b = BUF_INIT;
        struct fields *f = NULL;
        struct pool_request q;
        struct err e = ERR_INIT;
        size_t mark;

        fields_begin(&b, &mark, NULL);
        for (; *pairs; pairs += 2)
                fields_add_str(&b, pairs[0], pairs[1], NULL);
        fields_end(&b, mark, NULL);
        assert_int_equal(fields_parse(b.data, b.len, &f, NULL), 0);
        assert_true(pool_request_parse(f, &q, &e) < 0);
        assert_int_equal(e.code, ERR_PROTOCOL);
        if (!strstr(e.msg, part))
                fail_msg("expected '%s' in: %s", part, e.msg);
        fields_free(f);
        buf_done(&b);
}
#define REFUSED(part, ...) expect_refused((const char *const[]){__VA_ARGS__, NULL}, part)
#define KIND(image_) "protocol", "2", "op", "claim", "image", image_, "vcpus", "2", "memory", "1", "scratch", "1"

static void requests_that_are_not_verbs_are_refused(void **state)
{
        char *image = str_printf("%0145d", 0);

        (void)state;
        REFUSED("protocol", "op", "ls");
        REFUSED("version 1", "op", "ls", "protocol", "1");
        REFUSED("verb", "op", "exec", "protocol", "2");
        REFUSED("op", "op", "ls", "op", "ls", "protocol", "2");
        REFUSED("accel", KIND("default"));
        REFUSED("image", KIND("../default"), "accel", "tcg");
        REFUSED("image", KIND("/etc/passwd"), "accel", "tcg");
        REFUSED("image", KIND("-default"), "accel", "tcg");
        REFUSED("image", KIND(".default"), "accel", "tcg");
        REFUSED("image", KIND(""), "accel", "tcg");
        REFUSED("image", KIND("a b"), "accel", "tcg");
        REFUSED("image", KIND(image), "accel", "tcg");
        REFUSED("slot", "protocol", "2", "op", "stop");
        REFUSED("slot", "protocol", "2", "op", "stop", "slot", "512");
        REFUSED("all", "protocol", "2", "op", "stop", "all", "running");
        REFUSED("count", "protocol", "2", "op", "warm", "image", "a", "vcpus", "2", "memory", "1", "scratch", "1",
                "accel", "tcg", "count", "65");
        REFUSED("vcpus", "protocol", "2", "op", "warm", "image", "a", "vcpus", "0", "memory", "1", "scratch", "1");
        free(image);
}

static void an_answer_is_read_as_it_was_written(void **state)
{
        struct pool_vm vm = {.slot = 5,
                             .uid = 1000,
                             .pid = 77,
                             .state = "parked",
                             .image = "default@sha256:00",
                             .class = {2, 3, 4},
                             .accel = "tcg",
                             .age_ms = 9,
                             .private_bytes = 8};
        struct pool_keep keep = {.uid = 1000,
                                 .count = 2,
                                 .parked = 1,
                                 .image = "default",
                                 .class = {2, 3, 4},
                                 .accel = "auto",
                                 .problem = "no image 'default'"};
        struct pool_answer a = {.status = POOL_OK,
                                .adopt = true,
                                .vm = vm,
                                .vms = &vm,
                                .n_vms = 1,
                                .keeps = &keep,
                                .n_keeps = 1,
                                .budget = 100,
                                .used = 10,
                                .stopped = 4,
                                .n_held = 1};
        struct pool_answer again;
        struct buf b = BUF_INIT;
        struct fields *f = NULL;

        (void)state;
        str_copy(a.held[0].name, sizeof(a.held[0].name), "own-user");
        str_copy(a.held[0].state, sizeof(a.held[0].state), "missing");
        str_copy(a.held[0].why, sizeof(a.held[0].why), "no root");
        assert_int_equal(pool_answer_write(&a, &b, NULL), 0);
        assert_int_equal(fields_parse(b.data, b.len, &f, NULL), 0);
        assert_int_equal(pool_answer_parse(f, &again, NULL), 0);
        assert_memory_equal(&again.vm, &vm, sizeof(vm));
        assert_int_equal(again.n_vms, 1);
        assert_memory_equal(again.vms, &vm, sizeof(vm));
        assert_int_equal(again.n_keeps, 1);
        assert_memory_equal(again.keeps, &keep, sizeof(keep));
        assert_memory_equal(again.held, a.held, sizeof(a.held));
        assert_true(again.adopt && again.n_held == 1);
        assert_true(again.budget == 100 && again.used == 10 && again.stopped == 4);
        pool_answer_done(&again);
        fields_free(f);
        buf_done(&b);
}

static void an_error_comes_with_its_code_and_words(void **state)
{
        struct pool_answer a = {.status = POOL_ERROR, .code = ERR_RESOURCES, .message = "no"}, again;
        struct buf b = BUF_INIT;
        struct fields *f = NULL;

        (void)state;
        assert_int_equal(pool_answer_write(&a, &b, NULL), 0);
        assert_int_equal(fields_parse(b.data, b.len, &f, NULL), 0);
        assert_int_equal(pool_answer_parse(f, &again, NULL), 0);
        assert_int_equal(again.status, POOL_ERROR);
        assert_int_equal(again.code, ERR_RESOURCES);
        assert_string_equal(again.message, "no");
        pool_answer_done(&again);
        fields_free(f);
        buf_done(&b);
}

static void a_row_that_is_no_list_is_refused(void **state)
{
        struct buf b = BUF_INIT;
        struct fields *f = NULL;
        struct pool_answer a;
        struct err e = ERR_INIT;
        size_t mark;

        (void)state;
        fields_begin(&b, &mark, NULL);
        fields_add_str(&b, "status", "ok", NULL);
        fields_add_str(&b, "vm", "xyz", NULL);
        fields_end(&b, mark, NULL);
        assert_int_equal(fields_parse(b.data, b.len, &f, NULL), 0);
        assert_true(pool_answer_parse(f, &a, &e) < 0);
        assert_int_equal(e.code, ERR_PROTOCOL);
        pool_answer_done(&a);
        fields_free(f);
        buf_done(&b);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_verb_is_read_as_it_was_written),
                cmocka_unit_test(requests_that_are_not_verbs_are_refused),
                cmocka_unit_test(an_answer_is_read_as_it_was_written),
                cmocka_unit_test(an_error_comes_with_its_code_and_words),
                cmocka_unit_test(a_row_that_is_no_list_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
