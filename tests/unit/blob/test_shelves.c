/* The shelves of a STATE: made, bounded over all, removed. */
#include "archive.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "base/fd.h"
#include "base/str.h"
#include "blob/shelves.h"

static char *state;

static int set_up(void **unused)
{
        (void)unused;
        state = folder_new();
        return 0;
}

static int tear_down(void **unused)
{
        (void)unused;
        folder_free(state);
        return 0;
}

/* Fill one artifact of a run, or one cache of a repository. */
static void put_run(const char *run, const char *text)
{
        char *path = NULL;
        struct store_entry x;
        assert_int_equal(shelf_make_artifacts(state, run, (uid_t)-1, &path, NULL), 0);
        const struct store_limits l = STORE_LIMITS_ARTIFACTS;
        struct store *s = must_open(path, STORE_ARTIFACTS, &l);
        assert_int_equal(put_text(s, &ARTIFACT("dist"), text, &x, NULL), 0);
        store_free(s);
        free(path);
}

static void put_repository(const char *repository, const char *key, time_t used)
{
        const struct timespec times[2] = {{.tv_sec = used}, {.tv_sec = used}};
        const struct store_limits l = {.max_bytes = 1 << 20, .max_files = 9, .max_entries = 99, .max_total = 1 << 20};
        char *path = NULL, name[400];
        struct store_entry x;
        int lock = -1;
        assert_int_equal(shelf_make_caches(state, repository, (uid_t)-1, &path, &lock, NULL), 0);
        struct store *s = must_open(path, STORE_CACHES, &l);
        assert_int_equal(put_text(s, &CACHE("refs/heads/main", key), key, &x, NULL), 0);
        snprintf(name, sizeof(name), "%s/entries/%llu.json", path, (unsigned long long)x.id);
        assert_int_equal(utimensat(AT_FDCWD, name, times, 0), 0);
        store_free(s);
        fd_close(lock);
        free(path);
}

/* A job reads it, as devdep-store does. */
static void use(const char *repository, uint64_t id)
{
        const struct store_limits l = {.max_bytes = 1 << 20, .max_files = 9, .max_entries = 99, .max_total = 1 << 20};
        char *path = NULL;
        int lock = -1, fd = -1;
        assert_int_equal(shelf_make_caches(state, repository, (uid_t)-1, &path, &lock, NULL), 0);
        struct store *s = must_open(path, STORE_CACHES, &l);
        assert_int_equal(store_read(s, id, NULL, &fd, NULL), 0);
        store_free(s);
        fd_close(fd);
        fd_close(lock);
        free(path);
}

static bool keep_all(const char *run, void *user)
{
        (void)user;
        return !str_eq(run, "gone");
}

static bool keep_but_3(const char *run, void *user)
{
        (void)user;
        return !str_eq(run, "3");
}

static bool has_run(const char *run)
{
        char *path = str_printf("%s/store/artifacts/%s", state, run);
        bool has = fs_exists(path);
        free(path);
        return has;
}

/* Keys of all caches, in the order of repositories. */
static char *keys(void)
{
        struct shelf_repository *v = NULL;
        struct buf b = BUF_INIT;
        size_t n = 0;
        assert_int_equal(shelf_repositories(state, &v, &n, NULL), 0);
        for (size_t i = 0; i < n; i++) {
                struct store *s = NULL;
                struct store_list l = {0};
                if (shelf_open_caches(state, v[i].id, &s, NULL) == 0)
                        assert_int_equal(store_list(s, &l, NULL), 0);
                for (size_t k = 0; k < l.n; k++)
                        buf_printf(&b, NULL, "%s:%s ", v[i].path, l.v[k].name);
                store_list_done(&l);
                store_free(s);
        }
        shelf_repositories_free(v, n);
        return buf_take_str(&b);
}

static void prune(uint64_t artifacts, uint64_t caches, size_t repositories, bool (*keep)(const char *, void *),
                  const char *protected, struct shelves_pruned *ret)
{
        const struct shelves_limits l = {
                .all_artifacts = artifacts, .all_caches = caches, .max_repositories = repositories};
        struct err e = ERR_INIT;
        if (shelves_prune(state, &l, keep, NULL, protected, ret, &e) < 0)
                fail_msg("%s", e.msg);
}

