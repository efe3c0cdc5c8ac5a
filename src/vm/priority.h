/* Scheduling of VMs that are prepared in the background. root alone: the preparing process takes SCHED_IDLE, which all
 * that it starts inherits, and gives the parked VM its ordinary priority back. An ordinary user could enter SCHED_IDLE,
 * but never leave it again without RLIMIT_NICE (SCHED_RESET_ON_FORK keeps it for children): a job in such a VM would
 * starve beside anything else. There both do nothing. */
#pragma once

#include <sys/types.h>

struct err;

int priority_idle(struct err *e);
/* Every thread of devdep-jail, of pid 1 of its jail and of the VMM. */
int priority_normal(pid_t jail, struct err *e);
