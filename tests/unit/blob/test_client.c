/* Client and server over a socket pair, the server in a process of its own; and the client against a peer of the
 * test's. */
#include "archive.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/str.h"
#include "blob/client.h"
#include "blob/server.h"
#include "loop/loop.h"
#include "serve/limits.h"
#include "wire/guest.h"

struct world {
        char *folder, *caches;
        struct loop *loop;
        struct store_client *s;
        pid_t server;
        int peer; /* of a test that is the server itself */
        /* what callbacks told */
        unsigned calls;
        struct err failure;
        uint64_t id;
        size_t n;
        char name[600];
        bool exists, ready, done, pause_once, first_elsewhere;
        struct buf got;
        struct buf give;
        size_t given;
};

static int serve(const char *artifacts, const char *caches, int fd)
{
        static const char *const scopes[] = {"refs/heads/x", "refs/heads/main"};
        struct store_server c = {
                .fd = fd, .service_fd = -1, .run = "7", .job = "build", .scopes = scopes, .n_scopes = 2};
        const struct store_limits l = {.max_bytes = 4 << 20, .max_files = 4, .max_entries = 10, .max_total = 16 << 20};
        c.artifacts = must_open(artifacts, STORE_ARTIFACTS, &l);
        c.caches = must_open(caches, STORE_CACHES, &l);
        struct err e = ERR_INIT;
        int r = store_server_run(&c, &e);
        store_free(c.artifacts);
        store_free(c.caches);
        return r < 0 ? (int)e.code : 0;
}

static void start(struct world *w, bool with_server)
{
        int pair[2];
        *w = (struct world){.peer = -1};
        assert_int_equal(fd_socketpair(SOCK_STREAM, pair, NULL), 0);
        w->folder = folder_new();
        w->caches = folder_new();
        if (with_server) {
                w->server = fork();
                if (w->server == 0) {
                        close(pair[0]);
                        _exit(serve(w->folder, w->caches, pair[1]));
                }
                close(pair[1]);
        } else {
                w->peer = pair[1];
        }
        assert_int_equal(loop_new(&w->loop, NULL), 0);
        assert_int_equal(store_client_new(w->loop, pair[0], &w->s, NULL), 0);
}

