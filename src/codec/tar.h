/* tar without I/O: bytes in, entries out, and back. Formats: POSIX.1-2001 ustar and pax (IEEE 1003.1, "pax"), GNU long
 * names and base-256 numbers. No library beside libc, for devdep-guest.
 *
 * The reader trusts nothing. A name that it reports is relative, has no empty, "." or ".." part, no NUL, no trailing
 * slash, and is "." only for the archive's own folder. Refused (ERR_USAGE): absolute names, "..", wrong checksums,
 * sparse files, multi-volume and unknown types, data behind entries that have none, a path or size for all that follows
 * (pax 'g'), malformed pax records, types that the caller did not allow, everything past a limit, an archive that ends
 * early, and bytes other than zero behind its end. A symbolic link's target is reported as it is: whoever unpacks
 * resolves beneath (fs_open_beneath()). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct buf;

#define TAR_BLOCK 512
#define TAR_MAX_NAME 4096      /* bytes of a name or link target; a caller's limit may be lower */
#define TAR_MAX_PAX (64 << 10) /* bytes of one pax header */

enum tar_type {
        TAR_FILE = 1,
        TAR_FOLDER = 2,
        TAR_SYMLINK = 4,
        TAR_HARDLINK = 8, /* `link` obeys the rules of a name */
        TAR_CHAR = 16,
        TAR_BLOCK_DEVICE = 32,
        TAR_FIFO = 64,
};
#define TAR_ORDINARY (TAR_FILE | TAR_FOLDER | TAR_SYMLINK | TAR_HARDLINK)

struct tar_entry {
        enum tar_type type;
        const char *name;
        const char *link; /* of TAR_SYMLINK and TAR_HARDLINK, else "" */
        uint32_t mode;    /* permission bits, at most 07777 */
        uint32_t uid, gid;
        uint64_t size; /* bytes of data; 0 unless TAR_FILE */
        int64_t mtime; /* seconds since the epoch */
        uint32_t major, minor;
};

struct tar_limits {
        unsigned types;       /* enum tar_type, or'ed */
        size_t max_name;      /* bytes, at most TAR_MAX_NAME */
        uint64_t max_entries; /* pax and GNU headers count, too */
        uint64_t max_size;    /* of one file */
        uint64_t max_total;   /* of all files together */
};

/* What the reader reports. Each returns 0, or negative to end the reading with that error. An entry and its strings
 * live until its end() returns. Every entry() is followed by data() calls that add up to its size, and one end(). */
struct tar_sink {
        int (*entry)(const struct tar_entry *entry, void *user, struct err *e);
        int (*data)(const void *data, size_t len, void *user, struct err *e); /* may be NULL, as may end */
        int (*end)(void *user, struct err *e);
};

struct tar_reader;
/* limits and sink are copied. `what` (copied by reference) names the archive in errors. */
int tar_reader_new(const struct tar_limits *limits, const struct tar_sink *sink, void *user, const char *what,
                   struct tar_reader **ret, struct err *e);
struct tar_reader *tar_reader_free(struct tar_reader *r); /* always NULL */
/* The next bytes, cut anywhere. After an error only tar_reader_free() is allowed. */
int tar_reader_feed(struct tar_reader *r, const void *data, size_t len, struct err *e);
/* No more bytes come: 0 when the archive was complete. */
int tar_reader_finish(struct tar_reader *r, struct err *e);

/* Append an entry's header: ustar, with a pax header before it for what ustar cannot hold. Equal entries give equal
 * bytes. The caller then sends entry->size bytes of data and tar_padding(entry->size) zeros. Names are checked as the
 * reader's. */
int tar_write_entry(const struct tar_entry *entry, struct buf *ret, struct err *e);
size_t tar_padding(uint64_t size); /* 0..511 */
int tar_write_end(struct buf *ret, struct err *e);
