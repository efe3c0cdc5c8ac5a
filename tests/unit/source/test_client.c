/* The client against a peer of the test's own: a socket that the test writes into. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "loop/loop.h"
#include "source/client.h"
#include "source/limits.h"
#include "wire/guest.h"

#define ID "0123456789abcdef0123456789abcdef01234567"

struct world {
        struct loop *loop;
        struct source *s;
        int peer;
        unsigned calls;
        struct err failure;
        char commit[80];
        struct buf got;
        bool pause_once, free_in_data;
};

static void say(struct world *w, const char *const *pairs)
{
        struct buf b = BUF_INIT;
        size_t mark;
        assert_int_equal(fields_begin(&b, &mark, NULL), 0);
        for (; pairs[0]; pairs += 2)
                assert_int_equal(fields_add_str(&b, pairs[0], pairs[1], NULL), 0);
        assert_int_equal(fields_end(&b, mark, NULL), 0);
        assert_int_equal(fd_write_all(w->peer, b.data, b.len, "peer", NULL), 0);
        buf_done(&b);
}
#define SAY(w, ...) say(w, (const char *const[]){__VA_ARGS__, NULL})

static void start(struct world *w)
{
        int pair[2];
        *w = (struct world){.got = BUF_INIT};
        assert_int_equal(fd_socketpair(SOCK_STREAM, pair, NULL), 0);
        assert_int_equal(loop_new(&w->loop, NULL), 0);
        assert_int_equal(source_new(w->loop, pair[0], &w->s, NULL), 0);
        w->peer = pair[1];
}

static void finish(struct world *w)
{
        source_free(w->s);
        loop_free(w->loop);
        fd_close(w->peer);
        buf_done(&w->got);
}

static void run(struct world *w)
{
        struct err e = ERR_INIT;
        assert_int_equal(loop_run(w->loop, &e), 0);
}

static int on_commit(struct source *s, const struct source_commit *c, const struct err *failure, void *user,
                     struct err *e)
{
        struct world *w = user;
        (void)s;
        (void)e;
        w->calls++;
        if (failure)
                w->failure = *failure;
        else
                strncpy(w->commit, c->commit, sizeof(w->commit) - 1);
        loop_quit(w->loop);
        return 0;
}

static int on_data(struct source *s, const uint8_t *data, size_t len, void *user, struct err *e)
{
        struct world *w = user;
        if (w->free_in_data) {
                w->s = source_free(s);
                loop_quit(w->loop);
                return 0;
        }
        if (w->pause_once) {
                w->pause_once = false;
                source_pause(s);
                loop_quit(w->loop);
        }
        return buf_append(&w->got, data, len, e);
}

static int on_done(struct source *s, const struct source_totals *t, const struct err *failure, void *user,
                   struct err *e)
{
        struct world *w = user;
        (void)s;
        (void)e;
        w->calls++;
        if (failure)
                w->failure = *failure;
        else
                assert_int_equal(t->n_notes, 2);
        loop_quit(w->loop);
        return 0;
}

static const struct source_stream stream = {on_data, on_done};

static void ask_commit(struct world *w)
{
        assert_int_equal(source_resolve(w->s, "", "main", on_commit, w, NULL), 0);
}

/* A session whose greeting was right, with a request that waits for its answer. */
static void start_resolve(struct world *w)
{
        start(w);
        SAY(w, "status", "ok", "protocol", "1");
        ask_commit(w);
}

/* The same with a checkout whose answer has come: its stream is next. */
static void start_checkout(struct world *w)
{
        struct source_checkout c = SOURCE_CHECKOUT_INIT;
        c.commit = ID;
        start(w);
        SAY(w, "status", "ok", "protocol", "1");
        assert_int_equal(source_checkout(w->s, &c, &stream, w, NULL), 0);
        SAY(w, "status", "ok");
}

static void an_answer_comes_back(void **state)
{
        struct world w;
        (void)state;
        start_resolve(&w);
        SAY(&w, "status", "ok", "commit", ID, "ref", "refs/heads/main");
        run(&w);
        assert_int_equal(w.calls, 1);
        assert_string_equal(w.commit, ID);
        finish(&w);
}

