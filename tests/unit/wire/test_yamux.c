#include "pair.h"

#define ME_OPENED 1 /* stream ids, from the side of a client under test */
#define PEER_OPENED 2

/* One session under test, and the frames that a hand-made peer sends it. */
struct bench {
        struct yamux *y;
        struct err e;
};

static int bench_new(void **state, enum yamux_role role, const struct yamux_limits *limits)
{
        struct bench *b = calloc(1, sizeof(*b));
        assert_int_equal(yamux_new(role, limits, &b->y, NULL), 0);
        *state = b;
        return 0;
}

static int bench_client(void **state)
{
        return bench_new(state, YAMUX_CLIENT, NULL);
}

static int bench_small(void **state)
{
        static const struct yamux_limits limits = {
                .max_streams = 3, .max_send_queue = 65536, .max_pending_acks = 2, .max_control = 10 * YAMUX_HEADER};
        return bench_new(state, YAMUX_CLIENT, &limits);
}

static int bench_free(void **state)
{
        struct bench *b = *state;
        yamux_free(b->y);
        free(b);
        return 0;
}

/* Feed bytes and drop every event but those of `want`, which are counted. */
static int feed(struct bench *b, const uint8_t *data, size_t len, enum yamux_event_type want, unsigned *ret_count)
{
        struct yamux_event ev;
        while (len > 0) {
                size_t taken;
                int r = yamux_input(b->y, data, len, &taken, &b->e);
                if (r < 0)
                        return r;
                for (yamux_next(b->y, &ev); ev.type != YAMUX_NONE; yamux_next(b->y, &ev)) {
                        if (ret_count && ev.type == want)
                                ++*ret_count;
                }
                data += taken;
                len -= taken;
        }
        return 0;
}

static int peer(struct bench *b, unsigned type, unsigned flags, uint32_t stream, uint32_t value)
{
        uint8_t frame[YAMUX_HEADER];
        frame_put(frame, type, flags, stream, value);
        return feed(b, frame, sizeof(frame), YAMUX_NONE, NULL);
}

static int peer_data(struct bench *b, unsigned flags, uint32_t stream, uint32_t len)
{
        static const uint8_t zero[YAMUX_MAX_FRAME + 1];
        int r = peer(b, FRAME_DATA, flags, stream, len);
        return r < 0 ? r : feed(b, zero, len, YAMUX_NONE, NULL);
}

static bool peer_sees(struct bench *b, unsigned type, unsigned flags, uint32_t stream, uint32_t value)
{
        uint8_t want[YAMUX_HEADER];
        const uint8_t *out;
        frame_put(want, type, flags, stream, value);
        bool seen = false;
        size_t n;
        while ((n = yamux_output(b->y, &out)) > 0) {
                for (size_t at = 0; at < n;) {
                        const uint8_t *h = out + at;
                        seen = seen || memcmp(h, want, sizeof(want)) == 0;
                        size_t payload = h[1] == FRAME_DATA ? (size_t)h[10] << 8 | h[11] : 0;
                        at += YAMUX_HEADER + payload;
                }
                yamux_output_done(b->y, n);
        }
        return seen;
}

static void assert_cut_off(struct bench *b, int r, const char *part)
{
        assert_true(r < 0);
        assert_int_equal(b->e.code, ERR_PROTOCOL);
        if (!strstr(b->e.msg, part))
                fail_msg("expected '%s' in: %s", part, b->e.msg);
        assert_true(yamux_is_dead(b->y));
        assert_true(peer_sees(b, FRAME_GOAWAY, 0, 0, GOAWAY_PROTOCOL));
        assert_true(peer(b, FRAME_PING, FLAG_SYN, 0, 1) < 0);
}

static void flush(struct bench *b)
{
        const uint8_t *out;
        struct yamux_event ev;
        for (size_t n; (n = yamux_output(b->y, &out)) > 0;)
                yamux_output_done(b->y, n);
        for (yamux_next(b->y, &ev); ev.type != YAMUX_NONE; yamux_next(b->y, &ev))
                ;
}

/* --- every state against everything that can happen --- */

enum action { PEER_ACK, PEER_DATA, PEER_WINDOW, PEER_FIN, PEER_RST, OWN_CLOSE, OWN_RESET, OWN_WRITE, N_ACTIONS };
enum outcome {
        REFUSED = 100, /* the session is cut off */
        GONE,          /* the stream is no more */
};

static uint32_t stream_in_state(struct bench *b, enum stream_state state)
{
        uint32_t id = ME_OPENED;
        assert_int_equal(yamux_open(b->y, &id, NULL), 0);
        if (state != STREAM_OPENING && state != STREAM_OPENING_CLOSED)
                assert_int_equal(peer(b, FRAME_WINDOW, FLAG_ACK, id, 0), 0);
        if (state == STREAM_OPENING_CLOSED || state == STREAM_LOCAL_CLOSED)
                assert_int_equal(yamux_close(b->y, id, NULL), 0);
        if (state == STREAM_REMOTE_CLOSED)
                assert_int_equal(peer(b, FRAME_WINDOW, FLAG_FIN, id, 0), 0);
        flush(b);
        assert_int_equal(stream_find(b->y, id)->state, state);
        return id;
}

