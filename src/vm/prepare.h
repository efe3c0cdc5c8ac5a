/* devdep-prepare as a child: the owner of a VM while it becomes a template or is parked (docs/decisions/clones.md).
 *
 * It gets copies of the VM's descriptors and the read end of a pipe of ours: when we end, for whatever reason, it ends,
 * and a VM without another owner with it. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct err;
struct slot;
struct vm_handle;

#define PREPARE_MAX_LOG 16384u /* bytes that devdep-prepare may say */

struct prepare {
        pid_t pid; /* 0: there is none (any more) */
        int pidfd, log_fd, owner_fd;
};
#define PREPARE_INIT                                                                                                   \
        {                                                                                                              \
                .pidfd = -1, .log_fd = -1, .owner_fd = -1                                                              \
        }
/* mode is "--template" or "--park". The VM's descriptors stay the caller's. *ret: prepare_done() in any case. */
int prepare_start(const char *mode, const struct slot *slot, const struct vm_handle *vm, struct prepare *ret,
                  struct err *e);
/* 0: it did what it was asked for. ERR_VM_BOOT_FAILED: it did not, with its own words. PREPARE_E_TIMEOUT: it is still
 * at it. */
#define PREPARE_E_TIMEOUT 1
int prepare_wait(struct prepare *p, uint64_t timeout_ms, struct err *e);
void prepare_done(struct prepare *p); /* kills it if it runs */