static void a_failed_request_leaves_the_session_usable(void **state)
{
        struct world w;
        (void)state;
        start_resolve(&w);
        SAY(&w, "status", "error", "code", "2", "message", "no such ref\x1b[31m");
        run(&w);
        assert_int_equal(w.failure.code, ERR_USAGE);
        assert_null(strchr(w.failure.msg, 0x1b));
        ask_commit(&w);
        SAY(&w, "status", "ok", "commit", ID, "ref", "");
        run(&w);
        assert_string_equal(w.commit, ID);
        finish(&w);
}

static void a_refusing_greeting_fails_every_request(void **state)
{
        struct world w;
        (void)state;
        start(&w);
        SAY(&w, "status", "error", "code", "2", "message", "unborn");
        for (unsigned i = 1; i <= 2; i++) {
                ask_commit(&w);
                run(&w);
                assert_int_equal(w.calls, i);
                assert_int_equal(w.failure.code, ERR_USAGE);
                assert_non_null(strstr(w.failure.msg, "unborn"));
        }
        finish(&w);
}

static void a_peer_that_ends_fails_the_request(void **state)
{
        struct world w;
        (void)state;
        start(&w);
        ask_commit(&w);
        w.peer = fd_close(w.peer);
        run(&w);
        assert_int_equal(w.failure.code, ERR_RESOURCES);
        ask_commit(&w);
        assert_int_equal(w.calls, 1); /* never from inside the call */
        run(&w);
        assert_int_equal(w.calls, 2);
        finish(&w);
}

static void send_chunk(struct world *w, const char *text)
{
        uint8_t word[4] = {0, 0, 0, (uint8_t)strlen(text)};
        assert_int_equal(fd_write_all(w->peer, word, 4, "peer", NULL), 0);
        assert_int_equal(fd_write_all(w->peer, text, strlen(text), "peer", NULL), 0);
}

static void a_stream_is_paused_and_resumed(void **state)
{
        struct world w;
        (void)state;
        start_checkout(&w);
        send_chunk(&w, "one");
        send_chunk(&w, "two");
        send_chunk(&w, "");
        SAY(&w, "status", "ok", "bytes", "6", "files", "0", "refs", "0", "shallow", "0", "note", "a", "note", "b");
        w.pause_once = true;
        run(&w);
        assert_string_equal(buf_cstr(&w.got), "one");
        assert_int_equal(w.calls, 0);
        source_resume(w.s);
        run(&w);
        assert_string_equal(buf_cstr(&w.got), "onetwo");
        assert_int_equal(w.calls, 1);
        assert_int_equal(w.failure.code, 0);
        finish(&w);
}

static void a_stream_may_fail_after_its_last_chunk(void **state)
{
        struct world w;
        (void)state;
        start_checkout(&w);
        send_chunk(&w, "one");
        send_chunk(&w, "");
        SAY(&w, "status", "error", "code", "2", "message", "it shrank");
        run(&w);
        assert_int_equal(w.failure.code, ERR_USAGE);
        finish(&w);
}

static void a_callback_may_free_the_client(void **state)
{
        struct world w;
        (void)state;
        start_checkout(&w);
        send_chunk(&w, "one");
        send_chunk(&w, "two");
        w.free_in_data = true;
        run(&w);
        assert_null(w.s);
        finish(&w);
}

/* Greeting and request, then these bytes: the request fails as a broken protocol. */
static void broken_by(const void *data, size_t len, bool checkout)
{
        struct world w;
        if (checkout)
                start_checkout(&w);
        else
                start_resolve(&w);
        assert_int_equal(fd_write_all(w.peer, data, len, "peer", NULL), 0);
        run(&w);
        assert_int_equal(w.calls, 1);
        assert_int_equal(w.failure.code, ERR_PROTOCOL);
        finish(&w);
}

