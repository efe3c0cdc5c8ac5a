#include "vm/image.h"

#include <errno.h>
#include <fcntl.h>
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
#include "sandbox/sandbox.h"
#include "trust/signature.h"
#include "vm/image_file.h"

CLEANUP_DEFINE(struct image, image_free)
CLEANUP_DEFINE(struct trust, trust_free)

static char *default_state(void)
{
        const char *set = getenv("DEVDEP_STATE");
        if (set && *set)
                return str_dup(set);
        if (geteuid() == 0)
                return str_dup("/var/lib/devdep");
        const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
        if (xdg && *xdg == '/')
                return str_printf("%s/devdep", xdg);
        return str_printf("%s/.local/state/devdep", home && *home ? home : "");
}

/* Whoever can write there can put a link in the place of a slot, and has what it leads to cleaned away, given to
 * another user or opened to others, with our rights. */
static int check_owner(const char *state, struct err *e)
{
        struct stat st;

        if (stat(state, &st) < 0)
                return errno == ENOENT ? 0 : err_errno(e, ERR_RESOURCES, errno, "look at %s", state);
        if (st.st_uid != geteuid() && st.st_uid != 0)
                return err_set(e, ERR_RESOURCES,
                               "the state folder %s belongs to user %u, not to you or root; it is not used: set "
                               "DEVDEP_STATE to a folder of your own",
                               state, (unsigned)st.st_uid);
        if (st.st_mode & (S_IWGRP | S_IWOTH))
                return err_set(e, ERR_RESOURCES,
                               "the state folder %s can be written by others; it is not used: 'chmod go-w %s'", state,
                               state);
        return 0;
}

int image_store_init(struct image_store *ret, const char *state, struct err *e)
{
        struct image_store s = IMAGE_STORE_INIT;
        s.state = state ? str_dup(state) : default_state();
        if (s.state && *s.state != '/') {
                /* A relative path would mean another folder to a tool that runs elsewhere. */
                char *cwd = getcwd(NULL, 0), *absolute = cwd ? fs_join(cwd, s.state) : NULL;
                free(cwd);
                free(s.state);
                s.state = absolute;
        }
        s.images = s.state ? fs_join(s.state, "images") : NULL;
        s.keys = s.state ? fs_join(s.state, "keys") : NULL;
        if (!s.images || !s.keys) {
                image_store_done(&s);
                return err_nomem(e);
        }
        if (check_owner(s.state, e) < 0) {
                image_store_done(&s);
                return -1;
        }
        *ret = s;
        return 0;
}

void image_store_done(struct image_store *s)
{
        free(s->state);
        free(s->images);
        free(s->keys);
        *s = (struct image_store)IMAGE_STORE_INIT;
}

struct image *image_free(struct image *im)
{
        if (!im)
                return NULL;
        image_manifest_done(&im->manifest);
        fd_close(im->kernel_fd);
        fd_close(im->initramfs_fd);
        fd_close(im->root_fd);
        free(im->path);
        free(im);
        return NULL;
}

const char *image_cmdline(const struct image *im, enum vm_accel accel)
{
        return im->manifest.cmdline[accel];
}

static void ref_text(const uint8_t digest[IMAGE_SHA256], char ret[IMAGE_REF_SIZE])
{
        memcpy(ret, "sha256:", 7);
        num_to_hex(digest, IMAGE_SHA256, ret + 7);
}

void image_measurement(const struct image *im, enum vm_accel accel, char ret[IMAGE_REF_SIZE])
{
        ref_text(im->manifest.measurement[accel], ret);
}

