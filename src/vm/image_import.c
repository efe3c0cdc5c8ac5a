#include "vm/image_build.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "sandbox/sandbox.h"
#include "trust/signature.h"
#include "vm/ext4.h"
#include "vm/image_file.h"
#include "vm/image_work.h"

#define FSCK_MEMORY (4ull << 30) /* bytes of address space for e2fsck */
#define FSCK_USER 65534          /* nobody: as root, whom the jail runs as */
#define MAX_BINDS 16

CLEANUP_DEFINE(struct image, image_free)
CLEANUP_DEFINE(struct trust, trust_free)

static int open_file(const char *path, int *ret, uint64_t *ret_size, struct err *e)
{
        AUTO(auto_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0)
                return err_errno(e, ERR_USAGE, errno, "%s", path);
        if (!S_ISREG(st.st_mode))
                return err_set(e, ERR_USAGE, "%s: expected a regular file", path);
        *ret_size = (uint64_t)st.st_size;
        *ret = TAKE_FD(fd);
        return 0;
}

static int check_head(int fd, uint64_t size, const char *what, struct err *e)
{
        AUTO(auto_free) uint8_t *head = malloc(EXT4_HEAD_SIZE);
        if (!head)
                return err_nomem(e);
        ssize_t n = pread(fd, head, EXT4_HEAD_SIZE, 0);
        if (n < 0)
                return err_errno(e, ERR_RESOURCES, errno, "read %s", what);
        return ext4_check(head, (size_t)n, size, what, e);
}

static int read_signature(const struct image_import *b, struct buf *ret, struct err *e)
{
        if (!b->signature)
                return err_set(
                        e, ERR_IMAGE_REFUSED,
                        "%s is unsigned: expected --signature FILE; make one: devdep-cli image sign --key KEY %s",
                        b->file, b->file);
        int r = fs_read(b->signature, KEY_MAX_FILE, ret, e);
        if (r == FS_E_MISSING)
                return err_set(e, ERR_IMAGE_REFUSED, "%s is unsigned: there is no %s", b->file, b->signature);
        return r;
}

/* e2fsck reads what a stranger wrote, so it runs in a jail: no network, no other file, nothing of ours to write. */
static int run_fsck(struct image_work *w, const char *path, struct err *e)
{
        struct sandbox_bind binds[MAX_BINDS];
        unsigned n = 0;
        for (; n < sandbox_n_binds_libraries && n < MAX_BINDS - 1; n++)
                binds[n] = sandbox_binds_libraries[n];
        binds[n++] = (struct sandbox_bind){.from = path, .to = "/image"};
        struct sandbox_limit limits[] = {{RLIMIT_AS, FSCK_MEMORY}, {RLIMIT_FSIZE, 0}};
        struct sandbox jail = SANDBOX_INIT;
        jail.name = "e2fsck";
        jail.binds = binds;
        jail.n_binds = n;
        jail.limits = limits;
        jail.n_limits = ARRAY_SIZE(limits);
        jail.devices = SANDBOX_DEV_NULL | SANDBOX_DEV_ZERO | SANDBOX_DEV_URANDOM;
        jail.filter = SANDBOX_FILTER_TOOL;
        if (geteuid() == 0) {
                jail.uid = FSCK_USER;
                jail.gid = FSCK_USER;
        }
        const char *argv[] = {"e2fsck", "-f", "-n", "/image", NULL};
        struct image_tool t = {.name = "e2fsck", .package = "e2fsprogs", .argv = argv, .jail = &jail};
        return image_tool_run(w->progress, &t, e);
}

static int check_file_system(struct image_work *w, const char *file, struct err *e)
{
        AUTO(auto_free) char *path = image_work_path(w, "root.img");
        if (!path)
                return err_nomem(e);
        image_progress_stage(w->progress, "examining the file system in a jail");
        struct err why = ERR_INIT;
        int r = run_fsck(w, path, &why);
        if (r >= 0)
                return 0;
        if (why.code == ERR_CANCELLED)
                return err_set(e, ERR_CANCELLED, "%s", why.msg);
        return err_set(e, ERR_IMAGE_REFUSED, "%s: the file system is damaged: %s", file, why.msg);
}

/* From here on the bytes are our own copy: what is checked is what becomes the image. */
static int copy_and_check(const struct image_import *b, const struct trust *t, int fd, uint64_t size,
                          const struct buf *sig, struct image_work *w, struct err *e)
{
        uint8_t digest[IMAGE_SHA256];
        AUTO(auto_close) int out = openat(w->dir, "root.img", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (out < 0)
                return err_errno(e, ERR_RESOURCES, errno, "make %s/root.img", w->path);
        image_progress_stage(w->progress, "copying %s", b->file);
        int r = image_file_copy(fd, out, size, b->file, image_progress_hash_tick, w->progress, digest, e);
        if (r >= 0)
                r = trust_check(t, KEY_DOMAIN_ROOT, digest, sizeof(digest), sig->data ? (const void *)sig->data : "",
                                sig->len, b->signature, NULL, e);
        if (r >= 0)
                r = check_head(out, size, b->file, e);
        return r < 0 ? r : check_file_system(w, b->file, e);
}

static int take_kernel(const struct image_import *b, struct image_work *w, struct image_manifest *m, struct err *e)
{
        AUTO(image_freep) struct image *base = NULL;
        uint8_t digest[IMAGE_SHA256];
        int r = image_open(b->store, b->base, &base, e);
        if (r < 0)
                return err_wrap(e, r, "the kernel of image '%s' is needed", b->base);
        str_copy(m->kernel_version, sizeof(m->kernel_version), base->manifest.kernel_version);
        AUTO(auto_close) int out = openat(w->dir, "kernel", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (out < 0)
                return err_errno(e, ERR_RESOURCES, errno, "make %s/kernel", w->path);
        r = image_file_copy(base->kernel_fd, out, base->manifest.kernel_size, "kernel", NULL, NULL, digest, e);
        return r < 0 ? r : image_work_initramfs(w, base->initramfs_fd, base->manifest.modules_size, b->agent, m, e);
}

int image_import(const struct image_import *b, struct err *e)
{
        AUTO(image_work_done) struct image_work w = IMAGE_WORK_INIT;
        AUTO(image_manifest_done) struct image_manifest m = IMAGE_MANIFEST_INIT;
        AUTO(trust_freep) struct trust *t = NULL;
        AUTO(buf_done) struct buf sig = BUF_INIT_MAX(KEY_MAX_FILE);
        AUTO(auto_close) int fd = -1;
        uint64_t size;
        str_copy(m.name, sizeof(m.name), b->name);
        str_copy(m.source, sizeof(m.source), "import");
        int r = open_file(b->file, &fd, &size, e);
        if (r >= 0)
                r = check_head(fd, size, b->file, e);
        if (r >= 0)
                r = read_signature(b, &sig, e);
        if (r >= 0)
                r = trust_open(b->store->keys, &t, e);
        if (r >= 0)
                r = image_work_begin(&w, b->store, b->name, e);
        if (r >= 0)
                r = copy_and_check(b, t, fd, size, &sig, &w, e);
        if (r >= 0)
                r = image_work_verity(&w, &m, e);
        if (r >= 0)
                r = take_kernel(b, &w, &m, e);
        return r < 0 ? r : image_work_publish(&w, &m, false, e);
}
