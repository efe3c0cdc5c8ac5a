/* The session with a guest: the channel's bytes on the loop, the life of the door (ready, seed, streams), and every
 * deadline by which a guest that stalls, dribbles or vanishes is found.
 *
 * Where it begins is the VM's origin (vm/vm.h). Booted: with the ready record. Cloned and parked: whoever owned the VM
 * before read that record, so `ready` is told by itself from the loop's first turn; of a parked one the session is open
 * already and the seed goes as an operation. In all three the owner answers `ready` with session_seed().
 *
 *   what the guest does                            | found by                     | verdict
 *   sends nothing, or no whole ready record        | the boot deadline            | 301
 *   takes the seed and does not answer             | the boot deadline            | 301
 *   breaks a rule of the protocol                  | door_input()                 | 303
 *   stops in the middle of a record, or dribbles   | SESSION_MIDWAY_MS            | 303
 *   stops reading                                  | SESSION_STALL_MS             | 303
 *   does not answer a ping                         | SESSION_PONG_MS              | 302
 *   closes the channel (the VMM is gone)           | end of file                  | 302, before the seed 301
 *
 * Memory per session: live streams times a yamux window, the door's bounded headers, and two I/O buffers. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vm/vm.h"
#include "wire/door.h"

struct err;
struct loop;
struct seed_wish;
struct session;

#define SESSION_MIDWAY_MS 30000u                 /* an incomplete record or frame */
#define SESSION_STALL_MS 30000u                  /* bytes for the guest that it does not take */
#define SESSION_PING_MS 10000u                   /* between an answer and the next ping */
#define SESSION_PONG_MS 60000u                   /* for the answer to a ping */
#define SESSION_MIDWAY_MIN ((uint64_t)256 << 10) /* bytes that show progress, more than any record or frame has */
#define SESSION_READ ((size_t)64 << 10)          /* bytes read from the channel at once */
#define SESSION_MAX_DRAIN ((uint64_t)1 << 20)    /* bytes that a guest that stands can have sent before */

struct session_callbacks {
        /* The guest can be seeded: session_seed(), now or later. */
        int (*ready)(struct session *s, void *user, struct err *e);
        int (*seeded)(struct session *s, const struct fields *answer, void *user, struct err *e);
        /* The session is over; called once, not from within a call of the owner. It may be freed later, not here. */
        int (*failed)(struct session *s, const struct err *why, void *user, struct err *e);
        /* May be NULL. Told after each turn that leaves nothing under way: no stream, no ping, no byte to send, nothing
         * incomplete. */
        int (*idle)(struct session *s, void *user, struct err *e);
        /* The guest asks for an operation: as struct door_callbacks says. May be NULL. */
        int (*request)(struct door_stream *stream, const char *op, const struct fields *header, void *user,
                       struct err *e);
};

struct session_times {
        uint64_t boot_ms, midway_ms, stall_ms;
        uint64_t ping_ms; /* 0: no ping is sent */
        uint64_t pong_ms;
};
#define SESSION_TIMES_DEFAULT(boot)                                                                                    \
        {                                                                                                              \
                boot, SESSION_MIDWAY_MS, SESSION_STALL_MS, SESSION_PING_MS, SESSION_PONG_MS                            \
        }

/* fd is the channel: a connected stream, or the listener of a guest that comes over vsock (vm/vsock.h), which the
 * guest's connection then replaces. It stays the caller's and is made non-blocking. The boot deadline begins here and
 * ends with `seeded`, whatever the origin. */
int session_new(struct loop *l, int fd, enum vm_origin origin, const struct session_times *times,
                const struct session_callbacks *callbacks, void *user, struct session **ret, struct err *e);
struct session *session_free(struct session *s); /* wipes; calls nobody back; always NULL */

/* Send the seed: fresh entropy, nonce and identity from getrandom(2), and the time. A guest that had one gets it as an
 * operation, and has its root already: ERR_USAGE unless rootfs is "overlay". */
int session_seed(struct session *s, const struct seed_wish *w, struct err *e);
/* No seed is to come from here: the boot deadline is over. */
void session_unseeded(struct session *s);
/* Is this the nonce of the last seed? */
bool session_nonce_is(const struct session *s, const void *nonce, size_t len);
/* The door, for opening streams. After any call on it or on one of its streams from outside a door callback:
 * session_wake(). */
struct door *session_door(struct session *s);
void session_wake(struct session *s);
bool session_is_over(const struct session *s);
bool session_is_idle(const struct session *s); /* see `idle` */
/* The guest's processor stands: take in what it sent before, and write what it is owed for that. A violation ends the
 * session, as ever. */
int session_drain(struct session *s, struct err *e);
/* End it with this verdict: `failed` follows from the loop. */
void session_fail(struct session *s, const struct err *why);
uint64_t session_bytes_in(const struct session *s);
uint64_t session_bytes_out(const struct session *s);
