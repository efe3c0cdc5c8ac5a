#include "codec/hash.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <unistd.h>

#define READ_CHUNK (256 << 10)

struct hash {
        EVP_MD_CTX *context;
};

CLEANUP_DEFINE(struct hash, hash_free)

static int fail(struct err *e)
{
        return err_set(e, ERR_RESOURCES, "OpenSSL could not compute a SHA-256 digest");
}

int hash_new(struct hash **ret, struct err *e)
{
        AUTO(hash_freep) struct hash *h = calloc(1, sizeof(*h));
        if (!h)
                return err_nomem(e);
        h->context = EVP_MD_CTX_new();
        if (!h->context)
                return err_nomem(e);
        if (EVP_DigestInit_ex(h->context, EVP_sha256(), NULL) != 1)
                return fail(e);
        *ret = TAKE_PTR(h);
        return 0;
}

int hash_add(struct hash *h, const void *data, size_t len, struct err *e)
{
        return EVP_DigestUpdate(h->context, data, len) == 1 ? 0 : fail(e);
}

int hash_finish(struct hash *h, uint8_t ret[HASH_SIZE], struct err *e)
{
        return EVP_DigestFinal_ex(h->context, ret, NULL) == 1 ? 0 : fail(e);
}

struct hash *hash_free(struct hash *h)
{
        if (h)
                EVP_MD_CTX_free(h->context);
        free(h);
        return NULL;
}

int hash_bytes(const void *data, size_t len, uint8_t ret[HASH_SIZE], struct err *e)
{
        return EVP_Digest(data, len, ret, NULL, EVP_sha256(), NULL) == 1 ? 0 : fail(e);
}

int hash_fd(int fd, const char *what, uint8_t ret[HASH_SIZE], uint64_t *ret_size, struct err *e)
{
        AUTO(hash_freep) struct hash *h = NULL;
        AUTO(auto_free) void *chunk = malloc(READ_CHUNK);
        if (!chunk)
                return err_nomem(e);
        int r = hash_new(&h, e);
        if (r < 0)
                return r;
        uint64_t size = 0;
        for (;;) {
                ssize_t n = pread(fd, chunk, READ_CHUNK, (off_t)size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return err_errno(e, ERR_RESOURCES, errno, "read %s", what);
                if (n == 0)
                        break;
                size += (uint64_t)n;
                r = hash_add(h, chunk, (size_t)n, e);
                if (r < 0)
                        return r;
        }
        if (ret_size)
                *ret_size = size;
        return hash_finish(h, ret, e);
}

void hash_hex(const uint8_t digest[HASH_SIZE], char ret[HASH_HEX_SIZE])
{
        num_to_hex(digest, HASH_SIZE, ret);
}
