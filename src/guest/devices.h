/* Which devices a job may open: a BPF program on its control group (kernel: Documentation/admin-guide/cgroup-v2.rst,
 * "Device controller").
 *
 * The machine's disks are not among them. A job may be root and make device nodes; what it writes to a disk past
 * dm-crypt would stand in clear in the host's freed blocks. Root in a guest can undo this, as everything in its guest:
 * it protects the job's own data from the job's mistakes, and nobody from the job. */
#pragma once

struct err;

/* No process of the group at `path`, or of one below it, opens a virtio disk from now on: EPERM. Groups below may have
 * further programs of their own, as container runtimes want. */
int devices_deny_disks(const char *path, struct err *e);
