#include "guest/skeleton.h"

#include "base/err.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* ext4's superblock: where it is in block 0, and one of its fields (fs/ext4/ext4.h, struct ext4_super_block). */
#define SUPERBLOCK 1024
#define S_HASH_SEED 0xec

static int write_block(int fd, uint32_t block, const uint8_t *data, struct err *e)
{
        ssize_t n = pwrite(fd, data, SKELETON_BLOCK, (off_t)block * SKELETON_BLOCK);
        if (n != SKELETON_BLOCK)
                return err_errno(e, ERR_RESOURCES, n < 0 ? errno : EIO, "write the scratch disk");
        return 0;
}

int skeleton_write(int fd, const uint8_t hash_seed[SKELETON_HASH_SEED], struct err *e)
{
        size_t next = 0;
        for (size_t i = 0; i < skeleton_n_blocks; i++) {
                uint8_t block[SKELETON_BLOCK] = {0};
                for (; next < skeleton_n_pieces && skeleton_pieces[next].block == skeleton_blocks[i]; next++) {
                        const struct skeleton_piece *p = &skeleton_pieces[next];
                        memcpy(block + p->offset, skeleton_data + p->data, p->len);
                }
                if (skeleton_blocks[i] == 0)
                        memcpy(block + SUPERBLOCK + S_HASH_SEED, hash_seed, SKELETON_HASH_SEED);
                int r = write_block(fd, skeleton_blocks[i], block, e);
                if (r < 0)
                        return r;
        }
        return 0;
}
