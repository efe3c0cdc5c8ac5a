/* The manifest of an image: docs/image-format.md. Pure: bytes to values and back, no I/O.
 * A manifest is read only after its signature was checked, and is still read as if it were hostile. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "vm/vm.h"

struct err;
struct buf;

#define IMAGE_MAX_MANIFEST (64u * 1024u)   /* bytes of manifest.json */
#define IMAGE_MAX_NAME 64u                 /* bytes of an image name: str_is_name() */
#define IMAGE_MAX_KERNEL (64ull << 20)     /* bytes */
#define IMAGE_MAX_INITRAMFS (256ull << 20) /* bytes */
#define IMAGE_MAX_ROOT (1ull << 40)        /* bytes of root.img */
#define IMAGE_MAX_CMDLINE 2047u            /* bytes, the kernel's own limit */
#define IMAGE_MAX_PACKAGES 1024u
#define IMAGE_BLOCK 4096u /* data and hash blocks of dm-verity */
#define IMAGE_SHA256 32
#define IMAGE_HEX_SHA256 65 /* hex digits and NUL */

struct image_manifest {
        char name[IMAGE_MAX_NAME + 1];
        char created[32];                  /* "2026-11-22T05:39:40.123Z" */
        char source[16];                   /* "build" or "import" */
        char suite[32];                    /* of a built image, else "" */
        char definition[IMAGE_HEX_SHA256]; /* what `image build --if-missing` compares; "" for imports */
        struct strv packages;
        char kernel_version[64];                         /* "6.1.0-41-cloud-amd64" */
        uint64_t kernel_size, initramfs_size, root_size; /* bytes of the files */
        uint64_t modules_size;                           /* the first part of the initramfs: the modules' archive */
        uint8_t kernel_sha256[IMAGE_SHA256], initramfs_sha256[IMAGE_SHA256], root_sha256[IMAGE_SHA256];
        uint8_t agent_sha256[IMAGE_SHA256]; /* of devdep-guest */
        uint64_t data_blocks; /* of IMAGE_BLOCK bytes: the ext4 file system; the hash tree follows it in root.img */
        uint8_t verity_root[IMAGE_SHA256], verity_salt[IMAGE_SHA256];
        char *cmdline[VM_ACCEL_TCG + 1]; /* [VM_ACCEL_KVM], [VM_ACCEL_TCG]: exact text */
        uint8_t measurement[VM_ACCEL_TCG + 1][IMAGE_SHA256];
};
#define IMAGE_MANIFEST_INIT                                                                                            \
        {                                                                                                              \
                0                                                                                                      \
        }

void image_manifest_done(struct image_manifest *m);
/* ERR_IMAGE_REFUSED naming the field. Unknown, missing and duplicate keys, sizes past the limits, a measurement that
 * does not follow from the rest are refused. `what` names the file. */
int image_manifest_parse(const void *json, size_t len, const char *what, struct image_manifest *ret, struct err *e);
/* Canonical bytes: fixed order of keys, two spaces, a newline at the end. */
int image_manifest_write(const struct image_manifest *m, struct buf *ret, struct err *e);
/* Fill cmdline[] and measurement[] from the other fields. */
int image_manifest_seal(struct image_manifest *m, struct err *e);
/* Are its command lines those that this version of devdep makes? */
bool image_manifest_is_current(const struct image_manifest *m);
/* The measurement of what is in *m for one accelerator and this command line. */
int image_measure(const struct image_manifest *m, enum vm_accel accel, const char *cmdline, uint8_t ret[IMAGE_SHA256],
                  struct err *e);
