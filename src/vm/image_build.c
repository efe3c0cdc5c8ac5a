#include "vm/image_build.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/secret.h"
#include "codec/hash.h"
#include "loop/spawn.h"
#include "vm/image_file.h"
#include "vm/image_sources.h"
#include "vm/image_work.h"

#define KERNEL_PACKAGE "linux-image-cloud-amd64"
/* docs/guest-boot.md: what devdep-guest loads; "?" marks what it can do without. */
#define MODULES                                                                                                        \
        "?crc32c-intel ?sha256-ssse3 ?aesni-intel virtio_mmio virtio_console virtio_blk dm-verity dm-crypt xts ecb "   \
        "overlay tun "                                                                                                 \
        "?vmw_vsock_virtio_transport"
#define MIN_FREE (3ull << 30) /* bytes; packages, tree and file system of the largest image that we ship */
#define HOOK_OUT_FD 3
#define MAX_HOOK 65536u

/* Packages without which the tree is no guest, whatever the definition says: modprobe and depmod. */
static const char *const always[] = {"kmod"};
/* What no build needs; copyright files stay. */
static const char *const left_out[] = {
        "path-exclude=/usr/share/doc/*",           "path-include=/usr/share/doc/*/copyright",
        "path-exclude=/usr/share/man/*",           "path-exclude=/usr/share/info/*",
        "path-exclude=/usr/share/locale/*",        "path-exclude=/usr/share/lintian/*",
        "path-exclude=/usr/share/bug/*",           "path-exclude=/usr/bin/*lto-dump*",
        "path-exclude=/usr/share/nodejs/@types/*",
};

CLEANUP_DEFINE(struct image, image_free)

/* Building. */

static int check_host(const struct image_store *s, struct err *e)
{
        static const struct {
                const char *program, *package;
        } needed[] = {{"mmdebstrap", "mmdebstrap"},
                      {"mke2fs", "e2fsprogs"},

                      {"tar", "tar"},
                      {"zstd", "zstd"},
                      {"veritysetup", "cryptsetup-bin"},
                      {"apt-config", "apt"},
                      {"unshare", "util-linux"},
                      {"newuidmap", "uidmap"}};
        for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
                if (geteuid() == 0 && str_eq(needed[i].package, "uidmap"))
                        continue;
                int r = image_tool_find(needed[i].program, needed[i].package, NULL, e);
                if (r < 0)
                        return r;
        }
        uint64_t available = 0;
        int r = fs_free_space(s->images, &available, e);
        if (r >= 0 && available < MIN_FREE)
                return err_set(e, ERR_RESOURCES,
                               "%s: an image needs 3 GiB of free space while it is made, found %llu MiB", s->images,
                               (unsigned long long)(available >> 20));
        return r;
}

/* The host's settings of how apt fetches: proxies, time-outs, dates. Lines of `apt-config dump` are settings again. */
static int host_apt_options(struct image_progress *p, struct strv *ret, struct err *e)
{
        static const char *const kept[] = {"Acquire::http::",
                                           "Acquire::https::",
                                           "Acquire::ForceIPv",
                                           "Acquire::Retries ",
                                           "Acquire::Check-Valid-Until ",
                                           "Acquire::Check-Date "};
        const char *argv[] = {"apt-config", "dump", "Acquire", NULL};
        AUTO(buf_done) struct buf out = BUF_INIT;
        struct image_tool t = {.name = "apt-config", .package = "apt", .argv = argv, .out = &out};
        int r = image_tool_run(p, &t, e);
        char *at = r < 0 ? NULL : (char *)(void *)(buf_cstr(&out) ? out.data : NULL);
        while (r >= 0 && at && *at) {
                char *line = at, *end = strchr(at, '\n');
                at = end ? end + 1 : NULL;
                if (end)
                        *end = 0;
                for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(kept); i++)
                        if (str_starts(line, kept[i]) && !strstr(line, ":: \""))
                                r = strv_addf(ret, e, "--aptopt=%s", line);
        }
        return r;
}

