/* A zip archive, as a guest sends it. What is reported keeps the promises of zip.h; what was read can be written. */
#include <assert.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "codec/zip.h"

CLEANUP_DEFINE(struct zip_reader, zip_reader_free)

#define MAX_NAME 200
#define MAX_SIZE 100000
#define MAX_TOTAL 200000

struct archive {
        const uint8_t *data;
        size_t size;
};

static int read_at(void *user, uint64_t at, void *data, size_t len, struct err *e)
{
        const struct archive *a = user;
        (void)e;
        assert(at <= a->size && len <= a->size - at);
        if (len)
                memcpy(data, a->data + at, len);
        return 0;
}

static void check_name(const char *name)
{
        assert(*name && name[0] != '/' && strlen(name) <= MAX_NAME);
        for (const char *part = name; part;) {
                const char *slash = strchr(part, '/');
                size_t n = slash ? (size_t)(slash - part) : strlen(part);
                assert(n > 0 && !(n == 1 && part[0] == '.') && !(n == 2 && part[0] == '.' && part[1] == '.'));
                part = slash ? slash + 1 : NULL;
        }
}

static int read_file(struct zip_reader *z, const struct zip_entry *x, struct err *e)
{
        AUTO(buf_done) struct buf b = BUF_INIT;
        uint8_t chunk[777];
        uint64_t total = 0;
        uint32_t crc = 0;
        size_t n = 1;
        int r = 0;
        check_name(x->name);
        assert(x->size <= MAX_SIZE);
        while (r == 0 && n) {
                r = zip_reader_data(z, chunk, sizeof(chunk), &n, e);
                crc = r == 0 ? zip_crc(crc, chunk, n) : crc;
                total += r == 0 ? n : 0;
                assert(n <= sizeof(chunk) && total <= x->size);
        }
        if (r < 0)
                return r;
        assert(total == x->size);
        const struct zip_item item = {.name = x->name, .size = total, .crc = crc, .mtime = (int64_t)crc};
        r = zip_write_local(&item, &b, e);
        return r < 0 ? r : zip_write_central(&item, &b, e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const struct zip_limits limits = {.max_name = MAX_NAME,
                                                 .max_names = 4000,
                                                 .max_entries = 50,
                                                 .max_size = MAX_SIZE,
                                                 .max_total = MAX_TOTAL};
        struct archive a = {data, size};
        struct err e = ERR_INIT;
        AUTO(zip_reader_freep) struct zip_reader *z = NULL;
        int r = zip_reader_new(read_at, &a, size, &limits, "archive", &z, &e);
        uint64_t total = 0;
        for (unsigned n = 0; r == 0; n++) {
                struct zip_entry x;
                r = zip_reader_next(z, &x, &e);
                if (r != 0)
                        break;
                total += x.size;
                assert(n < 50 && total <= MAX_TOTAL);
                r = read_file(z, &x, &e);
        }
        assert(r == ZIP_E_END || (r < 0 && e.code == ERR_USAGE));
        return 0;
}
