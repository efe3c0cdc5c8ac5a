/* The client on a loop; the test is devdep-secrets. */
#include "test.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/secret.h"
#include "loop/loop.h"
#include "secrets/client.h"
#include "secrets/limits.h"
#include "secrets/message.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct scene {
        struct loop *loop;
        struct secrets *client;
        int fd; /* devdep-secrets' end */
        struct secret_area area;
        char told[512]; /* what the callbacks were called with */
};

static int tell(struct scene *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int tell(struct scene *s, const char *fmt, ...)
{
        size_t at = strlen(s->told);
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(s->told + at, sizeof(s->told) - at, fmt, ap);
        va_end(ap);
        loop_quit(s->loop);
        return 0;
}

static int on_values(const struct secret *v, size_t n, void *user, struct err *e)
{
        (void)e;
        for (size_t i = 0; i < n; i++)
                tell(user, "%s=%.*s;", v[i].name, (int)v[i].len, v[i].value);
        return 0;
}

static int on_changed(const struct secret *v, void *user, struct err *e)
{
        (void)e;
        return tell(user, "%s:=%.*s;", v->name, (int)v->len, v->value);
}

static int on_note(const char *text, void *user, struct err *e)
{
        (void)e;
        return tell(user, "note %s;", text);
}

static int on_count(uint64_t n, void *user, struct err *e)
{
        (void)e;
        return tell(user, "count %u;", (unsigned)n);
}

static int on_failed(const struct err *why, void *user, struct err *e)
{
        (void)e;
        assert_int_equal(why->code, ERR_VAULT_MISMATCH);
        return tell(user, "failed %s;", why->msg);
}

static const struct secrets_callbacks callbacks = {.values = on_values,
                                                   .changed = on_changed,
                                                   .note = on_note,
                                                   .rotated = on_count,
                                                   .released = on_count,
                                                   .failed = on_failed};

static void set_up(struct scene *s, bool sealed)
{
        struct err e = ERR_INIT;
        int pair[2], fd = -1;
        *s = (struct scene){.area = SECRET_AREA_INIT};
        assert_int_equal(loop_new(&s->loop, &e), 0);
        assert_int_equal(fd_socketpair(SOCK_STREAM, pair, &e), 0);
        if (sealed) {
                assert_int_equal(secret_area_new("test", SECRETS_MAX_TOTAL, &s->area, &e), 0);
                fd = dup(s->area.fd);
        } else {
                assert_int_equal(fd_memfd("test", &fd, &e), 0);
                assert_int_equal(ftruncate(fd, 4096), 0);
        }
        assert_int_equal(secrets_new(s->loop, pair[0], fd, &callbacks, s, &s->client, &e), 0);
        s->fd = pair[1];
}

static void tear_down(struct scene *s)
{
        secrets_free(s->client);
        loop_free(s->loop);
        fd_close(s->fd);
        secret_area_done(&s->area);
}

static void send_message(struct scene *s, const struct secrets_message *m)
{
        struct buf b = BUF_INIT;
        assert_int_equal(secrets_message_write(m, &b, NULL), 0);
        assert_int_equal(fd_write_all(s->fd, b.data, b.len, "message", NULL), 0);
        buf_done(&b);
}

static void run(struct scene *s)
{
        assert_int_equal(loop_run(s->loop, NULL), 0);
}

static void send_values(struct scene *s, enum secrets_word word)
{
        struct secrets_value v = {"A", "1", 0, 5};
        send_message(s, &(struct secrets_message){.word = word, .values = &v, .n_values = 1});
}

static void a_life_from_asking_to_release(void **state)
{
        struct scene s;
        char verbs[4];
        (void)state;
        set_up(&s, true);
        memcpy(s.area.data, "alpha", 5);
        assert_int_equal(secrets_ask(s.client, NULL), 0);
        send_values(&s, SECRETS_VALUES);
        run(&s);
        memcpy(s.area.data, "gamma", 5);
        send_values(&s, SECRETS_CHANGED);
        run(&s);
        assert_int_equal(secrets_took(s.client, NULL), 0);
        assert_int_equal(secrets_rotate(s.client, NULL), 0);
        send_message(&s, &(struct secrets_message){.word = SECRETS_NOTE, .message = "a lease\x1b[0m ends"});
        run(&s);
        send_message(&s, &(struct secrets_message){.word = SECRETS_ROTATED, .count = 1});
        run(&s);
        assert_int_equal(secrets_release(s.client, NULL), 0);
        assert_int_equal(read(s.fd, verbs, 4), 4);
        assert_memory_equal(verbs, "atrf", 4);
        send_message(&s, &(struct secrets_message){.word = SECRETS_RELEASED, .count = 2});
        run(&s);
        /* Nothing follows, and the end of the other side is none of a failure. */
        s.fd = fd_close(s.fd);
        assert_int_equal(loop_run(s.loop, NULL), 0);
        assert_string_equal(s.told, "A=alpha;A:=gamma;note a lease\\x1b[0m ends;count 1;count 2;");
        tear_down(&s);
}

static void a_memory_file_that_others_can_change_is_refused(void **state)
{
        struct scene s;
        (void)state;
        set_up(&s, false);
        send_values(&s, SECRETS_VALUES);
        run(&s);
        assert_string_equal(s.told, "failed the memory file of secrets is not sealed;");
        tear_down(&s);
}

static void whatever_goes_wrong_fails_once(void **state)
{
        struct scene s;
        (void)state;
        set_up(&s, true);
        send_message(&s, &(struct secrets_message){.word = SECRETS_FAILED, .message = "devdep.yaml:3:1: sealed"});
        send_message(&s, &(struct secrets_message){.word = SECRETS_FAILED, .message = "again"});
        run(&s);
        assert_string_equal(s.told, "failed devdep.yaml:3:1: sealed;");
        tear_down(&s);
        set_up(&s, true);
        s.fd = fd_close(s.fd);
        run(&s);
        assert_string_equal(s.told, "failed devdep-secrets ended before its work was done;");
        tear_down(&s);
        set_up(&s, true);
        assert_int_equal(write(s.fd, "\xff\xff\xff\xff", 4), 4);
        run(&s);
        assert_contains(s.told, "failed a list of fields");
        tear_down(&s);
        set_up(&s, true);
        send_message(&s, &(struct secrets_message){.word = SECRETS_CHECKED});
        run(&s);
        assert_contains(s.told, "failed devdep-secrets: an answer to what was not asked");
        tear_down(&s);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_life_from_asking_to_release),
                cmocka_unit_test(a_memory_file_that_others_can_change_is_refused),
                cmocka_unit_test(whatever_goes_wrong_fails_once),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
