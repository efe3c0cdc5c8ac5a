#include "source/archive.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "codec/tar.h"
#include "serve/out.h"

#include <errno.h>
#include <unistd.h>

static const uint8_t zeros[TAR_BLOCK];

static int header(struct archive *a, const struct tar_entry *entry, struct err *e)
{
        AUTO(buf_done) struct buf b = BUF_INIT;
        int r = tar_write_entry(entry, &b, e);
        return r < 0 ? r : out_stream(a->out, b.data, b.len, e);
}

int archive_folder(struct archive *a, const char *name, int64_t mtime, struct err *e)
{
        return header(
                a, &(struct tar_entry){.type = TAR_FOLDER, .name = name, .link = "", .mode = 0755, .mtime = mtime}, e);
}

int archive_link(struct archive *a, const char *name, const char *target, int64_t mtime, struct err *e)
{
        return header(
                a, &(struct tar_entry){.type = TAR_SYMLINK, .name = name, .link = target, .mode = 0777, .mtime = mtime},
                e);
}

static int file_header(struct archive *a, const char *name, uint64_t size, bool executable, int64_t mtime,
                       struct err *e)
{
        return header(a,
                      &(struct tar_entry){.type = TAR_FILE,
                                          .name = name,
                                          .link = "",
                                          .mode = executable ? 0755 : 0644,
                                          .size = size,
                                          .mtime = mtime},
                      e);
}

int archive_bytes(struct archive *a, const char *name, const void *data, size_t len, bool executable, int64_t mtime,
                  struct err *e)
{
        int r = file_header(a, name, len, executable, mtime, e);
        if (r == 0)
                r = out_stream(a->out, data, len, e);
        return r < 0 ? r : out_stream(a->out, zeros, tar_padding(len), e);
}

int archive_file(struct archive *a, const char *name, int fd, uint64_t size, bool executable, int64_t mtime,
                 struct err *e)
{
        int r = file_header(a, name, size, executable, mtime, e);
        for (uint64_t left = size; r == 0 && left > 0;) {
                uint8_t *room;
                size_t space;
                r = out_room(a->out, &room, &space, e);
                if (r < 0)
                        return r;
                ssize_t n = read(fd, room, MIN(space, left));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return err_errno(e, ERR_RESOURCES, errno, "read a file of the work tree");
                if (n == 0)
                        return ARCHIVE_E_SHRANK;
                r = out_filled(a->out, (size_t)n, e);
                left -= (uint64_t)n;
        }
        return r < 0 ? r : out_stream(a->out, zeros, tar_padding(size), e);
}

int archive_end(struct archive *a, struct err *e)
{
        AUTO(buf_done) struct buf b = BUF_INIT;
        int r = tar_write_end(&b, e);
        return r < 0 ? r : out_stream(a->out, b.data, b.len, e);
}
