/* Control groups, version 2, at CGROUP_ROOT:
 *
 *     agent/       process 1 and its workers: served first, memory that is never taken away
 *     job/         everything of the job, below limits that leave the agent room; the root of the job's cgroup
 * namespace job/STEP/    one per step: counted, signalled and killed as one; delegated to the step's user
 *
 * A group's memory.oom.group stays 0: the kernel kills the process that is largest, its parent sees "Killed" and says
 * which command it was, as on any Linux machine. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

#define CGROUP_ROOT "/sys/fs/cgroup"
#define CGROUP_JOB CGROUP_ROOT "/job"
#define CGROUP_MAX_STEP 32                        /* bytes of a step's name: [a-z0-9-] */
#define CGROUP_AGENT_RESERVE ((uint64_t)48 << 20) /* bytes that the job never gets, and a 32nd of the memory */
#define CGROUP_AGENT_MIN ((uint64_t)32 << 20)     /* memory.min of the agent */
#define CGROUP_PIDS_PER_MIB 2                     /* processes and threads of a job, per MiB of memory ... */
#define CGROUP_MIN_PIDS 512                       /* ... but never fewer, */
#define CGROUP_MAX_PIDS 16384                     /* nor more */
#define CGROUP_MAX_DEPTH 16                       /* levels below a step that are walked */

bool cgroup_name_is_valid(const char *step);
/* Put process 1 into agent/ and make job/, without controllers yet. */
int cgroup_init(struct err *e);
/* Set the job's limit of memory from what is free now, and let steps have controllers. After job/ has no process any
 * more. */
int cgroup_limit_job(struct err *e);
/* Processes and threads of the job, at most CGROUP_MAX_PIDS; 0: by the machine's memory. */
int cgroup_limit_pids(uint64_t pids, struct err *e);
uint64_t cgroup_job_pids(void); /* the limit that holds; 0: none can be read */
/* Make (or find) a step's group; *ret is its folder. */
int cgroup_step_open(const char *step, int *ret, struct err *e);
#define CGROUP_E_UNKNOWN 1
int cgroup_step_find(const char *step, int *ret, struct err *e); /* CGROUP_E_UNKNOWN */
/* Let the step's user divide its group further. Called by the new process, as root. */
int cgroup_delegate(int group, uid_t uid, gid_t gid, struct err *e);
/* SIGKILL to every process of a group and of those below, also to what is being forked. */
int cgroup_kill(int group, struct err *e);
/* The same for everything of the job. *ret_left: something is still dying. */
int cgroup_kill_job(bool *ret_left, struct err *e);
/* Send a signal to every process of a group and below, as far as they can be seen now. */
int cgroup_signal(int group, int signo, struct err *e);
bool cgroup_is_populated(int group);
bool cgroup_job_is_populated(void);   /* any process of any step */
uint64_t cgroup_oom_kills(int group); /* processes that the kernel killed for memory, since the group was made */
/* Remove a step's group and those below; no-op while processes are left. */
void cgroup_step_remove(const char *step);
