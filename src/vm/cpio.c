#include "vm/cpio.h"

#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"

static int pad(struct cpio *c, struct err *e)
{
        static const uint8_t zero[4];
        return buf_append(c->out, zero, (4 - c->out->len % 4) % 4, e);
}

struct entry {
        const char *path;
        mode_t mode;
        unsigned major, minor;
        const void *data;
        size_t len;
};

static int put(struct cpio *c, const struct entry *x, struct err *e)
{
        if (x->len > CPIO_MAX_FILE)
                return err_set(e, ERR_RESOURCES, "%s: at most %u bytes fit an initramfs entry, found %zu", x->path,
                               CPIO_MAX_FILE, x->len);
        unsigned links = S_ISDIR(x->mode) ? 2 : 1;
        size_t name = strlen(x->path) + 1;
        /* magic, ino, mode, uid, gid, nlink, mtime, size, device major and minor, its own major and minor, name size,
         * check */
        int r = buf_printf(c->out, e, "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x", c->ino++,
                           (unsigned)x->mode, 0u, 0u, links, 0u, x->len, 0u, 0u, x->major, x->minor, name, 0u);
        if (r >= 0)
                r = buf_append(c->out, x->path, name, e);
        if (r >= 0)
                r = pad(c, e);
        if (r >= 0 && x->len)
                r = buf_append(c->out, x->data, x->len, e);
        return r < 0 ? r : pad(c, e);
}

int cpio_folder(struct cpio *c, const char *path, mode_t mode, struct err *e)
{
        return put(c, &(struct entry){.path = path, .mode = S_IFDIR | mode}, e);
}

int cpio_file(struct cpio *c, const char *path, mode_t mode, const void *data, size_t len, struct err *e)
{
        return put(c, &(struct entry){.path = path, .mode = S_IFREG | mode, .data = data, .len = len}, e);
}

int cpio_char_device(struct cpio *c, const char *path, mode_t mode, unsigned major, unsigned minor, struct err *e)
{
        return put(c, &(struct entry){.path = path, .mode = S_IFCHR | mode, .major = major, .minor = minor}, e);
}

int cpio_end(struct cpio *c, struct err *e)
{
        return put(c, &(struct entry){.path = "TRAILER!!!"}, e);
}
