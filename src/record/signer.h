/* devdep-signer: the process that has the key of the records. It knows one verb, `sign`, for the hash of one entry, in
 * one domain (KEY_DOMAIN_RECORD), and never gives the key out. Who may ask is whoever starts it: the user whose key it
 * is. Protocol: field lists (wire/guest.h) over descriptor 3; docs/record-format.md. */
#pragma once

#include "record/record.h"

struct err;
struct signer;

/* Start it for the keys of a folder (STATE/keys); the key is made when there is none. */
int signer_start(const char *keys_dir, struct signer **ret, struct err *e);
struct signer *signer_free(struct signer *s); /* waits for its end; always NULL */
/* A record_sign_fn; user is the signer. */
record_sign_fn signer_sign;
