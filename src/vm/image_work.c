#include "vm/image_work.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/secret.h"
#include "codec/hash.h"
#include "trust/signature.h"
#include "vm/cpio.h"
#include "vm/image_file.h"
#include "vm/kmodule.h"

#define TMP_PREFIX ".tmp-"
#define SCRATCH_LINK "scratch" /* in the folder: where an ordinary user's scratch is, for whoever cleans up */
#define LOCK_POLL_MS 500
#define MAX_ORDER (64u * 65u)

CLEANUP_DEFINE(struct key, key_free)

char *image_work_path(const struct image_work *w, const char *file)
{
        return fs_join(w->path, file);
}

/* Files in the scratch folder may belong to ids of a user namespace, which only such a namespace can remove. */
static void remove_scratch(const char *scratch)
{
        if (geteuid() == 0 || fs_remove_tree(scratch, NULL) >= 0) {
                fs_remove_tree(scratch, NULL);
                return;
        }
        struct image_progress *p = NULL;
        AUTO(auto_free) char *below = str_printf("%s/*/*", scratch);
        if (!below || chmod(scratch, 0755) < 0)
                return;
        /* The folder itself is the caller's own, which that namespace does not know: it may look into it, but the
         * entries are the caller's to remove, once they are empty and open to all. */
        const char *argv[] = {"mmdebstrap", "--unshare-helper",
                              "find",       scratch,
                              "-xdev",      "-depth",
                              "-mindepth",  "1",
                              "(",          "-path",
                              below,        "-delete",
                              ")",          "-o",
                              "-type",      "d",
                              "-exec",      "chmod",
                              "0755",       "{}",
                              "+",          NULL};
        struct image_tool t = {.name = "mmdebstrap", .package = "mmdebstrap", .argv = argv};
        if (image_progress_new("image", &p, NULL) >= 0)
                image_tool_run(p, &t, NULL);
        image_progress_free(p);
        fs_remove_tree(scratch, NULL);
}

static void remove_work(const char *path)
{
        AUTO(auto_free) char *link = fs_join(path, SCRATCH_LINK);
        char scratch[4096];
        ssize_t n = link ? readlink(link, scratch, sizeof(scratch) - 1) : -1;
        if (n > 0) {
                scratch[n] = 0;
                /* Only what image_work_begin() makes: the link is in our own folder, and still it is not a licence. */
                if (str_starts(scratch, "/var/tmp/devdep-image-") && !strchr(scratch + strlen("/var/tmp/"), '/')) {
                        remove_scratch(scratch);
                        /* What a killed build started may write until its next line of output finds nobody; the next
                         * build tries again. */
                        if (fs_exists(scratch))
                                return;
                }
        }
        fs_remove_tree(path, NULL);
}

static int remove_stale(const char *name, void *user, struct err *e)
{
        (void)e;
        const struct image_work *w = user;
        if (!str_starts(name, TMP_PREFIX))
                return 0;
        AUTO(auto_free) char *path = fs_join(w->store->images, name);
        if (path)
                remove_work(path);
        return 0;
}

static int take_lock(struct image_work *w, struct err *e)
{
        AUTO(auto_free) char *path = fs_join(w->store->images, ".lock");
        if (!path)
                return err_nomem(e);
        int r = fs_lock(path, false, &w->lock, e);
        if (r == FS_E_LOCKED)
                image_progress_stage(w->progress, "another build works in %s, waiting for it", w->store->images);
        while (r == FS_E_LOCKED) {
                r = image_progress_sleep(w->progress, LOCK_POLL_MS, e);
                if (r >= 0)
                        r = image_progress_tick(w->progress, e);
                if (r >= 0)
                        r = fs_lock(path, false, &w->lock, e);
        }
        return r;
}

static int make_scratch(struct image_work *w, struct err *e)
{
        if (geteuid() == 0) {
                w->scratch = image_work_path(w, "work");
                if (!w->scratch)
                        return err_nomem(e);
                return fs_mkdirs(w->scratch, 0755, e);
        }
        char template[64];
        snprintf(template, sizeof(template), "/var/tmp/devdep-image-%u-XXXXXX", (unsigned)geteuid());
        if (!mkdtemp(template))
                return err_errno(e, ERR_RESOURCES, errno, "make a folder in /var/tmp");
        w->scratch = str_dup(template);
        AUTO(auto_free) char *link = image_work_path(w, SCRATCH_LINK);
        if (!w->scratch || !link)
                return err_nomem(e);
        /* The ids of a user namespace must pass through it. */
        if (chmod(template, 0711) < 0 || symlink(template, link) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "prepare %s", template);
        return 0;
}

