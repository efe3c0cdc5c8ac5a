/* The layout of a tar header (POSIX.1-2001, "ustar Interchange Format"), shared by reader and writer. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tar_header {
        char name[100];
        char mode[8];
        char uid[8];
        char gid[8];
        char size[12];
        char mtime[12];
        char checksum[8];
        char type;
        char link[100];
        char magic[6];   /* "ustar" NUL; GNU: "ustar " */
        char version[2]; /* "00"; GNU: " " NUL */
        char uname[32];
        char gname[32];
        char major[8];
        char minor[8];
        char prefix[155]; /* POSIX only */
        char unused[12];
};
_Static_assert(sizeof(struct tar_header) == 512, "a header is one block");

/* The sum of the header's bytes with its checksum field taken as spaces. */
unsigned tar_checksum(const struct tar_header *h);

/* Bring a name of len bytes into its one form in ret (size bytes): no leading "./", no empty or "." part, no trailing
 * slash;
 * "." when nothing is left. NULL, or what is wrong with it. */
const char *tar_clean_name(const char *name, size_t len, char *ret, size_t size);
