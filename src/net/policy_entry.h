/* An entry of an egress policy, as `egress.allow` of devdep.yaml, `--allow` and the job specification have it. Pure.
 *
 *     name[:port]            port 443 where none stands
 *     *.name[:port]          every name below it, at any depth, not itself; the name has two labels or more
 *     address/prefix:port    an IPv6 address in brackets: [2001:db8::]/32:443; a prefix of 1 or more
 *
 * A port 80 is plain HTTP: nothing on the way says which name was really asked for, so such an entry is *weak*.
 * src/profile/fields.c has the same rules as a pattern for the schema that editors read. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "net/address.h"
#include "net/name.h"

struct err;

#define POLICY_MAX_ENTRY 300u /* bytes of one entry */
#define POLICY_DEFAULT_PORT 443u
#define POLICY_PLAIN_PORT 80u
#define POLICY_TEXT (NAME_TEXT + 8) /* an entry as text */

struct policy_entry {
        enum { POLICY_NAME, POLICY_BELOW, POLICY_PREFIX } kind;
        char name[NAME_TEXT]; /* normalised, without "*." */
        struct prefix prefix;
        uint16_t port;
};
/* ERR_USAGE: one sentence about what is wrong with it, and what would be right. */
int policy_entry_parse(const char *text, struct policy_entry *ret, struct err *e);
bool policy_entry_is_weak(const struct policy_entry *entry);
/* In its shortest form: what a person writes. policy_entry_parse() reads it. */
void policy_entry_text(const struct policy_entry *entry, char ret[POLICY_TEXT]);
/* The entry that would allow exactly this: a name (not NULL), or an address; "" for an IPv4-mapped one, which none
 * does. */
void policy_wanted(const char *name, const struct address *a, uint16_t port, char ret[POLICY_TEXT]);
