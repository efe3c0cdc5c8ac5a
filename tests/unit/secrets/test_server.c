/* The service in a process of its own, spoken to byte by byte. */
#include "test.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "secrets/credentials.h"
#include "secrets/message.h"
#include "secrets/order.h"
#include "secrets/server.h"
#include "secrets/values.h"
#include "wire/guest.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE 4096u

static struct order_secret secrets[] = {
        {.name = "A", .provider = "local", .reference = "", .where = "--secret A"},
        {.name = "B", .provider = "local", .reference = "", .where = "secrets.env: B", .rotate = true},
};

struct scene {
        int fd;
        pid_t pid;
        char *area;
};

static int serve(int fd, char *area, size_t n, bool check)
{
        static uint8_t credentials[256];
        const struct order order = {.secrets = secrets, .n = n, .vault.address = ""};
        struct values *values = NULL;
        size_t used = 0;
        credentials_add(credentials, sizeof(credentials), &used, "value.A", "alpha", 5, NULL);
        values_new(area, SIZE, &values, NULL);
        const struct server_config c = {.fd = fd,
                                        .values = check ? NULL : values,
                                        .order = &order,
                                        .credentials = credentials,
                                        .credentials_size = sizeof(credentials)};
        struct err e = ERR_INIT;
        int r = server_run(&c, &e);
        return r < 0 ? (e.code == ERR_PROTOCOL ? 2 : 1) : 0;
}

static struct scene start(size_t n, bool check)
{
        struct scene s;
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        s.area = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(s.area, MAP_FAILED);
        s.pid = fork();
        if (s.pid == 0) {
                close(pair[0]);
                signal(SIGPIPE, SIG_IGN);
                _exit(serve(pair[1], s.area, n, check));
        }
        close(pair[1]);
        s.fd = pair[0];
        return s;
}

static void say(const struct scene *s, char verb)
{
        assert_int_equal(write(s->fd, &verb, 1), 1);
}

static struct secrets_message hear(const struct scene *s)
{
        uint8_t data[2048];
        struct fields *f = NULL;
        struct secrets_message m;
        assert_int_equal(fd_read_exact(s->fd, data, 4, "word", NULL), 0);
        size_t len = num_be32(data);
        assert_true(len + 4 <= sizeof(data));
        assert_int_equal(fd_read_exact(s->fd, data + 4, len, "message", NULL), 0);
        assert_int_equal(fields_parse(data, len + 4, &f, NULL), 0);
        assert_int_equal(secrets_message_read(f, SIZE, &m, NULL), 0);
        return m;
}

static int end(struct scene *s)
{
        int status = -1;
        close(s->fd);
        assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
        for (size_t i = 0; i < SIZE; i++)
                assert_int_equal(s->area[i], 0);
        munmap(s->area, SIZE);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

static void values_are_given_once_and_zeroed_at_the_release(void **state)
{
        (void)state;
        struct scene s = start(1, false);
        say(&s, SECRETS_ASK);
        struct secrets_message m = hear(&s);
        assert_int_equal(m.word, SECRETS_VALUES);
        assert_int_equal(m.n_values, 1);
        assert_memory_equal(s.area + m.values[0].at, "alpha", 5);
        size_t at = m.values[0].at;
        secrets_message_done(&m);
        say(&s, SECRETS_RELEASE);
        m = hear(&s);
        assert_int_equal(m.word, SECRETS_RELEASED);
        secrets_message_done(&m);
        assert_int_equal(s.area[at], 0);
        assert_int_equal(end(&s), 0);
}

/* It knows credentials as long as it is there. */
static void it_ends_when_everything_is_released(void **state)
{
        (void)state;
        const char *const verbs[] = {"f", "af"};
        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
                struct scene s = start(1, false);
                for (const char *v = verbs[i]; *v; v++) {
                        say(&s, *v);
                        struct secrets_message m = hear(&s);
                        secrets_message_done(&m);
                }
                assert_int_equal(read(s.fd, &(char){0}, 1), 0);
                assert_int_equal(end(&s), 0);
        }
}

static void values_are_zeroed_when_the_reader_is_gone(void **state)
{
        (void)state;
        struct scene s = start(1, false);
        say(&s, SECRETS_ASK);
        struct secrets_message m = hear(&s);
        secrets_message_done(&m);
        assert_int_equal(end(&s), 0);
}

static void one_that_is_missing_is_named_and_nothing_is_kept(void **state)
{
        (void)state;
        struct scene s = start(2, false);
        say(&s, SECRETS_ASK);
        struct secrets_message m = hear(&s);
        assert_int_equal(m.word, SECRETS_FAILED);
        assert_string_equal(m.message, "secrets.env: B: secret B: no value was given for it");
        secrets_message_done(&m);
        for (size_t i = 0; i < SIZE; i++)
                assert_int_equal(s.area[i], 0);
        assert_int_equal(end(&s), 0);
}

static void a_check_tells_what_is_missing_and_gives_nothing(void **state)
{
        (void)state;
        struct scene s = start(2, true);
        say(&s, SECRETS_CHECK);
        struct secrets_message m = hear(&s);
        assert_int_equal(m.word, SECRETS_MISSING);
        assert_string_equal(m.name, "B");
        secrets_message_done(&m);
        m = hear(&s);
        assert_int_equal(m.word, SECRETS_CHECKED);
        assert_int_equal(m.count, 1);
        secrets_message_done(&m);
        assert_int_equal(end(&s), 0);
}

static void a_look_at_what_has_no_versions_finds_nothing(void **state)
{
        (void)state;
        struct scene s = start(1, false);
        say(&s, SECRETS_ASK);
        struct secrets_message m = hear(&s);
        secrets_message_done(&m);
        say(&s, SECRETS_ROTATE);
        m = hear(&s);
        assert_int_equal(m.word, SECRETS_ROTATED);
        assert_int_equal(m.count, 0);
        secrets_message_done(&m);
        assert_int_equal(end(&s), 0);
}

/* From each state the verbs that have no place there end the service; what it held is zeroed all the same. */
static void verbs_out_of_place_end_the_service(void **state)
{
        static const struct {
                const char *before, *wrong;
                bool check;
        } cases[] = {{"", "tr\x01z", false}, {"a", "act", false}, {"", "a", true}};
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                for (const char *wrong = cases[i].wrong; *wrong; wrong++) {
                        struct scene s = start(1, cases[i].check);
                        for (const char *v = cases[i].before; *v; v++) {
                                say(&s, *v);
                                struct secrets_message m = hear(&s);
                                secrets_message_done(&m);
                        }
                        say(&s, *wrong);
                        assert_int_equal(read(s.fd, &(char){0}, 1), 0);
                        assert_int_equal(end(&s), 2);
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(values_are_given_once_and_zeroed_at_the_release),
                cmocka_unit_test(it_ends_when_everything_is_released),
                cmocka_unit_test(values_are_zeroed_when_the_reader_is_gone),
                cmocka_unit_test(one_that_is_missing_is_named_and_nothing_is_kept),
                cmocka_unit_test(a_check_tells_what_is_missing_and_gives_nothing),
                cmocka_unit_test(a_look_at_what_has_no_versions_finds_nothing),
                cmocka_unit_test(verbs_out_of_place_end_the_service),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
