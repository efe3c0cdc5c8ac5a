/* Control groups: which place is chosen on which host (texts and folders made up here), and live groups where this
 * host gives some: `test_sandbox_cgroup`; the live tests say nothing where it gives none. Also run as root in a guest,
 * where all controllers of version 2 exist (tests/e2e/test_jail_guest.py). */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"
#include "sandbox/cgroup.h"

#define V1_HOST                                                                                                        \
        "25 1 0:20 / /sys rw - sysfs sysfs rw\n"                                                                       \
        "30 25 0:26 / /sys/fs/cgroup/memory rw,relatime shared:5 - cgroup cgroup rw,memory\n"                          \
        "31 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:6 - cgroup cgroup rw,cpu,cpuacct\n"                \
        "32 25 0:28 / /sys/fs/cgroup/cpuset rw,relatime shared:7 - cgroup cgroup rw,cpuset\n"
#define V1_PIDS "33 25 0:29 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n"

static char folder[64];

static int make_folder(void **state)
{
        (void)state;
        snprintf(folder, sizeof(folder), "/tmp/test-cgroup.XXXXXX");
        return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
        (void)state;
        return fs_remove_tree(folder, NULL);
}

/* A folder that looks like a group of version 2 to who reads it. */
static void make_group(const char *name, const char *controllers)
{
        static const char *const files[] = {"cgroup.procs", "cgroup.subtree_control"};
        AUTO(auto_free) char *path = fs_join(folder, name);
        AUTO(auto_free) char *list = fs_join(path, "cgroup.controllers");

        assert_int_equal(fs_mkdirs(path, 0755, NULL), 0);
        assert_int_equal(fs_write_atomic(list, controllers, strlen(controllers), 0644, NULL), 0);
        for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
                AUTO(auto_free) char *file = fs_join(path, files[i]);
                assert_int_equal(fs_write_atomic(file, "", 0, 0644, NULL), 0);
        }
}

static void parse(const char *mounts, const char *own, struct cgroup_host *ret)
{
        AUTO(auto_free)
        char *unified = str_printf("%s35 25 0:30 / %s rw - cgroup2 cgroup2 rw,nsdelegate\n", mounts, folder);

        assert_non_null(unified);
        assert_int_equal(cgroup_host_parse(unified, own, ret, NULL), 0);
}

static void legacy_hierarchies_are_roots_own(void **state)
{
        struct cgroup_host h;

        (void)state;
        make_group(".", "");
        parse(V1_HOST V1_PIDS, "4:memory:/x\n0::/\n", &h);
        if (geteuid() != 0) {
                assert_int_equal(h.version, 0);
                assert_true(h.why[0]);
                return;
        }
        assert_int_equal(h.version, 1);
        assert_false(h.delegated);
        assert_string_equal(h.base[CGROUP_MEMORY], "/sys/fs/cgroup/memory/devdep");
        assert_string_equal(h.base[CGROUP_PIDS], "/sys/fs/cgroup/pids/devdep");
        assert_string_equal(h.base[CGROUP_CPU], "");
        assert_string_equal(h.base[CGROUP_FREEZER], "");
        assert_string_equal(h.why, "");
        parse(V1_HOST, "0::/\n", &h);
        assert_int_equal(h.version, 1);
        assert_string_equal(h.why, "version 1 without the controller pids");
}

static void unified_hierarchy_with_controllers_comes_first(void **state)
{
        struct cgroup_host h;

        (void)state;
        if (geteuid() != 0)
                skip();
        AUTO(auto_free) char *want = fs_join(folder, "devdep");
        make_group(".", "cpuset cpu io memory pids\n");
        parse(V1_HOST V1_PIDS, "0::/user.slice/session-1.scope\n", &h);
        assert_int_equal(h.version, 2);
        assert_false(h.delegated);
        for (unsigned c = 0; c < CGROUP_CONTROLLER_COUNT; c++)
                assert_string_equal(h.base[c], want);
        /* hugetlb is no controller of ours, and "memory2" is not "memory". */
        make_group(".", "cpu memory2 pids\n");
        parse("", "0::/\n", &h);
        assert_int_equal(h.version, 0);
        assert_true(h.why[0]);
}

static void own_group_serves_where_it_was_delegated(void **state)
{
        struct cgroup_host h;

        (void)state;
        if (geteuid() == 0 || fs_exists("/run/systemd/system"))
                skip(); /* root and systemd want the mark */
        AUTO(auto_free) char *want = fs_join(folder, "service/devdep");
        AUTO(auto_free) char *list = fs_join(folder, "service/cgroup.procs");
        make_group(".", "");
        make_group("service", "memory pids\n");
        parse("", "0::/service\n", &h);
        assert_int_equal(h.version, 2);
        assert_true(h.delegated);
        assert_string_equal(h.base[0], want);
        parse("", "0::/service/devdep-main\n", &h);
        assert_string_equal(h.base[0], want);
        assert_int_equal(chmod(list, 0444), 0);
        parse("", "0::/service\n", &h);
        assert_int_equal(h.version, 0);
}

