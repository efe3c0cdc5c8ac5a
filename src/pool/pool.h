/* What devdep-pool holds and what becomes of it: orders ("keep two of this image and class parked for this user"), the
 * VMs made for them, and the memory they may take. No sockets: verbs come as calls, preparations go through a table of
 * functions (src/pool/maker.h has the real one), so that tests drive every state without a VMM.
 *
 * A VM's life (one function changes the state; `-` is our bug):
 *
 *                | made    | failed   | claimed | sent    | broken | stop     | gone     | buried
 *     preparing  | parked  | cleaning | -       | -       | -      | ending   | -        | -
 *     parked     | -       | -        | claimed | -       | -      | ending   | cleaning | -
 *     claimed    | -       | -        | -       | handed  | ending | -        | ending   | -
 *     handed     | -       | -        | -       | -       | -      | handed   | cleaning | -
 *     ending     | ending  | cleaning | -       | -       | -      | ending   | cleaning | -
 *     cleaning   | -       | -        | -       | -       | -      | cleaning | -        | none
 *
 *   preparing  a maker is at it                     | made: it answered with a paused VM; failed: it ended without
 *   parked     all descriptors are ours             | claimed: taken out for one client, for good
 *   claimed    the answer is being sent             | sent: the kernel has it; broken: it has not
 *   handed     it is the claimer's: no copy of the lifeline, channel or control is left here. Of another user's VM the
 *              pool keeps the slot's lock until the jail has ended
 *   ending     the lifeline is closed; the jail, or the maker that was told to end, is waited for
 *   cleaning   a slot that is still ours is given back by a process of its own (src/pool/bury.h), which is waited for
 *   none       forgotten
 *
 * A VM never goes back to an earlier state: one assignment. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "pool/make.h"
#include "wire/pool.h"

struct burial;
struct err;
struct loop;
struct maker;
struct pool;
struct slot;
struct vm_entry;

enum entry_state {
        ENTRY_PREPARING,
        ENTRY_PARKED,
        ENTRY_CLAIMED,
        ENTRY_HANDED,
        ENTRY_ENDING,
        ENTRY_CLEANING,
        ENTRY_NONE,
        ENTRY_STATES
};
enum entry_happens {
        ENTRY_MADE,
        ENTRY_FAILED,
        ENTRY_TAKEN,
        ENTRY_SENT,
        ENTRY_BROKEN,
        ENTRY_STOP,
        ENTRY_GONE,
        ENTRY_BURIED,
        ENTRY_HAPPENINGS
};
const char *entry_state_name(enum entry_state s);
/* ENTRY_STATES: this cannot happen in that state. */
enum entry_state entry_state_next(enum entry_state s, enum entry_happens h);

/* What a maker is asked for. */
struct make_order {
        const char *state; /* STATE */
        const char *image; /* as it was ordered */
        const char *accel;
        struct pool_class class;
        const char *key; /* of the template in memory_fd and state_fd; NULL: the pool has none */
        uint32_t tsc_khz;
        int memory_fd, state_fd;
};
/* The answer: `fds` are the callee's from then on, -1 where there is none. Called once, unless the maker was freed. */
typedef int made_fn(const struct made *m, int fds[MADE_FD_COUNT], void *user, struct err *e);
/* The slot is clean, or could not be cleaned: whoever takes it next tries again. Called once, unless freed. */
typedef int buried_fn(void *user, struct err *e);
struct maker_ops {
        int (*start)(struct loop *l, const struct make_order *o, made_fn *fn, void *user, struct maker **ret,
                     struct err *e);
        void (*hold)(struct maker *m, bool hold); /* stop all that works for the maker, and let it go on */
        void (*kill)(struct maker *m);            /* and all that it started; the answer still comes, when it ended */
        struct maker *(*free)(struct maker *m);   /* the same, and waits for their ends; always NULL */
        /* Clean a slot and give it back; `slot` is the callee's, also after a failure. */
        int (*bury)(struct loop *l, const char *state, struct slot *slot, buried_fn *fn, void *user,
                    struct burial **ret, struct err *e);
        /* Waits for its end, at most until deadline_ms on clock_mono_ms(); always NULL. */
        struct burial *(*burial_free)(struct burial *b, uint64_t deadline_ms);
};

struct pool_options {
        const char *state; /* STATE, borrowed */
        uid_t self;        /* whose slots these are */
        uint64_t budget;   /* bytes of private memory and templates */
        uint64_t age_ms;   /* of a parked VM, after which it is replaced */
        const struct maker_ops *maker;
};
int pool_new(struct loop *l, const struct pool_options *o, struct pool **ret, struct err *e);
/* Parked VMs end, those that were handed over do not; waits for the ends, and gives slots back. Always NULL. */
struct pool *pool_free(struct pool *p);

/* Keep `count` of this kind parked for a user, 0: none any more. ERR_USAGE past a limit of src/pool/limits.h. An image
 * or class that cannot be is found by the first preparation: `problem` of pool_list() says so. */
int pool_warm(struct pool *p, uid_t user, const struct pool_request *q, struct err *e);
/* A parked VM of this kind and user, the oldest, now ENTRY_CLAIMED; NULL: there is none, or a user who was allowed has
 * POOL_MAX_USER_RUNNING that have not ended. root may take any user's. */
struct vm_entry *pool_claim(struct pool *p, uid_t user, const struct pool_request *q);
/* What the claimer gets: the answer, and its descriptors (borrowed; how many). */
size_t pool_claim_answer(struct pool *p, const struct vm_entry *v, uid_t user, struct pool_answer *ret,
                         int ret_fds[POOL_FD_COUNT]);
/* The answer went out, with or without the lock, or it did not: then the VM ends. v is not ours to touch any more. */
void pool_claim_sent(struct pool *p, struct vm_entry *v, bool sent, bool adopted);
/* End a parked VM, or one that is being prepared; ERR_USAGE when this user has none in that slot. */
int pool_stop(struct pool *p, uid_t user, const struct pool_request *q, uint32_t *ret_stopped, struct err *e);
/* VMs and orders that this user may see; root sees all. Fills vms, keeps, budget, used. */
int pool_list(const struct pool *p, uid_t user, struct pool_answer *ret, struct err *e);
/* Look at images, the VMM's version, and ages now instead of at the next interval. */
int pool_look(struct pool *p, struct err *e);
