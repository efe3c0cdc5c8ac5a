#include "guest/rootdisk.h"

#include "base/err.h"
#include "base/num.h"
#include "guest/boot.h"
#include "guest/disk.h"
#include "guest/dm.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define SECTORS_PER_BLOCK 8

static int open_verity(const struct boot_root *root, const char *disk, uint32_t *ret_minor, struct err *e)
{
        char hash[2 * BOOT_HASH_SIZE + 1], salt[2 * BOOT_HASH_SIZE + 1], params[DM_MAX_PARAMS];
        num_to_hex(root->hash, sizeof(root->hash), hash);
        num_to_hex(root->salt, sizeof(root->salt), salt);
        snprintf(params, sizeof(params), "1 %s %s 4096 4096 %" PRIu64 " %" PRIu64 " sha256 %s %s", disk, disk,
                 root->blocks, root->blocks, hash, salt);
        struct dm_target t = {
                .type = "verity",
                .params = params,
                .sectors = root->blocks * SECTORS_PER_BLOCK,
                .read_only = true,
        };
        return dm_create("devdep-root", &t, ret_minor, e);
}

int rootdisk_mount(const struct boot_root *root, const char *target, struct err *e)
{
        char disk[32], device[32];
        uint32_t minor;
        int r = disk_find("root", 0, disk, sizeof(disk), e);
        if (r == DISK_E_MISSING)
                return err_set(e, ERR_VM_BOOT_FAILED, "the machine has no root disk");
        r = r < 0 ? r : open_verity(root, disk, &minor, e);
        if (r < 0)
                return r;
        snprintf(device, sizeof(device), "/dev/dm-%" PRIu32, minor);
        mkdir(target, 0700);
        if (mount(device, target, "ext4", MS_RDONLY | MS_NOATIME, "noload") < 0)
                return err_errno(e, ERR_VM_BOOT_FAILED, errno, "mount the root file system of %s", disk);
        return 0;
}