static int write_sources(const struct image_work *w, const char *suite, char **ret, struct err *e)
{
        AUTO(image_sources_done) struct image_sources s = IMAGE_SOURCES_INIT;
        AUTO(buf_done) struct buf text = BUF_INIT;
        AUTO(auto_free) char *path = fs_join(w->scratch, "debian.sources");
        if (!path)
                return err_nomem(e);
        int r = image_sources_read("/etc/apt", &s, e);
        if (r >= 0)
                r = image_sources_write(&s, suite, &text, e);
        if (r >= 0)
                r = fs_write_atomic(path, text.data, text.len, 0644, e);
        if (r >= 0)
                *ret = TAKE_PTR(path);
        return r;
}

static int join_packages(const struct image_conf *c, struct buf *ret, struct err *e)
{
        int r = buf_append_str(ret, "--include=", e);
        for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(always); i++)
                r = buf_printf(ret, e, "%s%s", i ? "," : "", always[i]);
        for (size_t i = 0; r >= 0 && i < c->packages.n; i++)
                r = buf_printf(ret, e, ",%s", c->packages.v[i]);
        return r;
}

static int mmdebstrap_args(const struct image_build *b, struct image_work *w, struct strv *ret, struct err *e)
{
        AUTO(auto_free) char *sources = NULL, *folder = NULL;
        AUTO(buf_done) struct buf include = BUF_INIT;
        int r = image_conf_folder(&folder, e);
        if (r >= 0)
                r = write_sources(w, b->conf->suite, &sources, e);
        if (r >= 0)
                r = join_packages(b->conf, &include, e);
        const char *packages = r < 0 ? NULL : buf_cstr(&include);
        /* Root's mmdebstrap mounts in the namespace it is in. In one of its own, with processes of its own, its end is
         * the end of all that it started and mounted, however it ends. */
        static const char *const root_only[] = {"unshare",      "--mount",    "--pid",      "--fork",
                                                "--kill-child", "mmdebstrap", "--mode=root"};
        static const char *const user_only[] = {"mmdebstrap", "--mode=unshare"};
        bool root = geteuid() == 0;
        const char *const *first = root ? root_only : user_only;
        for (size_t i = 0; r >= 0 && i < (root ? ARRAY_SIZE(root_only) : ARRAY_SIZE(user_only)); i++)
                r = strv_add(ret, first[i], e);
        const char *fixed[] = {"--variant=minbase", "--format=null", "--skip=cleanup",
                               "--aptopt=APT::Sandbox::User \"root\"", packages};
        for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(fixed); i++)
                r = strv_add(ret, fixed[i], e);
        for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(left_out); i++)
                r = strv_addf(ret, e, "--dpkgopt=%s", left_out[i]);
        if (r >= 0)
                r = host_apt_options(w->progress, ret, e);
        /* mmdebstrap gives the hook to a shell: the path goes through a variable, so that no character of it is
         * special. */
        if (r >= 0)
                r = strv_add(ret, "--customize-hook=sh \"$DEVDEP_HOOK\" \"$1\"", e);
        if (r >= 0)
                r = strv_add(ret, b->conf->suite, e);
        if (r >= 0)
                r = strv_add(ret, "-", e);
        return r < 0 ? r : strv_add(ret, sources, e);
}

/* The hook runs under another id in a user namespace: it may write into these three files and nothing else. */
static int make_hook_files(const struct image_work *w, struct err *e)
{
        static const char *const files[] = {"root.img", "kernel", "modules.tar"};
        for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
                AUTO(auto_close) int fd = openat(w->dir, files[i], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
                if (fd < 0 || fchmod(fd, geteuid() == 0 ? 0600 : 0666) < 0)
                        return err_errno(e, ERR_RESOURCES, errno, "make %s/%s", w->path, files[i]);
        }
        return 0;
}

