/* The tar stream of a checkout, written to the client as it is made. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct out;

struct archive {
        struct out *out;
        int64_t now; /* the time of entries that are no files of the work tree */
};

int archive_folder(struct archive *a, const char *name, int64_t mtime, struct err *e);
int archive_link(struct archive *a, const char *name, const char *target, int64_t mtime, struct err *e);
int archive_bytes(struct archive *a, const char *name, const void *data, size_t len, bool executable, int64_t mtime,
                  struct err *e);
/* A regular file from its current offset: exactly `size` bytes. ARCHIVE_E_SHRANK when it ends before: the header was
 * sent already, so the stream is of no use any more. */
#define ARCHIVE_E_SHRANK 1
int archive_file(struct archive *a, const char *name, int fd, uint64_t size, bool executable, int64_t mtime,
                 struct err *e);
int archive_end(struct archive *a, struct err *e);
