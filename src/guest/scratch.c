#include "guest/scratch.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/secret.h"
#include "guest/disk.h"
#include "guest/dm.h"
#include "guest/skeleton.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define KEY_SIZE 32 /* two AES-128 keys: a fifth faster than AES-256, for a key that lives as long as the guest */
#define DEVICE "devdep-scratch"
#define SECTORS_PER_BLOCK (SKELETON_BLOCK / 512)

/* From the kernel's fs/ext4/ext4.h; no public header has it. The argument is the new number of blocks. */
#define EXT4_IOC_RESIZE_FS _IOW('f', 16, uint64_t)

/* Without the work queues a request is encrypted where it is made; docs/decisions/scratch.md has the figures. */
static int open_crypt(const char *disk, uint64_t blocks, uint32_t *ret_minor, struct err *e)
{
        uint8_t no_key[KEY_SIZE] = {1}; /* its halves must differ */
        char hex[2 * KEY_SIZE + 1], params[DM_MAX_PARAMS];
        num_to_hex(no_key, sizeof(no_key), hex);
        snprintf(params, sizeof(params),
                 "aes-xts-plain64 %s 0 %s 0 3 no_read_workqueue no_write_workqueue sector_size:4096", hex, disk);
        struct dm_target t = {.type = "crypt", .params = params, .sectors = blocks * SECTORS_PER_BLOCK};
        return dm_create(DEVICE, &t, ret_minor, e);
}

static int set_key(struct err *e)
{
        uint8_t key[KEY_SIZE];
        char hex[2 * KEY_SIZE + 1], message[sizeof(hex) + 16];
        secret_random(key, sizeof(key));
        num_to_hex(key, sizeof(key), hex);
        snprintf(message, sizeof(message), "key set %s", hex);
        int r = dm_message(DEVICE, message, e);
        secret_wipe(key, sizeof(key));
        secret_wipe(hex, sizeof(hex));
        secret_wipe(message, sizeof(message));
        return r;
}

static int write_skeleton(const char *device, struct err *e)
{
        /* Through the page cache of the device, which the mount reads next: no need to wait for the disk. */
        AUTO(auto_close) int fd = open(device, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
                return err_errno(e, ERR_RESOURCES, errno, "open %s", device);
        uint8_t hash_seed[SKELETON_HASH_SEED];
        secret_random(hash_seed, sizeof(hash_seed));
        return skeleton_write(fd, hash_seed, e);
}

static int grow(const char *target, uint64_t blocks, struct err *e)
{
        AUTO(auto_close) int fd = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || ioctl(fd, EXT4_IOC_RESIZE_FS, &blocks) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "grow the scratch file system to %" PRIu64 " blocks", blocks);
        return 0;
}

int scratch_prepare(struct scratch *ret, struct err *e)
{
        char disk[32];
        *ret = (struct scratch){.missing = true};
        int r = disk_find("scratch", 1, disk, sizeof(disk), e);
        if (r != 0)
                return r < 0 ? r : 0;
        AUTO(auto_close) int fd = open(disk, O_RDWR | O_CLOEXEC);
        if (fd < 0)
                return err_errno(e, ERR_RESOURCES, errno, "open %s", disk);
        ret->missing = false;
        r = disk_size(fd, &ret->bytes, e);
        if (r < 0 || ret->bytes < SCRATCH_MIN_BYTES)
                return r;
        r = open_crypt(disk, ret->bytes / SKELETON_BLOCK, &ret->minor, e);
        r = r < 0 ? r : dm_suspend(DEVICE, e);
        return r < 0 ? r : dm_message(DEVICE, "key wipe", e);
}

int scratch_mount(const struct scratch *s, const char *target, struct err *e)
{
        char device[32];
        if (s->missing)
                return err_set(e, ERR_RESOURCES, "the machine has no scratch disk");
        if (s->bytes < SCRATCH_MIN_BYTES)
                return err_set(e, ERR_RESOURCES, "the scratch disk has %" PRIu64 " bytes, expected at least %" PRIu64,
                               s->bytes, SCRATCH_MIN_BYTES);
        snprintf(device, sizeof(device), "/dev/dm-%" PRIu32, s->minor);
        int r = set_key(e);
        r = r < 0 ? r : dm_resume(DEVICE, e);
        r = r < 0 ? r : write_skeleton(device, e);
        if (r < 0)
                return r;
        mkdir(target, 0700);
        if (mount(device, target, "ext4", MS_NOATIME | MS_NODEV, "nobarrier") < 0)
                return err_errno(e, ERR_RESOURCES, errno, "mount the scratch file system");
        r = grow(target, s->bytes / SKELETON_BLOCK, e);
        if (r == 0 && mount(NULL, target, NULL, MS_REMOUNT | MS_NOATIME, "noinit_itable,nobarrier") < 0)
                return err_errno(e, ERR_RESOURCES, errno, "remount");
        return r;
}