int image_work_begin(struct image_work *w, const struct image_store *s, const char *name, struct err *e)
{
        w->store = s;
        int r = image_progress_new("image", &w->progress, e);
        if (r >= 0)
                r = fs_mkdirs(s->images, 0755, e);
        if (r >= 0)
                r = take_lock(w, e);
        if (r >= 0)
                r = fs_list(s->images, remove_stale, w, e);
        if (r < 0)
                return r;
        w->path = str_printf("%s/" TMP_PREFIX "%s-XXXXXX", s->images, name);
        if (!w->path)
                return err_nomem(e);
        if (!mkdtemp(w->path)) {
                r = err_errno(e, ERR_RESOURCES, errno, "make a folder in %s", s->images);
                free(w->path);
                w->path = NULL;
                return r;
        }
        w->dir = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        /* 0755 from here on: nothing in it is secret, and apt's own user must pass as root. */
        if (w->dir < 0 || fchmod(w->dir, 0755) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "open %s", w->path);
        return make_scratch(w, e);
}

void image_work_done(struct image_work *w)
{
        if (w->path)
                remove_work(w->path);
        if (w->scratch)
                remove_scratch(w->scratch);
        image_progress_free(w->progress);
        fd_close(w->dir);
        fd_close(w->lock);
        free(w->path);
        free(w->scratch);
        *w = (struct image_work)IMAGE_WORK_INIT;
}

/* "Root hash:      \t64 digits" in veritysetup's output. */
static int parse_root_hash(struct buf *out, uint8_t ret[IMAGE_SHA256], struct err *e)
{
        const char *text = buf_cstr(out), *at = text ? strstr(text, "Root hash:") : NULL;
        char hex[IMAGE_HEX_SHA256] = "";
        if (at) {
                at += strlen("Root hash:");
                at += strspn(at, " \t");
                str_copy(hex, sizeof(hex), at);
        }
        if (num_hex(hex, ret, IMAGE_SHA256, "root hash", NULL) < 0)
                return err_set(e, ERR_RESOURCES, "veritysetup format printed no root hash");
        return 0;
}

int image_work_verity(struct image_work *w, struct image_manifest *m, struct err *e)
{
        AUTO(auto_free) char *path = image_work_path(w, "root.img");
        struct stat st;
        if (!path)
                return err_nomem(e);
        if (stat(path, &st) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "%s", path);
        if (st.st_size <= 0 || st.st_size % IMAGE_BLOCK)
                return err_set(e, ERR_RESOURCES, "%s: expected whole blocks of %u bytes, found %lld bytes", path,
                               IMAGE_BLOCK, (long long)st.st_size);
        m->data_blocks = (uint64_t)st.st_size / IMAGE_BLOCK;
        m->root_size = (m->data_blocks + image_tree_blocks(m->data_blocks)) * IMAGE_BLOCK;
        char salt[IMAGE_HEX_SHA256], salt_arg[80], offset[48], blocks[48];
        secret_random(m->verity_salt, sizeof(m->verity_salt));
        num_to_hex(m->verity_salt, IMAGE_SHA256, salt);
        snprintf(salt_arg, sizeof(salt_arg), "--salt=%s", salt);
        snprintf(offset, sizeof(offset), "--hash-offset=%llu", (unsigned long long)st.st_size);
        snprintf(blocks, sizeof(blocks), "--data-blocks=%llu", (unsigned long long)m->data_blocks);
        const char *argv[] = {"veritysetup",
                              "format",
                              "--no-superblock",
                              "--format=1",
                              "--hash=sha256",
                              "--data-block-size=4096",
                              "--hash-block-size=4096",
                              offset,
                              blocks,
                              salt_arg,
                              path,
                              path,
                              NULL};
        AUTO(buf_done) struct buf out = BUF_INIT;
        struct image_tool t = {.name = "veritysetup", .package = "cryptsetup-bin", .argv = argv, .out = &out};
        image_progress_stage(w->progress, "making the hash tree");
        int r = image_tool_run(w->progress, &t, e);
        if (r >= 0)
                r = parse_root_hash(&out, m->verity_root, e);
        if (r < 0)
                return r;
        if (stat(path, &st) < 0 || (uint64_t)st.st_size != m->root_size)
                return err_set(e, ERR_RESOURCES, "%s: expected %llu bytes with its hash tree, found %lld", path,
                               (unsigned long long)m->root_size, (long long)st.st_size);
        return 0;
}

