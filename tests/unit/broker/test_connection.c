/* Connections of devdep-broker that end early, in this process. What the name resolves to, or whether it does, is all
 * the same here. */
#include "test.h"

#include <jansson.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"
#include "broker/broker.h"
#include "loop/loop.h"
#include "net/link.h"
#include "net/policy.h"
#include "net/resolve.h"
#include "wire/guest.h"

#define MANY 50u /* connections of a test */

struct scene {
        struct loop *loop;
        struct resolver *resolver;
        struct policy *policy;
        struct broker *broker;
        struct link *client;
        int fds[2];
        unsigned n_ended;
        char code[16];
};

static int on_ended(struct link *k, const struct err *why, void *user, struct err *e)
{
        (void)k;
        (void)user;
        return link_end_loop(((struct scene *)user)->loop, why, e);
}

static void on_end(struct door_stream *s, enum door_end why, const struct fields *refusal, void *user)
{
        struct scene *x = user;
        const char *code = "";

        (void)s;
        (void)why;
        assert_non_null(refusal);
        assert_int_equal(fields_str(refusal, "code", &code, NULL), 0);
        str_copy(x->code, sizeof(x->code), code);
        if (++x->n_ended == MANY)
                loop_quit(x->loop);
}

static const struct door_handler handler = {.end = on_end};

static int setup(void **state)
{
        static struct scene x;
        static const struct door_limits limits = {
                .yamux = {.max_streams = 1, .max_send_queue = 1 << 16, .max_pending_acks = 256, .max_control = 1 << 16},
                .max_header = 4096,
                .max_headers = 65536};
        static const struct door_callbacks callbacks = {.request = NULL};
        json_t *policy = json_pack("{s:s,s:[s]}", "profile", "brokered", "allow", "localhost:9");

        x = (struct scene){0};
        *state = &x;
        assert_int_equal(policy_from_json(policy, &x.policy, NULL), 0);
        json_decref(policy);
        assert_int_equal(fd_socketpair(SOCK_STREAM, x.fds, NULL), 0);
        assert_int_equal(loop_new(&x.loop, NULL), 0);
        assert_int_equal(resolver_new(&x.resolver, NULL), 0);
        assert_int_equal(resolver_attach(x.resolver, x.loop, NULL), 0);
        assert_int_equal(broker_new(x.loop, x.fds[0], x.policy, x.resolver, &x.broker, NULL), 0);
        const struct link_config config = {.loop = x.loop,
                                           .fd = x.fds[1],
                                           .role = DOOR_HOST,
                                           .limits = &limits,
                                           .callbacks = &callbacks,
                                           .ended = on_ended,
                                           .user = &x};
        return link_new(&config, &x.client, NULL);
}

static int teardown(void **state)
{
        struct scene *x = *state;

        link_free(x->client);
        broker_free(x->broker);
        resolver_free(x->resolver);
        policy_free(x->policy);
        loop_free(x->loop);
        fd_close(x->fds[0]);
        fd_close(x->fds[1]);
        return 0;
}

static struct door_stream *connect_to(struct scene *x, uint64_t id, const char *name, uint64_t port)
{
        struct buf header = BUF_INIT;
        struct door_stream *s = NULL;
        size_t mark;

        assert_int_equal(fields_begin(&header, &mark, NULL), 0);
        assert_int_equal(fields_add_str(&header, "op", "connect", NULL), 0);
        assert_int_equal(fields_add_u64(&header, "id", id, NULL), 0);
        assert_int_equal(fields_add_str(&header, "name", name, NULL), 0);
        assert_int_equal(fields_add_u64(&header, "port", port, NULL), 0);
        assert_int_equal(fields_end(&header, mark, NULL), 0);
        assert_int_equal(door_open(link_door(x->client), &header, &handler, x, &s, NULL), 0);
        buf_done(&header);
        link_wake(x->client);
        return s;
}

static void run(struct scene *x)
{
        struct err e = ERR_INIT;

        if (loop_run(x->loop, &e) < 0)
                fail_msg("%s", e.msg);
}

static void one_that_ends_when_its_name_was_resolved_ends_once(void **state)
{
        struct scene *x = *state;

        for (unsigned i = 0; i < MANY; i++)
                connect_to(x, i, "localhost", 9);
        run(x);
        assert_int_equal(x->n_ended, MANY);
}

static void one_that_is_not_listed_ends_at_once(void **state)
{
        struct scene *x = *state;

        for (unsigned i = 0; i < MANY; i++)
                connect_to(x, i, "localhost", 10);
        run(x);
        assert_string_equal(x->code, "denied");
}

static void one_that_is_given_up_while_its_name_is_resolved_is_forgotten(void **state)
{
        struct scene *x = *state;

        for (unsigned i = 0; i < MANY; i++) {
                assert_int_equal(door_reset(connect_to(x, i, "localhost", 9), NULL), 0);
                connect_to(x, i, "localhost", 9);
        }
        run(x);
        assert_int_equal(x->n_ended, MANY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(one_that_ends_when_its_name_was_resolved_ends_once),
                TEST(one_that_is_not_listed_ends_at_once),
                TEST(one_that_is_given_up_while_its_name_is_resolved_is_forgotten),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
