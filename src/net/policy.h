/* The egress policy of a job: which names, addresses and ports its guest may reach. Pure.
 *
 * A name decides by itself; the address that it resolves to is looked at a second time (policy_address_refusal()):
 * special ones (net/address.h) and this host's own only when an entry names them as addresses. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "net/policy_entry.h"

struct err;
struct json_t;
struct mirror;

#define POLICY_MAX_ENTRIES 1024u

enum policy_profile { POLICY_SEALED, POLICY_BROKERED, POLICY_AUDIT };
enum policy_violation { POLICY_FAIL, POLICY_WARN };

const char *policy_profile_name(enum policy_profile p); /* "sealed", ... */
const char *policy_violation_name(enum policy_violation v);
/* ERR_USAGE with the words that are known. */
int policy_profile_parse(const char *text, enum policy_profile *ret, struct err *e);
int policy_violation_parse(const char *text, enum policy_violation *ret, struct err *e);

struct policy {
        enum policy_profile profile;
        enum policy_violation on_violation;
        struct policy_entry *entries;
        size_t n;
        struct mirror *mirrors; /* the operator's (net/mirror.h): whatever the profile says */
        size_t n_mirrors;
        struct strv authorities; /* PEM: for the broker alone */
};
struct policy *policy_free(struct policy *p); /* NULL is fine; always NULL */
CLEANUP_DEFINE(struct policy, policy_free)
/* {"profile": "brokered", "on_violation": "fail", "allow": ["name:443", ...], "mirrors": [{"name": "npm", "server":
 * "https://10.0.0.5:4873/", "kind": "npm", "authority": 0}, ...], "authorities": ["-----BEGIN CERTIFICATE...", ...]};
 * all but `profile`, and of a mirror `kind` and `authority`, may be absent. ERR_USAGE with the field: "egress.allow[3]:
 * ...". */
int policy_from_json(struct json_t *object, struct policy **ret, struct err *e);
/* A member of `mirrors`: a new reference, or NULL: no memory. */
struct json_t *policy_mirror_json(const struct mirror *m);

/* The mirror that a normalised name means; NULL: none. */
const struct mirror *policy_mirror(const struct policy *p, const char *name);

/* What the entries say of a destination, without the profile's word. */
struct policy_match {
        bool allowed;
        bool weak; /* by a plain HTTP entry */
};
/* With the profile's word: may the name, or where that is "" the address, be asked for at this port? What a name leads
 * to is not looked at. */
struct policy_match policy_match(const struct policy *p, const char *name, const struct address *a, uint16_t port);
/* May the name be reached at any port? */
bool policy_knows_name(const struct policy *p, const char *name);
struct policy_match policy_match_name(const struct policy *p, const char *name, uint16_t port);
struct policy_match policy_match_address(const struct policy *p, const struct address *a, uint16_t port);
/* Why this address must not be dialled, one phrase ("a loopback address"), or NULL. `own`: it is one of this host's. */
const char *policy_address_refusal(const struct policy *p, const struct address *a, uint16_t port, bool own);
