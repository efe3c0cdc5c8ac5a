/* Slots as root and, in a second run, as an ordinary user. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/str.h"
#include "test_user.h"
#include "vm/slot.h"
#include "vm/slot_info.h"

static char state_folder[64];

static int make_state(void **state)
{
        (void)state;
        snprintf(state_folder, sizeof(state_folder), "/tmp/test-slot.XXXXXX");
        return mkdtemp(state_folder) && chmod(state_folder, 0711) == 0 ? 0 : -1;
}

static int remove_state(void **state)
{
        (void)state;
        return fs_remove_tree(state_folder, NULL);
}

static struct slot *take(void)
{
        struct err err = ERR_INIT;
        struct slot *s = NULL;

        if (slot_take(state_folder, &s, &err) < 0)
                fail_msg("%s", err.msg);
        return s;
}

static void slots_are_numbered_from_zero_and_given_back(void **state)
{
        struct slot *a = take(), *b = take(), *c;

        (void)state;
        assert_int_equal(a->number, 0);
        assert_int_equal(b->number, 1);
        a = slot_release(a);
        assert_null(a);
        c = take();
        assert_int_equal(c->number, 0);
        slot_release(b);
        slot_release(c);
}

static void ids_of_slots_do_not_overlap_and_lie_in_the_unused_range(void **state)
{
        struct slot *a = take(), *b = take();

        (void)state;
        for (unsigned i = 0; i < SLOT_ROLE_COUNT; i++) {
                if (geteuid() != 0) {
                        assert_true(a->uid[i] == (uid_t)-1);
                        continue;
                }
                assert_int_equal(a->uid[i], a->uid[0] + i);
                assert_int_equal(b->uid[i], a->uid[0] + SLOT_UIDS_EACH + i);
                assert_true(a->uid[i] >= SLOT_UID_BASE + SLOT_UID_BLOCK && b->uid[i] < 2147483647u);
                assert_int_equal((a->uid[0] - SLOT_UID_BASE) % SLOT_UID_BLOCK, 0);
        }
        assert_true(SLOT_ROLE_COUNT <= SLOT_UIDS_EACH && SLOT_UID_BASE >= 1879048192u);
        assert_true(SLOT_UID_BASE + (1ull + SLOT_UID_BLOCKS) * SLOT_UID_BLOCK < 2147483647u);
        slot_release(a);
        slot_release(b);
}

static void two_states_share_no_ids_so_that_neither_kills_the_others_processes(void **state)
{
        char other[] = "/tmp/test-slot.XXXXXX";
        struct err err = ERR_INIT;
        struct slot *a, *b = NULL;

        (void)state;
        if (geteuid() != 0)
                skip();
        a = take();
        assert_non_null(mkdtemp(other));
        assert_int_equal(slot_take(other, &b, &err), 0);
        assert_int_equal(a->number, b->number);
        assert_true(a->uid[0] + SLOT_UID_BLOCK <= b->uid[0] || b->uid[0] + SLOT_UID_BLOCK <= a->uid[0]);
        slot_release(a);
        slot_release(b);
        assert_int_equal(fs_remove_tree(other, NULL), 0);
}

static void the_stores_user_is_no_slots_and_the_same_for_every_slot(void **unused)
{
        uid_t one = 0, two = 0;
        struct slot *s;

        (void)unused;
        s = take();
        assert_int_equal(slot_store_uid(state_folder, &one, NULL), 0);
        assert_int_equal(slot_store_uid(state_folder, &two, NULL), 0);
        assert_true(one == two);
        if (geteuid() != 0) {
                assert_true(one == (uid_t)-1);
        } else {
                uid_t first = s->uid[0] - s->number * SLOT_UIDS_EACH;
                assert_true(one >= first + SLOT_ROLE_COUNT && one < first + SLOT_UIDS_EACH);
        }
        slot_release(s);
}

static void run_directory_is_the_jobs_alone_and_empty(void **state)
{
        struct slot *s = take();
        AUTO(auto_free) char *file = fs_join(s->run, "left");
        struct stat st;

        (void)state;
        assert_int_equal(stat(s->run, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0700);
        assert_int_equal(st.st_uid, geteuid() == 0 ? s->uid[SLOT_JOB] : geteuid());
        assert_int_equal(fs_write_atomic(file, "x", 1, 0600, NULL), 0);
        s = slot_release(s);
        assert_false(fs_exists(file));
        s = take();
        assert_false(fs_exists(file));
        slot_release(s);
}

/* A process of a slot that ignores everything but the kill; as root under the job's id. */
static pid_t left_process(const struct slot *s, bool noted)
{
        int pipe[2];
        char c;
        pid_t pid;

        assert_int_equal(fd_pipe(pipe, NULL), 0);
        pid = fork();
        if (pid == 0) {
                if (geteuid() == 0 && (setgid(s->uid[SLOT_JOB]) < 0 || setuid(s->uid[SLOT_JOB]) < 0))
                        _exit(1);
                signal(SIGTERM, SIG_IGN);
                close(s->lock_fd);
                if (write(pipe[1], "r", 1) != 1)
                        _exit(1);
                for (;;)
                        pause();
        }
        close(pipe[1]);
        assert_int_equal(read(pipe[0], &c, 1), 1);
        close(pipe[0]);
        if (noted)
                assert_int_equal(slot_note(s, "test", pid, NULL), 0);
        return pid;
}

