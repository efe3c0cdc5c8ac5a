/* One preparation: a process of its own (`devdep-pool --make`), because opening an image, building a template, starting
 * a VMM and waiting for devdep-prepare all block, and because its priority is inherited by all that it starts.
 *
 * The maker gets its order as arguments, the socket for its answer as descriptor MAKE_FD_ANSWER, and the template that
 * the pool holds for this kind, if it does, as MAKE_FD_MEMORY and MAKE_FD_STATE. It sends one message and ends. It dies
 * with the pool; with its last copy of the lifeline the VM dies, too. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "codec/hash.h"
#include "sandbox/sandbox.h"
#include "wire/pool.h"

enum { MAKE_FD_ANSWER = 3, MAKE_FD_MEMORY, MAKE_FD_STATE };

/* Descriptors of the answer: those of a claim (wire/pool.h), then memory and state when the maker opened the template
 * itself. */
enum { MADE_FD_MEMORY = POOL_FD_COUNT, MADE_FD_STATE, MADE_FD_COUNT };

/* What identifies an image folder's manifest without reading it. */
struct make_stamp {
        uint64_t device, inode, size;
        int64_t seconds, nanoseconds;
};
/* False when there is none. */
bool make_stamp(const char *image_path, struct make_stamp *ret);

/* The maker's answer: pool and maker are of one build, on one machine. */
struct made {
        char magic[8]; /* MADE_MAGIC */
        bool failed;
        enum err_code code;
        char message[ERR_MAX_MESSAGE];
        uint32_t slot;
        pid_t jail;
        char image[POOL_MAX_IMAGE + 1]; /* NAME@sha256:DIGEST */
        char image_path[1024];
        struct make_stamp stamp; /* of its manifest, taken before it was opened */
        uint8_t vmm[32];         /* the driver's describe() */
        char accel[8];
        char key[HASH_HEX_SIZE];      /* of the template */
        bool built;                   /* there was no template to open: it was made, or was to be made */
        char unkept[ERR_MAX_MESSAGE]; /* why the template is not on disk; "" when it is */
        uint32_t tsc_khz;
        uint64_t private_bytes, template_bytes;
        struct sandbox_report report;
};
#define MADE_MAGIC "MADE-02" /* changes with the struct */

/* argv[0] is the program, argv[1] "--make"; returns the process status. */
int make_main(int argc, char **argv);