static void broken_answers_are_refused(void **state)
{
        struct world w;
        (void)state;
        broken_by("\xff\xff\xff\xff", 4, false);
        broken_by("\0\0\0\1x", 5, false);
        broken_by("\0\1\0\1", 4, true); /* a chunk of 64 KiB and one byte */
        start_resolve(&w);
        SAY(&w, "status", "ok", "commit", "--help", "ref", "");
        run(&w);
        assert_int_equal(w.failure.code, ERR_PROTOCOL);
        finish(&w);
}

static int on_action(struct source *s, const struct source_action *a, const struct err *failure, void *user,
                     struct err *e)
{
        struct world *w = user;
        (void)s;
        w->calls++;
        if (failure)
                w->failure = *failure;
        else
                strncpy(w->commit, a->commit, sizeof(w->commit) - 1);
        loop_quit(w->loop);
        return failure ? 0 : buf_append(&w->got, a->manifest, a->manifest_len, e);
}

static void start_action(struct world *w)
{
        start(w);
        SAY(w, "status", "ok", "protocol", "1");
        assert_int_equal(source_action(w->s, "o/r", "v1", "", on_action, w, NULL), 0);
}

static void an_action_comes_with_its_commit_and_file(void **state)
{
        struct world w;
        (void)state;
        start_action(&w);
        SAY(&w, "status", "ok", "commit", ID, "file", "action.yml", "manifest", "name: x");
        run(&w);
        assert_string_equal(w.commit, ID);
        assert_string_equal(buf_cstr(&w.got), "name: x");
        finish(&w);
}

static int on_tree_done(struct source *s, const struct source_totals *t, const struct err *failure, void *user,
                        struct err *e)
{
        struct world *w = user;
        (void)s;
        (void)e;
        w->calls++;
        if (failure)
                w->failure = *failure;
        else
                strncpy(w->commit, t->commit, sizeof(w->commit) - 1);
        loop_quit(w->loop);
        return 0;
}

static void start_tree(struct world *w)
{
        static const struct source_stream fns = {on_data, on_tree_done};
        start(w);
        SAY(w, "status", "ok", "protocol", "1");
        assert_int_equal(source_action_tree(w->s, "o/r", "v1", &fns, w, NULL), 0);
        SAY(w, "status", "ok");
        send_chunk(w, "tar");
        send_chunk(w, "");
}

static void the_tree_of_an_action_is_a_stream(void **state)
{
        struct world w;
        (void)state;
        start_tree(&w);
        SAY(&w, "status", "ok", "bytes", "3", "commit", ID);
        run(&w);
        assert_string_equal(buf_cstr(&w.got), "tar");
        assert_string_equal(w.commit, ID);
        finish(&w);
}

static void broken_answers_about_actions_are_refused(void **state)
{
        struct world w;
        (void)state;
        for (const char *const *bad = (const char *const[]){"commit", "main", "file", "passwd", "other", "x", NULL};
             *bad; bad += 2) {
                start_action(&w);
                SAY(&w, "status", "ok", "commit", strcmp(bad[0], "commit") ? ID : bad[1], "file",
                    strcmp(bad[0], "file") ? "action.yml" : bad[1], strcmp(bad[0], "other") ? "manifest" : "other",
                    "x");
                run(&w);
                assert_int_equal(w.failure.code, ERR_PROTOCOL);
                finish(&w);
        }
        start_tree(&w);
        SAY(&w, "status", "ok", "bytes", "3", "commit", "main");
        run(&w);
        assert_int_equal(w.failure.code, ERR_PROTOCOL);
        finish(&w);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_answer_comes_back),
                cmocka_unit_test(a_failed_request_leaves_the_session_usable),
                cmocka_unit_test(a_refusing_greeting_fails_every_request),
                cmocka_unit_test(a_peer_that_ends_fails_the_request),
                cmocka_unit_test(a_stream_is_paused_and_resumed),
                cmocka_unit_test(a_stream_may_fail_after_its_last_chunk),
                cmocka_unit_test(a_callback_may_free_the_client),
                cmocka_unit_test(broken_answers_are_refused),
                cmocka_unit_test(an_action_comes_with_its_commit_and_file),
                cmocka_unit_test(the_tree_of_an_action_is_a_stream),
                cmocka_unit_test(broken_answers_about_actions_are_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
