/* Control groups: memory, processes and processor time of one jail, held by the host's kernel.
 *
 * Version 2 where its memory and pids controllers are ours to give, else the hierarchies of version 1 that are mounted.
 * Where groups are made:
 *   delegated  version 2 and our own group was given to us: a service or scope with Delegate=yes (the attribute
 *              user.delegate), or, where no systemd runs, a group that we may write. Version 2 wants no processes in a
 *              group that has limited children, so those of our own group move into its leaf "devdep-main" first. The
 *              limits of our own group go on to hold for all.
 *   top        root alone: "devdep" at the top of each hierarchy, whichever group devdep was started in.
 * Anybody else has none, which is reported with a remedy and never hidden.
 *
 * The starter makes the group and opens its entries; the child that becomes the jail writes itself in before it does
 * anything else (`enter` of struct spawn and struct sandbox_exec), so whatever it starts is in from its first
 * instruction. A descriptor of an entry carries the rights of who opened it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sandbox/sandbox.h"

struct err;
struct buf;

enum cgroup_controller { CGROUP_MEMORY, CGROUP_PIDS, CGROUP_CPU, CGROUP_FREEZER, CGROUP_CONTROLLER_COUNT };
#define CGROUP_MAX_PLACES CGROUP_CONTROLLER_COUNT
#define CGROUP_MAX_PATH 512
#define CGROUP_MAX_NAME 63 /* letters, digits and '-' */

/* Where groups can be made here. */
struct cgroup_host {
        unsigned version; /* 1, 2; 0: nowhere */
        bool delegated;
        char base[CGROUP_CONTROLLER_COUNT][CGROUP_MAX_PATH]; /* folder that gets the groups; "" when not to be had.
                                                                Version 2: all the same; version 1: never cpu */
        char why[160];                                       /* what is missing; "" when nothing is */
};
/* Look; changes nothing. A host that gives nothing is no error. */
int cgroup_host_find(struct cgroup_host *ret, struct err *e);
/* The same from given texts of /proc/self/mountinfo and /proc/self/cgroup. */
int cgroup_host_parse(const char *mountinfo, const char *own, struct cgroup_host *ret, struct err *e);

struct cgroup_limits {
        uint64_t memory;    /* bytes, of swap none; 0: no limit */
        uint32_t processes; /* and threads; 0: no limit */
        uint32_t weight;    /* of processor time, 1 to 10000, where 100 is everybody's; 0: 100. Version 2 alone */
};

/* One group: a folder in each hierarchy. */
struct cgroup;
/* Make the group `name` with its limits; what was left of an older one of that name is ended first. *ret is NULL when
 * this host has no place for groups. *ret_held (state and words) tells what holds: "memory 2.5 GiB, 98 processes;
 * version 2". Negative only for a host that has groups and yet refused (ERR_RESOURCES). */
int cgroup_new(const char *name, const struct cgroup_limits *l, struct cgroup **ret, struct sandbox_held *ret_held,
               struct err *e);
/* Forgets the group and closes what it holds; the group stays. Always NULL. */
struct cgroup *cgroup_free(struct cgroup *g);
/* The entries, for `enter`: up to CGROUP_MAX_PLACES descriptors, the group's own, close-on-exec; how many. */
unsigned cgroup_entries(const struct cgroup *g, int ret[CGROUP_MAX_PLACES]);
/* Write the calling process in through one entry. */
int cgroup_enter(int entry, struct err *e);
/* The folders of the group, a line each: what cgroup_end() needs after a crash. */
int cgroup_places(const struct cgroup *g, struct buf *ret, struct err *e);
/* Did the kernel kill a process of the group for want of memory? `places` as above. */
bool cgroup_ran_out_of_memory(const char *places);
/* Is no memory of the group ever swapped out? Version 2 alone promises that: memory.swap.max is 0. */
bool cgroup_bars_swap(const char *places);
/* Kill what is left in the group `name` (counted in *ret_killed, may be NULL), wait for it, remove the folders. Lines
 * that are no group of ours of that name are an error, missing folders are none. */
int cgroup_end(const char *places, const char *name, unsigned *ret_killed, struct err *e);