static int act(struct bench *b, enum action action, uint32_t id)
{
        switch (action) {
        case PEER_ACK:
                return peer(b, FRAME_WINDOW, FLAG_ACK, id, 0);
        case PEER_DATA:
                return peer_data(b, 0, id, 10);
        case PEER_WINDOW:
                return peer(b, FRAME_WINDOW, 0, id, 10);
        case PEER_FIN:
                return peer(b, FRAME_WINDOW, FLAG_FIN, id, 0);
        case PEER_RST:
                return peer(b, FRAME_WINDOW, FLAG_RST, id, 0);
        case OWN_CLOSE:
                return yamux_close(b->y, id, NULL);
        case OWN_RESET:
                return yamux_reset(b->y, id, NULL);
        default:
                (void)yamux_write(b->y, id, "x", 1, NULL);
                return 0;
        }
}

static void every_state_meets_every_action(void **state)
{
        enum {
                OPENING = STREAM_OPENING,
                OPENING_C = STREAM_OPENING_CLOSED,
                OPEN = STREAM_OPEN,
                LOCAL = STREAM_LOCAL_CLOSED,
                REMOTE = STREAM_REMOTE_CLOSED
        };
        static const int expected[][N_ACTIONS] = {
                /*             ACK      DATA     WINDOW     FIN      RST   close      reset write */
                [OPENING] = {OPEN, REFUSED, OPENING, REFUSED, GONE, OPENING_C, GONE, OPENING},
                [OPENING_C] = {LOCAL, REFUSED, OPENING_C, REFUSED, GONE, OPENING_C, GONE, OPENING_C},
                [OPEN] = {REFUSED, OPEN, OPEN, REMOTE, GONE, LOCAL, GONE, OPEN},
                [LOCAL] = {REFUSED, LOCAL, LOCAL, GONE, GONE, LOCAL, GONE, LOCAL},
                [REMOTE] = {REFUSED, REFUSED, REMOTE, REFUSED, GONE, GONE, GONE, REMOTE},
        };
        for (unsigned s = 0; s < sizeof(expected) / sizeof(expected[0]); s++) {
                for (unsigned a = 0; a < N_ACTIONS; a++) {
                        bench_client(state);
                        struct bench *b = *state;
                        uint32_t id = stream_in_state(b, s);
                        int r = act(b, a, id);
                        if (!yamux_is_dead(b->y))
                                flush(b);
                        const struct stream *found = stream_find_any(b->y, id);
                        int got = r < 0 ? REFUSED : found ? (int)found->state : GONE;
                        if (got != expected[s][a])
                                fail_msg("state %u, action %u: expected %d, got %d", s, a, expected[s][a], got);
                        if (got == GONE)
                                assert_int_equal(yamux_count(b->y), 0);
                        bench_free(state);
                }
        }
        *state = NULL;
}

static void frames_for_a_stream_that_is_gone_are_read_over(void **state)
{
        struct bench *b = *state;
        uint32_t id = stream_in_state(b, STREAM_OPEN);
        assert_int_equal(yamux_reset(b->y, id, NULL), 0);
        for (unsigned a = PEER_ACK; a <= PEER_RST; a++)
                assert_int_equal(act(b, a, id), 0);
        assert_int_equal(yamux_count(b->y), 0);
        assert_false(yamux_is_dead(b->y));
}

static void both_orders_of_half_close_end_in_closed_after_eof(void **state)
{
        for (int first = 0; first < 2; first++) {
                bench_client(state);
                struct bench *b = *state;
                uint32_t id = stream_in_state(b, first ? STREAM_LOCAL_CLOSED : STREAM_REMOTE_CLOSED);
                uint8_t fin[YAMUX_HEADER];
                size_t taken;
                struct yamux_event ev;
                const uint8_t *out;
                frame_put(fin, FRAME_WINDOW, FLAG_FIN, id, 0);
                if (first) {
                        assert_int_equal(yamux_input(b->y, fin, sizeof(fin), &taken, NULL), 0);
                        yamux_next(b->y, &ev);
                        assert_int_equal(ev.type, YAMUX_EOF);
                } else {
                        assert_int_equal(yamux_close(b->y, id, NULL), 0);
                        yamux_output_done(b->y, yamux_output(b->y, &out));
                }
                yamux_next(b->y, &ev);
                assert_int_equal(ev.type, YAMUX_CLOSED);
                assert_int_equal(yamux_count(b->y), 0);
                bench_free(state);
        }
        *state = NULL;
}