/* Split "NAME@sha256:..." ; *ret_digest is "" when only the name was given. */
static int parse_ref(const char *ref, char ret_name[IMAGE_MAX_NAME + 1], char ret_digest[IMAGE_REF_SIZE], struct err *e)
{
        const char *at = strchr(ref, '@');
        size_t n = at ? (size_t)(at - ref) : strlen(ref);
        uint8_t digest[IMAGE_SHA256];
        ret_digest[0] = 0;
        if (n > IMAGE_MAX_NAME)
                goto bad;
        memcpy(ret_name, ref, n);
        ret_name[n] = 0;
        if (!str_is_name(ret_name, IMAGE_MAX_NAME))
                goto bad;
        if (!at)
                return 0;
        if (!str_starts(at, "@sha256:") || num_hex(at + 8, digest, sizeof(digest), "digest", NULL) < 0)
                goto bad;
        ref_text(digest, ret_digest);
        return 0;
bad:
        return err_set(e, ERR_USAGE,
                       "image '%.80s': expected NAME or NAME@sha256:DIGEST (a name is 1 to 64 of [A-Za-z0-9._-])", ref);
}

/* The folder of an image: in our store, else in the system's. */
static int find_folder(const struct image_store *s, const char *name, char **ret_path, int *ret_fd, struct err *e)
{
        const char *stores[] = {s->images, IMAGE_SYSTEM_STORE};
        for (size_t i = 0; i < ARRAY_SIZE(stores); i++) {
                AUTO(auto_free) char *path = fs_join(stores[i], name);
                if (!path)
                        return err_nomem(e);
                int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
                if (fd >= 0) {
                        *ret_fd = fd;
                        *ret_path = TAKE_PTR(path);
                        return 0;
                }
                if (errno != ENOENT)
                        return err_errno(e, ERR_IMAGE_REFUSED, errno, "image folder %s", path);
        }
        bool same = str_eq(s->images, IMAGE_SYSTEM_STORE);
        return err_set(e, ERR_NO_RUNNER, "there is no image '%s' in %s%s%s; make it: devdep-cli image build %s", name,
                       s->images, same ? "" : " or ", same ? "" : IMAGE_SYSTEM_STORE, name);
}

static int read_small(int dir, const char *folder, const char *name, size_t max, struct buf *ret, struct err *e)
{
        AUTO(auto_close) int fd = -1;
        uint64_t size;
        int r = image_file_open(dir, name, folder, &fd, &size, e);
        if (r < 0)
                return r;
        if (size > max)
                return err_set(e, ERR_IMAGE_REFUSED, "%s/%s: at most %zu bytes, found %llu", folder, name, max,
                               (unsigned long long)size);
        return fd_read_all(fd, max, name, ret, e);
}

/* Manifest and signature; afterwards im->manifest can be believed. */
static int open_manifest(const struct trust *t, int dir, const char *digest, struct image *im, struct err *e)
{
        AUTO(buf_done) struct buf json = BUF_INIT_MAX(IMAGE_MAX_MANIFEST), sig = BUF_INIT_MAX(KEY_MAX_FILE);
        AUTO(auto_free) char *what = fs_join(im->path, "manifest.json");
        AUTO(auto_free) char *sig_what = fs_join(im->path, "manifest.sig");
        uint8_t found[IMAGE_SHA256];
        if (!what || !sig_what)
                return err_nomem(e);
        int r = read_small(dir, im->path, "manifest.json", IMAGE_MAX_MANIFEST, &json, e);
        if (r >= 0)
                r = read_small(dir, im->path, "manifest.sig", KEY_MAX_FILE, &sig, e);
        if (r >= 0)
                r = trust_check(t, KEY_DOMAIN_MANIFEST, json.data, json.len, sig.data, sig.len, sig_what, im->signer,
                                e);
        if (r >= 0)
                r = hash_bytes(json.data, json.len, found, e);
        if (r < 0)
                return r;
        ref_text(found, im->digest);
        if (*digest && !str_eq(digest, im->digest))
                return err_set(e, ERR_IMAGE_REFUSED, "image %s: asked for %s, found %s", im->name, digest, im->digest);
        r = image_manifest_parse(json.data, json.len, what, &im->manifest, e);
        if (r >= 0 && !str_eq(im->manifest.name, im->name))
                return err_set(e, ERR_IMAGE_REFUSED, "%s is signed as image '%s', not as '%s'", what, im->manifest.name,
                               im->name);
        return r;
}

