/* Offsets and flags: Documentation/filesystems/ext4/super.rst of Linux. */
#include "vm/ext4.h"

#include <stdbool.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"

#define BLOCK 4096u
#define SUPER 1024u /* bytes before the superblock */
#define SUPER_SIZE 1024u
#define MAGIC 0xEF53u

enum { STATE_CLEAN = 1, STATE_ERRORS = 2 };
enum {
        INCOMPAT_FILETYPE = 0x2,
        INCOMPAT_RECOVER = 0x4,
        INCOMPAT_EXTENTS = 0x40,
        INCOMPAT_64BIT = 0x80,
        INCOMPAT_FLEX_BG = 0x200,
        INCOMPAT_CSUM_SEED = 0x2000,
        INCOMPAT_LARGEDIR = 0x4000,
        INCOMPAT_INLINE_DATA = 0x8000,
};
#define INCOMPAT_KNOWN                                                                                                 \
        (INCOMPAT_FILETYPE | INCOMPAT_RECOVER | INCOMPAT_EXTENTS | INCOMPAT_64BIT | INCOMPAT_FLEX_BG |                 \
         INCOMPAT_CSUM_SEED | INCOMPAT_LARGEDIR | INCOMPAT_INLINE_DATA)
#define RO_COMPAT_ORPHAN_PRESENT 0x10000u

/* Formats that people have images in, by the bytes that name them. */
static const struct {
        uint32_t at;
        const char *bytes;
        uint32_t len;
        const char *name, *advice;
} formats[] = {
        {0, "\x1f\x8b", 2, "compressed with gzip", "unpack it first: gunzip FILE"},
        {0,
         "\xfd"
         "7zXZ\0",
         6, "compressed with xz", "unpack it first: unxz FILE"},
        {0, "\x28\xb5\x2f\xfd", 4, "compressed with zstd", "unpack it first: unzstd FILE"},
        {0, "BZh", 3, "compressed with bzip2", "unpack it first: bunzip2 FILE"},
        {0, "\x04\x22\x4d\x18", 4, "compressed with lz4", "unpack it first: unlz4 FILE"},
        {0, "PK\x03\x04", 4, "a zip archive", "make an ext4 file of its content: mke2fs -d"},
        {0, "QFI\xfb", 4, "a qcow2 disk image", "convert it first: qemu-img convert -O raw"},
        {0, "KDMV", 4, "a VMDK disk image", "convert it first: qemu-img convert -O raw"},
        {0, "vhdxfile", 8, "a VHDX disk image", "convert it first: qemu-img convert -O raw"},
        {0, "conectix", 8, "a VHD disk image", "convert it first: qemu-img convert -O raw"},
        {64, "\x7f\x10\xda\xbe", 4, "a VDI disk image", "convert it first: qemu-img convert -O raw"},
        {0, "hsqs", 4, "a squashfs file system", "make an ext4 file of its content: mke2fs -d"},
        {0, "XFSB", 4, "an XFS file system", "make an ext4 file of its content: mke2fs -d"},
        {0x10040, "_BHRfS_M", 8, "a btrfs file system", "make an ext4 file of its content: mke2fs -d"},
        {0, "070701", 6, "a cpio archive", "make an ext4 file of its content: mke2fs -d"},
        {257, "ustar", 5, "a tar archive", "make an ext4 file of its content: mke2fs -d"},
        {32769, "CD001", 5, "an ISO 9660 image", "make an ext4 file of its content: mke2fs -d"},
        {512, "EFI PART", 8, "a disk with a partition table", "cut the ext4 partition out first"},
};

