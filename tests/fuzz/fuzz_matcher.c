/* Problem matchers: everything up to the first empty line is a matcher file, the rest are lines of output, which the
 * built-in readers see, too. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "workflow/matcher.h"
#include "workflow/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t no_time(void)
{
        return 0;
}

static int on_issue(const struct issue *i, void *user, struct err *e)
{
        (void)user;
        (void)e;
        assert(i->source && i->message && *i->message && i->level <= ISSUE_NOTICE);
        if (i->file)
                assert(i->file[0] != '/' && strncmp(i->file, "../", 3) != 0 && strlen(i->file) <= ISSUE_MAX_PATH);
        return 0;
}

static int on_hit(const struct matcher_hit *h, void *user, struct err *e)
{
        (void)user;
        (void)e;
        assert(h->issue.message && h->issue.source);
        return 0;
}

static int on_removed(const char *why, void *user, struct err *e)
{
        (void)user;
        (void)e;
        assert(strstr(why, "Removing"));
        return 0;
}

static void read_lines(struct matchers *m, struct matcher_progress *progress, struct readers *r, const uint8_t *p,
                       size_t len)
{
        struct buf line = BUF_INIT;
        unsigned stream = 0;
        while (len) {
                const uint8_t *nl = memchr(p, '\n', len);
                size_t n = nl ? (size_t)(nl - p) : len;
                assert(issue_clean(p, n, &line, NULL) == 0 && strlen((const char *)line.data) == line.len);
                assert(matchers_line(m, progress, (const char *)line.data, line.len, NULL) >= 0);
                assert(readers_line(r, stream, (const char *)line.data, NULL) == 0);
                stream ^= n % 7 == 0;
                p += n + (nl ? 1 : 0);
                len -= n + (nl ? 1 : 0);
        }
        buf_done(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const struct matchers_config mc = {no_time, on_hit, on_removed};
        const struct readers_config rc = {"/tmp/ws/demo", "/tmp/ws/demo/sub", READER_ALL, on_issue, NULL};
        const uint8_t *split = memmem(data, size, "\n\n", 2);
        size_t file = split ? (size_t)(split - data) : 0, skip = split ? file + 2 : 0;
        struct matchers *m = NULL;
        struct matcher_progress *progress = NULL;
        struct readers *r = NULL;
        struct buf names = BUF_INIT;
        struct err e = ERR_INIT;
        assert(matchers_new(&mc, &m, NULL) == 0 && readers_new(&rc, &r, NULL) == 0);
        assert(matcher_progress_new(NULL, &progress, NULL) == 0);
        if (matchers_add(m, data, file, &names, &e) < 0)
                assert(e.code == ERR_RUN_FAILED);
        read_lines(m, progress, r, data + skip, size - skip);
        if (readers_want_go_mod(r))
                assert(readers_go_mod(r, data, size, NULL) == 0);
        assert(readers_finish(r, NULL) == 0);
        readers_free(r);
        matcher_progress_free(progress);
        matchers_free(m);
        buf_done(&names);
        return 0;
}
