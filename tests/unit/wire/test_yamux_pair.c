#include "pair.h"

#define ROUNDS 5
#define N_STREAMS 24
#define MAX_BYTES (700u * 1024u)

/* What one side sends on one stream, and what it received there. */
struct half {
        uint32_t total, sent;
        bool closed;
        uint32_t got;
        bool eof;
        uint32_t held; /* received and not yet consumed */
};
struct side {
        struct yamux *y;
        struct half half[N_STREAMS];
        uint32_t id[N_STREAMS];
        unsigned n_ended;
};

static uint8_t pattern(unsigned from, unsigned stream, uint32_t at)
{
        return (uint8_t)(at * 31 + (at >> 8) * 7 + stream * 13 + from * 101);
}

static void receive(struct side *to, unsigned from, const struct yamux_event *ev)
{
        unsigned i = (unsigned)(uintptr_t)ev->user - 1;
        struct half *h = &to->half[i];
        for (size_t k = 0; k < ev->len; k++)
                assert_int_equal(ev->data[k], pattern(from, i, h->got + (uint32_t)k));
        h->got += (uint32_t)ev->len;
        h->held += (uint32_t)ev->len;
        assert_true(h->held <= YAMUX_INITIAL_WINDOW);
}

static void drain(struct side *sides, unsigned me)
{
        struct side *s = &sides[me];
        struct yamux_event ev;
        for (yamux_next(s->y, &ev); ev.type != YAMUX_NONE; yamux_next(s->y, &ev)) {
                unsigned i = (unsigned)(uintptr_t)ev.user - 1;
                switch (ev.type) {
                case YAMUX_OPENED:
                        for (i = 0; i < N_STREAMS && sides[!me].id[i] != ev.stream; i++)
                                ;
                        assert_true(i < N_STREAMS);
                        s->id[i] = ev.stream;
                        yamux_set_user(s->y, ev.stream, (void *)(uintptr_t)(i + 1));
                        break;
                case YAMUX_DATA:
                        receive(s, !me, &ev);
                        break;
                case YAMUX_EOF:
                        assert_false(s->half[i].eof);
                        s->half[i].eof = true;
                        break;
                case YAMUX_CLOSED:
                        s->n_ended++;
                        break;
                default:
                        assert_true(ev.type == YAMUX_ACKED || ev.type == YAMUX_WRITABLE);
                }
        }
}

static void carry(struct side *sides, unsigned from, struct rng *rng)
{
        const uint8_t *out;
        size_t n = yamux_output(sides[from].y, &out);
        drain(sides, from);
        if (n == 0)
                return;
        size_t len = rng_below(rng, 4) ? 1 + rng_below(rng, (uint32_t)n) : 1 + rng_below(rng, 20) % n;
        for (size_t at = 0; at < len;) {
                struct err e = ERR_INIT;
                size_t taken;
                int r = yamux_input(sides[!from].y, out + at, len - at, &taken, &e);
                if (r < 0)
                        fail_msg("%s", e.msg);
                drain(sides, !from);
                at += taken;
        }
        yamux_output_done(sides[from].y, len);
}

static void send_some(struct side *sides, unsigned me, struct rng *rng)
{
        struct side *s = &sides[me];
        unsigned i = rng_below(rng, N_STREAMS);
        struct half *h = &s->half[i];
        if (s->id[i] == 0 && me != i % 2)
                return;
        if (s->id[i] == 0) {
                assert_int_equal(yamux_open(s->y, &s->id[i], NULL), 0);
                yamux_set_user(s->y, s->id[i], (void *)(uintptr_t)(i + 1));
        }
        uint8_t bytes[5000];
        uint32_t n = 1 + rng_below(rng, sizeof(bytes));
        n = n < h->total - h->sent ? n : h->total - h->sent;
        for (uint32_t k = 0; k < n; k++)
                bytes[k] = pattern(me, i, h->sent + k);
        if (!h->closed)
                h->sent += (uint32_t)yamux_write(s->y, s->id[i], bytes, n, NULL);
        if (h->sent == h->total && !h->closed) {
                assert_int_equal(yamux_close(s->y, s->id[i], NULL), 0);
                h->closed = true;
        }
}

static void consume_some(struct side *s, struct rng *rng)
{
        unsigned i = rng_below(rng, N_STREAMS);
        struct half *h = &s->half[i];
        uint32_t n = h->held ? 1 + rng_below(rng, h->held) : 0;
        h->held -= n;
        yamux_consumed(s->y, s->id[i], n);
}

static void one_round(uint64_t seed)
{
        struct rng rng = {seed};
        struct side sides[2] = {0};
        assert_int_equal(yamux_new(YAMUX_CLIENT, NULL, &sides[0].y, NULL), 0);
        assert_int_equal(yamux_new(YAMUX_SERVER, NULL, &sides[1].y, NULL), 0);
        for (unsigned i = 0; i < 2 * N_STREAMS; i++)
                sides[i % 2].half[i / 2].total = rng_below(&rng, 3) ? rng_below(&rng, MAX_BYTES) : rng_below(&rng, 3);
        while (sides[0].n_ended < N_STREAMS || sides[1].n_ended < N_STREAMS) {
                for (unsigned me = 0; me < 2; me++) {
                        send_some(sides, me, &rng);
                        consume_some(&sides[me], &rng);
                        carry(sides, me, &rng);
                }
        }
        for (unsigned me = 0; me < 2; me++) {
                for (unsigned i = 0; i < N_STREAMS; i++) {
                        assert_int_equal(sides[me].half[i].got, sides[!me].half[i].total);
                        assert_true(sides[me].half[i].eof);
                }
                assert_int_equal(yamux_count(sides[me].y), 0);
                sides[me].y = yamux_free(sides[me].y);
        }
}

static void two_sessions_deliver_identical_bytes_however_they_are_cut(void **state)
{
        (void)state;
        for (unsigned i = 0; i < ROUNDS; i++)
                one_round(rng_seed("pair"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(two_sessions_deliver_identical_bytes_however_they_are_cut),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