static void data_that_comes_with_fin_is_told_before_the_eof(void **state)
{
        struct bench *b = *state;
        static const enum yamux_event_type order[] = {YAMUX_OPENED, YAMUX_DATA, YAMUX_EOF};
        uint8_t frame[YAMUX_HEADER + 3] = {0};
        frame_put(frame, FRAME_DATA, FLAG_SYN | FLAG_FIN, PEER_OPENED, 3);
        size_t at = 0, n = 0;
        while (at < sizeof(frame)) {
                size_t taken;
                struct yamux_event ev;
                assert_int_equal(yamux_input(b->y, frame + at, sizeof(frame) - at, &taken, NULL), 0);
                at += taken;
                for (yamux_next(b->y, &ev); ev.type != YAMUX_NONE; yamux_next(b->y, &ev)) {
                        assert_true(n < 3);
                        assert_int_equal(ev.type, order[n++]);
                }
        }
        assert_int_equal(n, 3);
}

static void data_that_was_dealt_with_is_wiped(void **state)
{
        static const uint8_t zeros[3];
        struct bench *b = *state;
        uint8_t frame[YAMUX_HEADER + 3] = {0};
        size_t taken = 0;
        struct yamux_event ev;
        frame_put(frame, FRAME_DATA, FLAG_SYN, PEER_OPENED, 3);
        memcpy(frame + YAMUX_HEADER, "abc", 3);
        assert_int_equal(yamux_input(b->y, frame, YAMUX_HEADER, &taken, NULL), 0);
        yamux_next(b->y, &ev);
        assert_int_equal(yamux_input(b->y, frame + taken, sizeof(frame) - taken, &taken, NULL), 0);
        yamux_next(b->y, &ev);
        assert_int_equal(ev.type, YAMUX_DATA);
        assert_memory_equal(ev.data, "abc", 3);
        const uint8_t *data = ev.data;
        yamux_next(b->y, &ev);
        assert_int_equal(ev.type, YAMUX_NONE);
        assert_memory_equal(data, zeros, 3);
        /* What comes next is not what is wiped, also when nobody asked in between. */
        frame_put(frame, FRAME_DATA, 0, PEER_OPENED, 3);
        for (unsigned i = 0; i < 2; i++) {
                assert_int_equal(yamux_input(b->y, frame, sizeof(frame), &taken, NULL), 0);
                yamux_next(b->y, &ev);
                assert_int_equal(ev.type, YAMUX_DATA);
                assert_memory_equal(ev.data, "abc", 3);
        }
}

static void data_queued_before_a_close_is_sent_before_the_fin(void **state)
{
        struct bench *b = *state;
        const uint8_t *out;
        uint32_t id = stream_in_state(b, STREAM_OPEN);
        assert_int_equal(yamux_write(b->y, id, "abc", 3, NULL), 3);
        assert_int_equal(yamux_close(b->y, id, NULL), 0);
        assert_int_equal(yamux_write(b->y, id, "d", 1, NULL), 0);
        uint8_t want[2 * YAMUX_HEADER + 3];
        frame_put(want, FRAME_DATA, 0, id, 3);
        memcpy(want + YAMUX_HEADER, "abc", 3);
        frame_put(want + YAMUX_HEADER + 3, FRAME_WINDOW, FLAG_FIN, id, 0);
        assert_int_equal(yamux_output(b->y, &out), sizeof(want));
        assert_memory_equal(out, want, sizeof(want));
}

static void nothing_is_told_about_a_stream_that_its_owner_reset(void **state)
{
        struct bench *b = *state;
        uint8_t frame[YAMUX_HEADER + 3] = {0};
        size_t taken;
        struct yamux_event ev;
        frame_put(frame, FRAME_DATA, FLAG_SYN, PEER_OPENED, 3);
        assert_int_equal(yamux_input(b->y, frame, sizeof(frame), &taken, NULL), 0);
        yamux_next(b->y, &ev);
        assert_int_equal(ev.type, YAMUX_OPENED);
        assert_int_equal(yamux_input(b->y, frame + taken, sizeof(frame) - taken, &taken, NULL), 0);
        assert_int_equal(yamux_reset(b->y, PEER_OPENED, NULL), 0);
        yamux_next(b->y, &ev);
        assert_int_equal(ev.type, YAMUX_NONE);
        assert_true(peer_sees(b, FRAME_WINDOW, FLAG_RST, PEER_OPENED, 0));
}

/* --- windows --- */

static void a_window_can_be_filled_to_its_last_byte_and_one_more_cuts_the_peer_off(void **state)
{
        struct bench *b = *state;
        assert_int_equal(peer_data(b, FLAG_SYN, PEER_OPENED, YAMUX_MAX_FRAME), 0);
        for (unsigned i = 1; i < YAMUX_INITIAL_WINDOW / YAMUX_MAX_FRAME; i++)
                assert_int_equal(peer_data(b, 0, PEER_OPENED, YAMUX_MAX_FRAME), 0);
        assert_cut_off(b, peer_data(b, 0, PEER_OPENED, 1), "whose window has 0 left");
}

