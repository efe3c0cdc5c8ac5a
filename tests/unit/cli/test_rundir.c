/* The folders of runs: numbers, locks, records, removal, bounds. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

#include "base/err.h"
#include "base/fs.h"
#include "cli/rundir.h"
#include "codec/json.h"

static int make_state(void **state)
{
        char *path = strdup("/tmp/devdep-rundir-XXXXXX");

        *state = mkdtemp(path);
        return *state ? 0 : -1;
}

static int remove_state(void **state)
{
        int r = fs_remove_tree(*state, NULL);

        free(*state);
        return r;
}

static struct rundir *new_run(const char *state)
{
        struct rundir *d = NULL;
        struct err e = ERR_INIT;

        assert_int_equal(rundir_new(state, &d, &e), 0);
        return d;
}

static void write_record(struct rundir *d, const char *conclusion)
{
        struct err e = ERR_INIT;
        json_t *record = json_pack("{s:s}", "conclusion", conclusion);

        assert_int_equal(rundir_write(d, record, &e), 0);
        json_decref(record);
}

static void numbers_grow_and_are_never_shared(void **state)
{
        struct rundir *a = new_run(*state), *b = new_run(*state);

        assert_int_equal(rundir_number(a), 1);
        assert_int_equal(rundir_number(b), 2);
        rundir_discard(a);
        struct rundir *c = new_run(*state);
        assert_int_equal(rundir_number(c), 3);
        rundir_free(b);
        rundir_free(c);
}

static void the_number_of_a_removed_run_is_not_used_again(void **state)
{
        struct err e = ERR_INIT;

        for (uint64_t expected = 1; expected <= 4; expected++) {
                struct rundir *d = new_run(*state);
                assert_int_equal(rundir_number(d), expected);
                rundir_free(d);
                if (expected != 2)
                        assert_int_equal(rundir_remove(*state, expected, &e), 0);
        }
        /* An older one that is removed later changes nothing. */
        assert_int_equal(rundir_remove(*state, 2, &e), 0);
        struct rundir *d = new_run(*state);
        assert_int_equal(rundir_number(d), 5);
        rundir_free(d);
}

static void a_run_is_alive_while_its_maker_holds_the_lock(void **state)
{
        struct rundir *d = new_run(*state);
        struct rundir_entry x;
        struct err e = ERR_INIT;

        write_record(d, "");
        assert_int_equal(rundir_get(*state, 1, &x, &e), 0);
        assert_true(x.alive);
        rundir_entry_done(&x);
        assert_true(rundir_remove(*state, 1, &e) < 0);
        assert_int_equal(e.code, ERR_USAGE);
        rundir_free(d);
        assert_int_equal(rundir_get(*state, 1, &x, &e), 0);
        assert_false(x.alive);
        rundir_entry_done(&x);
        assert_int_equal(rundir_remove(*state, 1, &e), 0);
        assert_int_equal(rundir_get(*state, 1, &x, &e), RUNDIR_E_MISSING);
        assert_int_equal(rundir_remove(*state, 1, &e), RUNDIR_E_MISSING);
}

static void a_damaged_record_is_listed_without_one(void **state)
{
        struct rundir *d = new_run(*state);
        struct rundir_entry x;
        struct err e = ERR_INIT;
        char path[128];

        snprintf(path, sizeof(path), "%s/runs/1/run.json", (const char *)*state);
        assert_int_equal(fs_write_atomic(path, "{", 1, 0600, &e), 0);
        rundir_free(d);
        assert_int_equal(rundir_get(*state, 1, &x, &e), 0);
        assert_null(x.record);
        rundir_entry_done(&x);
}

static void old_runs_are_removed_past_the_bound_but_never_a_living_one(void **state)
{
        struct rundir *alive = new_run(*state);
        struct rundir_entry x;
        struct err e = ERR_INIT;

        for (unsigned i = 0; i < RUNDIR_MAX_RUNS + 2; i++)
                rundir_free(new_run(*state));
        /* 203 folders: past the bound are run 1, which lives, and runs 2 and 3. */
        assert_int_equal(rundir_prune(*state, &e), 2);
        assert_int_equal(rundir_get(*state, 1, &x, &e), 0);
        rundir_entry_done(&x);
        assert_int_equal(rundir_get(*state, 2, &x, &e), RUNDIR_E_MISSING);
        assert_int_equal(rundir_get(*state, 4, &x, &e), 0);
        rundir_entry_done(&x);
        rundir_free(alive);
}

static void a_journal_is_made_once_and_private(void **state)
{
        struct rundir *d = new_run(*state);
        struct err e = ERR_INIT;
        char *path = NULL, *again = NULL;
        int fd = -1, second = -1;
        struct stat st;

        assert_int_equal(rundir_open_journal(d, "build", &fd, &path, &e), 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        assert_true(fcntl(fd, F_GETFL) & O_APPEND);
        assert_true(rundir_open_journal(d, "build", &second, &again, &e) < 0);
        close(fd);
        free(path);
        rundir_free(d);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(numbers_grow_and_are_never_shared, make_state, remove_state),
                cmocka_unit_test_setup_teardown(the_number_of_a_removed_run_is_not_used_again, make_state,
                                                remove_state),
                cmocka_unit_test_setup_teardown(a_run_is_alive_while_its_maker_holds_the_lock, make_state,
                                                remove_state),
                cmocka_unit_test_setup_teardown(a_damaged_record_is_listed_without_one, make_state, remove_state),
                cmocka_unit_test_setup_teardown(old_runs_are_removed_past_the_bound_but_never_a_living_one, make_state,
                                                remove_state),
                cmocka_unit_test_setup_teardown(a_journal_is_made_once_and_private, make_state, remove_state),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
