/* Every allocation of the wire library fails once: each function says so, and nothing leaks. */
#include "pair.h"

#include "alloc_fail.h"
#include "base/buf.h"
#include "wire/door.h"

static int build_and_parse(void *user, struct err *e)
{
        (void)user;
        struct buf b = BUF_INIT;
        struct fields *f = NULL;
        size_t mark;
        int r = fields_begin(&b, &mark, e);
        for (unsigned i = 0; r == 0 && i < 200; i++)
                r = fields_add_u64(&b, "arg", i, e);
        if (r == 0)
                r = fields_end(&b, mark, e);
        if (r == 0)
                r = fields_parse(b.data, b.len, &f, e);
        fields_free(f);
        buf_done(&b);
        return r;
}

static int read_frames(void *user, struct err *e)
{
        (void)user;
        struct frame_reader *reader = NULL;
        size_t used, len;
        bool complete;
        enum guest_frame type;
        const uint8_t *payload;
        int r = frame_reader_new(100, &reader, e);
        if (r == 0)
                r = frame_reader_feed(reader, (const uint8_t *)"\1\0\0\0\2ab", 7, &used, &complete, &type, &payload,
                                      &len, e);
        frame_reader_free(reader);
        return r;
}

/* A session that opens a stream, writes more than a send queue's first size, and gets a stream of the peer with data.
 */
static int use_session(void *user, struct err *e)
{
        (void)user;
        static const uint8_t bytes[5000];
        uint8_t frame[YAMUX_HEADER + 10] = {0};
        struct yamux *y = NULL;
        uint32_t id;
        frame_put(frame, FRAME_DATA, FLAG_SYN, 2, 10);
        int r = yamux_new(YAMUX_CLIENT, NULL, &y, e);
        if (r == 0)
                r = yamux_open(y, &id, e);
        if (r == 0 && yamux_write(y, id, bytes, 700, e) != 700)
                r = -1;
        if (r == 0 && yamux_write(y, id, bytes, sizeof(bytes), e) != sizeof(bytes))
                r = -1;
        for (size_t at = 0, taken; r == 0 && at < sizeof(frame); at += taken) {
                struct yamux_event ev;
                r = yamux_input(y, frame + at, sizeof(frame) - at, &taken, e);
                for (yamux_next(y, &ev); ev.type != YAMUX_NONE; yamux_next(y, &ev))
                        ;
        }
        yamux_free(y);
        return r;
}

static int answer_list(struct buf *b, const char *key, const char *value, struct err *e)
{
        size_t mark;
        int r = fields_begin(b, &mark, e);
        if (r == 0)
                r = fields_add_str(b, key, value, e);
        return r < 0 ? r : fields_end(b, mark, e);
}

static int on_ready(struct door *d, void *user, struct err *e)
{
        (void)user;
        struct buf b = BUF_INIT;
        int r = answer_list(&b, "op", "seed", e);
        if (r == 0)
                r = door_seed(d, &b, e);
        buf_done(&b);
        return r;
}

static int on_seed(struct door *d, const struct fields *seed, void *user, struct err *e)
{
        (void)seed, (void)user;
        struct buf b = BUF_INIT;
        int r = answer_list(&b, "status", "ok", e);
        if (r == 0)
                r = door_seeded(d, &b, e);
        buf_done(&b);
        return r;
}

static int on_seeded(struct door *d, const struct fields *answer, void *user, struct err *e)
{
        (void)d, (void)answer, (void)user, (void)e;
        return 0;
}

static const struct door_handler quiet;

static int on_request(struct door_stream *s, const char *op, const struct fields *header, void *user, struct err *e)
{
        (void)header, (void)user;
        if (op[0] == 'f')
                return door_refuse(s, "f", "no", e);
        door_accept(s, &quiet, NULL);
        return door_answer(s, NULL, e);
}

static int carry(struct door *from, struct door *to, size_t *ret_n, struct err *e)
{
        const uint8_t *out;
        size_t n = door_output(from, &out);
        int r = n ? door_input(to, out, n, e) : 0;
        if (r == 0 && n)
                r = door_output_done(from, n, e);
        *ret_n += n;
        return r;
}

static int settle(struct door *a, struct door *b, struct err *e)
{
        for (size_t n = 1; n > 0;) {
                n = 0;
                int r = carry(a, b, &n, e);
                if (r == 0)
                        r = carry(b, a, &n, e);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int ask(struct door *host, const char *op, struct err *e)
{
        struct buf b = BUF_INIT;
        struct door_stream *s;
        int r = answer_list(&b, "op", op, e);
        if (r == 0)
                r = door_open(host, &b, &quiet, NULL, &s, e);
        buf_done(&b);
        return r;
}

static int use_door(void *user, struct err *e)
{
        (void)user;
        static const struct door_callbacks callbacks = {
                .ready = on_ready, .seed = on_seed, .seeded = on_seeded, .request = on_request};
        static const struct door_limits host_limits = DOOR_LIMITS_HOST, guest_limits = DOOR_LIMITS_GUEST;
        struct door *host = NULL, *guest = NULL;
        int r = door_new(DOOR_HOST, &host_limits, &callbacks, NULL, &host, e);
        if (r == 0)
                r = door_new(DOOR_GUEST, &guest_limits, &callbacks, NULL, &guest, e);
        if (r == 0)
                r = settle(host, guest, e);
        if (r == 0)
                r = ask(host, "exec", e);
        if (r == 0)
                r = ask(host, "f", e);
        if (r == 0)
                r = settle(host, guest, e);
        door_free(host);
        door_free(guest);
        return r;
}

static void lists_report_every_failed_allocation(void **state)
{
        (void)state;
        assert_true(alloc_fail_each(build_and_parse, NULL) > 3);
}

static void frames_report_every_failed_allocation(void **state)
{
        (void)state;
        assert_true(alloc_fail_each(read_frames, NULL) >= 2);
}

static void sessions_report_every_failed_allocation(void **state)
{
        (void)state;
        assert_true(alloc_fail_each(use_session, NULL) > 4);
}

static void doors_report_every_failed_allocation(void **state)
{
        (void)state;
        assert_true(alloc_fail_each(use_door, NULL) > 20);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(lists_report_every_failed_allocation),
                cmocka_unit_test(frames_report_every_failed_allocation),
                cmocka_unit_test(sessions_report_every_failed_allocation),
                cmocka_unit_test(doors_report_every_failed_allocation),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