/* The server's exit status, or -signal. */
static int finish(struct world *w)
{
        int status = 0;
        store_client_free(w->s);
        loop_free(w->loop);
        fd_close(w->peer);
        if (w->server)
                assert_int_equal(waitpid(w->server, &status, 0), w->server);
        folder_free(w->folder);
        folder_free(w->caches);
        buf_done(&w->got);
        buf_done(&w->give);
        return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void run(struct world *w)
{
        struct err e = ERR_INIT;
        w->failure = (struct err)ERR_INIT;
        if (loop_run(w->loop, &e) < 0)
                fail_msg("%s", e.msg);
}

static int told(struct world *w, const struct err *failure)
{
        w->calls++;
        if (failure)
                w->failure = *failure;
        loop_quit(w->loop);
        return 0;
}

static int on_items(struct store_client *s, const struct store_item *v, size_t n, const struct err *failure, void *user,
                    struct err *e)
{
        struct world *w = user;
        (void)s;
        (void)e;
        w->n = n;
        if (n) {
                w->id = v[0].id;
                str_copy(w->name, sizeof(w->name), v[0].name);
        }
        return told(w, failure);
}

static int give(struct world *w, struct err *e)
{
        while (w->given < w->give.len && !store_is_full(w->s)) {
                size_t n = w->give.len - w->given < 100000 ? w->give.len - w->given : 100000;
                int r = store_give(w->s, w->give.data + w->given, n, e);
                if (r < 0)
                        return r;
                w->given += n;
        }
        return w->given == w->give.len ? store_give_end(w->s, true, e) : 0;
}

static int on_ready(struct store_client *s, bool exists, void *user, struct err *e)
{
        struct world *w = user;
        (void)s;
        w->exists = exists;
        w->ready = true;
        if (exists || w->give.len == 0)
                return told(w, NULL);
        return give(w, e);
}

static int on_drained(struct store_client *s, void *user, struct err *e)
{
        struct world *w = user;
        (void)s;
        return w->done ? 0 : give(w, e);
}

static int on_put(struct store_client *s, const struct store_item *item, const struct err *failure, void *user,
                  struct err *e)
{
        struct world *w = user;
        (void)s;
        (void)e;
        w->done = true;
        w->first_elsewhere = !item && !failure;
        if (item)
                w->id = item->id;
        return told(w, failure);
}

static const struct store_upload upload = {on_ready, on_drained, on_put};

static int on_data(struct store_client *s, const uint8_t *data, size_t len, void *user, struct err *e)
{
        struct world *w = user;
        if (w->pause_once) {
                w->pause_once = false;
                store_pause(s);
                loop_quit(w->loop);
        }
        return buf_append(&w->got, data, len, e);
}

static int on_got(struct store_client *s, const struct err *failure, void *user, struct err *e)
{
        (void)s;
        (void)e;
        return told(user, failure);
}

static const struct store_download download = {on_data, on_got};

/* An archive of one file of len bytes. */
static void prepare(struct world *w, size_t len)
{
        char *text = malloc(len + 1);
        memset(text, 'x', len);
        text[len] = '\0';
        buf_done(&w->give);
        w->given = 0;
        w->done = w->ready = false;
        w->give = archive_of("file", text);
        free(text);
}

static void put(struct world *w, size_t len)
{
        prepare(w, len);
        assert_int_equal(store_put_artifact(w->s, "dist", 1, false, &upload, w, NULL), 0);
        run(w);
}

static void an_archive_goes_in_and_comes_out_as_it_was(void **state)
{
        struct world w;
        (void)state;
        start(&w, true);
        put(&w, 3 << 20);
        assert_int_equal(w.failure.code, 0);
        assert_true(w.done);
        assert_int_equal(store_ask_artifacts(w.s, on_items, &w, NULL), 0);
        run(&w);
        assert_int_equal(w.n, 1);
        assert_string_equal(w.name, "dist");
        w.pause_once = true;
        assert_int_equal(store_get(w.s, STORE_ITEM_ARTIFACT, w.id, &download, &w, NULL), 0);
        run(&w);
        assert_true(w.got.len < w.give.len); /* paused */
        store_resume(w.s);
        run(&w);
        assert_int_equal(w.failure.code, 0);
        assert_int_equal(w.got.len, w.give.len);
        assert_memory_equal(w.got.data, w.give.data, w.give.len);
        assert_int_equal(finish(&w), 0);
}

static void a_name_that_is_taken_is_told_before_a_byte_goes_out(void **state)
{
        struct world w;
        (void)state;
        start(&w, true);
        put(&w, 10);
        put(&w, 10);
        assert_true(w.exists);
        assert_false(w.done);
        assert_int_equal(w.given, 0);
        assert_int_equal(finish(&w), 0);
}

static void a_cache_is_found_by_its_keys_in_the_jobs_scopes(void **state)
{
        static const char *const keys[] = {"npm-9", "npm-"};
        struct world w;
        (void)state;
        start(&w, true);
        prepare(&w, 10);
        assert_int_equal(store_put_cache(w.s, "npm-1", VERSION_A, &upload, &w, NULL), 0);
        run(&w);
        assert_true(w.done && !w.first_elsewhere);
        assert_int_equal(store_ask_cache(w.s, keys, 2, VERSION_A, on_items, &w, NULL), 0);
        run(&w);
        assert_int_equal(w.n, 1);
        assert_string_equal(w.name, "npm-1");
        assert_int_equal(store_ask_cache(w.s, keys, 2, VERSION_B, on_items, &w, NULL), 0);
        run(&w);
        assert_int_equal(w.n, 0);
        assert_int_equal(w.failure.code, 0);
        assert_int_equal(store_get(w.s, STORE_ITEM_CACHE, w.id, &download, &w, NULL), 0);
        run(&w);
        assert_int_equal(w.got.len, w.give.len);
        assert_int_equal(finish(&w), 0);
}

static void a_failure_comes_in_the_middle_of_a_stream_and_the_next_request_works(void **state)
{
        struct world w;
        (void)state;
        start(&w, true);
        put(&w, 5 << 20); /* the limit is 4 MiB */
        assert_true(w.done);
        assert_int_equal(w.failure.code, ERR_USAGE);
        assert_contains(w.failure.msg, "bytes, more than");
        put(&w, 10);
        assert_int_equal(w.failure.code, 0);
        assert_int_equal(finish(&w), 0);
}

static void what_is_given_up_is_thrown_away(void **state)
{
        struct world w;
        (void)state;
        start(&w, true);
        assert_int_equal(store_put_artifact(w.s, "dist", 1, false, &upload, &w, NULL), 0);
        run(&w);
        assert_true(w.ready);
        assert_int_equal(store_give(w.s, "half", 4, NULL), 0);
        assert_int_equal(store_give_end(w.s, false, NULL), 0);
        run(&w);
        assert_true(w.done);
        assert_contains(w.failure.msg, "given up");
        assert_int_equal(store_ask_artifacts(w.s, on_items, &w, NULL), 0);
        run(&w);
        assert_int_equal(w.n, 0);
        assert_int_equal(finish(&w), 0);
}

static void an_id_that_is_gone_is_a_sentence(void **state)
{
        struct world w;
        (void)state;
        start(&w, true);
        assert_int_equal(store_get(w.s, STORE_ITEM_CACHE, 7, &download, &w, NULL), 0);
        run(&w);
        assert_int_equal(w.failure.code, ERR_USAGE);
        assert_contains(w.failure.msg, "no cache 7");
        assert_int_equal(finish(&w), 0);
}

static void an_archive_that_rotted_is_told_at_its_end_and_removed(void **state)
{
        struct world w;
        char path[300];
        (void)state;
        start(&w, true);
        put(&w, 100);
        char *objects = fs_join(w.folder, "objects");
        DIR *d = opendir(objects);
        for (struct dirent *x; (x = readdir(d));)
                if (x->d_name[0] != '.')
                        snprintf(path, sizeof(path), "%s/%.64s", objects, x->d_name);
        closedir(d);
        free(objects);
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        assert_int_equal(pwrite(fd, "!", 1, 600), 1);
        close(fd);
        assert_int_equal(store_get(w.s, STORE_ITEM_ARTIFACT, w.id, &download, &w, NULL), 0);
        run(&w);
        assert_contains(w.failure.msg, "damaged");
        assert_int_equal(store_ask_artifacts(w.s, on_items, &w, NULL), 0);
        run(&w);
        assert_int_equal(w.n, 0);
        assert_int_equal(finish(&w), 0);
}

static void a_server_that_is_killed_in_an_upload_fails_the_request_and_leaves_a_whole_store(void **state)
{
        struct world w;
        (void)state;
        start(&w, true);
        assert_int_equal(store_put_artifact(w.s, "dist", 1, false, &upload, &w, NULL), 0);
        run(&w);
        assert_int_equal(store_give(w.s, "half", 4, NULL), 0);
        kill(w.server, SIGKILL);
        run(&w);
        assert_true(w.done);
        assert_int_equal(w.failure.code, ERR_RESOURCES);
        /* Every later one fails, too, from the loop. */
        assert_int_equal(store_ask_artifacts(w.s, on_items, &w, NULL), 0);
        run(&w);
        assert_int_equal(w.failure.code, ERR_RESOURCES);
        struct store *s = must_open(w.folder, STORE_ARTIFACTS, &small_limits);
        char *incoming = fs_join(w.folder, "incoming");
        assert_int_equal(rmdir(incoming), 0); /* it is empty */
        free(incoming);
        store_free(s);
        assert_int_equal(finish(&w), -SIGKILL);
}

static void a_client_that_goes_away_in_an_upload_leaves_nothing(void **state)
{
        struct world w;
        int status;
        (void)state;
        start(&w, true);
        assert_int_equal(store_put_artifact(w.s, "dist", 1, false, &upload, &w, NULL), 0);
        run(&w);
        assert_int_equal(store_give(w.s, "half", 4, NULL), 0);
        w.s = store_client_free(w.s);
        assert_int_equal(waitpid(w.server, &status, 0), w.server);
        assert_int_equal(WEXITSTATUS(status), ERR_CANCELLED);
        w.server = 0;
        char *incoming = fs_join(w.folder, "incoming");
        assert_int_equal(rmdir(incoming), 0);
        free(incoming);
        finish(&w);
}

/* ---- a peer that is none ---- */

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
#define GREET(w) SAY(w, "status", "ok", "protocol", "1")

static void an_answer_that_is_malformed_breaks_the_connection(void **state)
{
        static const char *const answers[][16] = {
                {"status", "ok", "id", "1"},
                {"status", "ok", "id", "x", "name", "a", "digest", VERSION_A, "bytes", "1", "files", "1", "content",
                 "1"},
                {"status", "ok", "id", "1", "name", "a", "digest", "x", "bytes", "1", "files", "1", "content", "1"},
                {"status", "maybe"},
        };
        (void)state;
        for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
                struct world w;
                start(&w, false);
                GREET(&w);
                assert_int_equal(store_ask_artifacts(w.s, on_items, &w, NULL), 0);
                say(&w, answers[i]);
                run(&w);
                assert_int_equal(w.failure.code, ERR_PROTOCOL);
                finish(&w);
        }
}