static void consumed_bytes_open_the_window_again_in_halves(void **state)
{
        struct bench *b = *state;
        assert_int_equal(peer_data(b, FLAG_SYN, PEER_OPENED, YAMUX_MAX_FRAME), 0);
        for (unsigned i = 1; i < YAMUX_INITIAL_WINDOW / YAMUX_MAX_FRAME; i++)
                assert_int_equal(peer_data(b, 0, PEER_OPENED, YAMUX_MAX_FRAME), 0);
        flush(b);
        const uint8_t *out;
        yamux_consumed(b->y, PEER_OPENED, YAMUX_INITIAL_WINDOW / 2 - 1);
        assert_int_equal(yamux_output(b->y, &out), 0);
        yamux_consumed(b->y, PEER_OPENED, 1);
        assert_true(peer_sees(b, FRAME_WINDOW, 0, PEER_OPENED, YAMUX_INITIAL_WINDOW / 2));
        for (unsigned i = 0; i < YAMUX_INITIAL_WINDOW / 2 / YAMUX_MAX_FRAME; i++)
                assert_int_equal(peer_data(b, 0, PEER_OPENED, YAMUX_MAX_FRAME), 0);
        assert_cut_off(b, peer_data(b, 0, PEER_OPENED, 1), "whose window has 0 left");
}

static void more_cannot_be_consumed_than_was_received(void **state)
{
        struct bench *b = *state;
        assert_int_equal(peer_data(b, FLAG_SYN, PEER_OPENED, 100), 0);
        yamux_consumed(b->y, PEER_OPENED, YAMUX_INITIAL_WINDOW);
        assert_int_equal(stream_find(b->y, PEER_OPENED)->credit, 100);
}

static void we_stop_at_the_peers_window_and_go_on_when_it_opens(void **state)
{
        struct bench *b = *state;
        static const uint8_t bytes[65536];
        uint32_t id = stream_in_state(b, STREAM_OPEN);
        size_t sent = 0;
        for (size_t n; (n = yamux_write(b->y, id, bytes, sizeof(bytes), NULL)) > 0; sent += n)
                flush(b);
        assert_int_equal(sent, YAMUX_INITIAL_WINDOW + 65536);
        assert_int_equal(yamux_unsent(b->y, id), 65536);
        assert_int_equal(peer(b, FRAME_WINDOW, 0, id, 65535), 0);
        flush(b);
        assert_int_equal(yamux_unsent(b->y, id), 1);
}

static void a_window_update_that_overflows_cuts_the_peer_off(void **state)
{
        struct bench *b = *state;
        uint32_t id = stream_in_state(b, STREAM_OPEN);
        assert_int_equal(peer(b, FRAME_WINDOW, 0, id, UINT32_MAX - YAMUX_INITIAL_WINDOW), 0);
        assert_cut_off(b, peer(b, FRAME_WINDOW, 0, id, 1), "overflows");
}

static void a_write_that_was_cut_short_is_told_when_half_of_the_queue_is_free(void **state)
{
        struct bench *b = *state;
        static const uint8_t bytes[65537];
        struct yamux_event ev;
        const uint8_t *out;
        uint32_t id = stream_in_state(b, STREAM_OPEN);
        assert_int_equal(yamux_write_space(b->y, id), 65536);
        assert_int_equal(yamux_write(b->y, id, bytes, sizeof(bytes), NULL), 65536);
        yamux_next(b->y, &ev);
        assert_int_equal(ev.type, YAMUX_NONE);
        yamux_output_done(b->y, yamux_output(b->y, &out));
        yamux_next(b->y, &ev);
        assert_int_equal(ev.type, YAMUX_WRITABLE);
        assert_true(yamux_write_space(b->y, id) >= 32768);
}

static void what_is_owed_goes_out_before_data_even_when_it_is_much(void **state)
{
        struct bench *b = *state;
        uint32_t id = stream_in_state(b, STREAM_OPEN);
        unsigned n_pongs = 0;
        bool data_seen = false;
        const uint8_t *out;
        for (uint32_t i = 0; i < 5000; i++)
                assert_int_equal(peer(b, FRAME_PING, FLAG_SYN, 0, i), 0);
        assert_int_equal(yamux_write(b->y, id, "data", 4, NULL), 4);
        for (size_t n; (n = yamux_output(b->y, &out)) > 0; yamux_output_done(b->y, n)) {
                for (size_t at = 0; at < n; at += YAMUX_HEADER + (out[at + 1] == FRAME_DATA ? 4 : 0)) {
                        data_seen = data_seen || out[at + 1] == FRAME_DATA;
                        n_pongs += out[at + 1] == FRAME_PING;
                        assert_true(!data_seen || n_pongs == 5000);
                }
        }
        assert_true(data_seen);
}

static void an_urgent_stream_overtakes_what_another_has_queued(void **state)
{
        struct bench *b = *state;
        static const uint8_t bytes[60000];
        const uint8_t *out;
        uint32_t bulk = stream_in_state(b, STREAM_OPEN), urgent;
        assert_int_equal(yamux_open(b->y, &urgent, NULL), 0);
        flush(b);
        yamux_set_urgent(b->y, urgent);
        yamux_write(b->y, bulk, bytes, sizeof(bytes), NULL);
        yamux_write(b->y, urgent, "now", 3, NULL);
        assert_true(yamux_output(b->y, &out) > YAMUX_HEADER);
        assert_int_equal(out[7], urgent);
}

