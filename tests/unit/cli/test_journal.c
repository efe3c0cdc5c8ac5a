/* The reader of journals: whole lines, order, bounds, growth. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test.h"

#include "base/err.h"
#include "cli/journal.h"
#include "codec/json.h"

struct seen {
        char types[256];
        unsigned n;
};

static int on_event(const char *type, const struct json_t *event, void *user, struct err *e)
{
        struct seen *s = user;

        (void)e;
        assert_non_null(json_object_get(event, "t"));
        strncat(s->types, type, sizeof(s->types) - strlen(s->types) - 2);
        strcat(s->types, " ");
        s->n++;
        return 0;
}

struct file {
        char path[64];
        FILE *f;
};

static void file_open(struct file *x)
{
        strcpy(x->path, "/tmp/devdep-journal-XXXXXX");
        x->f = fdopen(mkstemp(x->path), "w");
        assert_non_null(x->f);
}

static void file_done(struct file *x)
{
        fclose(x->f);
        unlink(x->path);
}

static void put(struct file *x, const char *text)
{
        fputs(text, x->f);
        fflush(x->f);
}

static int read_all(struct journal_reader *j, struct err *e)
{
        int r;

        do
                r = journal_read(j, e);
        while (r == JOURNAL_E_MORE);
        return r;
}

static void an_unfinished_line_waits_for_its_end(void **state)
{
        struct file x;
        struct seen seen = {0};
        struct err e = ERR_INIT;
        AUTO(journal_closep) struct journal_reader *j = NULL;

        (void)state;
        file_open(&x);
        put(&x, "{\"v\":1,\"seq\":0,\"t\":1,\"type\":\"job_started\"}\n{\"v\":1,\"seq\":1,\"t\":2,");
        assert_int_equal(journal_open(x.path, on_event, &seen, &j, &e), 0);
        assert_int_equal(read_all(j, &e), 0);
        assert_string_equal(seen.types, "job_started ");
        put(&x, "\"type\":\"held\"}\n");
        assert_int_equal(read_all(j, &e), 0);
        assert_string_equal(seen.types, "job_started held ");
        file_done(&x);
}

static void what_is_no_event_ends_the_reading(void **state)
{
        static const char *const bad[] = {
                "\n",
                "{}\n",
                "[]\n",
                "{\"v\":2,\"seq\":0,\"t\":1,\"type\":\"x\"}\n",
                "{\"v\":1,\"seq\":1,\"t\":1,\"type\":\"x\"}\n",
                "{\"v\":1,\"seq\":0,\"seq\":0,\"t\":1,\"type\":\"x\"}\n",
                "{\"v\":1,\"seq\":0,\"t\":1,\"type\":\"x\"} {}\n",
                "{\"v\":1,\"seq\":0,\"t\":1,\"type\":5}\n",
                "{\"v\":1,\"seq\":0,\"t\":1,\"type\":\"x\\u0000\"}\n",
                "not json\n",
        };

        (void)state;
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                struct file x;
                struct seen seen = {0};
                struct err e = ERR_INIT;
                AUTO(journal_closep) struct journal_reader *j = NULL;

                file_open(&x);
                put(&x, bad[i]);
                assert_int_equal(journal_open(x.path, on_event, &seen, &j, &e), 0);
                assert_int_equal(read_all(j, &e), JOURNAL_E_BROKEN);
                assert_int_equal(e.code, ERR_PROTOCOL);
                assert_non_null(strstr(e.msg, x.path));
                assert_int_equal(seen.n, 0);
                file_done(&x);
        }
}

static void events_must_follow_each_other(void **state)
{
        struct file x;
        struct seen seen = {0};
        struct err e = ERR_INIT;
        AUTO(journal_closep) struct journal_reader *j = NULL;

        (void)state;
        file_open(&x);
        put(&x, "{\"v\":1,\"seq\":0,\"t\":1,\"type\":\"a\"}\n{\"v\":1,\"seq\":0,\"t\":1,\"type\":\"a\"}\n");
        assert_int_equal(journal_open(x.path, on_event, &seen, &j, &e), 0);
        assert_int_equal(read_all(j, &e), JOURNAL_E_BROKEN);
        assert_int_equal(seen.n, 1);
        file_done(&x);
}

static void a_line_may_have_eight_mebibytes_and_no_more(void **state)
{
        static const char head[] = "{\"v\":1,\"seq\":0,\"t\":1,\"type\":\"log\",\"text\":\"";

        (void)state;
        for (int past = 0; past <= 1; past++) {
                struct file x;
                struct seen seen = {0};
                struct err e = ERR_INIT;
                AUTO(journal_closep) struct journal_reader *j = NULL;
                size_t fill = JOURNAL_MAX_LINE - strlen(head) - 2 + (size_t)past;

                file_open(&x);
                fputs(head, x.f);
                for (size_t i = 0; i < fill; i++)
                        fputc('a', x.f);
                put(&x, past ? "\"}" : "\"}\n");
                assert_int_equal(journal_open(x.path, on_event, &seen, &j, &e), 0);
                assert_int_equal(read_all(j, &e), past ? JOURNAL_E_BROKEN : 0);
                assert_int_equal(seen.n, past ? 0 : 1);
                file_done(&x);
        }
}

static void a_link_is_no_journal(void **state)
{
        struct file x;
        char link_path[96];
        struct err e = ERR_INIT;
        AUTO(journal_closep) struct journal_reader *j = NULL;

        (void)state;
        file_open(&x);
        snprintf(link_path, sizeof(link_path), "%s.link", x.path);
        assert_int_equal(symlink(x.path, link_path), 0);
        assert_true(journal_open(link_path, on_event, NULL, &j, &e) < 0);
        unlink(link_path);
        file_done(&x);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_unfinished_line_waits_for_its_end),
                cmocka_unit_test(what_is_no_event_ends_the_reading),
                cmocka_unit_test(events_must_follow_each_other),
                cmocka_unit_test(a_line_may_have_eight_mebibytes_and_no_more),
                cmocka_unit_test(a_link_is_no_journal),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