static void the_folders_above_the_shelves_are_the_callers_alone(void **unused)
{
        static const char *const folders[] = {"store", "store/artifacts", "store/artifacts/7", "store/caches"};
        mode_t before = umask(0);
        struct stat st;
        (void)unused;
        put_run("7", "x");
        put_repository("/home/me/repo/.git", "key", 4000000000);
        umask(before);
        for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
                char *path = fs_join(state, folders[i]);
                assert_int_equal(lstat(path, &st), 0);
                assert_int_equal(st.st_mode & 07777, 0700);
                free(path);
        }
        char *text = keys();
        assert_string_equal(text, "/home/me/repo/.git:key ");
        free(text);
}

static void a_shelf_that_is_somebody_elses_is_made_anew(void **unused)
{
        char *path = NULL;
        struct stat st;
        (void)unused;
        if (geteuid() != 0)
                skip();
        put_run("7", "x");
        assert_int_equal(shelf_make_artifacts(state, "7", 70123, &path, NULL), 0);
        assert_int_equal(lstat(path, &st), 0);
        assert_int_equal(st.st_uid, 70123);
        char *entries = fs_join(path, "entries");
        assert_false(fs_exists(entries));
        free(entries);
        free(path);
}

static void artifacts_of_runs_that_are_gone_and_of_the_oldest_past_the_bound_are_removed(void **unused)
{
        struct shelves_pruned p;
        struct buf one = archive_of("file", "x");
        (void)unused;
        put_run("2", "x");
        put_run("3", "x");
        put_run("9", "x");
        put_run("10", "x");
        prune(100 * one.len, 1, 9, keep_but_3, NULL, &p);
        assert_int_equal(p.runs, 1);
        assert_false(has_run("3"));
        prune(3 * one.len, 1, 9, keep_all, NULL, &p);
        assert_int_equal(p.runs, 0);
        prune(3 * one.len - 1, 1, 9, keep_all, NULL, &p);
        assert_int_equal(p.runs, 1);
        assert_int_equal(p.bytes, one.len);
        assert_false(has_run("2"));
        assert_true(has_run("9") && has_run("10"));
        prune(0, 1, 9, keep_all, "9", &p);
        assert_true(has_run("9"));
        assert_false(has_run("10"));
        assert_int_equal(shelf_remove_artifacts(state, "9", NULL), 0);
        assert_int_equal(shelf_remove_artifacts(state, "9", NULL), 0);
        assert_false(has_run("9"));
        buf_done(&one);
}

static void caches_of_all_repositories_give_way_least_recently_used_first(void **unused)
{
        struct shelves_pruned p;
        struct buf one = archive_of("file", "a");
        (void)unused;
        put_repository("/a", "a1", 4000000001);
        put_repository("/a", "a2", 4000000004);
        put_repository("/b", "b1", 4000000002);
        put_repository("/b", "b2", 4000000003);
        prune(0, 4 * one.len, 9, keep_all, NULL, &p);
        assert_int_equal(p.caches, 0);
        prune(0, 2 * one.len, 9, keep_all, NULL, &p);
        assert_int_equal(p.caches, 2);
        char *text = keys();
        assert_non_null(strstr(text, "/a:a2 "));
        assert_non_null(strstr(text, "/b:b2 "));
        assert_int_equal(strlen(text), 12);
        free(text);
        buf_done(&one);
}

static void prune_is(const char *id, uint64_t max_unused_ms, uint64_t max_bytes, unsigned removed, const char *want)
{
        const struct caches_prune what = {.id = id, .max_unused_ms = max_unused_ms, .max_bytes = max_bytes};
        struct shelves_pruned p;
        struct caches_left left;
        struct err e = ERR_INIT;
        if (shelves_prune_caches(state, &what, &p, &left, &e) < 0)
                fail_msg("%s", e.msg);
        assert_int_equal(p.caches, removed);
        char *text = keys();
        assert_string_equal(text, want);
        free(text);
}

