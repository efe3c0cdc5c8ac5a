/* The verbs of devdep-pool: what a client may ask and what the pool answers, over its AF_UNIX stream socket. No I/O.
 *
 * A request is one field list (wire/guest.h; fields_reader cuts the stream into lists), its answer another; a
 * connection may carry several, one after the other. docs/protocol-pool.md has every field. A request holds words and
 * numbers only: neither a path nor an argument of a program can be said in it. Descriptors come with the answer to
 * `claim` and in no other place.
 *
 * Both directions are checked here: names have a fixed alphabet; free text (messages) is bounded and is the reader's
 * to escape. What is wrong is ERR_PROTOCOL. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct buf;
struct fields;

#define POOL_PROTOCOL 2u
#define POOL_MAX_REQUEST 1024u         /* bytes, length word included */
#define POOL_MAX_ANSWER (256u * 1024u) /* bytes, length word included */
#define POOL_MAX_IMAGE 144u            /* "NAME@sha256:DIGEST" */
#define POOL_MAX_KEEP 64u              /* VMs that one `warm` may ask for */
#define POOL_MAX_VCPUS 64u
#define POOL_MAX_MEMORY ((uint64_t)1 << 42)
#define POOL_MAX_SLOT 511u
#define POOL_MAX_ROWS 1024u /* VMs of one answer */
#define POOL_MAX_HELD 32u   /* protections of one answer */
#define POOL_MAX_TEXT 1023u /* a message */
#define POOL_MAX_WORD 63u   /* names of states, protections, accelerators */

enum pool_verb { POOL_HELLO, POOL_CLAIM, POOL_WARM, POOL_LS, POOL_STOP };
const char *pool_verb_name(enum pool_verb v);

/* The size of a VM: bytes, and processors. */
struct pool_class {
        uint32_t vcpus;
        uint64_t memory, scratch;
};
bool pool_class_is(const struct pool_class *a, const struct pool_class *b); /* the struct has padding: no memcmp() */

struct pool_request {
        enum pool_verb verb;
        char image[POOL_MAX_IMAGE + 1]; /* claim, warm: a name, or name@sha256:DIGEST */
        struct pool_class class;        /* claim, warm */
        char accel[POOL_MAX_WORD + 1];  /* claim, warm: "auto", "kvm", "tcg" */
        uint32_t count;                 /* warm: how many to keep parked; 0: none any more */
        bool all;                       /* stop: every parked VM of the user, and none is kept any more */
        uint32_t slot;                  /* stop, unless all */
};
int pool_request_write(const struct pool_request *q, struct buf *b, struct err *e);
int pool_request_parse(const struct fields *f, struct pool_request *ret, struct err *e);

/* Descriptors of a claim's answer, in this order. The lock comes only to the pool's own user, who then takes the slot
 * over (slot_adopt()); the VM of another user stays in its slot, which the pool gives back at the VM's end. */
enum {
        POOL_FD_CONTROL,
        POOL_FD_CHANNEL,
        POOL_FD_LIFELINE,
        POOL_FD_LEASH,
        POOL_FD_LOG,
        POOL_FD_JAIL,
        POOL_FD_LOCK,
        POOL_FD_COUNT
};

/* What holds for a VM: words of sandbox_protection_name() and sandbox_state_name(), and a sentence. */
struct pool_held {
        char name[POOL_MAX_WORD + 1], state[POOL_MAX_WORD + 1];
        char why[256];
};

/* One VM that the pool holds, or prepares. */
struct pool_vm {
        uint32_t slot, uid; /* uid: the user it is kept for */
        int32_t pid;        /* of devdep-jail; 0: not yet */
        char state[POOL_MAX_WORD + 1];
        char image[POOL_MAX_IMAGE + 1]; /* with its digest once it is known */
        struct pool_class class;
        char accel[POOL_MAX_WORD + 1];
        uint64_t age_ms, private_bytes;
};

/* One order of `warm`: what is kept, and why not, where it is not. */
struct pool_keep {
        uint32_t uid, count, parked;
        char image[POOL_MAX_IMAGE + 1];
        struct pool_class class;
        char accel[POOL_MAX_WORD + 1];
        char problem[POOL_MAX_TEXT + 1]; /* "" when there is none */
};

enum pool_status {
        POOL_OK,
        POOL_NONE,  /* claim: nothing of this kind is parked */
        POOL_ERROR, /* code and message; after ERR_PROTOCOL the connection ends */
};

struct pool_answer {
        enum pool_status status;
        enum err_code code;              /* error */
        char message[POOL_MAX_TEXT + 1]; /* error */
        /* claim */
        struct pool_vm vm;
        bool adopt; /* the lock comes with it */
        struct pool_held held[POOL_MAX_HELD];
        size_t n_held;
        /* ls: malloc'd */
        struct pool_vm *vms;
        size_t n_vms;
        struct pool_keep *keeps;
        size_t n_keeps;
        /* hello, ls */
        uint64_t budget, used; /* bytes: allowed, and taken by parked VMs and templates */
        uint32_t stopped;      /* stop: how many */
};
int pool_answer_write(const struct pool_answer *a, struct buf *b, struct err *e);
/* *ret is filled from nothing; pool_answer_done() also after a failure. */
int pool_answer_parse(const struct fields *f, struct pool_answer *ret, struct err *e);
void pool_answer_done(struct pool_answer *a);