/* The script is read by a shell in the user namespace, which may not pass through the user's folders: it gets a copy.
 */
static int copy_hook(const struct image_work *w, char **ret, struct err *e)
{
        AUTO(auto_free) char *folder = NULL, *from = NULL, *to = fs_join(w->scratch, "customize.sh");
        AUTO(buf_done) struct buf text = BUF_INIT_MAX(MAX_HOOK);
        int r = image_conf_folder(&folder, e);
        from = r < 0 ? NULL : fs_join(folder, "customize.sh");
        if (r >= 0 && (!from || !to))
                r = err_nomem(e);
        if (r >= 0)
                r = fs_read(from, MAX_HOOK, &text, e);
        if (r >= 0)
                r = fs_write_atomic(to, text.data, text.len, 0755, e);
        if (r >= 0)
                *ret = TAKE_PTR(to);
        return r;
}

static int make_tree(const struct image_build *b, struct image_work *w, struct err *e)
{
        AUTO(strv_done) struct strv argv = STRV_INIT, env = STRV_INIT;
        AUTO(auto_free) char *hook = NULL;
        image_progress_stage(w->progress, "preparing Debian %s with %zu packages and what they need", b->conf->suite,
                             b->conf->packages.n);
        int r = make_hook_files(w, e);
        if (r >= 0)
                r = copy_hook(w, &hook, e);
        if (r >= 0)
                r = mmdebstrap_args(b, w, &argv, e);
        if (r >= 0)
                r = strv_addf(&env, e, "TMPDIR=%s", w->scratch);
        if (r >= 0)
                r = strv_addf(&env, e, "DEVDEP_HOOK=%s", hook);
        if (r >= 0)
                r = strv_addf(&env, e, "DEVDEP_OUT_FD=%d", HOOK_OUT_FD);
        if (r >= 0)
                r = strv_add(&env, "DEVDEP_KERNEL=" KERNEL_PACKAGE, e);
        if (r >= 0)
                r = strv_addf(&env, e, "DEVDEP_SUITE=%s", b->conf->suite);
        if (r >= 0)
                r = strv_add(&env, "DEVDEP_MODULES=" MODULES, e);
        if (r < 0)
                return r;
        struct spawn_fd fds[] = {{w->dir, HOOK_OUT_FD}};
        struct image_tool t = {.name = argv.v[0],
                               .package = "mmdebstrap",
                               .argv = (const char *const *)argv.v,
                               .env = (const char *const *)env.v,
                               .fds = fds,
                               .n_fds = 1};
        return image_tool_run(w->progress, &t, e);
}

/* modules.tar was written by our own script; it is unpacked as an ordinary file tree into the scratch folder. */
static int unpack_modules(struct image_work *w, char **ret_folder, struct err *e)
{
        AUTO(auto_free) char *tar = image_work_path(w, "modules.tar"), *folder = fs_join(w->scratch, "modules");
        if (!tar || !folder)
                return err_nomem(e);
        const char *argv[] = {"tar", "-x", "--no-same-owner", "-f", tar, "-C", w->scratch, "modules", NULL};
        struct image_tool t = {.name = "tar", .package = "tar", .argv = argv};
        int r = image_tool_run(w->progress, &t, e);
        if (r >= 0)
                *ret_folder = TAKE_PTR(folder);
        return r;
}

static int read_version(const char *folder, struct image_manifest *m, struct err *e)
{
        AUTO(auto_free) char *path = fs_join(folder, "version");
        AUTO(buf_done) struct buf text = BUF_INIT_MAX(sizeof(m->kernel_version));
        int r = path ? fs_read(path, sizeof(m->kernel_version), &text, e) : err_nomem(e);
        if (r != 0)
                return r == FS_E_MISSING ? err_set(e, ERR_RESOURCES, "%s is missing", path) : r;
        const char *s = buf_cstr(&text);
        if (!s)
                return err_nomem(e);
        m->kernel_version[0] = 0;
        strncat(m->kernel_version, s, strcspn(s, "\n"));
        return 0;
}

