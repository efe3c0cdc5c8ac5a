/* The QEMU driver's parts; others use vm_driver_qemu (vm.h). */
#pragma once

#include "vm/vm.h"

struct buf;

int qemu_attach(struct loop *l, struct vm_handle *h, vm_event_fn *fn, void *user, struct vm **ret, struct err *e);
int qemu_pause(struct vm *vm, struct err *e);
int qemu_resume(struct vm *vm, struct err *e);
int qemu_save(struct vm *vm, struct err *e);
int qemu_console(struct vm *vm, vm_console_fn *fn, void *user, struct err *e);
int qemu_stop(struct vm *vm, struct err *e);
struct vm *qemu_free(struct vm *vm);

int qemu_stats(const struct vm_handle *h, struct vm_stats *ret, struct err *e);
/* Pid 1 of the jail and the VMM below a devdep-jail, by their numbers on the host; ERR_GUEST_LOST when they have ended.
 */
int qemu_vmm(pid_t jail, pid_t *ret_init, pid_t *ret_vmm, struct err *e);
/* Bytes of memory that the VMM below this jail has for itself: what it costs the host beside its template. */
int qemu_private_memory(pid_t jail, uint64_t *ret, struct err *e);

/* Where QEMU is. ERR_RESOURCES naming the package when it is nowhere. */
int qemu_program(const char **ret, struct err *e);
