/* Every allocation of the parsers fails once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "alloc_fail.h"
#include "base/buf.h"
#include "base/err.h"
#include "source/config.h"
#include "source/gitfile.h"
#include "source/names.h"
#include "source/refs.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static int read_refs(void *user, struct err *e)
{
        static const char packed[] = A " refs/heads/x\n" A " refs/tags/y\n";
        struct refs *r = NULL;
        struct buf out = BUF_INIT;
        (void)user;
        int rc = refs_new(40, &r, e);
        if (rc == 0)
                rc = refs_add_packed(r, packed, sizeof(packed) - 1, e);
        if (rc == 0)
                rc = refs_write_packed(r, &out, e);
        buf_done(&out);
        refs_free(r);
        return rc;
}

static int read_config(void *user, struct err *e)
{
        static const char text[] = "core.worktree\nx\0remote.origin.url\nssh://u:p@h.example/x\0";
        struct repo_config c;
        (void)user;
        int rc = repo_config_parse(text, sizeof(text) - 1, &c, e);
        repo_config_done(&c);
        return rc;
}

static int read_files(void *user, struct err *e)
{
        char *path = NULL, *id = NULL, *name = NULL;
        (void)user;
        int rc = gitfile_parse("gitdir: x\n", 10, ".git", &path, e);
        if (rc == 0)
                rc = ref_file_parse(A "\n", 41, 40, "HEAD", &id, &name, e);
        free(path);
        free(id);
        free(name);
        return rc;
}

static void every_allocation_may_fail(void **state)
{
        (void)state;
        assert_true(alloc_fail_each(read_refs, NULL) > 5);
        assert_true(alloc_fail_each(read_config, NULL) >= 2);
        assert_true(alloc_fail_each(read_files, NULL) >= 2);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