/* A line of `order`: NAME.ko, or ?NAME.ko for one that the guest can do without (docs/guest-boot.md). */
static int add_module(struct cpio *c, const char *folder, const char *line, struct err *e)
{
        const char *name = line + (*line == '?');
        AUTO(auto_free) char *path = fs_join(folder, name), *entry = str_printf("modules/%s", name);
        AUTO(buf_done) struct buf data = BUF_INIT_MAX(CPIO_MAX_FILE);
        if (!path || !entry)
                return err_nomem(e);
        if (!str_is_name(name, 63) || !str_ends(name, ".ko"))
                return err_set(e, ERR_RESOURCES, "%s/order: '%.80s' is no module", folder, line);
        int r = fs_read(path, CPIO_MAX_FILE, &data, e);
        if (r == FS_E_MISSING)
                return err_set(e, ERR_RESOURCES, "%s is missing", path);
        /* Without its signature: the measurement covers the module, and an emulated guest spends a tenth of its boot on
         * checking a score of signatures. */
        return r < 0 ? r : cpio_file(c, entry, 0644, data.data, kmodule_unsigned_size(data.data, data.len), e);
}

int image_work_modules(struct image_work *w, const char *folder, const char *archive, struct err *e)
{
        (void)w;
        AUTO(auto_free) char *order_path = fs_join(folder, "order"), *lines = NULL;
        AUTO(buf_done) struct buf order = BUF_INIT_MAX(MAX_ORDER), out = BUF_INIT_MAX(IMAGE_MAX_INITRAMFS);
        struct cpio c = {.out = &out, .ino = 1};
        if (!order_path)
                return err_nomem(e);
        int r = fs_read(order_path, MAX_ORDER, &order, e);
        if (r == FS_E_MISSING)
                return err_set(e, ERR_RESOURCES, "%s is missing", order_path);
        if (r >= 0)
                r = cpio_folder(&c, "modules", 0755, e);
        if (r >= 0)
                r = cpio_file(&c, "modules/order", 0644, order.data, order.len, e);
        lines = r < 0 ? NULL : buf_take_str(&order);
        for (char *at = lines; r >= 0 && at && *at;) {
                char *end = strchr(at, '\n');
                if (end)
                        *end = 0;
                if (*at)
                        r = add_module(&c, folder, at, e);
                at = end ? end + 1 : NULL;
        }
        if (r >= 0)
                r = cpio_end(&c, e);
        return r < 0 ? r : fs_write_atomic(archive, out.data, out.len, 0644, e);
}

static int agent_archive(const struct buf *agent, struct buf *ret, struct err *e)
{
        struct cpio c = {.out = ret, .ino = 1};
        static const char *const folders[] = {"dev", "proc", "sys", "run", "newroot"};
        int r = 0;
        for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(folders); i++)
                r = cpio_folder(&c, folders[i], 0755, e);
        if (r >= 0)
                r = cpio_char_device(&c, "dev/console", 0600, 5, 1, e);
        if (r >= 0)
                r = cpio_file(&c, "init", 0755, agent->data, agent->len, e);
        return r < 0 ? r : cpio_end(&c, e);
}

int image_work_initramfs(struct image_work *w, int modules_fd, uint64_t modules_size, const char *agent,
                         struct image_manifest *m, struct err *e)
{
        AUTO(buf_done) struct buf program = BUF_INIT_MAX(CPIO_MAX_FILE), archive = BUF_INIT_MAX(IMAGE_MAX_INITRAMFS);
        int r = fs_read(agent, CPIO_MAX_FILE, &program, e);
        if (r == FS_E_MISSING)
                return err_set(e, ERR_RESOURCES, "there is no %s: build this project first", agent);
        if (r >= 0)
                r = hash_bytes(program.data, program.len, m->agent_sha256, e);
        if (r >= 0)
                r = agent_archive(&program, &archive, e);
        if (r < 0)
                return r;
        AUTO(auto_close) int fd = openat(w->dir, "initramfs", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd < 0)
                return err_errno(e, ERR_RESOURCES, errno, "make %s/initramfs", w->path);
        uint8_t ignored[IMAGE_SHA256];
        r = image_file_copy(modules_fd, fd, modules_size, "the modules' archive", NULL, NULL, ignored, e);
        if (r >= 0)
                r = fd_write_all(fd, archive.data, archive.len, "initramfs", e);
        m->modules_size = modules_size;
        m->initramfs_size = modules_size + archive.len;
        return r < 0 ? r : image_file_hash(fd, m->initramfs_size, "initramfs", NULL, NULL, m->initramfs_sha256, e);
}

