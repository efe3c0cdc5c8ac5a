/* Device-mapper devices by ioctl, without a user-space tool. Source followed: <linux/dm-ioctl.h>. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct err;

#define DM_MAX_PARAMS 1024 /* bytes of a target's parameter text */

struct dm_target {
        const char *type;   /* "verity", "crypt" */
        const char *params; /* the target's own text */
        uint64_t sectors;   /* of 512 bytes */
        bool read_only;
        bool secret; /* the text holds a key: the kernel wipes its copy */
};

/* Make and activate a device of one target. *ret_minor names /dev/dm-N. */
int dm_create(const char *name, const struct dm_target *t, uint32_t *ret_minor, struct err *e);
int dm_suspend(const char *name, struct err *e);
int dm_resume(const char *name, struct err *e);
/* Tell the device's first target something; the kernel wipes its copy, the caller its own. */
int dm_message(const char *name, const char *text, struct err *e);
