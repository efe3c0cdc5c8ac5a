/* Trusted folders: which keys count, and the installation's own key. */
#include "trust/signature.h"

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
#include "base/log.h"
#include "base/str.h"

struct trust {
        struct key **keys;
        size_t n;
};

CLEANUP_DEFINE(struct trust, trust_free)
CLEANUP_DEFINE(struct key, key_free)

struct trust *trust_free(struct trust *t)
{
        if (!t)
                return NULL;
        for (size_t i = 0; i < t->n; i++)
                key_free(t->keys[i]);
        free(t->keys);
        free(t);
        return NULL;
}

size_t trust_count(const struct trust *t)
{
        return t->n;
}

static const struct key *trust_find(const struct trust *t, const char *id)
{
        for (size_t i = 0; i < t->n; i++)
                if (str_eq(key_id(t->keys[i]), id))
                        return t->keys[i];
        return NULL;
}

/* Takes the key over. */
static int trust_put(struct trust *t, struct key *k, struct err *e)
{
        if (trust_find(t, key_id(k))) {
                key_free(k);
                return 0;
        }
        struct key **more = realloc(t->keys, (t->n + 1) * sizeof(*more));
        if (!more) {
                key_free(k);
                return err_nomem(e);
        }
        t->keys = more;
        t->keys[t->n++] = k;
        return 0;
}

/* May what st describes be believed? Only root and the caller may have written it; the system's only root. */
static bool owner_is_fine(const struct stat *st, bool system)
{
        if (st->st_mode & (S_IWGRP | S_IWOTH))
                return false;
        return st->st_uid == 0 || (!system && st->st_uid == geteuid());
}

struct folder {
        struct trust *trust;
        const char *path;
        int fd;
        bool system;
        unsigned n;
};

static int read_trusted_key(const struct folder *f, const char *name, struct key **ret, struct err *e)
{
        AUTO(auto_close) int fd = openat(f->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0)
                return err_errno(e, ERR_USAGE, errno, "%s/%s", f->path, name);
        struct stat st;
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return err_set(e, ERR_USAGE, "%s/%s: expected a regular file", f->path, name);
        if (!owner_is_fine(&st, f->system))
                return err_set(e, ERR_USAGE, "%s/%s: its owner or mode lets others change it", f->path, name);
        AUTO(buf_done) struct buf pem = BUF_INIT_MAX(KEY_MAX_FILE);
        int r = fd_read_all(fd, KEY_MAX_FILE, name, &pem, e);
        if (r < 0)
                return r;
        return key_parse_public(pem.data ? (const void *)pem.data : "", pem.len, name, ret, e);
}

static int take_entry(const char *name, void *user, struct err *e)
{
        struct folder *f = user;
        if (!str_ends(name, ".pub"))
                return 0;
        if (++f->n > TRUST_MAX_KEYS)
                return err_set(e, ERR_IMAGE_REFUSED, "%s: more than %u keys", f->path, TRUST_MAX_KEYS);
        struct key *k = NULL;
        struct err why = ERR_INIT;
        if (read_trusted_key(f, name, &k, &why) < 0) {
                log_warning("a trusted key is ignored: %s", why.msg);
                return 0;
        }
        return trust_put(f->trust, k, e);
}

static int trust_add_folder(struct trust *t, const char *keys_dir, bool system, struct err *e)
{
        AUTO(auto_free) char *path = fs_join(keys_dir, "trusted");
        if (!path)
                return err_nomem(e);
        AUTO(auto_close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 && errno == ENOENT)
                return 0;
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "read the trusted keys in %s", path);
        if (!owner_is_fine(&st, system)) {
                log_warning("the trusted keys in %s are ignored: its owner or mode lets others change it", path);
                return 0;
        }
        struct folder f = {.trust = t, .path = path, .fd = fd, .system = system};
        int r = fs_list(path, take_entry, &f, e);
        return r > 0 ? 0 : r;
}

