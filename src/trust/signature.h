/* Detached signature files and the keys that this installation trusts.
 *
 * A signature file is one line of ASCII: "devdep-signature-v1 DOMAIN KEY-ID SIGNATURE\n" (64 and 128 hex digits).
 *
 * Keys of an installation live in KEYS = STATE/keys: signing.key (0600), signing.pub, trusted/ID.pub. A trusted folder
 * counts only when it and each key file in it belong to root or to the caller, nobody else can write them, and the
 * files are regular: what breaks this rule is skipped with a warning, never trusted. The system's folder,
 * /var/lib/devdep/keys/trusted, counts only where root owns it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "trust/key.h"

struct err;
struct buf;
struct trust;

#define TRUST_SYSTEM_KEYS "/var/lib/devdep/keys"
#define TRUST_MAX_KEYS 256u /* keys in one trusted folder */

struct signature {
        char domain[33];
        char key_id[KEY_ID_SIZE];
        uint8_t bytes[KEY_SIGNATURE_SIZE];
};

/* Sign and write the line into *ret. */
int signature_make(const struct key *k, const char *domain, const void *msg, size_t len, struct buf *ret,
                   struct err *e);
/* The parser; anything but exactly the line above is ERR_IMAGE_REFUSED. `what` names the file in errors. */
int signature_parse(const void *text, size_t len, const char *what, struct signature *ret, struct err *e);

/* The trusted keys of keys_dir (may be missing) and of the system. */
int trust_open(const char *keys_dir, struct trust **ret, struct err *e);
struct trust *trust_free(struct trust *t); /* always NULL */
size_t trust_count(const struct trust *t);
/* Is `text` a signature file over msg in this domain by a trusted key? ERR_IMAGE_REFUSED with the reason: malformed,
 * made for another purpose, by a key that is not trusted (names it and the command that would trust it), or wrong.
 * ret_key_id may be NULL. */
int trust_check(const struct trust *t, const char *domain, const void *msg, size_t msg_len, const void *text,
                size_t text_len, const char *what, char ret_key_id[KEY_ID_SIZE], struct err *e);

/* The installation's own signing key, made and trusted on first use (under a lock, so that two first uses agree). */
int trust_own_key(const char *keys_dir, struct key **ret, struct err *e);
/* The key that signs records of runs, and nothing else; it is trusted for no image. Its public half is
 * keys_dir/records.pub. */
int trust_record_key(const char *keys_dir, struct key **ret, struct err *e);
/* Trust a public key: copied to keys_dir/trusted/ID.pub. */
int trust_add(const char *keys_dir, const char *pub_path, char ret_key_id[KEY_ID_SIZE], struct err *e);
