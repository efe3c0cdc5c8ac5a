/* The egress policy of a job: which names, addresses and ports its guest may reach. Pure.
 *
 * An entry is one of
 *     name[:port]         port 443 where none stands
 *     *.name[:port]       every name below it, at any depth, not itself
 *     address/prefix[:port]  an IPv6 address in brackets: [2001:db8::]/32
 * A port 80 is plain HTTP: nothing on the way says which name was really asked for, so such an entry is *weak*.
 *
 * A name decides by itself; the address that it resolves to is looked at a second time (policy_address_refusal()):
 * special ones (net/address.h) and this host's own only when an entry names them as addresses. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "net/address.h"
#include "net/name.h"

struct err;
struct json_t;

#define POLICY_MAX_ENTRIES 1024u
#define POLICY_MAX_ENTRY 300u /* bytes of one entry */
#define POLICY_DEFAULT_PORT 443u
#define POLICY_PLAIN_PORT 80u
#define POLICY_TEXT (NAME_TEXT + 8) /* an entry as text */

enum policy_profile { POLICY_SEALED, POLICY_BROKERED, POLICY_AUDIT };
enum policy_violation { POLICY_FAIL, POLICY_WARN };

const char *policy_profile_name(enum policy_profile p); /* "sealed", ... */
const char *policy_violation_name(enum policy_violation v);
/* ERR_USAGE with the words that are known. */
int policy_profile_parse(const char *text, enum policy_profile *ret, struct err *e);
int policy_violation_parse(const char *text, enum policy_violation *ret, struct err *e);

struct policy_entry {
        enum { POLICY_NAME, POLICY_BELOW, POLICY_PREFIX } kind;
        char name[NAME_TEXT]; /* normalised, without "*." */
        struct prefix prefix;
        uint16_t port;
};
/* ERR_USAGE: one sentence about what is wrong with it. */
int policy_entry_parse(const char *text, struct policy_entry *ret, struct err *e);
bool policy_entry_is_weak(const struct policy_entry *entry);
/* In its shortest form: what a person writes. */
void policy_entry_text(const struct policy_entry *entry, char ret[POLICY_TEXT]);
/* The entry that would allow exactly this: a name (not NULL), or an address. */
void policy_wanted(const char *name, const struct address *a, uint16_t port, char ret[POLICY_TEXT]);

struct policy {
        enum policy_profile profile;
        enum policy_violation on_violation;
        struct policy_entry *entries;
        size_t n;
};
struct policy *policy_free(struct policy *p); /* NULL is fine; always NULL */
CLEANUP_DEFINE(struct policy, policy_free)
/* {"profile": "brokered", "on_violation": "fail", "allow": ["name:443", ...]}; `on_violation` and `allow` may be
 * absent. ERR_USAGE with the field: "egress.allow[3]: ...". */
int policy_from_json(struct json_t *object, struct policy **ret, struct err *e);

/* What the entries say of a destination, without the profile's word. */
struct policy_match {
        bool allowed;
        bool weak; /* by a plain HTTP entry */
};
/* May the name be reached at any port? */
bool policy_knows_name(const struct policy *p, const char *name);
struct policy_match policy_match_name(const struct policy *p, const char *name, uint16_t port);
struct policy_match policy_match_address(const struct policy *p, const struct address *a, uint16_t port);
/* Why this address must not be dialled, one phrase ("a loopback address"), or NULL. `own`: it is one of this host's. */
const char *policy_address_refusal(const struct policy *p, const struct address *a, uint16_t port, bool own);
