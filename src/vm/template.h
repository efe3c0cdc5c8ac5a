/* Templates: an image booted once and kept as bytes, from which clones start. docs/template-format.md has the files.
 *
 * A template belongs to its key: a hash over everything that a clone must have in common with the VM that was saved
 * (docs/decisions/clones.md). STATE/templates/KEY/{memory,state,manifest.json,lock} are of the user that runs, 0600 in
 * a 0700 folder, and are never parsed by the host: to us memory and state are bytes, whose sizes and, for the state,
 * digest are checked. Whatever is wrong with them is TEMPLATE_E_MISSING with a sentence, and the next build replaces
 * them.
 *
 * Locks: shared on KEY/lock while a template is read, exclusive while it is made or removed. A template that is removed
 * while its clones run does them no harm: they have their own sealed memory. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "codec/hash.h"
#include "vm/vm.h"

struct err;
struct image;
struct json_t;

#define TEMPLATE_MAX_STATE (16ull << 20)  /* bytes of device state; QEMU's is some 60 KB */
#define TEMPLATE_MAX_MANIFEST (64u << 10) /* bytes */
#define TEMPLATE_UNUSED_DAYS 14u          /* after which a build removes it */
#define TEMPLATE_MOST_KEPT 64u            /* in one state folder; then the longest unused goes for a new one */
#define TEMPLATE_BUILD_TIMEOUT_MS 180000u /* from a VMM's start to its end */
#define TEMPLATE_STILL_MS 10000u          /* in which a guest that boots uses no processor: it never will */
#define TEMPLATE_MAX_BOOTS 3u             /* of one build: under emulation a guest may stand still while it boots */
#define TEMPLATE_WAIT_MS 60000u           /* for another process that makes it */
#define TEMPLATE_TICK_MS 250u             /* between calls of a template_tick_fn */

/* What clones are wanted of. All borrowed. */
struct template_want {
        const char *state; /* STATE */
        const struct vm_driver *driver;
        const struct image *image;
        enum vm_accel accel; /* decided */
        struct vm_shape shape;
};

/* What a clone is started from: vm_config.memory_fd and .state_fd. One pair serves any number of clones at once. */
struct template
{
        int memory_fd; /* sealed memfd of shape.memory bytes */
        int state_fd;  /* sealed memfd */
        char key[HASH_HEX_SIZE];
        uint32_t tsc_khz;    /* that the guest's kernel was told; 0: none */
        uint64_t data_bytes; /* of memory that are not holes */
        int copier_fd;       /* pidfd of the child that still copies the memory; -1: it is complete */
        pid_t copier;
};
#define TEMPLATE_INIT                                                                                                  \
        {                                                                                                              \
                .memory_fd = -1, .state_fd = -1, .copier_fd = -1                                                       \
        }
void template_done(struct template *t);

/* 0; or ERR_RESOURCES with the reason: the driver has no templates. Over vsock there are none (vm_config.vsock). */
int template_supported(const struct vm_driver *driver, struct err *e);
/* The key and, in readable form, what it is made of (a new reference; ret_json may be NULL). */
int template_key(const struct template_want *w, char ret[HASH_HEX_SIZE], struct json_t **ret_json, struct err *e);

/* Copy a template from disk into sealed memory: some 50 ms for 90 MB. TEMPLATE_E_MISSING: there is none, or what is
 * there may not be used; *why (may be NULL) says which. Waits for nobody: one that is being made is missing. */
#define TEMPLATE_E_MISSING 1
int template_open(const struct template_want *w, struct template *ret, struct err *why, struct err *e);
/* The same in two halves: after the first one a child of this process copies the memory, and the VMM of a clone may be
 * started meanwhile (vm_config.memory_ready); the second one waits for it and seals the memory, or finds that the file
 * lost data while it was read: TEMPLATE_E_MISSING with *why, and what was read is gone. More calls of it do nothing. */
int template_begin(const struct template_want *w, struct template *ret, struct err *why, struct err *e);
int template_finish(struct template *t, struct err *why, struct err *e);

/* Called every TEMPLATE_TICK_MS with what is being waited for: "another process makes it", "it boots", "it is written".
 * Negative ends the wait and the build, and is passed on. */
typedef int template_tick_fn(const char *what, uint64_t ms, void *user, struct err *e);

/* Make it, unless another process did while we waited for the lock, at most TEMPLATE_WAIT_MS; then open it. Blocking
 * (some 6 s under emulation): a daemon calls it in a child process of its own and opens the result itself. Takes a
 * slot, starts the VMM and devdep-prepare, leaves nothing half-written whatever happens. Templates that nobody asked
 * for in TEMPLATE_UNUSED_DAYS are removed on the way, and one past TEMPLATE_MOST_KEPT. tick may be NULL.
 *
 * What cannot be written (a full disk) is no failure: *ret serves the clones of this process, *ret_unkept (a code other
 * than ERR_SUCCESS) says why the next one has to make it again. */
int template_build(const struct template_want *w, template_tick_fn *tick, void *user, struct template *ret,
                   struct err *ret_unkept, struct err *e);
/* Give the pages of zeros back that a boot leaves in the memory of a template which was just built. */
int template_compact(struct template *t, uint64_t size, struct err *e);

/* What is kept: templates with a manifest, whatever else may be wrong with them, and the bytes that all folders take on
 * disk. */
struct template_stock {
        unsigned n;
        uint64_t bytes;
};
int template_stock(const char *state, struct template_stock *ret, struct err *e);
