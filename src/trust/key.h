/* Ed25519 keys: make, keep, sign, verify. RFC 8032 by OpenSSL; files are PEM (PKCS#8 and SubjectPublicKeyInfo), so that
 * `openssl pkey` reads them too. The secret key file is 0600 and refused when others can read it.
 *
 * What is signed is never the bare message but
 *     "devdep-signature-v1" NUL domain NUL message
 * so that a signature made for one purpose is worth nothing for another. The id of a key is the SHA-256 of the 32 bytes
 * of its public half, as 64 hex digits. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct err;
struct buf;

#define KEY_ID_SIZE 65        /* 64 hex digits and NUL */
#define KEY_SIGNATURE_SIZE 64 /* bytes */
#define KEY_MAX_FILE 4096u    /* bytes of a key file or a signature file */

/* The purposes of signatures in this tree. */
#define KEY_DOMAIN_MANIFEST "image-manifest" /* message: the bytes of manifest.json */
#define KEY_DOMAIN_ROOT "root-file-system"   /* message: the 32 bytes of the SHA-256 of an ext4 file */
#define KEY_DOMAIN_RECORD "run-record"       /* message: the 32 bytes of an entry's hash */

struct key; /* a public key, with or without its secret half */

int key_generate(struct key **ret, struct err *e);
struct key *key_free(struct key *k); /* OpenSSL wipes the secret half; always NULL */
const char *key_id(const struct key *k);

/* Read a secret key (PEM). Not a regular file, readable by group or others, another algorithm: ERR_USAGE saying so.
 * KEY_E_MISSING: there is no such file. */
#define KEY_E_MISSING 1
int key_load_secret(const char *path, struct key **ret, struct err *e);
int key_load_public(const char *path, struct key **ret, struct err *e);
/* From memory; `what` names the source in errors. */
int key_parse_public(const void *pem, size_t len, const char *what, struct key **ret, struct err *e);
/* Write PEM. The secret file is made 0600 from birth and must not exist; a public one is replaced. */
int key_save_secret(const struct key *k, const char *path, struct err *e);
int key_save_public(const struct key *k, const char *path, struct err *e);

int key_sign(const struct key *k, const char *domain, const void *msg, size_t len, uint8_t ret[KEY_SIGNATURE_SIZE],
             struct err *e);
/* KEY_E_BAD: the signature is not this key's over this message in this domain. */
#define KEY_E_BAD 2
int key_verify(const struct key *k, const char *domain, const void *msg, size_t len,
               const uint8_t sig[KEY_SIGNATURE_SIZE], struct err *e);
