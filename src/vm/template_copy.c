/* Guest memory between memory files and disk: data only, holes stay holes. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "vm/template_priv.h"

#define PIECE ((size_t)1 << 20)

static int write_at(int to, const uint8_t *data, size_t len, uint64_t at, struct err *e)
{
        while (len) {
                ssize_t n = pwrite(to, data, len, (off_t)at);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return err_errno(e, ERR_RESOURCES, n < 0 ? errno : ENOSPC, "write the memory of a template");
                data += n;
                at += (uint64_t)n;
                len -= (size_t)n;
        }
        return 0;
}

/* Between 1 and `len` bytes into `piece`. Their number; ESTALE: the file became shorter meanwhile. */
static ssize_t read_at(int from, uint8_t *piece, size_t len, uint64_t at, struct err *e)
{
        ssize_t n;

        do
                n = pread(from, piece, len, (off_t)at);
        while (n < 0 && errno == EINTR);
        if (n > 0)
                return n;
        return err_errno(e, ERR_RESOURCES, n < 0 ? errno : ESTALE, "read the memory of a template");
}

static int copy_extent(int from, int to, uint64_t at, uint64_t end, uint8_t *piece, struct err *e)
{
        while (at < end) {
                ssize_t n = read_at(from, piece, (size_t)MIN(end - at, (uint64_t)PIECE), at, e);
                int r = n < 0 ? -1 : write_at(to, piece, (size_t)n, at, e);
                if (r < 0)
                        return r;
                at += (uint64_t)n;
        }
        return 0;
}

/* The next data at or behind *at: 1; 0: none before `size`. Negative: the file cannot be asked, which is no hole. */
static int next_data(int fd, uint64_t size, uint64_t *at, uint64_t *ret_end, struct err *e)
{
        off_t data = lseek(fd, (off_t)*at, SEEK_DATA);
        off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);

        if (hole < 0 && errno != ENXIO)
                return err_errno(e, ERR_RESOURCES, errno, "look for data in the memory of a template");
        if (hole < 0 || (uint64_t)data >= size)
                return 0;
        *at = (uint64_t)data;
        *ret_end = MIN((uint64_t)hole, size);
        return 1;
}

uint64_t template_count_data(int fd, uint64_t size)
{
        uint64_t data = 0, end = 0;

        for (uint64_t at = 0; next_data(fd, size, &at, &end, NULL) > 0; at = end)
                data += end - at;
        return data;
}

/* Copies what is between `at` and `end` and adds to *data what it wrote. */
typedef int copy_fn(int from, int to, uint64_t at, uint64_t end, uint8_t *piece, uint64_t *data, struct err *e);

static int copy_whole(int from, int to, uint64_t at, uint64_t end, uint8_t *piece, uint64_t *data, struct err *e)
{
        *data += end - at;
        return copy_extent(from, to, at, end, piece, e);
}

static bool page_is_zero(const uint8_t *page)
{
        return *page == 0 && memcmp(page, page + 1, TEMPLATE_PAGE - 1) == 0;
}

/* Write the runs of pages in `piece`, which belongs at `at`, that are not zero. */
static int write_runs(int to, const uint8_t *piece, size_t len, uint64_t at, uint64_t *data, struct err *e)
{
        for (size_t begin = 0, stop; begin < len; begin = MAX(stop, begin + TEMPLATE_PAGE)) {
                for (stop = begin; stop < len && !page_is_zero(piece + stop);)
                        stop += TEMPLATE_PAGE;
                if (write_at(to, piece + begin, stop - begin, at + begin, e) < 0)
                        return -1;
                *data += stop - begin;
        }
        return 0;
}

/* Read, not mapped: what is mapped is our own memory while we look at it. `at` and `end` are at the edge of a page. */
static int copy_pages(int from, int to, uint64_t at, uint64_t end, uint8_t *piece, uint64_t *data, struct err *e)
{
        while (at < end) {
                ssize_t n = read_at(from, piece, (size_t)MIN(end - at, (uint64_t)PIECE), at, e);
                if (n < 0)
                        return -1;
                if (n % TEMPLATE_PAGE != 0)
                        return err_set(e, ERR_RESOURCES, "the memory of a template ends within a page");
                if (write_runs(to, piece, (size_t)n, at, data, e) < 0)
                        return -1;
                at += (uint64_t)n;
        }
        return 0;
}

static int copy(int from, int to, uint64_t size, copy_fn *fn, uint64_t *ret_data, struct err *e)
{
        AUTO(auto_free) uint8_t *piece = malloc(PIECE);
        uint64_t end = 0;
        int more = 1;

        *ret_data = 0;
        if (!piece)
                return err_nomem(e);
        for (uint64_t at = 0; more > 0; at = end) {
                more = next_data(from, size, &at, &end, e);
                if (more > 0 && fn(from, to, at, end, piece, ret_data, e) < 0)
                        more = -1;
        }
        return more;
}

int template_copy_data(int from, int to, uint64_t size, uint64_t *ret_data, struct err *e)
{
        return copy(from, to, size, copy_whole, ret_data, e);
}

int template_copy_pages(int from, int to, uint64_t size, uint64_t *ret_data, struct err *e)
{
        return copy(from, to, size, copy_pages, ret_data, e);
}
