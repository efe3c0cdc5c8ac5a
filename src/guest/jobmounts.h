/* The mounts of the job's root, in order. Called by jobroot alone. */
#pragma once

#include <stdbool.h>

struct err;

struct jobmounts {
        const char *image;   /* the mounted image */
        const char *scratch; /* the mounted scratch disk */
        bool read_only;
};

/* Folders on the scratch disk: upper layer, work folder, /tmp, /var/tmp, workspace; and the mount of secrets. *ret_etc
 * is the layer's `etc`, *ret_secrets process 1's folder of secrets. */
int jobmounts_prepare(const struct jobmounts *m, int *ret_etc, int *ret_secrets, struct err *e);
/* In a new mount namespace: build the tree and make it the root. */
int jobmounts_make(const struct jobmounts *m, struct err *e);