/* As systemd marks the group of a service with Delegate=yes, and that of a user's scope. */
static void group_that_systemd_marked_is_ours_for_root_too(void **state)
{
        struct cgroup_host h;

        (void)state;
        make_group(".", "memory pids\n");
        make_group("marked.service", "memory pids\n");
        AUTO(auto_free) char *want = fs_join(folder, "marked.service/devdep");
        AUTO(auto_free) char *top = fs_join(folder, "devdep");
        AUTO(auto_free) char *group = fs_join(folder, "marked.service");
        if (geteuid() == 0) {
                parse("", "0::/marked.service\n", &h);
                assert_false(h.delegated);
                assert_string_equal(h.base[0], top);
        }
        int r = setxattr(group, "user.delegate", "1", 1, 0);
        assert_true(r == 0 || errno == ENOTSUP); /* a tmpfs before Linux 6.6 */
        if (r == 0) {
                parse("", "0::/marked.service\n", &h);
                assert_int_equal(h.version, 2);
                assert_true(h.delegated);
                assert_string_equal(h.base[0], want);
        }
}

static void hostile_or_odd_texts_give_no_place(void **state)
{
        static const char *const odd[] = {"",
                                          "\n\n",
                                          "x",
                                          "1 2 3 4",
                                          "36 35 0:1 / /a - cgroup2",
                                          " - cgroup2 x y",
                                          "36 35 0:1 /other /nonexistent rw - cgroup2 cgroup2 rw\n",
                                          "36 35 0:1 / /sys/fs\\040/cgroup rw - cgroup2 cgroup2 rw\n"};
        struct cgroup_host h;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
                assert_int_equal(cgroup_host_parse(odd[i], "0::/../../x\n", &h, NULL), 0);
                assert_int_equal(h.version, 0);
                assert_true(h.why[0]);
        }
}

/* ---- live ---- */

static struct cgroup *live(const char *name, const struct cgroup_limits *l)
{
        struct sandbox_held held;
        struct err err = ERR_INIT;
        struct cgroup *g = NULL;

        if (cgroup_new(name, l, &g, &held, &err) < 0)
                fail_msg("%s", err.msg);
        if (!g) {
                print_message("%s\n", held.why);
                assert_int_equal(held.state, SANDBOX_MISSING);
                assert_true(held.why[0]);
                skip();
        }
        assert_int_equal(held.state, SANDBOX_OK);
        print_message("%s\n", held.why);
        return g;
}

static char *places_of(const struct cgroup *g)
{
        struct buf text = BUF_INIT;

        assert_int_equal(cgroup_places(g, &text, NULL), 0);
        return buf_take_str(&text);
}

static void first_place(const char *places, char ret[CGROUP_MAX_PATH])
{
        assert_int_equal(sscanf(places, "%511s", ret), 1);
}

/* A child in the group; it waits until `go` closes, then does `what`, whose return value is its status. */
static pid_t member(const struct cgroup *g, int (*what)(void), int *ret_go)
{
        int go[2], in[2], entries[CGROUP_MAX_PLACES];
        unsigned n = cgroup_entries(g, entries);
        char c;
        pid_t pid;

        assert_int_equal(fd_pipe(go, NULL), 0);
        assert_int_equal(fd_pipe(in, NULL), 0);
        pid = fork();
        if (pid == 0) {
                close(go[1]);
                for (unsigned i = 0; i < n; i++) {
                        if (cgroup_enter(entries[i], NULL) < 0)
                                _exit(101);
                }
                if (write(in[1], "i", 1) != 1 || read(go[0], &c, 1) != 0)
                        _exit(102);
                _exit(what());
        }
        close(go[0]);
        close(in[1]);
        if (read(in[0], &c, 1) != 1)
                fail_msg("the child did not enter its group");
        close(in[0]);
        *ret_go = go[1];
        return pid;
}

static int wait_status(pid_t pid)
{
        int status = 0;

        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int take_memory(void)
{
        const size_t size = 256 << 20;
        char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED)
                return 103;
        memset(p, 1, size);
        return p[size - 1] == 1 ? 0 : 104;
}

