/* The two forms of an artifact: the zip that GitHub's client sends and gets, and the tar of the shelf. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "codec/zip.h"

struct buf;
struct err;
struct tar_to_zip;

typedef int repack_sink_fn(const void *data, size_t len, void *user, struct err *e);

/* The zip that read gives becomes a tar, given to fn: regular files, mode 0644, all of the time now_ms. Names as
 * `artifacts get` takes them. ERR_USAGE: it is no such archive, or past the limits of an artifact. */
int zip_to_tar(zip_read_fn *read, void *archive, uint64_t size, uint64_t now_ms, repack_sink_fn *fn, void *user,
               struct err *e);
/* One file as it is, of this name. */
int file_to_tar(zip_read_fn *read, void *file, uint64_t size, const char *name, uint64_t now_ms, repack_sink_fn *fn,
                void *user, struct err *e);

/* A tar of the shelf (an open file of so many bytes and files, which stays the caller's) as a zip, a piece at a time.
 * Equal tars give equal zips. A file is read twice: its sum stands before it. */
int tar_to_zip_new(int fd, uint64_t bytes, uint64_t files, struct tar_to_zip **ret, struct err *e);
struct tar_to_zip *tar_to_zip_free(struct tar_to_zip *z); /* always NULL */
/* Append a piece: some SERVICE_CHUNK. Nothing is appended at the end. */
int tar_to_zip_next(struct tar_to_zip *z, struct buf *ret, struct err *e);
/* Where the data of the only file of a tar lies. */
int tar_only_file(int fd, uint64_t bytes, uint64_t *ret_at, uint64_t *ret_size, struct err *e);