static void streams_take_turns_frame_by_frame(void **state)
{
        struct bench *b = *state;
        static const uint8_t bytes[60000];
        const uint8_t *out;
        uint32_t one = stream_in_state(b, STREAM_OPEN), two;
        assert_int_equal(yamux_open(b->y, &two, NULL), 0);
        flush(b);
        yamux_write(b->y, one, bytes, sizeof(bytes), NULL);
        yamux_write(b->y, two, bytes, sizeof(bytes), NULL);
        assert_true(yamux_output(b->y, &out) >= 2 * (YAMUX_HEADER + YAMUX_MAX_FRAME));
        assert_int_equal(out[7], one);
        assert_int_equal(out[YAMUX_HEADER + YAMUX_MAX_FRAME + 7], two);
}

/* --- what a peer may not do --- */

struct lie {
        unsigned type, flags;
        uint32_t stream, value;
        const char *part;
};

static void lies_cut_the_peer_off(void **state)
{
        static const struct lie lies[] = {
                {4, 0, 0, 0, "type 4"},
                {FRAME_DATA, 0x10, PEER_OPENED, 0, "unknown flags"},
                {FRAME_WINDOW, 0x8001, PEER_OPENED, 0, "unknown flags"},
                {FRAME_DATA, 0, 0, 1, "for stream 0"},
                {FRAME_WINDOW, FLAG_SYN, 0, 0, "for stream 0"},
                {FRAME_PING, FLAG_SYN, 1, 0, "type 2 for stream 1"},
                {FRAME_GOAWAY, 0, 2, 0, "type 3 for stream 2"},
                {FRAME_PING, 0, 0, 0, "with flags 0x0"},
                {FRAME_PING, FLAG_SYN | FLAG_ACK, 0, 0, "with flags 0x3"},
                {FRAME_GOAWAY, FLAG_RST, 0, 0, "with flags 0x8"},
                {FRAME_PING, FLAG_ACK, 0, 9, "never sent"},
                {FRAME_DATA, 0, PEER_OPENED, 1, "never opened"},
                {FRAME_WINDOW, 0, PEER_OPENED, 1, "never opened"},
                {FRAME_WINDOW, FLAG_RST, PEER_OPENED, 0, "never opened"},
                {FRAME_WINDOW, FLAG_FIN, ME_OPENED, 0, "never opened"},
                {FRAME_WINDOW, FLAG_ACK, ME_OPENED, 0, "never opened"},
                {FRAME_WINDOW, FLAG_SYN, ME_OPENED, 0, "may not open stream 1"},
                {FRAME_WINDOW, FLAG_SYN | FLAG_ACK, PEER_OPENED, 0, "may not open"},
                {FRAME_WINDOW, FLAG_SYN | FLAG_RST, PEER_OPENED, 0, "may not open"},
                {FRAME_DATA, FLAG_SYN, PEER_OPENED, YAMUX_MAX_FRAME + 1, "the limit is 16384"},
                {FRAME_DATA, FLAG_SYN, PEER_OPENED, UINT32_MAX, "the limit is 16384"},
        };
        for (unsigned i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
                bench_client(state);
                assert_cut_off(*state, peer(*state, lies[i].type, lies[i].flags, lies[i].stream, lies[i].value),
                               lies[i].part);
                bench_free(state);
        }
        *state = NULL;
}

static void another_version_is_refused(void **state)
{
        uint8_t frame[YAMUX_HEADER];
        frame_put(frame, FRAME_PING, FLAG_SYN, 0, 0);
        frame[0] = 1;
        assert_cut_off(*state, feed(*state, frame, sizeof(frame), YAMUX_NONE, NULL), "version 1");
}

static void a_replayed_or_reordered_open_is_refused(void **state)
{
        struct bench *b = *state;
        assert_int_equal(peer(b, FRAME_WINDOW, FLAG_SYN, 6, 0), 0);
        assert_int_equal(peer(b, FRAME_WINDOW, FLAG_RST, 6, 0), 0);
        assert_cut_off(b, peer(b, FRAME_WINDOW, FLAG_SYN, 6, 0), "again or out of order");
}

static void an_open_below_the_last_number_is_refused(void **state)
{
        struct bench *b = *state;
        assert_int_equal(peer(b, FRAME_WINDOW, FLAG_SYN, 6, 0), 0);
        assert_cut_off(b, peer(b, FRAME_WINDOW, FLAG_SYN, 4, 0), "again or out of order");
}

static void a_replayed_pong_is_refused(void **state)
{
        struct bench *b = *state;
        assert_int_equal(yamux_ping(b->y, 5, NULL), 0);
        assert_int_equal(peer(b, FRAME_PING, FLAG_ACK, 0, 5), 0);
        assert_cut_off(b, peer(b, FRAME_PING, FLAG_ACK, 0, 5), "never sent");
}

