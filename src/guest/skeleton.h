/* A new 64 MiB ext4 file system as the blocks that mke2fs writes; made at build time by tools/ext4-skeleton. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SKELETON_BLOCK 4096

struct skeleton_piece {
        uint32_t block;
        uint16_t offset, len; /* bytes within the block */
        uint32_t data;        /* where its bytes are in skeleton_data */
};

/* Blocks to write, ascending; their content is zero but for the pieces (ascending too). */
extern const uint32_t skeleton_blocks[];
extern const size_t skeleton_n_blocks;
extern const struct skeleton_piece skeleton_pieces[];
extern const size_t skeleton_n_pieces;
extern const uint8_t skeleton_data[];

#define SKELETON_HASH_SEED 16

struct err;
/* Write the skeleton to a block device or file of at least 64 MiB. hash_seed: of the hashes of its folders' names. (Its
 * UUID is the same everywhere: the checksums of the group descriptors cover it.) */
int skeleton_write(int fd, const uint8_t hash_seed[SKELETON_HASH_SEED], struct err *e);