static int make_initramfs(const struct image_build *b, struct image_work *w, struct image_manifest *m, struct err *e)
{
        AUTO(auto_free) char *folder = NULL, *archive = fs_join(w->scratch, "modules.cpio");
        image_progress_stage(w->progress, "making the initramfs");
        int r = archive ? unpack_modules(w, &folder, e) : err_nomem(e);
        if (r >= 0)
                r = read_version(folder, m, e);
        if (r >= 0)
                r = image_work_modules(w, folder, archive, e);
        if (r < 0)
                return r;
        AUTO(auto_close) int fd = open(archive, O_RDONLY | O_CLOEXEC);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "%s", archive);
        return image_work_initramfs(w, fd, (uint64_t)st.st_size, b->agent, m, e);
}

/* What the image follows from, apart from the packages' versions and the agent. */
static int definition_of(const struct image_build *b, char ret[IMAGE_HEX_SHA256], struct err *e)
{
        AUTO(auto_free) char *folder = NULL, *path = NULL;
        AUTO(buf_done) struct buf all = BUF_INIT;
        uint8_t digest[IMAGE_SHA256];
        int r = image_conf_folder(&folder, e);
        path = r < 0 ? NULL : fs_join(folder, "customize.sh");
        if (r >= 0 && !path)
                r = err_nomem(e);
        if (r >= 0)
                r = buf_printf(&all, e, "devdep-image-definition-v2\n%s\n%s\n%s\n", b->conf->suite, KERNEL_PACKAGE,
                               MODULES);
        for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(left_out); i++)
                r = buf_printf(&all, e, "%s\n", left_out[i]);
        for (size_t i = 0; r >= 0 && i < b->conf->packages.n; i++)
                r = buf_printf(&all, e, "%s\n", b->conf->packages.v[i]);
        if (r >= 0)
                r = fs_read(path, MAX_HOOK, &all, e);
        if (r >= 0)
                r = hash_bytes(all.data, all.len, digest, e);
        if (r >= 0)
                num_to_hex(digest, IMAGE_SHA256, ret);
        return r;
}

static int build_all(const struct image_build *b, const char *definition, struct image_work *w, struct err *e)
{
        AUTO(image_manifest_done) struct image_manifest m = IMAGE_MANIFEST_INIT;
        str_copy(m.name, sizeof(m.name), b->name);
        str_copy(m.source, sizeof(m.source), "build");
        str_copy(m.suite, sizeof(m.suite), b->conf->suite);
        str_copy(m.definition, sizeof(m.definition), definition);
        int r = check_host(b->store, e);
        for (size_t i = 0; r >= 0 && i < b->conf->packages.n; i++)
                r = strv_add(&m.packages, b->conf->packages.v[i], e);
        if (r >= 0)
                r = make_tree(b, w, e);
        if (r >= 0)
                r = image_work_verity(w, &m, e);
        if (r >= 0)
                r = make_initramfs(b, w, &m, e);
        return r < 0 ? r : image_work_publish(w, &m, false, e);
}

/* Keeping what is there. */

static int agent_is_same(const struct image_build *b, const struct image *im, bool *ret, struct err *e)
{
        AUTO(auto_close) int fd = open(b->agent, O_RDONLY | O_CLOEXEC);
        struct stat st;
        uint8_t digest[IMAGE_SHA256];
        if (fd < 0 || fstat(fd, &st) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "%s", b->agent);
        int r = image_file_hash(fd, (uint64_t)st.st_size, b->agent, NULL, NULL, digest, e);
        *ret = r >= 0 && secret_equal(digest, im->manifest.agent_sha256, IMAGE_SHA256);
        return r;
}