static int digest_differs(struct err *e, const char *folder, const char *name)
{
        return err_set(e, ERR_IMAGE_REFUSED,
                       "%s/%s: its digest is not the one of the signed manifest: the file was changed or is damaged",
                       folder, name);
}

/* A file of the image as a sealed memfd whose bytes have the manifest's digest. */
static int open_sealed(int dir, const char *folder, const char *name, uint64_t size, const uint8_t want[IMAGE_SHA256],
                       int *ret, struct err *e)
{
        AUTO(auto_close) int fd = -1, mem = -1;
        uint64_t found;
        uint8_t digest[IMAGE_SHA256];
        int r = image_file_open(dir, name, folder, &fd, &found, e);
        if (r < 0)
                return r;
        if (found != size)
                return err_set(e, ERR_IMAGE_REFUSED, "%s/%s: expected %llu bytes, found %llu", folder, name,
                               (unsigned long long)size, (unsigned long long)found);
        r = fd_memfd(name, &mem, e);
        if (r >= 0)
                r = image_file_copy(fd, mem, size, name, NULL, NULL, digest, e);
        if (r >= 0 && !secret_equal(digest, want, IMAGE_SHA256))
                r = digest_differs(e, folder, name);
        if (r >= 0)
                r = fd_seal(mem, e);
        if (r < 0)
                return r;
        if (lseek(mem, 0, SEEK_SET) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "%s/%s", folder, name);
        *ret = TAKE_FD(mem);
        return 0;
}

/* Through a read-only mount: whoever gets the descriptor can not turn it into one for writing, the file's owner
 * included. */
static int open_root(struct image *im, struct err *e)
{
        AUTO(auto_free) char *path = fs_join(im->path, "root.img");
        struct stat st;
        if (!path)
                return err_nomem(e);
        int r = sandbox_open_readonly(path, &im->root_fd, NULL, e);
        if (r < 0) {
                if (e)
                        e->code = ERR_IMAGE_REFUSED;
                return r;
        }
        if (fstat(im->root_fd, &st) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "%s", path);
        if ((uint64_t)st.st_size != im->manifest.root_size)
                return err_set(e, ERR_IMAGE_REFUSED, "%s: expected %llu bytes, found %llu", path,
                               (unsigned long long)im->manifest.root_size, (unsigned long long)st.st_size);
        return 0;
}

static int open_files(int dir, struct image *im, struct err *e)
{
        const struct image_manifest *m = &im->manifest;
        int r = open_sealed(dir, im->path, "kernel", m->kernel_size, m->kernel_sha256, &im->kernel_fd, e);
        if (r >= 0)
                r = open_sealed(dir, im->path, "initramfs", m->initramfs_size, m->initramfs_sha256, &im->initramfs_fd,
                                e);
        return r < 0 ? r : open_root(im, e);
}

int image_open(const struct image_store *s, const char *ref, struct image **ret, struct err *e)
{
        AUTO(image_freep) struct image *im = calloc(1, sizeof(*im));
        AUTO(trust_freep) struct trust *t = NULL;
        AUTO(auto_close) int dir = -1;
        char digest[IMAGE_REF_SIZE];
        if (!im)
                return err_nomem(e);
        im->kernel_fd = im->initramfs_fd = im->root_fd = -1;
        int r = parse_ref(ref, im->name, digest, e);
        if (r >= 0)
                r = find_folder(s, im->name, &im->path, &dir, e);
        if (r >= 0)
                r = trust_open(s->keys, &t, e);
        if (r >= 0)
                r = open_manifest(t, dir, digest, im, e);
        if (r >= 0)
                r = open_files(dir, im, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(im);
        return 0;
}
