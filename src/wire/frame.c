#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/num.h"
#include "base/secret.h"
#include "wire/guest.h"

struct frame_reader {
        uint32_t max;
        uint8_t header[GUEST_FRAME_HEADER];
        size_t header_len;
        uint8_t *payload; /* max bytes, taken when the first payload comes */
        size_t payload_len;
};

int frame_reader_new(uint32_t max_payload, struct frame_reader **ret, struct err *e)
{
        struct frame_reader *r = calloc(1, sizeof(*r));
        if (!r)
                return err_nomem(e);
        r->max = max_payload;
        *ret = r;
        return 0;
}

struct frame_reader *frame_reader_free(struct frame_reader *r)
{
        if (r && r->payload)
                secret_wipe(r->payload, r->max);
        if (r)
                free(r->payload);
        free(r);
        return NULL;
}

static int header_check(struct frame_reader *r, struct err *e)
{
        uint32_t len = num_be32(r->header + 1);
        if (r->header[0] > GUEST_FRAME_SIGNAL)
                return err_set(e, ERR_PROTOCOL, "a frame of type %u: expected 0 to %u", r->header[0],
                               GUEST_FRAME_SIGNAL);
        if (len > r->max)
                return err_set(e, ERR_PROTOCOL, "a frame of %u bytes: the limit is %u", len, r->max);
        if (len > 0 && !r->payload) {
                r->payload = malloc(r->max);
                if (!r->payload)
                        return err_nomem(e);
        }
        return 0;
}

int frame_reader_feed(struct frame_reader *r, const uint8_t *data, size_t len, size_t *ret_used, bool *ret_complete,
                      enum guest_frame *ret_type, const uint8_t **ret_payload, size_t *ret_len, struct err *e)
{
        *ret_used = 0;
        *ret_complete = false;
        if (r->header_len < GUEST_FRAME_HEADER) {
                size_t n = MIN(len, GUEST_FRAME_HEADER - r->header_len);
                if (n > 0)
                        memcpy(r->header + r->header_len, data, n);
                r->header_len += n;
                *ret_used = n;
                if (r->header_len < GUEST_FRAME_HEADER)
                        return 0;
                r->payload_len = 0;
                int x = header_check(r, e);
                if (x < 0)
                        return x;
        }
        size_t total = num_be32(r->header + 1);
        size_t n = MIN(len - *ret_used, total - r->payload_len);
        if (n > 0)
                memcpy(r->payload + r->payload_len, data + *ret_used, n);
        r->payload_len += n;
        *ret_used += n;
        if (r->payload_len < total)
                return 0;
        r->header_len = 0;
        *ret_complete = true;
        *ret_type = r->header[0];
        *ret_payload = r->payload;
        *ret_len = total;
        return 0;
}

int frame_write(struct buf *b, enum guest_frame type, const void *payload, size_t len, struct err *e)
{
        if (len > GUEST_MAX_FRAME_DATA)
                return err_set(e, ERR_RESOURCES, "a frame of %zu bytes: the limit is %u", len, GUEST_MAX_FRAME_DATA);
        int r = buf_reserve(b, GUEST_FRAME_HEADER + len, e);
        if (r < 0)
                return r;
        r = buf_append_byte(b, (uint8_t)type, e);
        if (r < 0)
                return r;
        r = buf_append_be32(b, (uint32_t)len, e);
        return r < 0 ? r : buf_append(b, payload, len, e);
}
