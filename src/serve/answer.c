#include "serve/answer.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "serve/out.h"
#include "wire/guest.h"

#include <errno.h>
#include <unistd.h>

int serve_read(int fd, size_t max, struct buf *ret, struct err *e)
{
        uint8_t word[4];
        ssize_t n;
        do {
                n = read(fd, word, 1);
        } while (n < 0 && errno == EINTR);
        if (n <= 0)
                return SERVE_E_CLOSED;
        int r = fd_read_exact(fd, word + 1, sizeof(word) - 1, "a request", e);
        if (r < 0)
                return r;
        uint32_t len = num_be32(word);
        if (len > max)
                return err_set(e, ERR_PROTOCOL, "request: expected at most %zu bytes, found %u", max, len);
        r = buf_append(ret, word, sizeof(word), e);
        if (r == 0)
                r = buf_reserve(ret, len, e);
        if (r == 0)
                r = fd_read_exact(fd, ret->data + ret->len, len, "a request", e);
        if (r == 0)
                ret->len += len;
        return r;
}

int answer_begin(struct answer *a, struct err *e)
{
        *a = (struct answer){0};
        int r = fields_begin(&a->buf, &a->mark, e);
        return r < 0 ? r : fields_add_str(&a->buf, "status", "ok", e);
}

int answer_send(struct answer *a, struct out *o, struct err *e)
{
        int r = fields_end(&a->buf, a->mark, e);
        return r < 0 ? r : out_raw(o, a->buf.data, a->buf.len, e);
}

void answer_done(struct answer *a)
{
        buf_done(&a->buf);
}

int answer_failure(struct out *o, const struct err *failure, struct err *e)
{
        AUTO(answer_done) struct answer a = {0};
        int r = fields_begin(&a.buf, &a.mark, e);
        if (r == 0)
                r = fields_add_str(&a.buf, "status", "error", e);
        if (r == 0)
                r = fields_add_u64(&a.buf, "code", failure->code, e);
        if (r == 0)
                r = fields_add_str(&a.buf, "message", failure->msg, e);
        return r < 0 ? r : answer_send(&a, o, e);
}

int answer_end_stream(struct out *o, int r, struct err *e)
{
        struct err ignored = ERR_INIT;
        if (r < 0 && e->code == ERR_CANCELLED)
                return r;
        int end = out_stream_end(o, r < 0 ? &ignored : e);
        return r < 0 || end < 0 ? -1 : 0;
}

int answer_greet(struct out *o, unsigned protocol, struct err *e)
{
        AUTO(answer_done) struct answer a;
        int r = answer_begin(&a, e);
        if (r == 0)
                r = fields_add_u64(&a.buf, "protocol", protocol, e);
        return r < 0 ? r : answer_send(&a, o, e);
}
