#include "vm/image_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "codec/hash.h"

#define CHUNK ((size_t)1 << 20)
#define TICK_BYTES (64ull << 20)
#define DIGESTS_PER_BLOCK (IMAGE_BLOCK / IMAGE_SHA256)

CLEANUP_DEFINE(struct hash, hash_free)

uint64_t image_tree_blocks(uint64_t data_blocks)
{
        uint64_t all = 0;
        for (uint64_t level = data_blocks; level > 1;) {
                level = (level + DIGESTS_PER_BLOCK - 1) / DIGESTS_PER_BLOCK;
                all += level;
        }
        return all;
}

struct transfer {
        int from, to; /* to: -1 to hash only */
        uint64_t size;
        const char *what;
        image_tick_fn *tick;
        void *user;
};

static int write_sparse(int to, const uint8_t *data, size_t len, const char *what, struct err *e)
{
        /* All bytes equal their neighbour and the first is zero: a chunk of nothing. */
        if (len > 1 && data[0] == 0 && memcmp(data, data + 1, len - 1) == 0) {
                if (lseek(to, (off_t)len, SEEK_CUR) < 0)
                        return err_errno(e, ERR_RESOURCES, errno, "write %s", what);
                return 0;
        }
        return fd_write_all(to, data, len, what, e);
}

static int transfer_loop(const struct transfer *t, struct hash *h, uint8_t *chunk, struct err *e)
{
        uint64_t done = 0, next_tick = 0;
        while (done < t->size) {
                if (t->tick && done >= next_tick) {
                        int r = t->tick(t->what, done, t->size, t->user, e);
                        if (r < 0)
                                return r;
                        next_tick = done + TICK_BYTES;
                }
                size_t want = (size_t)MIN((uint64_t)CHUNK, t->size - done);
                ssize_t n = pread(t->from, chunk, want, (off_t)done);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return err_errno(e, ERR_RESOURCES, errno, "read %s", t->what);
                if (n == 0)
                        return err_set(e, ERR_IMAGE_REFUSED, "%s: expected %llu bytes, found %llu", t->what,
                                       (unsigned long long)t->size, (unsigned long long)done);
                int r = hash_add(h, chunk, (size_t)n, e);
                if (r >= 0 && t->to >= 0)
                        r = write_sparse(t->to, chunk, (size_t)n, t->what, e);
                if (r < 0)
                        return r;
                done += (uint64_t)n;
        }
        return 0;
}

static int transfer(const struct transfer *t, uint8_t ret[IMAGE_SHA256], struct err *e)
{
        AUTO(hash_freep) struct hash *h = NULL;
        AUTO(auto_free) uint8_t *chunk = malloc(CHUNK);
        int r = chunk ? hash_new(&h, e) : err_nomem(e);
        if (r >= 0)
                r = transfer_loop(t, h, chunk, e);
        /* A hole at the end makes no file longer. */
        off_t end = r < 0 || t->to < 0 ? 0 : lseek(t->to, 0, SEEK_CUR);
        if (end < 0 || (end > 0 && ftruncate(t->to, end) < 0))
                r = err_errno(e, ERR_RESOURCES, errno, "write %s", t->what);
        return r < 0 ? r : hash_finish(h, ret, e);
}

int image_file_hash(int fd, uint64_t size, const char *what, image_tick_fn *tick, void *user, uint8_t ret[IMAGE_SHA256],
                    struct err *e)
{
        struct transfer t = {.from = fd, .to = -1, .size = size, .what = what, .tick = tick, .user = user};
        return transfer(&t, ret, e);
}

int image_file_copy(int from, int to, uint64_t size, const char *what, image_tick_fn *tick, void *user,
                    uint8_t ret[IMAGE_SHA256], struct err *e)
{
        struct transfer t = {.from = from, .to = to, .size = size, .what = what, .tick = tick, .user = user};
        return transfer(&t, ret, e);
}

int image_file_open(int dir, const char *name, const char *what, int *ret, uint64_t *ret_size, struct err *e)
{
        AUTO(auto_close) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0)
                return err_errno(e, ERR_IMAGE_REFUSED, errno, "%s/%s", what, name);
        struct stat st;
        if (fstat(fd, &st) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "%s/%s", what, name);
        if (!S_ISREG(st.st_mode))
                return err_set(e, ERR_IMAGE_REFUSED, "%s/%s: expected a regular file", what, name);
        *ret_size = (uint64_t)st.st_size;
        *ret = TAKE_FD(fd);
        return 0;
}
