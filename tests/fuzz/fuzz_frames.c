/* Frames of exec and pty: one reader gets all bytes at once, one gets them singly; they must agree. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "wire/guest.h"

#define MAX_PAYLOAD 300u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Number of frames and a sum over them; -1 when the bytes were refused. */
static int read_all(const uint8_t *data, size_t size, size_t step, uint64_t *ret_sum)
{
        struct frame_reader *r = NULL;
        int n = 0;
        if (frame_reader_new(MAX_PAYLOAD, &r, NULL) < 0)
                return 0;
        for (size_t at = 0; at < size && n >= 0;) {
                size_t used, len, give = size - at < step ? size - at : step;
                bool complete;
                enum guest_frame type;
                const uint8_t *payload;
                if (frame_reader_feed(r, data + at, give, &used, &complete, &type, &payload, &len, NULL) < 0) {
                        n = -1;
                        break;
                }
                assert(used > 0);
                at += used;
                if (!complete)
                        continue;
                assert(len <= MAX_PAYLOAD);
                n++;
                *ret_sum = *ret_sum * 31 + type;
                for (size_t i = 0; i < len; i++)
                        *ret_sum = *ret_sum * 31 + payload[i];
        }
        frame_reader_free(r);
        return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint64_t whole = 0, singly = 0;
        int n = read_all(data, size, size ? size : 1, &whole);
        assert(read_all(data, size, 1, &singly) == n);
        assert(whole == singly);
        return 0;
}