int trust_open(const char *keys_dir, struct trust **ret, struct err *e)
{
        AUTO(trust_freep) struct trust *t = calloc(1, sizeof(*t));
        if (!t)
                return err_nomem(e);
        int r = trust_add_folder(t, keys_dir, false, e);
        if (r >= 0)
                r = trust_add_folder(t, TRUST_SYSTEM_KEYS, true, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(t);
        return 0;
}

int trust_check(const struct trust *t, const char *domain, const void *msg, size_t msg_len, const void *text,
                size_t text_len, const char *what, char ret_key_id[KEY_ID_SIZE], struct err *e)
{
        struct signature sig;
        int r = signature_parse(text, text_len, what, &sig, e);
        if (r < 0)
                return r;
        if (!str_eq(sig.domain, domain))
                return err_set(e, ERR_IMAGE_REFUSED, "%s: the signature is for '%s', expected one for '%s'", what,
                               sig.domain, domain);
        const struct key *k = trust_find(t, sig.key_id);
        if (!k)
                return err_set(
                        e, ERR_IMAGE_REFUSED,
                        "%s: signed by key %s, which is not trusted here; if it should be: devdep-cli image trust "
                        "KEY.pub",
                        what, sig.key_id);
        r = key_verify(k, domain, msg, msg_len, sig.bytes, e);
        if (r == KEY_E_BAD)
                return err_set(e, ERR_IMAGE_REFUSED,
                               "%s: the signature of key %s does not fit: the file or its signature was changed", what,
                               sig.key_id);
        if (r >= 0 && ret_key_id)
                memcpy(ret_key_id, sig.key_id, KEY_ID_SIZE);
        return r;
}

static int trust_store(const char *keys_dir, const struct key *k, struct err *e)
{
        AUTO(auto_free) char *folder = fs_join(keys_dir, "trusted");
        AUTO(auto_free) char *path = folder ? str_printf("%s/%s.pub", folder, key_id(k)) : NULL;
        if (!path)
                return err_nomem(e);
        int r = fs_mkdirs(folder, 0755, e);
        return r < 0 ? r : key_save_public(k, path, e);
}

int trust_add(const char *keys_dir, const char *pub_path, char ret_key_id[KEY_ID_SIZE], struct err *e)
{
        AUTO(key_freep) struct key *k = NULL;
        int r = key_load_public(pub_path, &k, e);
        if (r == KEY_E_MISSING)
                return err_set(e, ERR_USAGE, "%s: no such file", pub_path);
        if (r >= 0)
                r = trust_store(keys_dir, k, e);
        if (r >= 0)
                memcpy(ret_key_id, key_id(k), KEY_ID_SIZE);
        return r;
}

/* Order matters after a crash: the secret file is the last to appear, so a key that exists has its public half, and is
 * trusted where it is to be. */
static int make_key(const char *keys_dir, const char *name, bool trusted, const char *secret, struct key **ret,
                    struct err *e)
{
        AUTO(key_freep) struct key *k = NULL;
        AUTO(auto_free) char *pub = str_printf("%s/%s.pub", keys_dir, name);
        AUTO(auto_free) char *tmp = str_printf("%s.new", secret);
        if (!pub || !tmp)
                return err_nomem(e);
        unlink(tmp); /* of an attempt that was interrupted; the lock is ours */
        int r = key_generate(&k, e);
        if (r >= 0 && trusted)
                r = trust_store(keys_dir, k, e);
        if (r >= 0)
                r = key_save_public(k, pub, e);
        if (r >= 0)
                r = key_save_secret(k, tmp, e);
        if (r < 0)
                return r;
        if (rename(tmp, secret) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "make key %s", secret);
        *ret = TAKE_PTR(k);
        return 0;
}

/* The key in keys_dir/NAME.key, made on first use under a lock, so that two first uses agree. */
static int own_key(const char *keys_dir, const char *name, bool trusted, struct key **ret, struct err *e)
{
        AUTO(auto_free) char *lock_path = fs_join(keys_dir, ".lock");
        AUTO(auto_free) char *secret = str_printf("%s/%s.key", keys_dir, name);
        if (!lock_path || !secret)
                return err_nomem(e);
        AUTO(auto_close) int lock = -1;
        int r = fs_mkdirs(keys_dir, 0755, e);
        if (r >= 0)
                r = fs_lock(lock_path, true, &lock, e);
        if (r < 0)
                return r;
        r = key_load_secret(secret, ret, e);
        return r == KEY_E_MISSING ? make_key(keys_dir, name, trusted, secret, ret, e) : r;
}

int trust_own_key(const char *keys_dir, struct key **ret, struct err *e)
{
        return own_key(keys_dir, "signing", true, ret, e);
}

int trust_record_key(const char *keys_dir, struct key **ret, struct err *e)
{
        return own_key(keys_dir, "records", false, ret, e);
}
