#include "pair.h"

#include "base/buf.h"
#include "base/num.h"
#include "wire/door.h"

/* A stream as a test sees it, on either side. */
struct talk {
        struct door_stream *s; /* NULL after its end */
        struct buf got;
        unsigned n_answers, n_eofs, n_writable;
        bool ended, hold;
        enum door_end why;
        char refusal[64];
};
struct world {
        struct door *host, *guest;
        struct talk last;    /* the guest's end of the last accepted request */
        unsigned n_requests; /* that the guest was told */
        uint32_t pong;
        bool seeded;
        const char *seed_status; /* what the guest answers to the seed */
};

static void list_make(struct buf *ret, const char *key, const char *value)
{
        size_t mark;
        assert_int_equal(fields_begin(ret, &mark, NULL), 0);
        assert_int_equal(fields_add_str(ret, key, value, NULL), 0);
        assert_int_equal(fields_end(ret, mark, NULL), 0);
}

static int talk_answer(struct door_stream *s, const struct fields *answer, void *user, struct err *e)
{
        (void)s, (void)answer, (void)e;
        ((struct talk *)user)->n_answers++;
        return 0;
}

static int talk_data(struct door_stream *s, const uint8_t *data, size_t len, void *user, struct err *e)
{
        struct talk *t = user;
        if (!t->hold)
                door_consumed(s, len);
        return buf_append(&t->got, data, len, e);
}

static int talk_eof(struct door_stream *s, void *user, struct err *e)
{
        (void)s, (void)e;
        ((struct talk *)user)->n_eofs++;
        return 0;
}

static int talk_writable(struct door_stream *s, void *user, struct err *e)
{
        (void)s, (void)e;
        ((struct talk *)user)->n_writable++;
        return 0;
}

static void talk_end(struct door_stream *s, enum door_end why, const struct fields *refusal, void *user)
{
        struct talk *t = user;
        const char *text = "";
        (void)s;
        t->ended = true;
        t->why = why;
        t->s = NULL;
        if (refusal)
                assert_int_equal(fields_str(refusal, "message", &text, NULL), 0);
        snprintf(t->refusal, sizeof(t->refusal), "%s", text);
}

static const struct door_handler talk_handler = {talk_answer, talk_data, talk_eof, talk_writable, talk_end};
static const struct door_handler deaf_handler = {.answer = talk_answer, .end = talk_end};

static int guest_request(struct door_stream *s, const char *op, const struct fields *header, void *user, struct err *e)
{
        struct world *w = user;
        (void)header;
        w->n_requests++;
        if (strcmp(op, "refuse") == 0)
                return door_refuse(s, "denied", "not today", e);
        if (strcmp(op, "unknown") == 0)
                return 0;
        if (strcmp(op, "reset") == 0)
                return door_reset(s, e);
        w->last.s = s;
        door_accept(s, &talk_handler, &w->last);
        return strcmp(op, "later") == 0 ? 0 : door_answer(s, NULL, e);
}

static int guest_seed(struct door *d, const struct fields *seed, void *user, struct err *e)
{
        struct world *w = user;
        struct buf list = BUF_INIT;
        (void)seed;
        list_make(&list, "status", w->seed_status);
        int r = door_seeded(d, &list, e);
        buf_done(&list);
        return r;
}

static int host_ready(struct door *d, void *user, struct err *e)
{
        struct buf list = BUF_INIT;
        (void)user;
        list_make(&list, "op", "seed");
        int r = door_seed(d, &list, e);
        buf_done(&list);
        return r;
}

static int host_seeded(struct door *d, const struct fields *answer, void *user, struct err *e)
{
        (void)d, (void)answer, (void)e;
        ((struct world *)user)->seeded = true;
        return 0;
}

static int host_pong(struct door *d, uint32_t value, void *user, struct err *e)
{
        (void)d, (void)e;
        ((struct world *)user)->pong = value;
        return 0;
}

static const struct door_limits host_limits = DOOR_LIMITS_HOST, guest_limits = DOOR_LIMITS_GUEST;
static const struct door_callbacks host_callbacks = {.ready = host_ready, .seeded = host_seeded, .pong = host_pong};
static const struct door_callbacks guest_callbacks = {.seed = guest_seed, .request = guest_request};

/* Carry what one side has to send; bytes at a time. */
static size_t carry(struct door *from, struct door *to, size_t step)
{
        const uint8_t *out;
        size_t n = door_output(from, &out);
        n = n < step ? n : step;
        struct err e = ERR_INIT;
        if (n && door_input(to, out, n, &e) < 0)
                fail_msg("%s", e.msg);
        if (n && door_output_done(from, n, &e) < 0)
                fail_msg("%s", e.msg);
        return n;
}

