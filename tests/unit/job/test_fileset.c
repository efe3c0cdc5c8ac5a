/* The list that `find` gives in the guest: a stranger's bytes. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/num.h"
#include "job/fileset.h"
#include "workflow/fileglob.h"

static struct fileglob *parse(const char *text)
{
        const struct fileglob_options o = {.home = "/home/runner", .workdir = "/w", .descendants = true};
        struct fileglob *g = NULL;
        assert_int_equal(fileglob_new(text, &o, &g, NULL), 0);
        return g;
}

/* Records with '|' for NUL. Paths joined by blanks, or NULL with the failure in *e. */
static char *list(const char *patterns, bool hidden, unsigned kinds, const char *records, size_t step, struct err *e)
{
        struct fileglob *g = parse(patterns);
        const struct fileset_want w = {.patterns = g, .kinds = kinds, .hidden = hidden};
        struct fileset_list *l = NULL;
        const char *const *paths = NULL;
        size_t n = 0, len = strlen(records);
        char *data = strdup(records), *text = NULL;
        for (char *p = data; *p; p++)
                if (*p == '|')
                        *p = '\0';
        assert_int_equal(fileset_list_new(&w, &l, NULL), 0);
        int r = 0;
        for (size_t i = 0; r == 0 && i < len; i += step)
                r = fileset_list_feed(l, data + i, MIN(step, len - i), e);
        if (r == 0)
                r = fileset_list_end(l, &paths, &n, e);
        if (r == 0) {
                text = calloc(1, 65536);
                for (size_t i = 0; i < n; i++)
                        snprintf(text + strlen(text), 65536 - strlen(text), "%s ", paths[i]);
        }
        fileset_list_free(l);
        fileglob_free(g);
        free(data);
        return text;
}

static void lists(const char *patterns, bool hidden, unsigned kinds, const char *records, const char *want)
{
        for (size_t step = 1; step < 100; step += 7) {
                struct err e = ERR_INIT;
                char *text = list(patterns, hidden, kinds, records, step, &e);
                if (!text)
                        fail_msg("%s", e.msg);
                assert_string_equal(text, want);
                free(text);
        }
}

static void refused(const char *patterns, const char *records, const char *message)
{
        struct err e = ERR_INIT;
        char *text = list(patterns, true, FILEGLOB_FILE, records, 5, &e);
        if (text)
                fail_msg("%s", text);
        assert_int_equal(e.code, ERR_RUN_FAILED);
        assert_contains(e.msg, message);
}

static void what_matches_is_kept_in_the_order_of_a_walk(void **state)
{
        (void)state;
        lists("dist\n!dist/**/*.log", true, FILEGLOB_FILE,
              "d/w/dist|f/w/dist/b|f/w/dist/a/x|d/w/dist/a|f/w/dist/a-b|f/w/dist/x.log|f/w/dist/b|",
              "/w/dist/a/x /w/dist/a-b /w/dist/b ");
        lists("dist", true, FILEGLOB_FILE | FILEGLOB_FOLDER, "f/w/dist/a-b|f/w/dist/a/x|d/w/dist/a|d/w/dist|",
              "/w/dist /w/dist/a /w/dist/a/x /w/dist/a-b ");
        lists("dist", true, FILEGLOB_FILE, "", "");
        lists("/", true, FILEGLOB_FILE, "d/|f/a|", "/a ");
}

static void other_kinds_of_files_are_left_out(void **state)
{
        (void)state;
        lists("dist", true, FILEGLOB_FILE, "p/w/dist/fifo|s/w/dist/socket|c/w/dist/dev|l/w/dist/broken|U/w/dist/x|",
              "");
}

static void hidden_files_and_what_is_below_hidden_folders_are_left_out(void **state)
{
        (void)state;
        lists("dist", false, FILEGLOB_FILE, "f/w/dist/.a|f/w/dist/.git/x|f/w/dist/a.b|f/w/dist/a/.b/c|",
              "/w/dist/a.b ");
        lists("~/.npm", false, FILEGLOB_FILE, "f/home/runner/.npm/x|", "");
        lists("~/.npm/_cacache", false, FILEGLOB_FILE, "f/home/runner/.npm/_cacache/x|",
              "/home/runner/.npm/_cacache/x ");
        lists("/", false, FILEGLOB_FILE, "f/.x|f/y|", "/y ");
}

static void a_folder_that_may_hold_something_and_cannot_be_read_is_an_error(void **state)
{
        (void)state;
        refused("dist", "d/w/dist|x/w/dist/secret|", "'/w/dist/secret' cannot be read");
        lists("dist/*.txt", true, FILEGLOB_FILE, "d/w/dist|x/w/dist/secret|f/w/dist/a.txt|", "/w/dist/a.txt ");
}