static void one_stream_past_the_limit_is_reset_and_its_bytes_are_read_over(void **state)
{
        struct bench *b = *state;
        for (uint32_t id = 2; id <= 6; id += 2)
                assert_int_equal(peer(b, FRAME_WINDOW, FLAG_SYN, id, 0), 0);
        flush(b);
        assert_int_equal(peer_data(b, FLAG_SYN, 8, 500), 0);
        assert_int_equal(yamux_count(b->y), 3);
        assert_true(peer_sees(b, FRAME_WINDOW, FLAG_RST, 8, 0));
        assert_int_equal(peer(b, FRAME_WINDOW, FLAG_RST, 2, 0), 0);
        assert_int_equal(peer(b, FRAME_WINDOW, FLAG_SYN, 10, 0), 0);
        assert_true(peer_sees(b, FRAME_WINDOW, FLAG_ACK, 10, 0));
}

static void a_flood_without_reading_is_cut_off(void **state)
{
        static const struct lie floods[] = {
                {FRAME_PING, FLAG_SYN, 0, 0, "does not read"},
                {FRAME_WINDOW, FLAG_SYN, 2, 0, "does not read"},
        };
        for (unsigned i = 0; i < 2; i++) {
                bench_small(state);
                struct bench *b = *state;
                int r = 0;
                for (uint32_t n = 0; r == 0 && n < 20; n++)
                        r = peer(b, floods[i].type, floods[i].flags, floods[i].stream ? 2 + 2 * n : 0, n);
                assert_cut_off(b, r, floods[i].part);
                bench_free(state);
        }
        *state = NULL;
}

static void a_flood_of_empty_frames_is_cut_off(void **state)
{
        for (unsigned type = FRAME_DATA; type <= FRAME_WINDOW; type++) {
                bench_client(state);
                struct bench *b = *state;
                assert_int_equal(peer(b, FRAME_WINDOW, FLAG_SYN, 2, 0), 0);
                for (unsigned i = 0; i < YAMUX_MAX_IDLE_FRAMES; i++)
                        assert_int_equal(peer(b, type, 0, 2, 0), 0);
                assert_cut_off(b, peer(b, type, 0, 2, 0), "empty frames");
                bench_free(state);
        }
        *state = NULL;
}

static void opens_and_resets_in_turn_leave_nothing_behind(void **state)
{
        struct bench *b = *state;
        for (uint32_t id = 2; id < 20000; id += 2) {
                assert_int_equal(peer(b, FRAME_WINDOW, FLAG_SYN, id, 0), 0);
                assert_int_equal(peer(b, FRAME_WINDOW, FLAG_RST, id, 0), 0);
                flush(b);
        }
        assert_int_equal(yamux_count(b->y), 0);
        assert_int_equal(b->y->n_foreign, 0);
}

/* --- the session --- */

static void ids_are_odd_for_a_client_and_even_for_a_server(void **state)
{
        uint32_t id;
        struct yamux *server;
        assert_int_equal(yamux_open(((struct bench *)*state)->y, &id, NULL), 0);
        assert_int_equal(id, 1);
        assert_int_equal(yamux_new(YAMUX_SERVER, NULL, &server, NULL), 0);
        assert_int_equal(yamux_open(server, &id, NULL), 0);
        assert_int_equal(id, 2);
        assert_int_equal(yamux_open(server, &id, NULL), 0);
        assert_int_equal(id, 4);
        yamux_free(server);
}

static void used_up_ids_are_an_error_and_not_a_second_stream_1(void **state)
{
        struct bench *b = *state;
        uint32_t id;
        b->y->next_id = UINT32_MAX;
        assert_int_equal(yamux_open(b->y, &id, &b->e), 0);
        assert_int_equal(id, UINT32_MAX);
        assert_true(yamux_open(b->y, &id, &b->e) < 0);
        assert_int_equal(b->e.code, ERR_RESOURCES);
        assert_int_equal(peer(b, FRAME_WINDOW, FLAG_ACK, UINT32_MAX, 0), 0);
}

static void opening_waits_while_too_many_are_not_acknowledged(void **state)
{
        struct bench *b = *state;
        uint32_t id;
        assert_int_equal(yamux_open(b->y, &id, NULL), 0);
        assert_int_equal(yamux_open(b->y, &id, NULL), 0);
        assert_int_equal(yamux_open(b->y, &id, NULL), YAMUX_E_AGAIN);
        assert_int_equal(peer(b, FRAME_WINDOW, FLAG_ACK, 1, 0), 0);
        assert_int_equal(yamux_open(b->y, &id, NULL), 0);
        assert_int_equal(yamux_reset(b->y, 3, NULL), 0);
        assert_int_equal(yamux_open(b->y, &id, NULL), 0);
        assert_int_equal(peer(b, FRAME_WINDOW, FLAG_RST, 5, 0), 0);
        assert_int_equal(yamux_open(b->y, &id, NULL), 0);
        assert_int_equal(yamux_open(b->y, &id, NULL), YAMUX_E_AGAIN);
}

