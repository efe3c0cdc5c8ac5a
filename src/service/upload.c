#include "service/upload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"
#include "blob/store.h"

struct block {
        char id[SERVICE_MAX_BLOCK_ID + 1];
        uint64_t at, len;
};

struct upload {
        struct store *store;
        uint64_t max, used, checked; /* bytes of the file; when the free space was last looked at */
        int fd;
        struct block *blocks;
        size_t n_blocks;
        uint32_t *list; /* indexes of blocks */
        size_t n_list;
        size_t near;      /* in the list: where the last reading was, */
        uint64_t near_at; /* and the place of that block in the whole */
        bool whole;
};

CLEANUP_DEFINE(struct upload, upload_free)

int upload_new(struct store *s, uint64_t max, struct upload **ret, struct err *e)
{
        AUTO(upload_freep) struct upload *u = calloc(1, sizeof(*u));
        if (!u)
                return err_nomem(e);
        *u = (struct upload){.store = s, .max = max, .fd = -1};
        u->blocks = calloc(SERVICE_MAX_BLOCKS, sizeof(*u->blocks));
        u->list = calloc(SERVICE_MAX_BLOCKS, sizeof(*u->list));
        if (!u->blocks || !u->list)
                return err_nomem(e);
        int r = store_scratch(s, &u->fd, e);
        if (r == 0)
                r = store_check_space(s, e);
        if (r == 0)
                *ret = TAKE_PTR(u);
        return r;
}

struct upload *upload_free(struct upload *u)
{
        if (!u)
                return NULL;
        fd_close(u->fd);
        free(u->blocks);
        free(u->list);
        free(u);
        return NULL;
}

int upload_reserve(struct upload *u, uint64_t len, uint64_t *ret, struct err *e)
{
        if (len > u->max - u->used)
                return err_set(e, ERR_USAGE, "the upload is larger than %llu MiB", (unsigned long long)(u->max >> 20));
        *ret = u->used;
        u->used += len;
        return 0;
}

int upload_write(struct upload *u, uint64_t at, const void *data, size_t len, struct err *e)
{
        const uint8_t *p = data;
        u->checked += len;
        if (u->checked >= STORE_CHECK_BYTES) {
                u->checked = 0;
                int r = store_check_space(u->store, e);
                if (r < 0)
                        return r;
        }
        while (len) {
                ssize_t n = pwrite(u->fd, p, len, (off_t)at);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return err_errno(e, ERR_RESOURCES, errno, "write a block");
                p += n;
                at += (uint64_t)n;
                len -= (size_t)n;
        }
        return 0;
}

static struct block *find(struct upload *u, const char *id)
{
        for (size_t i = 0; i < u->n_blocks; i++)
                if (str_eq(u->blocks[i].id, id))
                        return &u->blocks[i];
        return NULL;
}

int upload_block(struct upload *u, const char *id, uint64_t at, uint64_t len, struct err *e)
{
        struct block *b = find(u, id);
        if (!b && u->n_blocks == SERVICE_MAX_BLOCKS)
                return err_set(e, ERR_USAGE, "the upload has more than %u blocks", SERVICE_MAX_BLOCKS);
        if (!b)
                b = &u->blocks[u->n_blocks++];
        str_copy(b->id, sizeof(b->id), id);
        b->at = at;
        b->len = len;
        return 0;
}

void upload_list_begin(struct upload *u)
{
        u->n_list = u->near = 0;
        u->near_at = 0;
        u->whole = false;
}

int upload_list_add(struct upload *u, const char *id, struct err *e)
{
        const struct block *b = find(u, id);
        if (!b)
                return err_set(e, ERR_USAGE, "the list names a block that did not come");
        if (u->n_list == SERVICE_MAX_BLOCKS)
                return err_set(e, ERR_USAGE, "the list has more than %u blocks", SERVICE_MAX_BLOCKS);
        u->list[u->n_list++] = (uint32_t)(b - u->blocks);
        return 0;
}

void upload_list_end(struct upload *u)
{
        u->whole = true;
}

uint64_t upload_size(const struct upload *u)
{
        uint64_t size = 0;
        for (size_t i = 0; i < u->n_list; i++)
                size += u->blocks[u->list[i]].len;
        return size;
}

int upload_check(const struct upload *u, uint64_t size, struct err *e)
{
        if (u->whole && upload_size(u) == size)
                return 0;
        return err_set(e, ERR_USAGE, "the upload is not whole: %llu bytes came, %llu were announced",
                       (unsigned long long)upload_size(u), (unsigned long long)size);
}

int upload_read_at(struct upload *u, uint64_t at, void *data, size_t len, struct err *e)
{
        uint8_t *p = data;
        if (at < u->near_at)
                u->near = u->near_at = 0;
        while (len && u->near < u->n_list) {
                const struct block *b = &u->blocks[u->list[u->near]];
                uint64_t into = at - u->near_at;
                if (into >= b->len) {
                        u->near_at += b->len;
                        u->near++;
                        continue;
                }
                size_t n = (size_t)MIN((uint64_t)len, b->len - into);
                int r = fd_read_at(u->fd, b->at + into, p, n, "a block", e);
                if (r < 0)
                        return r;
                p += n;
                at += n;
                len -= n;
        }
        return len ? err_set(e, ERR_RESOURCES, "read a block: it is not there") : 0;
}

int upload_read(struct upload *u, int (*fn)(const void *data, size_t len, void *user, struct err *e), void *user,
                struct err *e)
{
        uint8_t chunk[SERVICE_CHUNK];
        uint64_t size = upload_size(u);
        int r = 0;
        for (uint64_t at = 0; r == 0 && at < size;) {
                size_t n = (size_t)MIN((uint64_t)sizeof(chunk), size - at);
                r = upload_read_at(u, at, chunk, n, e);
                if (r == 0)
                        r = fn(chunk, n, user, e);
                at += n;
        }
        return r;
}