/* The same file under another name: a hard link where that is possible, else a copy. */
static int take_over(struct image_work *w, const char *folder, const char *name, struct err *e)
{
        AUTO(auto_free) char *from = fs_join(folder, name), *to = image_work_path(w, name);
        if (!from || !to)
                return err_nomem(e);
        if (link(from, to) == 0)
                return 0;
        AUTO(auto_close) int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        AUTO(auto_close) int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        struct stat st;
        if (in < 0 || out < 0 || fstat(in, &st) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "copy %s", from);
        uint8_t ignored[IMAGE_SHA256];
        return image_file_copy(in, out, (uint64_t)st.st_size, from, image_progress_hash_tick, w->progress, ignored, e);
}

static int copy_manifest(const struct image_manifest *from, struct image_manifest *to, struct err *e)
{
        *to = *from;
        to->packages = (struct strv)STRV_INIT;
        memset(to->cmdline, 0, sizeof(to->cmdline));
        int r = 0;
        for (size_t i = 0; r >= 0 && i < from->packages.n; i++)
                r = strv_add(&to->packages, from->packages.v[i], e);
        return r;
}

/* Root and kernel of an image with another agent. No network, a tenth of a second. */
static int build_agent(const struct image_build *b, const struct image *im, struct image_work *w, struct err *e)
{
        AUTO(image_manifest_done) struct image_manifest m = IMAGE_MANIFEST_INIT;
        image_progress_stage(w->progress, "putting this devdep-guest in");
        int r = copy_manifest(&im->manifest, &m, e);
        if (r >= 0)
                r = take_over(w, im->path, "root.img", e);
        if (r >= 0)
                r = take_over(w, im->path, "kernel", e);
        if (r >= 0)
                r = image_work_initramfs(w, im->initramfs_fd, im->manifest.modules_size, b->agent, &m, e);
        return r < 0 ? r : image_work_publish(w, &m, true, e);
}

/* What has to be done, and the image that is there, if it is of use. */
static int decide(const struct image_build *b, const char *definition, enum image_built *ret, struct image **ret_image,
                  struct err *e)
{
        AUTO(image_freep) struct image *im = NULL;
        struct err why = ERR_INIT;
        bool same_agent = false;
        *ret = IMAGE_BUILT_ALL;
        /* An image that is refused is made again; its reason would be the reason of the run that finds it. */
        if (!b->if_missing || image_open(b->store, b->name, &im, &why) < 0 ||
            !str_eq(im->manifest.definition, definition))
                return 0;
        int r = agent_is_same(b, im, &same_agent, e);
        if (r < 0)
                return r;
        *ret = same_agent && image_manifest_is_current(&im->manifest) ? IMAGE_BUILT_NOTHING : IMAGE_BUILT_AGENT;
        *ret_image = TAKE_PTR(im);
        return 0;
}

int image_build(const struct image_build *b, enum image_built *ret, struct err *e)
{
        AUTO(image_work_done) struct image_work w = IMAGE_WORK_INIT;
        AUTO(image_freep) struct image *im = NULL;
        char definition[IMAGE_HEX_SHA256];
        /* First what needs no time to be found wrong. */
        if (access(b->agent, R_OK) < 0)
                return err_errno(e, ERR_USAGE, errno, "devdep-guest %s", b->agent);
        int r = definition_of(b, definition, e);
        if (r >= 0)
                r = decide(b, definition, ret, &im, e);
        if (r < 0 || *ret == IMAGE_BUILT_NOTHING)
                return r;
        r = image_work_begin(&w, b->store, b->name, e);
        /* Once more: another build may just have made it while this one waited for the lock. */
        if (r >= 0) {
                im = image_free(im);
                r = decide(b, definition, ret, &im, e);
        }
        if (r < 0 || *ret == IMAGE_BUILT_NOTHING)
                return r;
        return *ret == IMAGE_BUILT_AGENT ? build_agent(b, im, &w, e) : build_all(b, definition, &w, e);
}