static void a_list_that_is_none_is_an_error(void **state)
{
        char *longest = malloc(8300), path[8200];
        (void)state;
        refused("dist", "f/etc/passwd|", "outside");
        refused("dist", "f/w/distant|", "outside");
        refused("dist", "f/w/dist/../x|", "is no path");
        refused("dist", "f/w/dist/./x|", "is no path");
        refused("dist", "f/w/dist//x|", "is no path");
        refused("dist", "f/w/dist/|", "is no path");
        refused("dist", "fw/dist/x|", "is no path");
        refused("dist", "f|", "is no path");
        refused("dist", "|", "is no path");
        refused("dist", "f/w/dist/x", "ends early");
        memset(path, 'x', sizeof(path));
        path[4097] = '\0';
        memcpy(path, "/w/dist/", 8);
        snprintf(longest, 8300, "f%s|", path);
        refused("dist", longest, "longer than a path");
        path[4096] = '\0';
        snprintf(longest, 8300, "f%s|", path);
        struct err e = ERR_INIT;
        char *text = list("dist", true, FILEGLOB_FILE, longest, 999, &e);
        assert_non_null(text);
        assert_int_equal(strlen(text), 4097);
        free(text);
        free(longest);
}

/* At the limit, and one past it. */
static void the_files_are_counted(void **state)
{
        struct fileglob *g = parse("/");
        const struct fileset_want w = {.patterns = g, .kinds = FILEGLOB_FILE, .hidden = true};
        struct fileset_list *l = NULL;
        struct err e = ERR_INIT;
        char record[32];
        (void)state;
        assert_int_equal(fileset_list_new(&w, &l, NULL), 0);
        for (unsigned i = 0; i < FILESET_MAX_FILES; i++) {
                int n = snprintf(record, sizeof(record), "f/%u", i) + 1;
                assert_int_equal(fileset_list_feed(l, record, (size_t)n, &e), 0);
        }
        assert_true(fileset_list_feed(l, "f/x", 4, &e) < 0);
        assert_contains(e.msg, "500000 files");
        fileset_list_free(l);
        fileglob_free(g);
}

static void what_the_guest_lists_is_counted(void **state)
{
        struct fileglob *g = parse("/x");
        const struct fileset_want w = {.patterns = g, .kinds = FILEGLOB_FILE, .hidden = true};
        struct fileset_list *l = NULL;
        struct err e = ERR_INIT;
        (void)state;
        assert_int_equal(fileset_list_new(&w, &l, NULL), 0);
        for (unsigned i = 0; i < FILESET_MAX_LISTED; i++)
                assert_int_equal(fileset_list_feed(l, "d/x", 4, &e), 0);
        assert_true(fileset_list_feed(l, "d/x", 4, &e) < 0);
        assert_contains(e.msg, "4000000 files");
        fileset_list_free(l);
        fileglob_free(g);
}

static void the_names_are_counted(void **state)
{
        struct fileglob *g = parse("/");
        const struct fileset_want w = {.patterns = g, .kinds = FILEGLOB_FILE, .hidden = true};
        struct fileset_list *l = NULL;
        struct err e = ERR_INIT;
        char record[4098];
        (void)state;
        memset(record, 'x', sizeof(record));
        memcpy(record, "f/", 2);
        record[4096] = '\0'; /* a path of 4,095 and its NUL: 64 MiB are 16,384 of them */
        assert_int_equal(fileset_list_new(&w, &l, NULL), 0);
        for (unsigned i = 0; i < FILESET_MAX_BYTES / 4096; i++)
                assert_int_equal(fileset_list_feed(l, record, 4097, &e), 0);
        assert_true(fileset_list_feed(l, record, 4097, &e) < 0);
        assert_contains(e.msg, "64 MiB");
        fileset_list_free(l);
        fileglob_free(g);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_matches_is_kept_in_the_order_of_a_walk),
                cmocka_unit_test(other_kinds_of_files_are_left_out),
                cmocka_unit_test(hidden_files_and_what_is_below_hidden_folders_are_left_out),
                cmocka_unit_test(a_folder_that_may_hold_something_and_cannot_be_read_is_an_error),
                cmocka_unit_test(a_list_that_is_none_is_an_error),
                cmocka_unit_test(the_files_are_counted),
                cmocka_unit_test(what_the_guest_lists_is_counted),
                cmocka_unit_test(the_names_are_counted),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