static void after_a_go_away_of_the_peer_nothing_is_opened_and_streams_go_on(void **state)
{
        struct bench *b = *state;
        uint32_t id = stream_in_state(b, STREAM_OPEN), other;
        uint8_t frame[YAMUX_HEADER];
        unsigned told = 0;
        frame_put(frame, FRAME_GOAWAY, 0, 0, GOAWAY_NORMAL);
        assert_int_equal(feed(b, frame, sizeof(frame), YAMUX_GOAWAY, &told), 0);
        assert_int_equal(feed(b, frame, sizeof(frame), YAMUX_GOAWAY, &told), 0);
        assert_int_equal(told, 1);
        assert_int_equal(yamux_open(b->y, &other, NULL), YAMUX_E_GOAWAY);
        assert_int_equal(yamux_write(b->y, id, "x", 1, NULL), 1);
        assert_int_equal(peer_data(b, 0, id, 1), 0);
}

static void after_our_go_away_the_peers_streams_are_refused(void **state)
{
        struct bench *b = *state;
        assert_int_equal(yamux_goaway(b->y, GOAWAY_NORMAL, NULL), 0);
        assert_true(peer_sees(b, FRAME_GOAWAY, 0, 0, GOAWAY_NORMAL));
        assert_int_equal(peer(b, FRAME_WINDOW, FLAG_SYN, 2, 0), 0);
        assert_int_equal(yamux_count(b->y), 0);
        assert_true(peer_sees(b, FRAME_WINDOW, FLAG_RST, 2, 0));
}

static void pings_are_answered_with_their_value(void **state)
{
        struct bench *b = *state;
        assert_int_equal(peer(b, FRAME_PING, FLAG_SYN, 0, 0xdeadbeef), 0);
        assert_true(peer_sees(b, FRAME_PING, FLAG_ACK, 0, 0xdeadbeef));
}

static void at_most_16_pings_wait_for_their_answer(void **state)
{
        struct bench *b = *state;
        for (uint32_t i = 0; i < YAMUX_MAX_PINGS; i++)
                assert_int_equal(yamux_ping(b->y, i, NULL), 0);
        assert_int_equal(yamux_ping(b->y, 99, NULL), YAMUX_E_AGAIN);
        assert_int_equal(peer(b, FRAME_PING, FLAG_ACK, 0, 7), 0);
        assert_int_equal(yamux_ping(b->y, 99, NULL), 0);
}

static void a_frame_is_midway_until_its_last_byte(void **state)
{
        struct bench *b = *state;
        uint8_t frame[YAMUX_HEADER + 2] = {0};
        frame_put(frame, FRAME_DATA, FLAG_SYN, 2, 2);
        for (size_t i = 0; i < sizeof(frame); i++) {
                assert_int_equal(yamux_is_midway(b->y), i > 0);
                assert_int_equal(feed(b, frame + i, 1, YAMUX_NONE, NULL), 0);
        }
        assert_false(yamux_is_midway(b->y));
}

#define CLIENT(test) cmocka_unit_test_setup_teardown(test, bench_client, bench_free)
#define SMALL(test) cmocka_unit_test_setup_teardown(test, bench_small, bench_free)

/* --- a session that another process began --- */

#define CONTINUED 65537u

static void a_continued_session_numbers_its_streams_from_where_it_was_told(void **state)
{
        struct bench *b = *state;
        uint32_t id;
        yamux_continue(b->y, CONTINUED);
        assert_int_equal(yamux_open(b->y, &id, NULL), 0);
        assert_int_equal(id, CONTINUED);
        assert_true(peer_sees(b, FRAME_WINDOW, FLAG_SYN, CONTINUED, 0));
        assert_int_equal(peer(b, FRAME_WINDOW, FLAG_ACK, CONTINUED, 0), 0);
        assert_int_equal(yamux_open(b->y, &id, NULL), 0);
        assert_int_equal(id, CONTINUED + 2);
}

static void late_frames_of_streams_before_the_continuation_are_read_over(void **state)
{
        struct bench *b = *state;
        yamux_continue(b->y, CONTINUED);
        assert_int_equal(peer_data(b, 0, 1, 100), 0);
        assert_int_equal(peer(b, FRAME_WINDOW, FLAG_FIN, CONTINUED - 2, 0), 0);
        assert_int_equal(peer_data(b, 0, CONTINUED - 1, 100), 0);
        assert_int_equal(yamux_count(b->y), 0);
        assert_true(yamux_is_idle(b->y));
}

static void a_continued_session_refuses_what_was_never_opened(void **state)
{
        struct bench *b = *state;
        yamux_continue(b->y, CONTINUED);
        assert_cut_off(b, peer(b, FRAME_WINDOW, FLAG_ACK, CONTINUED, 0), "never opened");
}

