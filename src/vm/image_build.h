/* Making images: from Debian packages, or from a foreign ext4 file. Everything happens in a temporary folder in
 * STATE/images and is renamed in place at the end; an interrupted build leaves nothing, a killed one leaves what the
 * next one removes.
 *
 * The theory of a build: mmdebstrap makes the tree (as root, or in a user namespace) and calls images/customize.sh,
 * which adds the kernel's modules and the user, and writes the ext4 file, the kernel and the modules of the initramfs;
 * veritysetup appends the hash tree; the initramfs is written here, and the manifest is signed with the installation's
 * own key. */
#pragma once

#include <stdbool.h>

#include "vm/image.h"
#include "vm/image_conf.h"

struct err;

struct image_build {
        const struct image_store *store;
        const char *name;
        const struct image_conf *conf;
        const char *agent; /* path of devdep-guest */
        bool if_missing;   /* nothing to do when an image of the same definition and agent is there */
};
/* What was done. */
enum image_built {
        IMAGE_BUILT_NOTHING, /* if_missing, and it was there */
        IMAGE_BUILT_AGENT,   /* if_missing, and only the agent was newer: root and kernel were kept; needs no network */
        IMAGE_BUILT_ALL,
};
int image_build(const struct image_build *b, enum image_built *ret, struct err *e);

struct image_import {
        const struct image_store *store;
        const char *name;
        const char *file, *signature; /* paths */
        const char *base;             /* the image whose kernel and modules it gets */
        const char *agent;
};
/* ERR_IMAGE_REFUSED, each with its own message: compressed, another format, not clean, damaged, unsigned, not trusted.
 */
int image_import(const struct image_import *b, struct err *e);
