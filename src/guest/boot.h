/* The first seconds of process 1: kernel file systems, modules, the command line. docs/guest-boot.md. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct err;

#define BOOT_HASH_SIZE 32 /* SHA-256 */
#define BOOT_MODULES_FOLDER "/modules"
#define BOOT_MAX_MODULES 64     /* lines of /modules/order */
#define BOOT_MAX_MODULE_LINE 64 /* bytes of one line */
#define BOOT_MAX_CMDLINE 4096   /* bytes of the kernel command line */

struct boot_root {
        uint8_t hash[BOOT_HASH_SIZE];
        uint8_t salt[BOOT_HASH_SIZE];
        uint64_t blocks; /* 4096-byte data blocks; the hash tree follows */
};

int boot_mounts(struct err *e);
/* Which lines of /modules/order: vsock's modules are loaded only where there is no virtio port, and what is slower than
 * the kernel's own code under software emulation is not loaded there. */
enum boot_modules { BOOT_MODULES_MOST, BOOT_MODULES_VSOCK };
/* A missing or refused module is an error that names it, unless its line begins with '?'. */
int boot_modules(const char *folder, enum boot_modules which, struct err *e);
bool boot_module_is_wanted(const char *name, enum boot_modules which, bool emulated);
/* devdep.root, devdep.salt and devdep.blocks of a kernel command line. Each exactly once. */
int boot_root_parse(const char *cmdline, struct boot_root *ret, struct err *e);
int boot_root_read(struct boot_root *ret, struct err *e);