static void success_before_the_stream_has_ended_breaks_the_connection(void **state)
{
        struct world w;
        (void)state;
        start(&w, false);
        GREET(&w);
        assert_int_equal(store_put_artifact(w.s, "dist", 1, false, &upload, &w, NULL), 0);
        SAY(&w, "status", "ok", "exists", "0");
        run(&w);
        assert_int_equal(store_give(w.s, "half", 4, NULL), 0);
        SAY(&w, "status", "ok", "exists", "0", "id", "1", "name", "a", "digest", VERSION_A, "bytes", "1", "files", "1",
            "content", "1");
        run(&w);
        assert_int_equal(w.failure.code, ERR_PROTOCOL);
        finish(&w);
}

static void a_chunk_that_is_too_long_breaks_the_connection(void **state)
{
        const uint32_t sizes[] = {SERVE_MAX_CHUNK, SERVE_MAX_CHUNK + 1};
        (void)state;
        for (int i = 0; i < 2; i++) {
                const uint8_t word[4] = {(uint8_t)(sizes[i] >> 24), (uint8_t)(sizes[i] >> 16), (uint8_t)(sizes[i] >> 8),
                                         (uint8_t)sizes[i]};
                uint8_t *bytes = calloc(1, SERVE_MAX_CHUNK + 4);
                struct world w;
                start(&w, false);
                GREET(&w);
                assert_int_equal(store_get(w.s, STORE_ITEM_CACHE, 7, &download, &w, NULL), 0);
                SAY(&w, "status", "ok");
                assert_int_equal(fd_write_all(w.peer, word, 4, "peer", NULL), 0);
                if (i == 0) {
                        assert_int_equal(fd_write_all(w.peer, bytes, SERVE_MAX_CHUNK + 4, "peer", NULL), 0);
                        SAY(&w, "status", "ok");
                }
                run(&w);
                assert_int_equal(w.failure.code, i ? ERR_PROTOCOL : 0);
                assert_int_equal(w.got.len, i ? 0 : SERVE_MAX_CHUNK);
                free(bytes);
                finish(&w);
        }
}

