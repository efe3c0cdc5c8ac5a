#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/fs.h"
#include "source/start.h"

static char root[64];

static void put(const char *name, const char *text)
{
        char path[512];
        snprintf(path, sizeof(path), "%s/%s", root, name);
        assert_int_equal(fs_write_atomic(path, text, strlen(text), 0600, NULL), 0);
}

static void make(const char *name)
{
        char path[512];
        snprintf(path, sizeof(path), "%s/%s", root, name);
        assert_int_equal(fs_mkdirs(path, 0700, NULL), 0);
}

/* What git asks of a git folder. */
static void make_git_folder(const char *name)
{
        char path[300];
        snprintf(path, sizeof(path), "%s/objects", name);
        make(path);
        snprintf(path, sizeof(path), "%s/refs", name);
        make(path);
        snprintf(path, sizeof(path), "%s/HEAD", name);
        put(path, "ref: refs/heads/main\n");
}

static int setup(void **state)
{
        (void)state;
        strcpy(root, "/tmp/devdep-place.XXXXXX");
        return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state)
{
        (void)state;
        return fs_remove_tree(root, NULL);
}

static int find(const char *name, struct source_place *ret, struct err *e)
{
        char path[512];
        snprintf(path, sizeof(path), "%s/%s", root, name);
        return source_place_find(path, ret, e);
}

static void found(const char *name, const char *top, const char *gitdir, const char *common, bool back_link)
{
        struct source_place p;
        struct err e = ERR_INIT;
        assert_int_equal(find(name, &p, &e), 0);
        size_t n = strlen(root) + 1;
        assert_string_equal(p.gitdir + n, gitdir);
        assert_string_equal(p.common + n, common);
        assert_int_equal(p.back_link, back_link);
        if (top)
                assert_string_equal(p.top + n, top);
        else
                assert_null(p.top);
        source_place_done(&p);
}

static void refused(const char *name, const char *words)
{
        struct source_place p;
        struct err e = ERR_INIT;
        assert_true(find(name, &p, &e) < 0);
        assert_int_equal(e.code, ERR_USAGE);
        assert_non_null(strstr(e.msg, words));
        assert_null(p.gitdir);
}

static void a_repository_is_found_from_below(void **state)
{
        (void)state;
        make_git_folder("r/.git");
        make("r/a/b");
        found("r", "r", "r/.git", "r/.git", false);
        found("r/a/b", "r", "r/.git", "r/.git", false);
}

static void a_bare_repository_has_no_work_tree(void **state)
{
        (void)state;
        make_git_folder("bare.git");
        found("bare.git", NULL, "bare.git", "bare.git", false);
}

static void a_linked_work_tree_needs_both_links(void **state)
{
        char text[256];
        (void)state;
        make_git_folder("main/.git");
        make("main/.git/worktrees/w");
        put("main/.git/worktrees/w/HEAD", "ref: refs/heads/w\n");
        put("main/.git/worktrees/w/commondir", "../..\n");
        make("w");
        put("w/.git", "gitdir: ../main/.git/worktrees/w\n");
        snprintf(text, sizeof(text), "%s/w/.git\n", root);
        put("main/.git/worktrees/w/gitdir", text);
        found("w", "w", "main/.git/worktrees/w", "main/.git", false);
        make("thief");
        put("thief/.git", "gitdir: ../main/.git/worktrees/w\n");
        refused("thief", "belongs to another work tree");
}

static void a_common_folder_elsewhere_is_refused(void **state)
{
        (void)state;
        make_git_folder("private/.git");
        make_git_folder("r/.git");
        put("r/.git/commondir", "../../private/.git\n");
        refused("r", "commondir");
        make("private/.git/worktrees/x/deeper");
        make_git_folder("private/.git/worktrees/x/deeper");
        put("private/.git/worktrees/x/deeper/commondir", "../../..\n");
        refused("private/.git/worktrees/x/deeper", "commondir");
}

static void a_submodule_must_still_prove_its_git_folder(void **state)
{
        (void)state;
        make_git_folder("top/.git/modules/s");
        make("top/s");
        put("top/s/.git", "gitdir: ../.git/modules/s\n");
        found("top/s", "top/s", "top/.git/modules/s", "top/.git/modules/s", true);
}

static void odd_git_files_and_links_are_refused(void **state)
{
        char path[512];
        (void)state;
        make("r");
        put("r/.git", "gitdir: ../nothing\n");
        refused("r", "No such file");
        put("r/.git", "nonsense\n");
        refused("r", "gitdir: PATH");
        make("folder");
        put("r/.git", "gitdir: ../folder\n");
        refused("r", "no git folder");
        make_git_folder("other/.git");
        make("l");
        snprintf(path, sizeof(path), "%s/l/.git", root);
        assert_int_equal(symlink("../other/.git", path), 0);
        refused("l", "symbolic link");
}

static void a_folder_without_git_is_refused_with_what_to_do(void **state)
{
        (void)state;
        make("plain");
        refused("plain", "git init");
        refused("missing", "No such file");
        put("file", "x");
        refused("file", "expected a folder");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_repository_is_found_from_below, setup, teardown),
                cmocka_unit_test_setup_teardown(a_bare_repository_has_no_work_tree, setup, teardown),
                cmocka_unit_test_setup_teardown(a_linked_work_tree_needs_both_links, setup, teardown),
                cmocka_unit_test_setup_teardown(a_common_folder_elsewhere_is_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(a_submodule_must_still_prove_its_git_folder, setup, teardown),
                cmocka_unit_test_setup_teardown(odd_git_files_and_links_are_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(a_folder_without_git_is_refused_with_what_to_do, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
