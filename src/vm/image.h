/* Images: what a VM is started from. docs/image-format.md has the folder, the manifest, the measurement, the signature.
 *
 * image_open() is the only way to an image's files: it checks the manifest's signature against the trusted keys, the
 * manifest, and the digests of kernel and initramfs, which it hands out as sealed memfds: the bytes that were checked
 * are the bytes that boot. The root file system is not read (dm-verity holds it in the guest); image_verify() reads
 * everything. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "trust/key.h"
#include "vm/image_manifest.h"

struct err;
struct buf;

#define IMAGE_SYSTEM_STORE "/var/lib/devdep/images"
#define IMAGE_REF_SIZE 72 /* "sha256:" and 64 hex digits and NUL */

/* Where images and keys are looked for. */
struct image_store {
        char *state;  /* STATE: images are made and removed in STATE/images, keys are in STATE/keys */
        char *images; /* STATE/images */
        char *keys;   /* STATE/keys */
};
#define IMAGE_STORE_INIT                                                                                               \
        {                                                                                                              \
                0                                                                                                      \
        }
/* state NULL: $DEVDEP_STATE, else /var/lib/devdep for root, else ${XDG_STATE_HOME:-~/.local/state}/devdep. A folder
 * that belongs to another user than us and root, or that others can write to, is ERR_RESOURCES. */
int image_store_init(struct image_store *ret, const char *state, struct err *e);
void image_store_done(struct image_store *s);

struct image {
        char name[IMAGE_MAX_NAME + 1];
        char digest[IMAGE_REF_SIZE]; /* "sha256:..." of the bytes of manifest.json */
        char signer[KEY_ID_SIZE];
        char *path; /* the folder */
        struct image_manifest manifest;
        int kernel_fd, initramfs_fd; /* sealed memfds, at offset 0 */
        int root_fd;                 /* root.img, read-only: ext4 and its hash tree, a multiple of 512 bytes */
};

/* name or name@sha256:DIGEST; looked for in STATE/images, then in the system's store. A name that is nowhere:
 * ERR_NO_RUNNER naming the folders and the command that makes one. All else that is wrong: ERR_IMAGE_REFUSED. */
int image_open(const struct image_store *s, const char *ref, struct image **ret, struct err *e);
struct image *image_free(struct image *im); /* closes; always NULL */
/* The exact kernel command line for an accelerator (KVM or TCG), owned by the image; part of the measurement. */
const char *image_cmdline(const struct image *im, enum vm_accel accel);
/* The measurement for an accelerator: "sha256:..." */
void image_measurement(const struct image *im, enum vm_accel accel, char ret[IMAGE_REF_SIZE]);

/* Open and read all: every digest and the hash tree. Damage is ERR_IMAGE_REFUSED naming the file and, for the root, the
 * first damaged block. tick is called at least every 64 MiB; negative ends it. */
typedef int image_tick_fn(const char *what, uint64_t done, uint64_t total, void *user, struct err *e);
int image_verify(const struct image_store *s, const char *ref, image_tick_fn *tick, void *user, struct err *e);

/* One entry of a list; an image that is refused is listed with its reason. */
struct image_entry {
        const char *name, *path;
        const struct image *image; /* NULL when refused */
        const char *refused;       /* why, or NULL */
};
/* Both stores, by name; an image of the system's store that STATE/images hides is left out. */
int image_list(const struct image_store *s, int (*fn)(const struct image_entry *entry, void *user, struct err *e),
               void *user, struct err *e);
/* The same without opening any: image and refused are NULL. Opening one reads and checks its kernel and initramfs. */
int image_names(const struct image_store *s, int (*fn)(const struct image_entry *entry, void *user, struct err *e),
                void *user, struct err *e);
/* From STATE/images only. Running VMs keep the files they opened, so an image in use may be removed. */
int image_remove(const struct image_store *s, const char *name, struct err *e);
