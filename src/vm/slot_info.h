/* What a slot is used for, told by whoever holds its lock: STATE/slots/N/info. For showing only (`devdep-cli vm ls`):
 * nothing is decided by it, and what is read is text of somebody else, which the reader escapes. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct err;
struct slot;

#define SLOT_INFO_MAX 4096 /* bytes of the file */

struct slot_info {
        char state[16];  /* "template", "booting", "preparing", "parked", "running" */
        char image[144]; /* NAME@sha256:DIGEST, or NAME */
        char accel[8];
        char job[128]; /* "12/build"; "" when it has none */
        uint32_t vcpus;
        uint64_t memory;   /* bytes */
        uint64_t since_ms; /* clock_real_ms() of the VM's start */
        pid_t jail;        /* devdep-jail, 0: not started yet */
};

int slot_info_write(const struct slot *s, const struct slot_info *i, struct err *e);

/* One slot whose lock is held. */
struct slot_entry {
        unsigned number;
        struct slot_info info;  /* empty words when there is no file, or one that cannot be understood */
        uint64_t private_bytes; /* memory that the VMM has for itself; 0: not known */
};
/* Every slot of STATE whose lock is held, by number. */
int slot_info_list(const char *state, int (*fn)(const struct slot_entry *entry, void *user, struct err *e), void *user,
                   struct err *e);
