/* A package mirror that the operator of this host names (docs/mirrors.md): NAME.devdep.internal, port 80, in every
 * guest. Pure.
 *
 * The host passes bytes through and reads none of them, so a path of the mirror's address is the guest's to send: it is
 * a part of the mirror's URL in the guest. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/address.h"
#include "net/name.h"

struct err;

#define MIRROR_MAX 32u      /* mirrors of one host */
#define MIRROR_MAX_NAME 32u /* bytes of a name */
#define MIRROR_MAX_PATH 256u
#define MIRROR_PORT 80u                     /* in the guest */
#define MIRROR_SERVER_TEXT (NAME_TEXT + 16) /* "https://HOST:PORT" */
#define MIRROR_URL_TEXT                                                                                                \
        (MIRROR_MAX_NAME + MIRROR_MAX_PATH + NAME_MAX_LABEL + 1) /* "http://NAME.devdep.internal/..."                  \
                                                                  */

/* Whose clients find it by themselves: which variables a step's environment has for it. */
enum mirror_kind { MIRROR_PLAIN, MIRROR_NPM, MIRROR_PYPI, MIRROR_GO };

struct mirror {
        char name[MIRROR_MAX_NAME + 1];
        enum mirror_kind kind;
        bool tls;             /* https: the host speaks TLS to it, the guest does not */
        unsigned authority;   /* of https: which of the policy's certificates of authorities its own must come from */
        char host[NAME_TEXT]; /* normalised; "": the address */
        struct address address;
        uint16_t port;
        char path[MIRROR_MAX_PATH + 1]; /* begins with '/' */
};

/* [a-z][a-z0-9-]*, without '-' at its end, and none of the host's own names. ERR_USAGE says why not. */
int mirror_name_check(const char *name, struct err *e);
/* "npm", ...; MIRROR_PLAIN has no word. ERR_USAGE with the words that are known. */
int mirror_kind_parse(const char *word, enum mirror_kind *ret, struct err *e);
const char *mirror_kind_name(enum mirror_kind kind); /* "" for MIRROR_PLAIN */
/* The server's address into ret: http[s]://HOST[:PORT][/PATH] or HOST:PORT (http), HOST a name, an IPv4 address or an
 * IPv6 address in brackets. A loopback or private address may stand there, a metadata, link-local or other special one
 * not. ERR_USAGE says what is wrong; *ret_at: at which byte. */
int mirror_server_parse(const char *text, struct mirror *ret, size_t *ret_at, struct err *e);
/* "http://HOST:PORT", or https: what mirror_server_parse() reads, without the path. */
void mirror_server_text(const struct mirror *m, char ret[MIRROR_SERVER_TEXT]);
void mirror_url(const struct mirror *m, char ret[MIRROR_URL_TEXT]); /* in the guest */

/* Why this address must not be dialled for it, one phrase, or NULL. `own`: it is one of this host's. Special addresses
 * other than private ones never; this host's own, loopback ones among them, only where the operator wrote the address
 * itself: a name that somebody else answers for must not lead back into this host. */
const char *mirror_address_refusal(const struct mirror *m, const struct address *a, bool own);

/* Call fn for each variable that a step's environment has for it: DEVDEP_MIRROR_NAME, and those of its kind. */
typedef int mirror_variable_fn(const char *name, const char *value, void *user, struct err *e);
int mirror_variables(const struct mirror *m, mirror_variable_fn *fn, void *user, struct err *e);
