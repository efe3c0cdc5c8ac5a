/* What jobs see: a mount namespace whose root is the image's file system, an overlay with its upper layer on the
 * scratch disk or read-only, with /proc, /sys, /dev, /run, /tmp and the workspace as ordinary programs expect them.
 * Process 1 stays outside.
 *
 * The workspace and /tmp are folders of the scratch disk itself in both forms, over an overlay /var/tmp as well:
 * faster, and good as the upper layer of a job's own containers. */
#pragma once

#include <stdbool.h>

struct err;
struct seed;

#define JOBROOT_WORKSPACE "/home/runner/work"
#define JOBROOT_USER "runner" /* owns the workspace */

struct jobroot {
        int mnt_ns;    /* for setns */
        int cgroup_ns; /* for setns; its root is job/ */
        int pts;       /* the job's devpts, for terminals */
        int etc;       /* the folder of the layer that holds the identity files */
        int secrets;   /* process 1's own, writable folder of /run/secrets (secrets.h) */
};
#define JOBROOT_INIT                                                                                                   \
        {                                                                                                              \
                -1, -1, -1, -1, -1                                                                                     \
        }
void jobroot_done(struct jobroot *j);

/* `image` is the mounted root file system, `scratch` the mounted scratch disk. */
int jobroot_make(const char *image, const char *scratch, const struct seed *s, struct jobroot *ret, struct err *e);
/* Move the calling process in, never process 1: it ends with `/` of the job as its root and working directory. */
int jobroot_enter(const struct jobroot *j, struct err *e);