static uint16_t le16(const uint8_t *p)
{
        return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t le32(const uint8_t *p)
{
        return (uint32_t)le16(p) | (uint32_t)le16(p + 2) << 16;
}

static int refuse(struct err *e, const char *what, const char *found, const char *advice)
{
        return err_set(e, ERR_IMAGE_REFUSED, "%s: expected an uncompressed ext4 file system, found %s; %s", what, found,
                       advice);
}

/* Formats whose mark begins before `end`. */
static int check_formats(const uint8_t *head, size_t len, uint32_t end, const char *what, struct err *e)
{
        for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
                if (formats[i].at < end && formats[i].at + (size_t)formats[i].len <= len &&
                    memcmp(head + formats[i].at, formats[i].bytes, formats[i].len) == 0)
                        return refuse(e, what, formats[i].name, formats[i].advice);
        return 0;
}

static int check_foreign(const uint8_t *head, size_t len, const char *what, struct err *e)
{
        int r = check_formats(head, len, UINT32_MAX, what, e);
        if (r < 0)
                return r;
        /* Last, because so little is needed for it: the mark of a boot sector, and one partition that has a type. */
        if (len >= 512 && head[510] == 0x55 && head[511] == 0xaa && head[450])
                return refuse(e, what, "a disk with a partition table", "cut the ext4 partition out first");
        return refuse(e, what, "something else", "make one: mke2fs -t ext4 -b 4096 -O ^has_journal -d FOLDER FILE");
}

static int check_clean(const uint8_t *super, const char *what, struct err *e)
{
        uint32_t incompat = le32(super + 0x60), ro_compat = le32(super + 0x64);
        if (incompat & INCOMPAT_RECOVER)
                return err_set(e, ERR_IMAGE_REFUSED,
                               "%s: its journal has to be recovered first: mount and unmount it, or: e2fsck -p FILE",
                               what);
        if (le16(super + 0x3a) & STATE_ERRORS)
                return err_set(e, ERR_IMAGE_REFUSED, "%s: the file system is marked as damaged: e2fsck -f FILE", what);
        if (!(le16(super + 0x3a) & STATE_CLEAN) || le32(super + 0xe8) || (ro_compat & RO_COMPAT_ORPHAN_PRESENT))
                return err_set(e, ERR_IMAGE_REFUSED, "%s: the file system was not unmounted cleanly: e2fsck -f FILE",
                               what);
        return 0;
}

static int check_kind(const uint8_t *super, const char *what, struct err *e)
{
        uint32_t incompat = le32(super + 0x60);
        if (!(incompat & INCOMPAT_EXTENTS))
                return refuse(e, what, "an ext2 or ext3 file system",
                              "convert it: tune2fs -O extents FILE, e2fsck -f FILE");
        if (incompat & ~(uint32_t)INCOMPAT_KNOWN)
                return err_set(e, ERR_IMAGE_REFUSED, "%s: the file system has features (0x%x) that guests do not know",
                               what, incompat & ~(uint32_t)INCOMPAT_KNOWN);
        if (le32(super + 0x18) != 2)
                return err_set(e, ERR_IMAGE_REFUSED, "%s: expected blocks of 4096 bytes, found others: mke2fs -b 4096",
                               what);
        return 0;
}

static int check_size(const uint8_t *super, uint64_t size, const char *what, struct err *e)
{
        uint64_t blocks = le32(super + 0x4), bytes;
        if (le32(super + 0x60) & INCOMPAT_64BIT)
                blocks |= (uint64_t)le32(super + 0x150) << 32;
        if (!blocks || !num_mul(blocks, (uint64_t)BLOCK, &bytes) || bytes != size)
                return err_set(e, ERR_IMAGE_REFUSED,
                               "%s: the file system has %llu blocks of 4096 bytes, but the file has %llu bytes; it is "
                               "cut off, "
                               "or more than the file system is in it",
                               what, (unsigned long long)blocks, (unsigned long long)size);
        return 0;
}

int ext4_check(const uint8_t *head, size_t len, uint64_t size, const char *what, struct err *e)
{
        if (size == 0)
                return err_set(e, ERR_IMAGE_REFUSED, "%s: the file is empty", what);
        if (len < SUPER + SUPER_SIZE || le16(head + SUPER + 0x38) != MAGIC)
                return check_foreign(head, len, what, e);
        const uint8_t *super = head + SUPER;
        /* A file that is two things at once: another tool could take it for the other one. */
        int r = check_formats(head, len, SUPER, what, e);
        if (r >= 0)
                r = check_kind(super, what, e);
        if (r >= 0)
                r = check_clean(super, what, e);
        return r < 0 ? r : check_size(super, size, what, e);
}
