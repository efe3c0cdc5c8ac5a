/* Slots: the place of one VM on this host. A slot is a folder STATE/slots/N with a lock file, user ids of its own
 * when root takes it, and a run directory that lives as long as the lock is held.
 *
 * Who holds the lock (an open descriptor of it, passed on by inheritance) keeps the slot: the starter, devdep-jail,
 * devdep-job. A slot whose lock can be taken belongs to nobody; whatever is still in it was left by a crash, and
 * slot_take() and slot_reclaim() clean it before anything else: processes of its user ids or of its process notes, then
 * files. The lock file itself stays for ever, because removing it would let two processes hold "the" lock.
 *
 * User ids: a block of SLOT_MAX * SLOT_UIDS_EACH ids per state folder, chosen by the folder's device and inode, and in
 * it 8 * N + role; all in SLOT_UID_BASE..2147483647, a range that neither Debian's policy nor systemd's "Users, Groups,
 * UIDs and GIDs" assigns to anybody. Without blocks slot 0 of one state would kill, by user id, the processes of slot 0
 * of every other state of this host. The block before the first belongs to doctor's trial. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct cgroup;
struct cgroup_limits;
struct err;
struct sandbox_held;

#define SLOT_UID_BASE 1879500000u
#define SLOT_UIDS_EACH 8u
#define SLOT_MAX 512u
#define SLOT_UID_BLOCK (SLOT_MAX * SLOT_UIDS_EACH)
#define SLOT_UID_BLOCKS 65000u

enum slot_role { SLOT_JOB, SLOT_SOURCE, SLOT_VMM, SLOT_BROKER, SLOT_SECRETS, SLOT_ROLE_COUNT };

struct slot {
        unsigned number;
        char *path; /* STATE/slots/N */
        char *run;  /* STATE/slots/N/run: mode 0700, owned by the job's id; empty at the start */
        int lock_fd;
        uid_t uid[SLOT_ROLE_COUNT]; /* also the group ids; (uid_t)-1 each for an ordinary user */
        char group[40];             /* what its control groups are named by: of this state folder and number alone */
};

/* The lowest free slot, cleaned: nobody runs under its user ids. One that cannot be cleaned is passed over.
 * ERR_RESOURCES when all SLOT_MAX are taken. */
int slot_take(const char *state, struct slot **ret, struct err *e);
/* Kill what is left in it (processes that hold the lock too), remove its files, give it back; always NULL. */
struct slot *slot_release(struct slot *s);
/* Take a slot over that somebody else of this user locked and filled (devdep-pool, for a parked VM): lock_fd is a
 * descriptor of its lock, the struct's from success on. ERR_PROTOCOL unless it is the lock of exactly that slot of
 * `state` and nobody holds it through another open. Nothing is cleaned: something lives there. */
int slot_adopt(const char *state, unsigned number, int lock_fd, struct slot **ret, struct err *e);
/* Let go of a slot that others keep (they hold its lock): nothing in it is touched; always NULL. */
struct slot *slot_forget(struct slot *s);
/* Remember a process of the slot, so that a later reclaim finds it: STATE/slots/N/pids/NAME with pid, start time and
 * boot id. */
int slot_note(const struct slot *s, const char *name, pid_t pid, struct err *e);

/* The control group of one role ("vmm", "job", "source", "store", "service", "broker", "secrets", "prepare"), made anew
 * (cgroup_new()) and noted: release and reclaim end it. */
int slot_group(const struct slot *s, const char *role, const struct cgroup_limits *l, struct cgroup **ret,
               struct sandbox_held *ret_held, struct err *e);
/* Did the kernel kill a process of the role's group because its memory was used up? To be asked before the release. */
bool slot_ran_out_of_memory(const struct slot *s, const char *role);
/* Is no memory of the role's group ever swapped out? */
bool slot_bars_swap(const struct slot *s, const char *role);

/* The user of devdep-store in this state: of its block, and of no slot, so that what one job stored the next can read.
 * (uid_t)-1 for an ordinary user. */
int slot_store_uid(const char *state, uid_t *ret, struct err *e);

struct slot_reclaimed {
        unsigned slots, processes; /* how many had something left */
};
/* Clean every slot of STATE whose lock can be taken. */
int slot_reclaim(const char *state, struct slot_reclaimed *ret, struct err *e);
/* Is the lock of this slot held by anybody? False for what is no slot. */
bool slot_is_held(const char *state, unsigned number);
