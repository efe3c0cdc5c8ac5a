/* A tar archive, fed in two pieces that the first byte chooses. Everything reported keeps the promises of tar.h; what
 * was read can be written. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "codec/tar.h"

#include <assert.h>
#include <string.h>

CLEANUP_DEFINE(struct tar_reader, tar_reader_free)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
        uint64_t left, total;
        unsigned entries;
};

static void check_name(const char *name)
{
        assert(*name && name[0] != '/' && strlen(name) <= 200);
        if (strcmp(name, ".") == 0)
                return;
        for (const char *part = name; part;) {
                const char *slash = strchr(part, '/');
                size_t n = slash ? (size_t)(slash - part) : strlen(part);
                assert(n > 0 && !(n == 1 && part[0] == '.') && !(n == 2 && part[0] == '.' && part[1] == '.'));
                part = slash ? slash + 1 : NULL;
        }
}

static int on_entry(const struct tar_entry *entry, void *user, struct err *e)
{
        struct seen *s = user;
        AUTO(buf_done) struct buf b = BUF_INIT;
        assert(s->left == 0);
        check_name(entry->name);
        if (entry->type == TAR_HARDLINK)
                check_name(entry->link);
        assert((entry->type == TAR_SYMLINK) <= (*entry->link != 0));
        assert(entry->mode <= 07777 && (entry->size == 0 || entry->type == TAR_FILE) && entry->size <= 100000);
        s->left = entry->size;
        s->total += entry->size;
        assert(++s->entries <= 50 && s->total <= 200000);
        return entry->major || entry->minor ? 0 : tar_write_entry(entry, &b, e);
}

static int on_data(const void *data, size_t len, void *user, struct err *e)
{
        (void)data, (void)e;
        struct seen *s = user;
        assert(len > 0 && len <= s->left);
        s->left -= len;
        return 0;
}

static int on_end(void *user, struct err *e)
{
        (void)e;
        assert(((struct seen *)user)->left == 0);
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const struct tar_limits limits = {127, 200, 50, 100000, 200000};
        static const struct tar_sink sink = {on_entry, on_data, on_end};
        struct seen seen = {0};
        struct err e = ERR_INIT;
        AUTO(tar_reader_freep) struct tar_reader *r = NULL;
        if (!size || tar_reader_new(&limits, &sink, &seen, "archive", &r, &e) < 0)
                return 0;
        size_t cut = 1 + (size - 1) * data[0] / 256;
        int result = tar_reader_feed(r, data + 1, cut - 1, &e);
        if (result == 0)
                result = tar_reader_feed(r, data + cut, size - cut, &e);
        if (result == 0)
                result = tar_reader_finish(r, &e);
        assert(result == 0 || e.code == ERR_USAGE);
        return 0;
}
