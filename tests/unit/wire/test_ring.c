#include "pair.h"

#include "base/num.h"
#include "wire/ring.h"

#define LIMIT ((size_t)4096)

/* Take, and see that zeros are where the bytes were. */
static void take(struct ring *r, void *ret, size_t len)
{
        size_t head = r->head;

        ring_take(r, ret, len);
        for (size_t i = 0; i < len; i++)
                assert_int_equal(r->mem[(head + i) % r->cap], 0);
}

static void what_was_taken_is_zero_wherever_it_stood(void **state)
{
        struct ring r;
        uint8_t in[700], out[1400];
        bool split = false;

        (void)state;
        ring_init(&r, LIMIT);
        memset(in, 'x', sizeof(in));
        for (unsigned turn = 0; turn < 40; turn++) { /* it grows to its limit, then goes around the end */
                assert_int_equal(ring_put(&r, in, sizeof(in), NULL), 0);
                size_t len = ring_space(&r) < sizeof(in) ? sizeof(out) : turn % 3 ? sizeof(in) : 77;
                len = MIN(len, r.len);
                split = split || r.head + len > r.cap;
                take(&r, out, len);
                assert_memory_equal(out, in, MIN(len, sizeof(in)));
        }
        assert_int_equal(r.cap, LIMIT);
        assert_true(split);
        ring_wipe(&r);
}

static void bytes_come_out_as_they_went_in(void **state)
{
        struct ring r;
        uint8_t next_in = 0, next_out = 0, bytes[611];

        (void)state;
        ring_init(&r, LIMIT);
        for (unsigned turn = 0; turn < 400; turn++) {
                size_t put = MIN((turn * 37u) % sizeof(bytes), ring_space(&r));
                for (size_t i = 0; i < put; i++)
                        bytes[i] = next_in++;
                assert_int_equal(ring_put(&r, bytes, put, NULL), 0);
                size_t len = MIN((turn * 53u) % sizeof(bytes), r.len);
                take(&r, bytes, len);
                for (size_t i = 0; i < len; i++)
                        assert_int_equal(bytes[i], next_out++);
        }
        ring_wipe(&r);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_was_taken_is_zero_wherever_it_stood),
                cmocka_unit_test(bytes_come_out_as_they_went_in),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
