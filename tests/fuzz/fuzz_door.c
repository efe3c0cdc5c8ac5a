/* Both sides of the door against hostile bytes. Input: u8 flags (1: the guest's side; 2: the beginning of the session
 * is done in order, and the bytes start with yamux; 4: a host that was told of the ready record; 8: a host that goes on
 * with a session), u8 step, then what the peer sends. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "wire/door.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void list_make(struct buf *ret, const char *key, const char *value)
{
        size_t mark;
        assert(fields_begin(ret, &mark, NULL) == 0 && fields_add_str(ret, key, value, NULL) == 0);
        assert(fields_end(ret, mark, NULL) == 0);
}

static int on_data(struct door_stream *s, const uint8_t *data, size_t len, void *user, struct err *e)
{
        (void)user;
        if (data[0] == 'r')
                return door_reset(s, e);
        if (data[0] == 'c')
                return door_close(s, e);
        (void)door_frame(s, GUEST_FRAME_STDOUT, data, len > 1000 ? 1000 : len, e);
        door_consumed(s, len);
        return 0;
}

static int on_eof(struct door_stream *s, void *user, struct err *e)
{
        (void)user;
        return door_close(s, e);
}

static const struct door_handler handler = {.data = on_data, .eof = on_eof};

static int on_request(struct door_stream *s, const char *op, const struct fields *header, void *user, struct err *e)
{
        (void)header, (void)user;
        if (op[0] == 'n')
                return 0;
        if (op[0] == 'f')
                return door_refuse(s, "f", op, e);
        door_accept(s, &handler, NULL);
        return door_answer(s, NULL, e);
}

static int on_ready(struct door *d, void *user, struct err *e)
{
        (void)user;
        struct buf list = BUF_INIT;
        list_make(&list, "op", "seed");
        int r = door_seed(d, &list, e);
        buf_done(&list);
        return r;
}

static int on_seed(struct door *d, const struct fields *seed, void *user, struct err *e)
{
        (void)seed, (void)user;
        struct buf list = BUF_INIT;
        list_make(&list, "status", "ok");
        int r = door_seeded(d, &list, e);
        buf_done(&list);
        return r;
}

static int on_seeded(struct door *d, const struct fields *answer, void *user, struct err *e)
{
        (void)answer, (void)user;
        struct buf list = BUF_INIT;
        struct door_stream *s;
        int r = 0;
        list_make(&list, "op", "exec");
        for (unsigned i = 0; r == 0 && i < 3; i++)
                r = door_open(d, &list, &handler, NULL, &s, e);
        buf_done(&list);
        return r;
}

static void begin_in_order(struct door *d, enum door_role role)
{
        struct buf list = BUF_INIT;
        uint8_t ready[GUEST_READY_SIZE];
        if (role == DOOR_HOST) {
                guest_ready_write(ready);
                assert(door_input(d, ready, sizeof(ready), NULL) == 0);
                list_make(&list, "status", "ok");
        } else {
                list_make(&list, "op", "seed");
        }
        assert(door_input(d, list.data, list.len, NULL) == 0);
        buf_done(&list);
}

static void begin(struct door *d, enum door_role role, unsigned flags)
{
        if (role == DOOR_HOST && flags & 8) {
                door_enter(d, DOOR_IN_SESSION);
                assert(on_seeded(d, NULL, NULL, NULL) == 0);
        } else if (role == DOOR_HOST && flags & 4) {
                door_enter(d, DOOR_AT_SEED);
                assert(on_ready(d, NULL, NULL) == 0);
        } else if (flags & 2) {
                begin_in_order(d, role);
        }
}

static void flush(struct door *d)
{
        const uint8_t *out;
        size_t n = door_output(d, &out);
        if (n)
                (void)door_output_done(d, n, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const struct door_callbacks callbacks = {
                .ready = on_ready, .seed = on_seed, .seeded = on_seeded, .request = on_request};
        static const struct door_limits host = DOOR_LIMITS_HOST, guest = DOOR_LIMITS_GUEST;
        if (size < 2)
                return 0;
        enum door_role role = data[0] & 1 ? DOOR_GUEST : DOOR_HOST;
        struct door *d = NULL;
        if (door_new(role, role == DOOR_HOST ? &host : &guest, &callbacks, NULL, &d, NULL) < 0)
                return 0;
        begin(d, role, data[0]);
        size_t step = data[1] + 1u;
        for (size_t at = 2; at < size; at += step) {
                struct err e = ERR_INIT;
                if (door_input(d, data + at, size - at < step ? size - at : step, &e) < 0) {
                        assert(e.code != ERR_SUCCESS && e.msg[0]);
                        break;
                }
                (void)door_is_midway(d);
                if (data[at] & 1)
                        flush(d);
        }
        flush(d);
        door_free(d);
        return 0;
}