static int hash_file(struct image_work *w, const char *name, uint64_t *ret_size, uint8_t ret[IMAGE_SHA256],
                     struct err *e)
{
        AUTO(auto_close) int fd = -1;
        int r = image_file_open(w->dir, name, w->path, &fd, ret_size, e);
        return r < 0 ? r : image_file_hash(fd, *ret_size, name, image_progress_hash_tick, w->progress, ret, e);
}

static int write_manifest(struct image_work *w, struct image_manifest *m, struct err *e)
{
        AUTO(key_freep) struct key *k = NULL;
        AUTO(buf_done) struct buf json = BUF_INIT, sig = BUF_INIT;
        AUTO(auto_free) char *json_path = image_work_path(w, "manifest.json");
        AUTO(auto_free) char *sig_path = image_work_path(w, "manifest.sig");
        if (!json_path || !sig_path)
                return err_nomem(e);
        clock_iso(clock_real_ms(), m->created);
        int r = image_manifest_seal(m, e);
        if (r >= 0)
                r = image_manifest_write(m, &json, e);
        if (r >= 0)
                r = trust_own_key(w->store->keys, &k, e);
        if (r >= 0)
                r = signature_make(k, KEY_DOMAIN_MANIFEST, json.data, json.len, &sig, e);
        if (r >= 0)
                r = fs_write_atomic(json_path, json.data, json.len, 0644, e);
        return r < 0 ? r : fs_write_atomic(sig_path, sig.data, sig.len, 0644, e);
}

/* Everything but the five files goes; they are synced and no longer writable by others. */
static int settle(const char *name, void *user, struct err *e)
{
        static const char *const files[] = {"manifest.json", "manifest.sig", "kernel", "initramfs", "root.img"};
        struct image_work *w = user;
        bool keep = false;
        for (size_t i = 0; i < ARRAY_SIZE(files); i++)
                keep |= str_eq(name, files[i]);
        if (!keep) {
                AUTO(auto_free) char *path = image_work_path(w, name);
                return path ? fs_remove_tree(path, e) : err_nomem(e);
        }
        int r = image_progress_tick(w->progress, e);
        if (r < 0)
                return r;
        AUTO(auto_close) int fd = openat(w->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 || fchmod(fd, 0644) < 0 || fsync(fd) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "write %s/%s", w->path, name);
        return 0;
}

/* Put the folder in the place of its name; an older image is exchanged, so the name is never missing. */
static int move_in_place(struct image_work *w, const char *name, struct err *e)
{
        AUTO(auto_free) char *target = fs_join(w->store->images, name);
        if (!target)
                return err_nomem(e);
        if (renameat2(AT_FDCWD, w->path, AT_FDCWD, target, RENAME_EXCHANGE) < 0) {
                if (errno != ENOENT || rename(w->path, target) < 0)
                        return err_errno(e, ERR_RESOURCES, errno, "put image %s in place", target);
                free(w->path);
                w->path = NULL;
        }
        /* After an exchange w->path is the older image, and image_work_done() removes it. */
        AUTO(auto_close) int fd = open(w->store->images, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fsync(fd) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "write %s", w->store->images);
        return 0;
}

int image_work_publish(struct image_work *w, struct image_manifest *m, bool root_is_hashed, struct err *e)
{
        uint64_t size;
        image_progress_stage(w->progress, "hashing and signing");
        int r = hash_file(w, "kernel", &m->kernel_size, m->kernel_sha256, e);
        if (r >= 0 && !root_is_hashed)
                r = hash_file(w, "root.img", &size, m->root_sha256, e);
        if (r >= 0)
                r = write_manifest(w, m, e);
        if (r >= 0) {
                /* The link goes too, and with it what a killed build could be cleaned up by: first the scratch. */
                remove_scratch(w->scratch);
                image_progress_stage(w->progress, "writing to disk");
                r = fs_list(w->path, settle, w, e);
        }
        if (r >= 0 && fsync(w->dir) < 0)
                r = err_errno(e, ERR_RESOURCES, errno, "write %s", w->path);
        return r < 0 ? r : move_in_place(w, m->name, e);
}
