/* What the files of the owner's side of a QEMU share: qemu_owner.c has the connection, qemu_events.c what QEMU says.
 *
 *   GREETING --greeting--> SETUP --capabilities, status "running"--> UP --SHUTDOWN/GUEST_PANICKED--> DOWN
 *                            `--any other status--> LOADING --RESUME--^
 *       any state --end of file, a broken rule, stop(), a save that failed--> GONE
 *
 * A parked VM begins in UP, with `cont` on its way. UP reports VM_EVENT_RUNNING, DOWN reports VM_EVENT_GUEST_DOWN once,
 * GONE reports VM_EVENT_GONE once and is final. In DOWN the guest is stopped and the console can still be read. What
 * QEMU says beyond that is dropped. */
#pragma once

#include "base/buf.h"
#include "vm/vm.h"

struct qmp;
struct qmp_message;

enum qemu_state { QEMU_GREETING, QEMU_SETUP, QEMU_LOADING, QEMU_UP, QEMU_DOWN, QEMU_GONE };

struct vm {
        enum qemu_state state;
        struct loop *loop;
        struct loop_io *io;
        int control_fd, lifeline_fd;
        int log_fd; /* the caller's */
        struct qmp *qmp;
        struct buf out;
        vm_event_fn *fn;
        void *user;
        /* commands on their way, 0: none */
        uint64_t status_id, pause_id, resume_id, console_id, save_stop_id, save_id;
        vm_console_fn *console_fn;
        void *console_user;
        bool running; /* and the owner was told */
        bool saving;  /* the state is being written */
        bool full_told, io_error_told;
        bool callback_failed; /* the error is the owner's, not QEMU's */
        bool busy, freed;     /* freed during a callback: the memory goes when the callback has returned */
};

/* qemu_owner.c */
int qemu_tell(struct vm *vm, enum vm_event_type type, const char *text, struct err *e);
int qemu_answer_console(struct vm *vm, const uint8_t *data, size_t len, struct err *e);
int qemu_gone(struct vm *vm, const char *why, struct err *e);
int qemu_command(struct vm *vm, const char *name, const char *arguments, uint64_t *ret_id, struct err *e);

/* qemu_events.c */
int qemu_take(struct vm *vm, const struct qmp_message *m, struct err *e);
