/* zip (PKWARE's APPNOTE 6.3, with zip64) without I/O of its own: an archive that a callback reads, into entries; and
 * the pieces of one that holds files as they are. The sums and the inflating are zlib's.
 *
 * The reader trusts nothing. An archive has one meaning or is refused (ERR_USAGE): the directory ends where the end of
 * the archive begins, entries do not overlap each other or the directory, each says the same of itself in the directory
 * and before its data, its data is of its size and has its sum. Names are relative, of at most max_name bytes, without
 * empty, "." and ".." parts and NUL; none stands in the archive twice, or as a file and as a folder of another one.
 * Files and folders alone, by the mode that Unix writes; stored or deflated; not encrypted, not in several parts. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;
struct zip_reader;

#define ZIP_E_END 1

#define ZIP_MAX_NAME 4096 /* bytes; a caller's limit may be lower */

/* All of len bytes from `at` on, which lie in the archive. */
typedef int zip_read_fn(void *user, uint64_t at, void *data, size_t len, struct err *e);

struct zip_limits {
        size_t max_name;      /* bytes, at most ZIP_MAX_NAME */
        size_t max_names;     /* bytes of all names: they are held */
        uint64_t max_entries; /* 40 bytes are held for each, and while they are sorted 40 more; fewer than 2^32 */
        uint64_t max_size;    /* of one file */
        uint64_t max_total;   /* of all files together */
};

struct zip_entry {
        const char *name; /* lives as long as the reader */
        uint64_t size;
};

/* Reads and checks the directory. size: bytes of the archive. `what` (by reference) names it in errors. */
int zip_reader_new(zip_read_fn *read, void *user, uint64_t size, const struct zip_limits *limits, const char *what,
                   struct zip_reader **ret, struct err *e);
struct zip_reader *zip_reader_free(struct zip_reader *z); /* always NULL */
/* The next file, in the order of their places; folders are passed over. ZIP_E_END. The one before was read to its end.
 */
int zip_reader_next(struct zip_reader *z, struct zip_entry *ret, struct err *e);
/* Up to len bytes of it; *ret is 0 at its end, when all of it was what the archive says. */
int zip_reader_data(struct zip_reader *z, void *data, size_t len, size_t *ret, struct err *e);

/* A file of an archive that is written: local header, data as it is, and so for each; then a central one for each, in
 * the same order; then the end. Equal items give equal bytes. */
struct zip_item {
        const char *name;
        uint64_t size;
        uint32_t crc;
        int64_t mtime; /* seconds since the epoch */
        uint64_t at;   /* of its local header */
};
uint32_t zip_crc(uint32_t crc, const void *data, size_t len); /* begins with 0 */
int zip_write_local(const struct zip_item *x, struct buf *ret, struct err *e);
int zip_write_central(const struct zip_item *x, struct buf *ret, struct err *e);
/* at, size: of all central headers together. */
int zip_write_end(uint64_t entries, uint64_t at, uint64_t size, struct buf *ret, struct err *e);
