/* One VM made ready for others to use (docs/decisions/clones.md), from the first byte to the moment in which it stands.
 *
 *   template   booted: the ready record is waited for, nothing is sent, the VMM stops the guest and saves its state
 *   park       cloned: the guest is seeded, its shells run once as the steps' user, it is seeded once more so that the
 *              claim's seed finds that path warm, too, the session is left without
 *              anything under way, the processor is paused
 *
 *   BOOTING --ready--> SAVING --saved--> DONE                                 (template)
 *   BOOTING --ready, seeded--> LOOKING --which--> WARMING --exits--> RESEEDING --answered--> PARKING --answered-->
 *           PAUSING --paused--> DONE                                          (park)
 *   and from WARMING on each arrow waits until nothing of the session is under way.
 *
 * Whatever else happens is the end, with the code of the devdep-job's verdict: 301 the guest did not come up, 302 it or
 * its VMM was lost, 303 it broke the protocol, 304 the host lacks something. Whoever owns the lifeline then destroys
 * the VM. */
#pragma once

struct err;
struct loop;
struct preparer;
struct session_times;
struct vm_driver;
struct vm_handle;

#define PREPARER_BOOT_MS 120000u /* for the ready record, or a clone's answer to its seed */
#define PREPARER_WORK_MS 60000u  /* from there to the end */
#define PREPARER_MAX_PATH 4096u  /* bytes of a shell's path */
#define PREPARER_HOSTNAME "devdep-parked"

enum preparer_mode { PREPARER_TEMPLATE, PREPARER_PARK };

/* Everything is borrowed; vm->origin is set by the mode. times: NULL for the defaults. The loop is quit at the end. */
int preparer_new(struct loop *l, enum preparer_mode mode, const struct vm_driver *driver, struct vm_handle *vm,
                 const struct session_times *times, struct preparer **ret, struct err *e);
struct preparer *preparer_free(struct preparer *p); /* always NULL; lets go of this process's copy of the lifeline */
/* After the loop has ended: 0 when the VM stands as it should. */
int preparer_result(const struct preparer *p, struct err *e);
