/* The pieces of an archive whose files are stored as they are, with sizes and sums before their data: what reads an
 * archive as it comes needs no guess about where a file ends. */
#include <limits.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "codec/zip.h"

#define VERSION 20u
#define VERSION_ZIP64 45u
#define MADE_BY_UNIX (3u << 8)
#define FLAG_UTF8 0x800u
#define MODE (0100644u << 16)
#define FULL16 UINT16_MAX
#define FULL32 UINT32_MAX
#define FIRST_YEAR 80 /* of the dates in a zip, since 1900; the last one is 127 years later */

uint32_t zip_crc(uint32_t crc, const void *data, size_t len)
{
        return (uint32_t)crc32_z(crc, data, len);
}

static int add(struct buf *b, uint64_t value, unsigned bytes, struct err *e)
{
        int r = 0;
        for (unsigned i = 0; r == 0 && i < bytes; i++)
                r = buf_append_byte(b, (uint8_t)(value >> (8 * i)), e);
        return r;
}

struct number {
        uint64_t value;
        unsigned bytes;
};

static int add_all(struct buf *b, const struct number *v, size_t n, struct err *e)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < n; i++)
                r = add(b, v[i].value, v[i].bytes, e);
        return r;
}

/* Date and time in one word, of the clock in Greenwich. */
static uint32_t dos_time(int64_t mtime)
{
        time_t t = mtime;
        struct tm tm = {0};
        if (!gmtime_r(&t, &tm) || tm.tm_year < FIRST_YEAR)
                tm = (struct tm){.tm_year = FIRST_YEAR, .tm_mday = 1};
        if (tm.tm_year > FIRST_YEAR + 127)
                tm = (struct tm){.tm_year = FIRST_YEAR + 127, .tm_mon = 11, .tm_mday = 31};
        uint32_t date = (uint32_t)((tm.tm_year - FIRST_YEAR) << 9 | (tm.tm_mon + 1) << 5 | tm.tm_mday);
        return date << 16 | (uint32_t)(tm.tm_hour << 11 | tm.tm_min << 5 | MIN(tm.tm_sec, 59) / 2);
}

static uint32_t flags_of(const char *name)
{
        return str_is_utf8(name, strlen(name)) ? FLAG_UTF8 : 0;
}

int zip_write_local(const struct zip_item *x, struct buf *ret, struct err *e)
{
        bool wide = x->size >= FULL32;
        size_t len = strlen(x->name);
        uint64_t size = wide ? FULL32 : x->size;
        const struct number head[] = {{0x04034b50, 4},
                                      {wide ? VERSION_ZIP64 : VERSION, 2},
                                      {flags_of(x->name), 2},
                                      {0, 2},
                                      {dos_time(x->mtime), 4},
                                      {x->crc, 4},
                                      {size, 4},
                                      {size, 4},
                                      {len, 2},
                                      {wide ? 20 : 0, 2}};
        const struct number extra[] = {{1, 2}, {16, 2}, {x->size, 8}, {x->size, 8}};
        int r = add_all(ret, head, ARRAY_SIZE(head), e);
        if (r == 0)
                r = buf_append(ret, x->name, len, e);
        return r < 0 || !wide ? r : add_all(ret, extra, ARRAY_SIZE(extra), e);
}

int zip_write_central(const struct zip_item *x, struct buf *ret, struct err *e)
{
        bool wide_size = x->size >= FULL32, wide_at = x->at >= FULL32;
        size_t len = strlen(x->name);
        uint64_t size = wide_size ? FULL32 : x->size, at = wide_at ? FULL32 : x->at;
        unsigned extra_len = (wide_size ? 16u : 0u) + (wide_at ? 8u : 0u);
        unsigned version = extra_len ? VERSION_ZIP64 : VERSION;
        const struct number head[] = {{0x02014b50, 4},
                                      {MADE_BY_UNIX | version, 2},
                                      {version, 2},
                                      {flags_of(x->name), 2},
                                      {0, 2},
                                      {dos_time(x->mtime), 4},
                                      {x->crc, 4},
                                      {size, 4},
                                      {size, 4},
                                      {len, 2},
                                      {extra_len ? extra_len + 4 : 0, 2},
                                      {0, 2 + 2 + 2},
                                      {MODE, 4},
                                      {at, 4}};
        const struct number extra[] = {{1, extra_len ? 2 : 0},
                                       {extra_len, extra_len ? 2 : 0},
                                       {x->size, wide_size ? 8 : 0},
                                       {x->size, wide_size ? 8 : 0},
                                       {x->at, wide_at ? 8 : 0}};
        int r = add_all(ret, head, ARRAY_SIZE(head), e);
        if (r == 0)
                r = buf_append(ret, x->name, len, e);
        return r < 0 ? r : add_all(ret, extra, ARRAY_SIZE(extra), e);
}

int zip_write_end(uint64_t entries, uint64_t at, uint64_t size, struct buf *ret, struct err *e)
{
        bool wide = entries >= FULL16 || at >= FULL32 || size >= FULL32;
        const struct number end64[] = {{0x06064b50, 4},
                                       {44, 8},
                                       {MADE_BY_UNIX | VERSION_ZIP64, 2},
                                       {VERSION_ZIP64, 2},
                                       {0, 4 + 4},
                                       {entries, 8},
                                       {entries, 8},
                                       {size, 8},
                                       {at, 8},
                                       {0x07064b50, 4},
                                       {0, 4},
                                       {at + size, 8},
                                       {1, 4}};
        const struct number end[] = {{0x06054b50, 4},
                                     {0, 2 + 2},
                                     {wide ? FULL16 : entries, 2},
                                     {wide ? FULL16 : entries, 2},
                                     {wide ? FULL32 : size, 4},
                                     {wide ? FULL32 : at, 4},
                                     {0, 2}};
        int r = wide ? add_all(ret, end64, ARRAY_SIZE(end64), e) : 0;
        return r < 0 ? r : add_all(ret, end, ARRAY_SIZE(end), e);
}
