/* Every allocation of base fails once. */
#include "test.h"

#include "alloc_fail.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/map.h"
#include "base/program.h"
#include "base/str.h"

#include <stdlib.h>

static int use_buf(void *user, struct err *e)
{
        (void)user;
        AUTO(buf_done) struct buf b = BUF_INIT;
        int r = buf_append_str(&b, "text", e);
        if (r == 0)
                r = buf_printf(&b, e, "%0200d", 1);
        if (r == 0)
                r = buf_append_escaped(&b, "\x1b\x1b\x1b", 3, e);
        if (r < 0)
                return r;
        AUTO(auto_free) char *s = buf_take_str(&b);
        return s ? 0 : err_nomem(e);
}

static int use_map(void *user, struct err *e)
{
        (void)user;
        AUTO(map_freep) struct map *m = NULL;
        int r = map_new(NULL, &m, e);
        for (int i = 0; r == 0 && i < 40; i++) {
                const char key[] = {(char)('0' + i), 0};
                r = map_set(m, key, m, e);
                /* What was not added is not there, and the map still works. */
                assert_true(map_get(m, key) == (r == 0 ? m : NULL));
        }
        return r;
}

static int use_strings(void *user, struct err *e)
{
        (void)user;
        AUTO(strv_done) struct strv v = STRV_INIT;
        int r = 0;
        for (int i = 0; r == 0 && i < 20; i++)
                r = strv_addf(&v, e, "%d", i);
        return r == 0 ? strv_add(&v, "x", e) : r;
}

static int ignore(const char *name, void *user, struct err *e)
{
        (void)name, (void)user, (void)e;
        return 0;
}

static int use_files(void *user, struct err *e)
{
        const char *folder = user;
        AUTO(auto_free) char *path = fs_join(folder, "a/b");
        if (!path)
                return err_nomem(e);
        int r = fs_mkdirs(path, 0755, e);
        AUTO(auto_free) char *file = r == 0 ? fs_join(path, "file") : NULL;
        if (r == 0 && !file)
                return err_nomem(e);
        if (r == 0)
                r = fs_write_atomic(file, "x", 1, 0600, e);
        AUTO(buf_done) struct buf b = BUF_INIT;
        if (r == 0)
                r = fs_read(file, 10, &b, e);
        if (r == 0)
                r = fs_list(path, ignore, NULL, e);
        return r;
}

static int use_program(void *user, struct err *e)
{
        (void)user;
        AUTO(auto_free) char *path = NULL;
        return program_path("test_base_alloc", &path, e);
}

static void every_allocation_may_fail(void **state)
{
        (void)state;
        char folder[] = "/tmp/devdep-alloc.XXXXXX";
        assert_non_null(mkdtemp(folder));
        assert_true(alloc_fail_each(use_buf, NULL) >= 2);
        assert_true(alloc_fail_each(use_map, NULL) >= 40);
        assert_true(alloc_fail_each(use_strings, NULL) >= 20);
        assert_true(alloc_fail_each(use_files, folder) >= 5);
        assert_true(alloc_fail_each(use_program, NULL) >= 1);
        assert_int_equal(fs_remove_tree(folder, NULL), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