static void settle(struct world *w, size_t step)
{
        while (carry(w->guest, w->host, step) + carry(w->host, w->guest, step) > 0)
                ;
}

static int world_setup(void **state)
{
        struct world *w = calloc(1, sizeof(*w));
        w->seed_status = "ok";
        assert_int_equal(door_new(DOOR_HOST, &host_limits, &host_callbacks, w, &w->host, NULL), 0);
        assert_int_equal(door_new(DOOR_GUEST, &guest_limits, &guest_callbacks, w, &w->guest, NULL), 0);
        *state = w;
        return 0;
}

static int world_teardown(void **state)
{
        struct world *w = *state;
        door_free(w->host);
        door_free(w->guest);
        buf_done(&w->last.got);
        free(w);
        return 0;
}

static int world_open(void **state)
{
        world_setup(state);
        settle(*state, 7);
        assert_true(((struct world *)*state)->seeded);
        return 0;
}

static void ask_with(struct world *w, const char *op, const struct door_handler *handler, struct talk *t)
{
        struct buf list = BUF_INIT;
        list_make(&list, "op", op);
        assert_int_equal(door_open(w->host, &list, handler, t, &t->s, NULL), 0);
        buf_done(&list);
}

static void ask(struct world *w, const char *op, struct talk *t)
{
        ask_with(w, op, &talk_handler, t);
}

static void a_seeded_session_answers_a_request(void **state)
{
        struct world *w = *state;
        struct talk t = {0};
        ask(w, "echo", &t);
        assert_int_equal(door_write(t.s, "early", 5, NULL), 5);
        settle(w, 1);
        assert_int_equal(t.n_answers, 1);
        assert_memory_equal(w->last.got.data, "early", 5);
        assert_int_equal(door_write(w->last.s, "late", 4, NULL), 4);
        assert_int_equal(door_close(w->last.s, NULL), 0);
        settle(w, SIZE_MAX);
        assert_memory_equal(t.got.data, "late", 4);
        assert_int_equal(t.n_eofs, 1);
        assert_false(t.ended);
        assert_int_equal(door_close(t.s, NULL), 0);
        settle(w, SIZE_MAX);
        assert_true(t.ended && t.why == DOOR_CLOSED);
        assert_true(w->last.ended && w->last.why == DOOR_CLOSED);
        assert_int_equal(door_count(w->host) + door_count(w->guest), 0);
        buf_done(&t.got);
}

static void a_refusal_carries_its_message_and_ends_the_stream(void **state)
{
        struct world *w = *state;
        struct talk t = {0};
        ask(w, "refuse", &t);
        settle(w, 3);
        assert_true(t.ended && t.why == DOOR_REFUSED);
        assert_string_equal(t.refusal, "not today");
        assert_int_equal(t.n_answers, 0);
        assert_int_equal(door_count(w->host) + door_count(w->guest), 0);
}

static void what_is_sent_to_a_refused_request_is_read_over(void **state)
{
        struct world *w = *state;
        struct talk t = {0};
        static uint8_t bytes[60000];
        ask(w, "refuse", &t);
        assert_int_equal(door_write(t.s, bytes, sizeof(bytes), NULL), sizeof(bytes));
        settle(w, SIZE_MAX);
        assert_true(t.ended && t.why == DOOR_REFUSED);
        assert_int_equal(door_count(w->guest), 0);
}

static void a_request_that_nobody_takes_is_unsupported(void **state)
{
        struct world *w = *state;
        struct talk t = {0};
        ask(w, "unknown", &t);
        settle(w, SIZE_MAX);
        assert_true(t.ended && t.why == DOOR_REFUSED);
}

static void a_request_can_be_reset_inside_its_callback(void **state)
{
        struct world *w = *state;
        struct talk t = {0};
        ask(w, "reset", &t);
        assert_int_equal(door_write(t.s, "more", 4, NULL), 4);
        settle(w, SIZE_MAX);
        assert_true(t.ended && t.why == DOOR_RESET);
}

static void a_cancelled_operation_ends_at_the_other_side_and_calls_nobody_back_here(void **state)
{
        struct world *w = *state;
        struct talk t = {0};
        ask(w, "echo", &t);
        settle(w, SIZE_MAX);
        assert_int_equal(door_reset(t.s, NULL), 0);
        settle(w, SIZE_MAX);
        assert_true(w->last.ended && w->last.why == DOOR_RESET);
        assert_false(t.ended);
}