static void expect_killed(pid_t pid)
{
        int status = 0;

        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* What kill -9 of a starter leaves: the lock is free, everything else stands. */
static void abandon(struct slot *s)
{
        close(s->lock_fd);
        free(s->path);
        free(s->run);
        free(s);
}

static void reclaim_kills_and_removes_what_a_crash_left(void **state)
{
        struct slot *s = take();
        AUTO(auto_free) char *stray = fs_join(s->path, "scratch");
        AUTO(auto_free) char *run = str_dup(s->run);
        struct slot_reclaimed left;
        pid_t pid = left_process(s, true);

        (void)state;
        assert_int_equal(mkdir(stray, 0700), 0);
        abandon(s);
        assert_int_equal(slot_reclaim(state_folder, &left, NULL), 0);
        assert_int_equal(left.slots, 1);
        assert_true(left.processes >= 1);
        expect_killed(pid);
        assert_false(fs_exists(run));
        assert_false(fs_exists(stray));
        assert_int_equal(slot_reclaim(state_folder, &left, NULL), 0);
        assert_int_equal(left.slots, 0);
}

static void processes_of_a_slots_user_are_found_without_a_note(void **state)
{
        struct slot_reclaimed left;
        struct slot *s;
        pid_t pid;

        (void)state;
        if (geteuid() != 0)
                skip();
        s = take();
        pid = left_process(s, false);
        abandon(s);
        assert_int_equal(slot_reclaim(state_folder, &left, NULL), 0);
        assert_int_equal(left.processes, 1);
        expect_killed(pid);
}

static void *run_on(void *pipe_end)
{
        const int *fd = pipe_end;

        while (write(*fd, "r", 1) != 1)
                ;
        for (;;)
                pause();
        return NULL;
}

/* It must not be dumped, so that its folder in /proc is root's, and its first thread has ended, so that it looks like a
 * dead process there. */
static pid_t headless_process(const struct slot *s, uid_t uid)
{
        static int pipe[2];
        pthread_t thread;
        char c;
        pid_t pid;

        assert_int_equal(fd_pipe(pipe, NULL), 0);
        pid = fork();
        if (pid == 0) {
                close(s->lock_fd);
                if (setgid(uid) < 0 || setuid(uid) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
                    pthread_create(&thread, NULL, run_on, &pipe[1]) != 0)
                        _exit(1);
                syscall(SYS_exit, 0); /* this thread alone */
        }
        close(pipe[1]);
        assert_int_equal(read(pipe[0], &c, 1), 1);
        close(pipe[0]);
        return pid;
}

static void user_id_is_given_again_only_when_nobody_runs_under_it(void **state)
{
        (void)state;
        if (geteuid() != 0)
                skip();
        for (unsigned role = 0; role < SLOT_ROLE_COUNT; role++) {
                struct slot *s = take(), *again;
                uid_t uid = s->uid[role];
                pid_t pid = headless_process(s, uid);
                abandon(s);
                again = take();
                assert_int_equal(again->uid[role], uid);
                /* It ended before the slot was given, not some time after. */
                int status = 0;
                assert_int_equal(waitpid(pid, &status, WNOHANG), pid);
                assert_int_equal(WTERMSIG(status), SIGKILL);
                slot_release(again);
        }
}

static void slot_that_cannot_be_cleaned_is_passed_over(void **state)
{
        struct slot *s = take(), *next;
        AUTO(auto_free) char *groups = fs_join(s->path, "groups"), *note = fs_join(groups, "vmm");
        static const char foreign[] = "/sys/fs/cgroup/memory/system.slice\n";

        (void)state;
        assert_int_equal(mkdir(groups, 0700), 0);
        assert_int_equal(fs_write_atomic(note, foreign, sizeof(foreign) - 1, 0600, NULL), 0);
        abandon(s);
        next = take();
        assert_int_equal(next->number, 1);
        slot_release(next);
        assert_int_equal(fs_remove_tree(groups, NULL), 0);
        next = take();
        assert_int_equal(next->number, 0);
        slot_release(next);
}

static void reclaim_leaves_a_slot_that_somebody_holds_alone(void **state)
{
        struct slot *s = take();
        struct slot_reclaimed left;
        pid_t pid = left_process(s, true);

        (void)state;
        assert_int_equal(slot_reclaim(state_folder, &left, NULL), 0);
        assert_int_equal(left.slots, 0);
        assert_true(fs_exists(s->run));
        assert_int_equal(kill(pid, 0), 0);
        slot_release(s);
        expect_killed(pid);
}

static void note_of_another_process_with_the_same_number_kills_nobody(void **state)
{
        struct slot *s = take();
        AUTO(auto_free) char *path = str_printf("%s/pids/test", s->path);
        struct buf note = BUF_INIT;
        struct slot_reclaimed left;
        char *digit, c;
        int pipe[2];
        pid_t pid;

        (void)state;
        assert_int_equal(fd_pipe(pipe, NULL), 0);
        pid = fork();
        if (pid == 0) {
                close(s->lock_fd);
                close(pipe[1]);
                for (;;)
                        pause();
        }
        close(pipe[1]);
        assert_int_equal(read(pipe[0], &c, 1), 0); /* the lock is ours alone */
        close(pipe[0]);
        /* Its pid, but another start time. */
        assert_int_equal(slot_note(s, "test", pid, NULL), 0);
        assert_int_equal(fs_read(path, 256, &note, NULL), 0);
        digit = strchr(buf_cstr(&note), ' ') + 1;
        *digit = *digit == '1' ? '2' : '1';
        assert_int_equal(fs_write_atomic(path, note.data, note.len, 0600, NULL), 0);
        buf_done(&note);
        abandon(s);
        assert_int_equal(slot_reclaim(state_folder, &left, NULL), 0);
        assert_int_equal(left.slots, 1);
        assert_int_equal(left.processes, 0);
        assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
}

static void many_takers_get_a_slot_each(void **state)
{
        enum { TAKERS = 24 };
        bool seen[TAKERS] = {0};
        int pipe[2], go[2];
        unsigned number;

        (void)state;
        assert_int_equal(fd_pipe(pipe, NULL), 0);
        assert_int_equal(fd_pipe(go, NULL), 0);
        for (unsigned i = 0; i < TAKERS; i++) {
                if (fork() == 0) {
                        struct slot *s = NULL;
                        char c;
                        close(go[1]);
                        if (slot_take(state_folder, &s, NULL) < 0)
                                _exit(1);
                        if (write(pipe[1], &s->number, sizeof(s->number)) != sizeof(s->number) ||
                            read(go[0], &c, 1) != 0)
                                _exit(1);
                        slot_release(s);
                        _exit(0);
                }
        }
        close(pipe[1]);
        for (unsigned i = 0; i < TAKERS; i++) {
                assert_int_equal(read(pipe[0], &number, sizeof(number)), sizeof(number));
                assert_true(number < TAKERS);
                assert_false(seen[number]);
                seen[number] = true;
        }
        close(go[1]);
        for (unsigned i = 0; i < TAKERS; i++) {
                int status = 1;
                assert_true(wait(&status) > 0);
                assert_int_equal(status, 0);
        }
        close(go[0]);
        close(pipe[0]);
}

/* As devdep-pool hands a slot on: a copy of the lock's descriptor, then its own closed. */
static void a_slot_is_adopted_with_the_descriptor_that_holds_its_lock(void **state)
{
        struct slot *a = take(), *b = take(), *again = NULL;
        struct err err = ERR_INIT;
        int passed = dup(a->lock_fd);

        (void)state;
        assert_int_equal(slot_adopt(state_folder, b->number, passed, &again, &err), -1);
        assert_int_equal(err.code, ERR_PROTOCOL);
        assert_int_equal(slot_adopt(state_folder, a->number, passed, &again, &err), 0);
        assert_int_equal(again->uid[SLOT_VMM], a->uid[SLOT_VMM]);
        assert_string_equal(again->run, a->run);
        a = slot_forget(a);
        assert_true(slot_is_held(state_folder, again->number));
        assert_true(fs_exists(again->run));
        unsigned number = again->number;
        again = slot_release(again);
        assert_false(slot_is_held(state_folder, number));
        slot_release(b);
}

static void a_slot_is_not_adopted_with_another_open_of_its_lock(void **state)
{
        struct slot *a = take(), *again = NULL;
        char path[100];
        struct err err = ERR_INIT;

        (void)state;
        snprintf(path, sizeof(path), "%s/slots/%u/lock", state_folder, a->number);
        int stranger = open(path, O_RDWR | O_CLOEXEC);
        assert_int_equal(slot_adopt(state_folder, a->number, stranger, &again, &err), -1);
        assert_int_equal(slot_adopt(state_folder, SLOT_MAX, a->lock_fd, &again, &err), -1);
        assert_null(again);
        close(stranger);
        slot_release(a);
}

static int collect(const struct slot_entry *entry, void *user, struct err *e)
{
        struct slot_entry **next = user;

        (void)e;
        *(*next)++ = *entry;
        return 0;
}

static void held_slots_are_listed_with_what_their_holders_say(void **state)
{
        struct slot *a = take(), *b = take();
        struct slot_info said = {.state = "parked",
                                 .image = "default@sha256:ab",
                                 .accel = "tcg",
                                 .job = "1/build",
                                 .vcpus = 2,
                                 .memory = 3ull << 30,
                                 .since_ms = 5};
        struct slot_entry found[4] = {0}, *next = found;
        char path[100];

        (void)state;
        assert_int_equal(slot_info_write(a, &said, NULL), 0);
        snprintf(path, sizeof(path), "%s/info", b->path);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(write(fd, "{\"state\":7,\"job\":[", 19), 19);
        close(fd);
        assert_int_equal(slot_info_list(state_folder, collect, &next, NULL), 0);
        assert_int_equal(next - found, 2);
        assert_memory_equal(&found[0].info, &said, sizeof(said));
        assert_string_equal(found[1].info.state, "");
        assert_int_equal(found[1].private_bytes, 0);
        slot_release(a);
        slot_release(b);
        next = found;
        assert_int_equal(slot_info_list(state_folder, collect, &next, NULL), 0);
        assert_int_equal(next - found, 0);
}

int main(int argc, char **argv)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(slots_are_numbered_from_zero_and_given_back),
                cmocka_unit_test(ids_of_slots_do_not_overlap_and_lie_in_the_unused_range),
                cmocka_unit_test(two_states_share_no_ids_so_that_neither_kills_the_others_processes),
                cmocka_unit_test(the_stores_user_is_no_slots_and_the_same_for_every_slot),
                cmocka_unit_test(run_directory_is_the_jobs_alone_and_empty),
                cmocka_unit_test(reclaim_kills_and_removes_what_a_crash_left),
                cmocka_unit_test(processes_of_a_slots_user_are_found_without_a_note),
                cmocka_unit_test(user_id_is_given_again_only_when_nobody_runs_under_it),
                cmocka_unit_test(slot_that_cannot_be_cleaned_is_passed_over),
                cmocka_unit_test(reclaim_leaves_a_slot_that_somebody_holds_alone),
                cmocka_unit_test(note_of_another_process_with_the_same_number_kills_nobody),
                cmocka_unit_test(many_takers_get_a_slot_each),
                cmocka_unit_test(a_slot_is_adopted_with_the_descriptor_that_holds_its_lock),
                cmocka_unit_test(a_slot_is_not_adopted_with_another_open_of_its_lock),
                cmocka_unit_test(held_slots_are_listed_with_what_their_holders_say),
        };

        int status = test_become(argc > 1 ? argv[1] : NULL, NULL);

        if (status != 0)
                return status;
        return cmocka_run_group_tests(tests, make_state, remove_state);
}
