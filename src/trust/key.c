#include "trust/key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"

#define SIGNED_PREFIX "devdep-signature-v1" /* with its NUL */

struct key {
        EVP_PKEY *pkey;
        char id[KEY_ID_SIZE];
};

CLEANUP_DEFINE(struct key, key_free)

static void bio_freep(BIO **b)
{
        BIO_free(*b);
}

static void md_ctx_freep(EVP_MD_CTX **c)
{
        EVP_MD_CTX_free(*c);
}

/* A failure inside OpenSSL, with its own reason where it gives one. */
static int ssl_error(struct err *e, const char *what)
{
        const char *reason = ERR_reason_error_string(ERR_peek_last_error());
        ERR_clear_error();
        return err_set(e, ERR_RESOURCES, "%s: %s", what, reason ? reason : "OpenSSL failed");
}

struct key *key_free(struct key *k)
{
        if (k)
                EVP_PKEY_free(k->pkey);
        free(k);
        return NULL;
}

const char *key_id(const struct key *k)
{
        return k->id;
}

/* Takes pkey over, also on failure. */
static int key_wrap(EVP_PKEY *pkey, const char *what, struct key **ret, struct err *e)
{
        AUTO(key_freep) struct key *k = calloc(1, sizeof(*k));
        if (!k) {
                EVP_PKEY_free(pkey);
                return err_nomem(e);
        }
        k->pkey = pkey;
        uint8_t raw[32], digest[32];
        size_t len = sizeof(raw);
        if (EVP_PKEY_get_id(pkey) != EVP_PKEY_ED25519)
                return err_set(e, ERR_USAGE, "%s: expected an Ed25519 key, found another algorithm", what);
        if (EVP_PKEY_get_raw_public_key(pkey, raw, &len) != 1 || len != sizeof(raw))
                return ssl_error(e, what);
        if (EVP_Digest(raw, sizeof(raw), digest, NULL, EVP_sha256(), NULL) != 1)
                return ssl_error(e, what);
        num_to_hex(digest, sizeof(digest), k->id);
        *ret = TAKE_PTR(k);
        return 0;
}

int key_generate(struct key **ret, struct err *e)
{
        EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        if (!pkey)
                return ssl_error(e, "make a key");
        return key_wrap(pkey, "the new key", ret, e);
}

/* PEM files are asked for a pass phrase by OpenSSL's default callback, on the terminal: never. */
static int no_passphrase(char *buf, int size, int rwflag, void *user)
{
        (void)buf;
        (void)size;
        (void)rwflag;
        (void)user;
        return -1;
}

int key_parse_public(const void *pem, size_t len, const char *what, struct key **ret, struct err *e)
{
        if (len > KEY_MAX_FILE)
                return err_set(e, ERR_USAGE, "%s: a key file has at most %u bytes, this one has %zu", what,
                               KEY_MAX_FILE, len);
        AUTO(bio_freep) BIO *bio = BIO_new_mem_buf(pem, (int)len);
        if (!bio)
                return err_nomem(e);
        EVP_PKEY *pkey = PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
        ERR_clear_error();
        if (!pkey)
                return err_set(e, ERR_USAGE, "%s: not a public key (PEM, \"-----BEGIN PUBLIC KEY-----\")", what);
        return key_wrap(pkey, what, ret, e);
}

static int read_key_file(const char *path, mode_t forbidden, struct buf *ret, struct err *e)
{
        AUTO(auto_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0 && errno == ENOENT)
                return KEY_E_MISSING;
        if (fd < 0)
                return err_errno(e, ERR_USAGE, errno, "read key %s", path);
        struct stat st;
        if (fstat(fd, &st) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "read key %s", path);
        if (!S_ISREG(st.st_mode))
                return err_set(e, ERR_USAGE, "key %s: expected a regular file", path);
        if (st.st_mode & forbidden)
                return err_set(e, ERR_USAGE, "key %s: others may read it (mode %03o); make a new key, or: chmod 600 %s",
                               path, (unsigned)st.st_mode & 0777, path);
        return fd_read_all(fd, KEY_MAX_FILE, path, ret, e);
}

