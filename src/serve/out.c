#include "serve/out.h"

#include "base/err.h"
#include "base/num.h"
#include "serve/limits.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_HEADER 4u

int out_raw(struct out *o, const void *data, size_t len, struct err *e)
{
        const uint8_t *at = data;
        while (len > 0) {
                /* write(), because the jail's filter knows no socket calls; SIGPIPE is ignored. */
                ssize_t n = write(o->fd, at, len);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return err_errno(e, ERR_CANCELLED, errno, "the client went away");
                at += n;
                len -= (size_t)n;
        }
        return 0;
}

static int flush(struct out *o, struct err *e)
{
        if (o->chunk.len <= CHUNK_HEADER)
                return 0;
        uint32_t len = (uint32_t)(o->chunk.len - CHUNK_HEADER);
        uint8_t word[CHUNK_HEADER] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};
        memcpy(o->chunk.data, word, CHUNK_HEADER);
        o->bytes += len;
        int r = out_raw(o, o->chunk.data, o->chunk.len, e);
        o->chunk.len = CHUNK_HEADER;
        return r;
}

int out_room(struct out *o, uint8_t **ret, size_t *ret_len, struct err *e)
{
        size_t full = CHUNK_HEADER + SERVE_MAX_CHUNK;
        int r = o->chunk.len < full ? 0 : flush(o, e);
        if (r == 0 && o->chunk.cap < full)
                r = buf_reserve(&o->chunk, full - o->chunk.len, e);
        if (r < 0)
                return r;
        if (o->chunk.len < CHUNK_HEADER)
                o->chunk.len = CHUNK_HEADER;
        *ret = o->chunk.data + o->chunk.len;
        *ret_len = full - o->chunk.len;
        return 0;
}

int out_filled(struct out *o, size_t len, struct err *e)
{
        o->chunk.len += len;
        return o->chunk.len < CHUNK_HEADER + SERVE_MAX_CHUNK ? 0 : flush(o, e);
}

int out_stream(struct out *o, const void *data, size_t len, struct err *e)
{
        while (len > 0) {
                uint8_t *room;
                size_t n;
                int r = out_room(o, &room, &n, e);
                if (r < 0)
                        return r;
                n = MIN(n, len);
                memcpy(room, data, n);
                r = out_filled(o, n, e);
                if (r < 0)
                        return r;
                data = (const uint8_t *)data + n;
                len -= n;
        }
        return 0;
}

int out_stream_end(struct out *o, struct err *e)
{
        static const uint8_t end[CHUNK_HEADER];
        int r = flush(o, e);
        return r < 0 ? r : out_raw(o, end, sizeof(end), e);
}

void out_done(struct out *o)
{
        buf_done(&o->chunk);
}