static void a_header_larger_than_the_send_queue_arrives(void **state)
{
        struct world *w = *state;
        struct talk t = {0};
        struct buf list = BUF_INIT;
        static char big[600 * 1024];
        size_t mark;
        memset(big, 'x', sizeof(big));
        fields_begin(&list, &mark, NULL);
        fields_add_str(&list, "op", "echo", NULL);
        fields_add(&list, "data", big, sizeof(big), NULL);
        fields_end(&list, mark, NULL);
        assert_int_equal(door_open(w->host, &list, &talk_handler, &t, &t.s, NULL), 0);
        assert_int_equal(door_write(t.s, "x", 1, NULL), 0);
        assert_int_equal(door_close(t.s, NULL), 0);
        settle(w, SIZE_MAX);
        assert_int_equal(t.n_answers, 1);
        assert_int_equal(w->last.n_eofs, 1);
        buf_done(&list);
}

static void a_stream_that_is_not_consumed_stops_alone_and_goes_on_afterwards(void **state)
{
        struct world *w = *state;
        struct talk slow = {0}, quick = {0};
        static uint8_t bytes[GUEST_MAX_FRAME_DATA];
        size_t total = 0;
        ask(w, "echo", &slow);
        settle(w, SIZE_MAX);
        w->last.hold = true;
        int r;
        while ((r = door_frame(slow.s, GUEST_FRAME_STDIN, bytes, sizeof(bytes), NULL)) == 0 || slow.n_writable > 0) {
                if (r == DOOR_E_FULL)
                        slow.n_writable = 0;
                total += r == 0 ? sizeof(bytes) + GUEST_FRAME_HEADER : 0;
                settle(w, SIZE_MAX);
        }
        assert_int_equal(r, DOOR_E_FULL);
        assert_true(w->last.got.len <= YAMUX_INITIAL_WINDOW);
        assert_true(door_unsent(slow.s) > 0);
        struct door_stream *held = w->last.s;
        size_t got = w->last.got.len;
        buf_done(&w->last.got);
        w->last = (struct talk){0};
        ask(w, "echo", &quick);
        settle(w, SIZE_MAX);
        assert_int_equal(quick.n_answers, 1);
        assert_int_equal(door_write(quick.s, "ok", 2, NULL), 2);
        settle(w, SIZE_MAX);
        assert_int_equal(w->last.got.len, 2);
        door_consumed(held, got);
        settle(w, SIZE_MAX);
        assert_int_equal(door_unsent(slow.s), 0);
        assert_int_equal(w->last.got.len, 2 + total - got);
        assert_int_equal(slow.n_writable, 1);
}

static void pings_are_answered_and_told(void **state)
{
        struct world *w = *state;
        assert_int_equal(door_ping(w->host, 4711, NULL), 0);
        settle(w, 1);
        assert_int_equal(w->pong, 4711);
}

static void a_guest_that_cannot_apply_the_seed_is_a_failed_boot(void **state)
{
        struct world *w = *state;
        struct err e = ERR_INIT;
        const uint8_t *out;
        w->seed_status = "error";
        carry(w->guest, w->host, SIZE_MAX);
        carry(w->host, w->guest, SIZE_MAX);
        size_t n = door_output(w->guest, &out);
        assert_true(door_input(w->host, out, n, &e) < 0);
        assert_int_equal(e.code, ERR_VM_BOOT_FAILED);
        assert_false(door_is_open(w->guest));
}

/* --- what a guest may not do --- */

static void expect_refused(struct world *w, const void *bytes, size_t len, const char *part)
{
        struct err e = ERR_INIT;
        assert_true(door_input(w->host, bytes, len, &e) < 0);
        assert_int_equal(e.code, ERR_PROTOCOL);
        if (!strstr(e.msg, part))
                fail_msg("expected '%s' in: %s", part, e.msg);
        assert_false(door_is_open(w->host));
        assert_true(door_input(w->host, bytes, len, &e) < 0);
}

static void bytes_behind_the_ready_record_are_refused(void **state)
{
        uint8_t record[GUEST_READY_SIZE + 1] = {0};
        guest_ready_write(record);
        expect_refused(*state, record, sizeof(record), "before the seed");
}

static void every_changed_byte_of_the_ready_record_is_refused(void **state)
{
        for (size_t i = 0; i < GUEST_READY_SIZE; i++) {
                if (i >= 20 && i < 24) /* the agent's build number is free */
                        continue;
                uint8_t record[GUEST_READY_SIZE];
                guest_ready_write(record);
                record[i] ^= 0x40;
                expect_refused(*state, record, sizeof(record), "the ");
                world_teardown(state);
                world_setup(state);
        }
}

