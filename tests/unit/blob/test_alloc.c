/* Every allocation of the store fails once. */
#include "archive.h"

#include "alloc_fail.h"
#include "base/fd.h"
#include "blob/request.h"
#include "codec/json.h"
#include "wire/guest.h"

static int put_and_read(void *user, struct err *e)
{
        struct store *s = NULL;
        struct store_entry x;
        struct store_list l = {0};
        struct store_what w = ARTIFACT("dist");
        const char *folder = user;
        int fd = -1;
        const struct store_config c = {
                .folder = folder, .kind = STORE_ARTIFACTS, .limits = small_limits, .writer = true};
        struct buf b = BUF_INIT;
        const struct tar_entry t = {.type = TAR_FILE, .name = "file", .link = "", .mode = 0644};
        w.overwrite = true;
        int r = store_open(&c, &s, e);
        if (r == 0)
                r = tar_write_entry(&t, &b, e);
        if (r == 0)
                r = tar_write_end(&b, e);
        if (r == 0)
                r = put_archive(s, &w, &b, &x, e);
        if (r == 0)
                r = store_list(s, &l, e);
        if (r == 0)
                r = store_read(s, x.id, NULL, &fd, e);
        fd_close(fd);
        store_list_done(&l);
        store_free(s);
        buf_done(&b);
        return r;
}

static int parse_request(void *user, struct err *e)
{
        static const uint8_t list[] = {0,   0,   0,   22,  0,   2,   'o', 'p', 0,   0,   0,   14,  'l',
                                       'i', 's', 't', '-', 'a', 'r', 't', 'i', 'f', 'a', 'c', 't', 's'};
        struct store_request q;
        (void)user;
        int r = store_request_parse(list, sizeof(list), &q, e);
        store_request_done(&q);
        return r;
}

static void every_allocation_may_fail(void **state)
{
        char *folder = folder_new();
        (void)state;
        json_init();
        assert_true(alloc_fail_each(put_and_read, folder) > 10);
        assert_true(alloc_fail_each(parse_request, NULL) >= 2);
        folder_free(folder);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