int key_load_secret(const char *path, struct key **ret, struct err *e)
{
        AUTO(buf_wipe) struct buf pem = BUF_INIT_MAX(KEY_MAX_FILE);
        int r = read_key_file(path, 0077, &pem, e);
        if (r != 0)
                return r;
        AUTO(bio_freep) BIO *bio = BIO_new_mem_buf(pem.data ? (const void *)pem.data : "", (int)pem.len);
        if (!bio)
                return err_nomem(e);
        EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
        ERR_clear_error();
        if (!pkey)
                return err_set(e, ERR_USAGE,
                               "key %s: not a secret key without pass phrase (PEM, \"-----BEGIN PRIVATE KEY-----\")",
                               path);
        return key_wrap(pkey, path, ret, e);
}

int key_load_public(const char *path, struct key **ret, struct err *e)
{
        AUTO(buf_done) struct buf pem = BUF_INIT_MAX(KEY_MAX_FILE);
        int r = read_key_file(path, 0, &pem, e);
        if (r != 0)
                return r;
        return key_parse_public(pem.data ? (const void *)pem.data : "", pem.len, path, ret, e);
}

/* The text of a PEM bio, owned by the bio. */
static size_t bio_text(BIO *bio, char **ret)
{
        long n = BIO_get_mem_data(bio, ret);
        return n > 0 ? (size_t)n : 0;
}

int key_save_secret(const struct key *k, const char *path, struct err *e)
{
        AUTO(bio_freep) BIO *bio = BIO_new(BIO_s_secmem());
        if (!bio || PEM_write_bio_PKCS8PrivateKey(bio, k->pkey, NULL, NULL, 0, NULL, NULL) != 1)
                return ssl_error(e, "write a secret key");
        char *text;
        size_t len = bio_text(bio, &text);
        AUTO(auto_close) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return err_errno(e, ERR_RESOURCES, errno, "make key %s", path);
        int r = fd_write_all(fd, text, len, path, e);
        if (r >= 0 && fsync(fd) < 0)
                r = err_errno(e, ERR_RESOURCES, errno, "write key %s", path);
        if (r < 0)
                unlink(path);
        return r;
}

int key_save_public(const struct key *k, const char *path, struct err *e)
{
        AUTO(bio_freep) BIO *bio = BIO_new(BIO_s_mem());
        if (!bio || PEM_write_bio_PUBKEY(bio, k->pkey) != 1)
                return ssl_error(e, "write a public key");
        char *text;
        size_t len = bio_text(bio, &text);
        return fs_write_atomic(path, text, len, 0644, e);
}

/* What is really signed: prefix, domain and message, see the header. */
static int signed_bytes(const char *domain, const void *msg, size_t len, struct buf *ret, struct err *e)
{
        int r = buf_append(ret, SIGNED_PREFIX, sizeof(SIGNED_PREFIX), e);
        if (r >= 0)
                r = buf_append(ret, domain, strlen(domain) + 1, e);
        if (r >= 0)
                r = buf_append(ret, msg, len, e);
        return r;
}

int key_sign(const struct key *k, const char *domain, const void *msg, size_t len, uint8_t ret[KEY_SIGNATURE_SIZE],
             struct err *e)
{
        AUTO(buf_done) struct buf all = BUF_INIT;
        int r = signed_bytes(domain, msg, len, &all, e);
        if (r < 0)
                return r;
        AUTO(md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        size_t n = KEY_SIGNATURE_SIZE;
        if (!ctx || EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->pkey) != 1 ||
            EVP_DigestSign(ctx, ret, &n, all.data, all.len) != 1 || n != KEY_SIGNATURE_SIZE)
                return ssl_error(e, "sign");
        return 0;
}

int key_verify(const struct key *k, const char *domain, const void *msg, size_t len,
               const uint8_t sig[KEY_SIGNATURE_SIZE], struct err *e)
{
        AUTO(buf_done) struct buf all = BUF_INIT;
        int r = signed_bytes(domain, msg, len, &all, e);
        if (r < 0)
                return r;
        AUTO(md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        if (!ctx || EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, k->pkey) != 1)
                return ssl_error(e, "check a signature");
        r = EVP_DigestVerify(ctx, sig, KEY_SIGNATURE_SIZE, all.data, all.len);
        ERR_clear_error();
        return r == 1 ? 0 : KEY_E_BAD;
}