/* Open a stream to the guest and give the host raw bytes for it in place of the guest's. */
static void raw_answer(struct world *w, const struct door_handler *handler, const void *bytes, size_t len,
                       unsigned flags, const char *part)
{
        struct talk t = {0};
        uint8_t frame[4096];
        ask_with(w, "echo", handler, &t);
        frame_put(frame, FRAME_DATA, FLAG_ACK | flags, 1, (uint32_t)len);
        memcpy(frame + YAMUX_HEADER, bytes, len);
        expect_refused(w, frame, YAMUX_HEADER + len, part);
}

static void an_answer_without_status_is_refused(void **state)
{
        struct buf list = BUF_INIT;
        list_make(&list, "op", "ok");
        raw_answer(*state, &talk_handler, list.data, list.len, 0, "'status' is missing");
        buf_done(&list);
}

static void an_answer_of_unknown_status_is_refused(void **state)
{
        struct buf list = BUF_INIT;
        list_make(&list, "status", "maybe");
        raw_answer(*state, &talk_handler, list.data, list.len, 0, "expected 'ok' or 'error'");
        buf_done(&list);
}

static void a_truncated_answer_is_refused(void **state)
{
        raw_answer(*state, &talk_handler, "\0\0\0\x10\0", 5, FLAG_FIN, "before its answer was complete");
}

static void an_answer_past_the_limit_is_refused(void **state)
{
        raw_answer(*state, &talk_handler, "\0\1\0\0", 4, 0, "the limit here is 65536");
}

static void bytes_that_the_operation_does_not_have_are_refused(void **state)
{
        struct buf list = BUF_INIT;
        list_make(&list, "status", "ok");
        buf_append_byte(&list, 'x', NULL);
        raw_answer(*state, &deaf_handler, list.data, list.len, 0, "has none in this direction");
        buf_done(&list);
}

static void headers_that_stay_incomplete_are_bounded_over_all_streams(void **state)
{
        struct world *w = *state;
        static uint8_t frame[YAMUX_HEADER + 16000];
        struct err e = ERR_INIT;
        size_t held = 0;
        int r = 0;
        for (uint32_t id = 2; r == 0 && id < 400; id += 2) {
                frame_put(frame, FRAME_DATA, FLAG_SYN, id, 16000);
                memcpy(frame + YAMUX_HEADER, "\0\0\xf0\0", 4);
                r = door_input(w->host, frame, sizeof(frame), &e);
                held += r == 0 ? 16000 : 0;
        }
        assert_true(r < 0);
        assert_int_equal(e.code, ERR_PROTOCOL);
        assert_true(held <= host_limits.max_headers && held > host_limits.max_headers / 2);
}

static void a_dribbled_record_is_seen_as_midway(void **state)
{
        struct world *w = *state;
        uint8_t record[GUEST_READY_SIZE];
        guest_ready_write(record);
        assert_false(door_is_midway(w->host));
        assert_int_equal(door_input(w->host, record, 5, NULL), 0);
        assert_true(door_is_midway(w->host));
        assert_int_equal(door_input(w->host, record + 5, sizeof(record) - 5, NULL), 0);
        assert_false(door_is_midway(w->host));
}

static void the_first_operation_must_be_the_seed(void **state)
{
        struct world *w = *state;
        struct buf list = BUF_INIT;
        struct err e = ERR_INIT;
        list_make(&list, "op", "exec");
        assert_true(door_input(w->guest, list.data, list.len, &e) < 0);
        assert_int_equal(e.code, ERR_PROTOCOL);
        buf_done(&list);
}

static void bytes_behind_the_seed_are_refused(void **state)
{
        struct world *w = *state;
        struct buf list = BUF_INIT;
        struct err e = ERR_INIT;
        list_make(&list, "op", "seed");
        buf_append_byte(&list, 0, NULL);
        assert_true(door_input(w->guest, list.data, list.len, &e) < 0);
        assert_int_equal(e.code, ERR_PROTOCOL);
        buf_done(&list);
}

static void no_stream_is_opened_before_the_seed_was_answered(void **state)
{
        struct world *w = *state;
        struct door_stream *s;
        struct buf list = BUF_INIT;
        list_make(&list, "op", "exec");
        assert_true(door_open(w->host, &list, &talk_handler, w, &s, NULL) < 0);
        buf_done(&list);
}

/* --- a host that takes the stream over from another one --- */

static struct door *host_at(struct world *w, enum door_entry at)
{
        door_free(w->host);
        assert_int_equal(door_new(DOOR_HOST, &host_limits, &host_callbacks, w, &w->host, NULL), 0);
        door_enter(w->host, at);
        return w->host;
}