/* What a peer does not read is bounded: the giver is told to stop. */
static void a_peer_that_does_not_read_stops_the_giver(void **state)
{
        struct world w;
        size_t given = 0;
        uint8_t data[4096] = {0};
        (void)state;
        start(&w, false);
        GREET(&w);
        assert_int_equal(store_put_artifact(w.s, "dist", 1, false, &upload, &w, NULL), 0);
        SAY(&w, "status", "ok", "exists", "0");
        run(&w);
        while (!store_is_full(w.s) && given < (64u << 20)) {
                assert_int_equal(store_give(w.s, data, sizeof(data), NULL), 0);
                given += sizeof(data);
        }
        assert_true(given < (8u << 20));
        finish(&w);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_archive_goes_in_and_comes_out_as_it_was),
                cmocka_unit_test(a_name_that_is_taken_is_told_before_a_byte_goes_out),
                cmocka_unit_test(a_cache_is_found_by_its_keys_in_the_jobs_scopes),
                cmocka_unit_test(a_failure_comes_in_the_middle_of_a_stream_and_the_next_request_works),
                cmocka_unit_test(what_is_given_up_is_thrown_away),
                cmocka_unit_test(an_id_that_is_gone_is_a_sentence),
                cmocka_unit_test(an_archive_that_rotted_is_told_at_its_end_and_removed),
                cmocka_unit_test(a_server_that_is_killed_in_an_upload_fails_the_request_and_leaves_a_whole_store),
                cmocka_unit_test(a_client_that_goes_away_in_an_upload_leaves_nothing),
                cmocka_unit_test(an_answer_that_is_malformed_breaks_the_connection),
                cmocka_unit_test(success_before_the_stream_has_ended_breaks_the_connection),
                cmocka_unit_test(a_chunk_that_is_too_long_breaks_the_connection),
                cmocka_unit_test(a_peer_that_does_not_read_stops_the_giver),
        };
        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
