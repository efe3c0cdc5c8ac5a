/* Whether memory that is swapped out could be read from a disk afterwards: the swap areas of this host and what they
 * lie on. */
#pragma once

#include <stdbool.h>

struct err;

#define SWAP_MAX_TEXT 65536u /* bytes of /proc/swaps */
#define SWAP_MAX_DEPTH 8u    /* devices below a device */

struct swap_facts {
        unsigned all;    /* areas in use */
        unsigned plain;  /* of them: neither encrypted nor in memory, as far as can be told */
        char first[128]; /* the name of the first such, as the kernel writes it; cut */
};
/* ERR_RESOURCES: it cannot be told. */
int swap_examine(struct swap_facts *ret, struct err *e);

/* The text of /proc/swaps; is_safe() is asked of each name, which has no escapes any more. ERR_PROTOCOL: another text.
 */
int swap_parse(const char *text, bool (*is_safe)(const char *name, void *user), void *user, struct swap_facts *ret,
               struct err *e);
/* Is what is written to a block device ("254:1") encrypted by dm-crypt, there or in all that lies below it, or never on
 * a disk (zram without a backing device)? sys: where sysfs is. */
bool swap_device_is_safe(const char *sys, const char *device);