static void a_continued_session_refuses_peers_streams_that_were_never_opened(void **state)
{
        struct bench *b = *state;
        yamux_continue(b->y, CONTINUED);
        assert_cut_off(b, peer_data(b, 0, CONTINUED + 1, 1), "never opened");
}

static void the_peer_of_a_continued_session_opens_streams_as_before(void **state)
{
        struct bench *b = *state;
        yamux_continue(b->y, CONTINUED);
        assert_int_equal(peer(b, FRAME_WINDOW, FLAG_SYN, PEER_OPENED, 0), 0);
        assert_true(peer_sees(b, FRAME_WINDOW, FLAG_ACK, PEER_OPENED, 0));
        assert_cut_off(b, peer(b, FRAME_WINDOW, FLAG_SYN, PEER_OPENED, 0), "again or out of order");
}

static void a_session_is_idle_only_when_nothing_is_under_way(void **state)
{
        struct bench *b = *state;
        static const uint8_t half[3];
        uint32_t id;
        assert_true(yamux_is_idle(b->y));
        assert_int_equal(yamux_ping(b->y, 7, NULL), 0);
        flush(b);
        assert_false(yamux_is_idle(b->y));
        assert_int_equal(peer(b, FRAME_PING, FLAG_ACK, 0, 7), 0);
        assert_true(yamux_is_idle(b->y));
        assert_int_equal(peer(b, FRAME_PING, FLAG_SYN, 0, 8), 0);
        assert_false(yamux_is_idle(b->y));
        flush(b);
        assert_true(yamux_is_idle(b->y));
        assert_int_equal(yamux_open(b->y, &id, NULL), 0);
        flush(b);
        assert_false(yamux_is_idle(b->y));
        assert_int_equal(peer(b, FRAME_WINDOW, FLAG_RST, id, 0), 0);
        assert_true(yamux_is_idle(b->y));
        assert_int_equal(feed(b, half, sizeof(half), YAMUX_NONE, NULL), 0);
        assert_false(yamux_is_idle(b->y));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_state_meets_every_action),
                CLIENT(frames_for_a_stream_that_is_gone_are_read_over),
                cmocka_unit_test(both_orders_of_half_close_end_in_closed_after_eof),
                CLIENT(data_that_comes_with_fin_is_told_before_the_eof),
                CLIENT(data_that_was_dealt_with_is_wiped),
                CLIENT(data_queued_before_a_close_is_sent_before_the_fin),
                CLIENT(nothing_is_told_about_a_stream_that_its_owner_reset),
                CLIENT(a_window_can_be_filled_to_its_last_byte_and_one_more_cuts_the_peer_off),
                CLIENT(consumed_bytes_open_the_window_again_in_halves),
                CLIENT(more_cannot_be_consumed_than_was_received),
                CLIENT(we_stop_at_the_peers_window_and_go_on_when_it_opens),
                CLIENT(a_window_update_that_overflows_cuts_the_peer_off),
                CLIENT(a_write_that_was_cut_short_is_told_when_half_of_the_queue_is_free),
                CLIENT(what_is_owed_goes_out_before_data_even_when_it_is_much),
                CLIENT(an_urgent_stream_overtakes_what_another_has_queued),
                CLIENT(streams_take_turns_frame_by_frame),
                cmocka_unit_test(lies_cut_the_peer_off),
                CLIENT(another_version_is_refused),
                CLIENT(a_replayed_or_reordered_open_is_refused),
                CLIENT(an_open_below_the_last_number_is_refused),
                CLIENT(a_replayed_pong_is_refused),
                SMALL(one_stream_past_the_limit_is_reset_and_its_bytes_are_read_over),
                cmocka_unit_test(a_flood_without_reading_is_cut_off),
                cmocka_unit_test(a_flood_of_empty_frames_is_cut_off),
                CLIENT(opens_and_resets_in_turn_leave_nothing_behind),
                CLIENT(ids_are_odd_for_a_client_and_even_for_a_server),
                CLIENT(used_up_ids_are_an_error_and_not_a_second_stream_1),
                SMALL(opening_waits_while_too_many_are_not_acknowledged),
                CLIENT(after_a_go_away_of_the_peer_nothing_is_opened_and_streams_go_on),
                CLIENT(after_our_go_away_the_peers_streams_are_refused),
                CLIENT(pings_are_answered_with_their_value),
                CLIENT(at_most_16_pings_wait_for_their_answer),
                CLIENT(a_frame_is_midway_until_its_last_byte),
                CLIENT(a_continued_session_numbers_its_streams_from_where_it_was_told),
                CLIENT(late_frames_of_streams_before_the_continuation_are_read_over),
                CLIENT(a_continued_session_refuses_what_was_never_opened),
                CLIENT(a_continued_session_refuses_peers_streams_that_were_never_opened),
                CLIENT(the_peer_of_a_continued_session_opens_streams_as_before),
                CLIENT(a_session_is_idle_only_when_nothing_is_under_way),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