static void process_past_the_bound_of_memory_is_killed_and_that_is_told(void **state)
{
        const struct cgroup_limits small = {.memory = 32 << 20, .processes = 16}, large = {.memory = 512 << 20};
        struct sandbox_held held;
        struct cgroup *g = live("test-memory", &small);
        AUTO(auto_free) char *places = places_of(g);
        int go;

        (void)state;
        pid_t pid = member(g, take_memory, &go);
        assert_false(cgroup_ran_out_of_memory(places));
        /* Version 1 has no such file, and no promise; version 2 has it unless the kernel does not count swap. */
        AUTO(auto_free) char *swap = str_printf("%.*s/memory.swap.max", (int)strcspn(places, "\n"), places);
        assert_int_equal(cgroup_bars_swap(places), fs_exists(swap));
        close(go);
        assert_int_equal(wait_status(pid), 128 + SIGKILL);
        assert_true(cgroup_ran_out_of_memory(places));
        cgroup_free(g);
        /* The next group of that name knows nothing of it, and the same program ends well with more. */
        assert_int_equal(cgroup_new("test-memory", &large, &g, &held, NULL), 0);
        assert_int_equal(held.state, SANDBOX_DEGRADED); /* no limit of processes was asked for */
        assert_false(cgroup_ran_out_of_memory(places));
        pid = member(g, take_memory, &go);
        close(go);
        assert_int_equal(wait_status(pid), 0);
        cgroup_free(g);
        assert_int_equal(cgroup_end(places, "test-memory", NULL, NULL), 0);
}

static int fork_until_refused(void)
{
        for (int i = 0; i < 64; i++) {
                pid_t pid = fork();
                if (pid < 0)
                        return errno == EAGAIN ? i : 105;
                if (pid == 0)
                        for (;;)
                                pause();
        }
        return 106;
}

static void fork_past_the_bound_of_processes_is_refused_and_what_is_left_is_killed(void **state)
{
        const struct cgroup_limits l = {.memory = 64 << 20, .processes = 8, .weight = 50};
        struct cgroup *g = live("test-pids", &l);
        AUTO(auto_free) char *places = places_of(g);
        char first[CGROUP_MAX_PATH];
        unsigned killed = 0;
        struct err err = ERR_INIT;
        int go;

        (void)state;
        first_place(places, first);
        pid_t pid = member(g, fork_until_refused, &go);
        close(go);
        assert_int_equal(wait_status(pid), 7);
        assert_true(fs_exists(first));
        if (cgroup_end(places, "test-pids", &killed, &err) < 0)
                fail_msg("%s", err.msg);
        assert_int_equal(killed, 7);
        assert_false(fs_exists(first));
        assert_int_equal(cgroup_end(places, "test-pids", &killed, &err), 0);
        assert_int_equal(killed, 0);
        cgroup_free(g);
}

static int nothing(void)
{
        return 0;
}

static void new_group_of_the_same_name_ends_what_an_older_one_left(void **state)
{
        const struct cgroup_limits l = {.memory = 64 << 20, .processes = 8};
        struct cgroup *g = live("test-older", &l);
        AUTO(auto_free) char *places = places_of(g);
        struct sandbox_held held;
        int go;

        (void)state;
        pid_t pid = member(g, nothing, &go);
        cgroup_free(g);
        assert_int_equal(cgroup_new("test-older", &l, &g, &held, NULL), 0);
        assert_int_equal(wait_status(pid), 128 + SIGKILL);
        close(go);
        cgroup_free(g);
        assert_int_equal(cgroup_end(places, "test-older", NULL, NULL), 0);
}

static void only_groups_of_that_name_below_our_folder_are_ended(void **state)
{
        static const char *const wrong[] = {"/sys/fs/cgroup/memory/system.slice\n", "/sys/fs/cgroup/devdep/other\n",
                                            "relative/devdep/test\n", "/x/devdep/../devdep/test\n",
                                            "/sys/fs/cgroup/devdep/test/below\n"};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
                struct err err = ERR_INIT;
                assert_true(cgroup_end(wrong[i], "test", NULL, &err) < 0);
                assert_int_equal(err.code, ERR_USAGE);
        }
        assert_int_equal(cgroup_end("", "test", NULL, NULL), 0);
        assert_int_equal(cgroup_end("/sys/fs/cgroup/devdep/test\n", "test", NULL, NULL), 0);
}

static void names_that_are_paths_are_refused(void **state)
{
        static const char *const wrong[] = {
                "", "..", "a/b", "A", "a b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
        const struct cgroup_limits l = {0};
        struct sandbox_held held;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
                struct cgroup *g = NULL;
                assert_true(cgroup_new(wrong[i], &l, &g, &held, NULL) < 0);
                assert_null(g);
        }
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(legacy_hierarchies_are_roots_own),
                cmocka_unit_test(unified_hierarchy_with_controllers_comes_first),
                cmocka_unit_test(own_group_serves_where_it_was_delegated),
                cmocka_unit_test(group_that_systemd_marked_is_ours_for_root_too),
                cmocka_unit_test(hostile_or_odd_texts_give_no_place),
                cmocka_unit_test(process_past_the_bound_of_memory_is_killed_and_that_is_told),
                cmocka_unit_test(fork_past_the_bound_of_processes_is_refused_and_what_is_left_is_killed),
                cmocka_unit_test(new_group_of_the_same_name_ends_what_an_older_one_left),
                cmocka_unit_test(only_groups_of_that_name_below_our_folder_are_ended),
                cmocka_unit_test(names_that_are_paths_are_refused),
        };

        return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
