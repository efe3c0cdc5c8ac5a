/* What pool.c (verbs, lives of VMs) and refill.c (orders, memory, time) share. */
#pragma once

#include "base/list.h"
#include "pool/pool.h"

struct loop_io;
struct loop_timer;
struct slot;

/* A template in memory, for all orders of its key. */
struct held_template {
        struct list item;
        char key[HASH_HEX_SIZE];
        uint32_t tsc_khz;
        int memory_fd, state_fd;
        uint64_t bytes;
        char unkept[POOL_MAX_TEXT + 1]; /* why it is not on disk, too; "" when it is */
};

struct order {
        struct list item;
        uid_t user;
        char image[POOL_MAX_IMAGE + 1], accel[POOL_MAX_WORD + 1];
        struct pool_class class;
        uint32_t count;
        struct held_template *template; /* of the last VM that was made for it */
        uint64_t last_private;          /* of that VM; a guess before the first */
        uint64_t retry_ms, retry_at;    /* after a failure */
        char problem[POOL_MAX_TEXT + 1];
};

struct vm_entry {
        struct list item;
        struct pool *pool;
        struct order *order; /* NULL: nobody wants its like any more */
        enum entry_state state;
        uid_t user;
        char image[POOL_MAX_IMAGE + 1]; /* as ordered; with the digest once it is made */
        char accel[POOL_MAX_WORD + 1];
        struct pool_class class;
        struct maker *maker;
        struct made made;
        int fds[POOL_FD_COUNT]; /* the lock is slot's */
        struct slot *slot;
        struct loop_io *jail_io;
        struct burial *burial;
        struct loop_timer *deadline; /* of the preparation, then of the end */
        uint64_t born_ms;            /* clock_mono_ms() */
        uint64_t held_ms;            /* how long its preparation was stopped in sum */
};

struct pool {
        struct loop *loop;
        struct pool_options o;
        struct list vms, orders, templates;
        struct loop_timer *look; /* every POOL_LOOK_MS */
        struct loop_timer *refill;
        struct loop_timer *quiet; /* armed while nothing is to be prepared */
        bool closing;
};

/* pool.c */
int vm_make(struct pool *p, struct order *o, struct err *e); /* starts a preparation */
void vm_end(struct vm_entry *v);                             /* ENTRY_STOP; not freed before the loop's next turn */
/* refill.c */
int refill_init(struct pool *p, struct err *e);
void refill_done(struct pool *p);
void refill_soon(struct pool *p);
/* A VM was claimed: nothing is prepared for POOL_QUIET_MS. */
void refill_quiet(struct pool *p);
/* An answer arrived for this VM: learn from it. fds beyond POOL_FD_COUNT are taken. */
int refill_made(struct vm_entry *v, int fds[MADE_FD_COUNT], struct err *e);
void refill_failed(struct vm_entry *v, const char *why);
uint64_t refill_used(const struct pool *p);
struct order *order_find(const struct pool *p, uid_t user, const struct pool_request *q);
unsigned order_parked(const struct pool *p, const struct order *o);
void order_free(struct pool *p, struct order *o);