static void a_person_prunes_caches_by_age_and_by_size_of_one_repository_or_of_all(void **unused)
{
        const time_t now = time(NULL);
        struct buf one = archive_of("file", "a");
        char b[SHELF_ID_SIZE];
        (void)unused;
        put_repository("/b", "b1", now - 500);
        put_repository("/b", "b2", now - 300);
        put_repository("/a", "a1", now - 400);
        put_repository("/a", "a2", now + 1000);
        assert_int_equal(shelf_repository_id("/b", b, NULL), 0);
        prune_is(NULL, 600000, UINT64_MAX, 0, "/a:a2 /a:a1 /b:b2 /b:b1 ");
        prune_is(NULL, 450000, UINT64_MAX, 1, "/a:a2 /a:a1 /b:b2 ");
        prune_is(b, UINT64_MAX, one.len, 0, "/a:a2 /a:a1 /b:b2 ");
        prune_is(b, UINT64_MAX, 0, 1, "/a:a2 /a:a1 ");
        prune_is(NULL, 0, UINT64_MAX, 1, "/a:a2 ");
        prune_is(NULL, UINT64_MAX, 0, 1, "");
        buf_done(&one);
}

static void a_cache_that_was_used_since_it_was_listed_is_not_pruned(void **unused)
{
        char id[SHELF_ID_SIZE];
        struct store *s = NULL;
        struct store_list l;
        (void)unused;
        put_repository("/a", "a1", time(NULL) - 1000);
        assert_int_equal(shelf_repository_id("/a", id, NULL), 0);
        assert_int_equal(shelf_open_caches(state, id, &s, NULL), 0);
        assert_int_equal(store_list(s, &l, NULL), 0);
        assert_int_equal(l.n, 1);
        use("/a", l.v[0].id);
        assert_int_equal(store_remove_unused(s, l.v[0].id, l.v[0].used_ms, NULL), STORE_E_USED);
        store_list_done(&l);
        assert_int_equal(store_list(s, &l, NULL), 0);
        assert_int_equal(l.n, 1);
        assert_int_equal(store_remove_unused(s, l.v[0].id, l.v[0].used_ms, NULL), 0);
        assert_int_equal(store_remove_unused(s, l.v[0].id, l.v[0].used_ms, NULL), STORE_E_MISSING);
        store_list_done(&l);
        store_free(s);
}

static void a_repository_without_caches_or_past_the_number_goes_unless_a_run_holds_it(void **unused)
{
        struct shelves_pruned p;
        char *path = NULL;
        int lock = -1;
        (void)unused;
        put_repository("/a", "a1", 4000000001);
        put_repository("/b", "b1", 4000000002);
        assert_int_equal(shelf_make_caches(state, "/c", (uid_t)-1, &path, &lock, NULL), 0);
        prune(0, 1 << 20, 2, keep_all, NULL, &p);
        assert_int_equal(p.repositories, 0);
        assert_true(fs_exists(path));
        fd_close(lock);
        prune(0, 1 << 20, 2, keep_all, NULL, &p);
        assert_int_equal(p.repositories, 1);
        assert_false(fs_exists(path));
        prune(0, 1 << 20, 1, keep_all, NULL, &p);
        assert_int_equal(p.repositories, 1);
        char *text = keys();
        assert_string_equal(text, "/b:b1 ");
        free(text);
        free(path);
}

static void what_is_no_shelf_is_left_alone(void **unused)
{
        struct shelves_pruned p;
        (void)unused;
        put_run("7", "x");
        char *stranger = str_printf("%s/store/artifacts/notes", state);
        assert_int_equal(mkdir(stranger, 0700), 0);
        prune(1 << 20, 1 << 20, 9, keep_all, NULL, &p);
        assert_true(fs_exists(stranger));
        assert_true(has_run("7"));
        free(stranger);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(the_folders_above_the_shelves_are_the_callers_alone, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_shelf_that_is_somebody_elses_is_made_anew, set_up, tear_down),
                cmocka_unit_test_setup_teardown(
                        artifacts_of_runs_that_are_gone_and_of_the_oldest_past_the_bound_are_removed, set_up,
                        tear_down),
                cmocka_unit_test_setup_teardown(caches_of_all_repositories_give_way_least_recently_used_first, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(a_person_prunes_caches_by_age_and_by_size_of_one_repository_or_of_all,
                                                set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_cache_that_was_used_since_it_was_listed_is_not_pruned, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(
                        a_repository_without_caches_or_past_the_number_goes_unless_a_run_holds_it, set_up, tear_down),
                cmocka_unit_test_setup_teardown(what_is_no_shelf_is_left_alone, set_up, tear_down),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