static void a_host_that_was_told_of_the_ready_record_seeds_at_once(void **state)
{
        struct world *w = *state;
        struct buf list = BUF_INIT;
        const uint8_t *out;
        /* Another host read it. */
        assert_int_equal(door_output_done(w->guest, door_output(w->guest, &out), NULL), 0);
        host_at(w, DOOR_AT_SEED);
        list_make(&list, "op", "seed");
        assert_int_equal(door_seed(w->host, &list, NULL), 0);
        settle(w, 5);
        assert_true(w->seeded && door_is_open(w->host));
        buf_done(&list);
}

static void bytes_before_the_seed_are_refused_by_a_host_that_was_told_of_the_ready_record(void **state)
{
        uint8_t record[GUEST_READY_SIZE];
        guest_ready_write(record);
        host_at(*state, DOOR_AT_SEED);
        expect_refused(*state, record, sizeof(record), "before the seed");
}

/* Everything that was under way ends first, as the host that hands the session over sees to. */
static void an_open_session_goes_on_with_another_host(void **state)
{
        struct world *w = *state;
        struct talk t = {0};
        ask(w, "refuse", &t);
        assert_false(door_is_idle(w->host));
        settle(w, SIZE_MAX);
        assert_true(t.ended && door_is_idle(w->host));
        host_at(w, DOOR_IN_SESSION);
        assert_true(door_is_open(w->host) && door_is_idle(w->host));
        ask(w, "echo", &t);
        settle(w, 1);
        assert_int_equal(t.n_answers, 1);
        assert_false(door_is_idle(w->host));
        assert_int_equal(door_reset(t.s, NULL), 0);
        settle(w, SIZE_MAX);
        assert_true(door_is_idle(w->host) && door_count(w->guest) == 0);
}

static void the_streams_of_the_next_host_begin_where_the_protocol_says(void **state)
{
        struct world *w = *state;
        struct talk t = {0};
        uint8_t want[YAMUX_HEADER];
        const uint8_t *out;
        host_at(w, DOOR_IN_SESSION);
        ask(w, "echo", &t);
        frame_put(want, FRAME_WINDOW, FLAG_SYN, 65537, 0);
        assert_true(door_output(w->host, &out) >= sizeof(want));
        assert_memory_equal(out, want, sizeof(want));
}

static void a_ready_record_inside_a_session_is_refused(void **state)
{
        uint8_t record[GUEST_READY_SIZE];
        guest_ready_write(record);
        host_at(*state, DOOR_IN_SESSION);
        expect_refused(*state, record, sizeof(record), "version");
}

#define OPEN(test) cmocka_unit_test_setup_teardown(test, world_open, world_teardown)
#define FRESH(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                OPEN(a_seeded_session_answers_a_request),
                OPEN(a_refusal_carries_its_message_and_ends_the_stream),
                OPEN(what_is_sent_to_a_refused_request_is_read_over),
                OPEN(a_request_that_nobody_takes_is_unsupported),
                OPEN(a_request_can_be_reset_inside_its_callback),
                OPEN(a_cancelled_operation_ends_at_the_other_side_and_calls_nobody_back_here),
                OPEN(a_header_larger_than_the_send_queue_arrives),
                OPEN(a_stream_that_is_not_consumed_stops_alone_and_goes_on_afterwards),
                OPEN(pings_are_answered_and_told),
                FRESH(a_guest_that_cannot_apply_the_seed_is_a_failed_boot),
                FRESH(bytes_behind_the_ready_record_are_refused),
                FRESH(every_changed_byte_of_the_ready_record_is_refused),
                OPEN(an_answer_without_status_is_refused),
                OPEN(an_answer_of_unknown_status_is_refused),
                OPEN(a_truncated_answer_is_refused),
                OPEN(an_answer_past_the_limit_is_refused),
                OPEN(bytes_that_the_operation_does_not_have_are_refused),
                OPEN(headers_that_stay_incomplete_are_bounded_over_all_streams),
                FRESH(a_dribbled_record_is_seen_as_midway),
                FRESH(the_first_operation_must_be_the_seed),
                FRESH(a_host_that_was_told_of_the_ready_record_seeds_at_once),
                FRESH(bytes_before_the_seed_are_refused_by_a_host_that_was_told_of_the_ready_record),
                OPEN(an_open_session_goes_on_with_another_host),
                OPEN(the_streams_of_the_next_host_begin_where_the_protocol_says),
                OPEN(a_ready_record_inside_a_session_is_refused),
                FRESH(bytes_behind_the_seed_are_refused),
                FRESH(no_stream_is_opened_before_the_seed_was_answered),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
