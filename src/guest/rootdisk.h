/* The root file system of the image: a read-only ext4 under dm-verity. A block that was changed reads as EIO. */
#pragma once

struct boot_root;
struct err;

/* Mount it, for process 1 alone, at `target` (made). */
int rootdisk_mount(const struct boot_root *root, const char *target, struct err *e);
