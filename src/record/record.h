/* The record of a run: what ran where, under which protections and to which end, as one JSON object without free text
 * (docs/record-format.md), and the log that keeps it: a chain of hashes, each entry signed.
 *
 * A record is made from run.json by a list of members: what is not in the list, or not of the form that the list says,
 * is left out, so that no name, message or title of a repository stands in it. The same run.json gives the same record,
 * whoever makes it: the command at the end of a run, or the next one after it was killed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/hash.h"

struct err;
struct json_t;
struct key;

#define RECORD_VERSION 1
#define RECORD_MAX_LINE ((size_t)1 << 20) /* bytes of an entry of the log, its newline included */
#define RECORD_MAX_JOBS 4096u             /* PLAN_MAX_INSTANCES */

/* run: run.json of a run that has ended. *ret is a new reference. ERR_USAGE: a member that every record has is missing
 * or is of another form. */
int record_make(const struct json_t *run, struct json_t **ret, struct err *e);
/* Is it a record, with nothing else in it? ERR_USAGE names the member. */
int record_check(const struct json_t *record, struct err *e);
/* A JSON Schema (2020-12) of it: a new reference. */
struct json_t *record_schema(void);

/* Signs the hash of an entry (signer.h). */
typedef int record_sign_fn(const uint8_t hash[HASH_SIZE], char ret_key[HASH_HEX_SIZE], uint8_t ret_signature[64],
                           void *user, struct err *e);

/* Append to STATE/records/log under its lock: on disk when it returns. What a crash left unfinished at the end was
 * never acknowledged, and is removed. Of the entries before it the last one alone is read and checked. */
int record_append(const char *state, const struct json_t *record, record_sign_fn *sign, void *user,
                  char ret_hash[HASH_HEX_SIZE], struct err *e);

/* The hash of the entry of a run. Reads the log from its start. */
#define RECORD_E_MISSING 1
int record_find(const char *state, uint64_t run, char ret_hash[HASH_HEX_SIZE], struct err *e);

struct record_entry {
        uint64_t index; /* from 0 */
        const char *hash, *key;
        const struct json_t *record; /* valid during the call */
};
/* Called for each entry in order, as it stands in the file; a value that is not 0 ends the reading and is given back.
 */
typedef int record_entry_fn(const struct record_entry *x, void *user, struct err *e);
/* Entries whose form is wrong are ERR_IMAGE_REFUSED with their line. A log that is not there has no entries. */
int record_each(const char *state, record_entry_fn *fn, void *user, struct err *e);

/* Is it an entry as record_append() writes one, its newline included? Neither hash nor signature are looked at.
 * ERR_USAGE.
 */
int record_line_check(const void *data, size_t len, struct err *e);

struct record_verdict {
        uint64_t entries;
        char head[HASH_HEX_SIZE]; /* hash of the last one; "" without entries */
        uint64_t unfinished;      /* bytes behind the last entry, which a crash left */
        bool found;               /* the head that was asked for is one of the entries */
};
/* Recompute every hash and check every signature by this key. head: the hash of an entry that must be there, or NULL.
 * ERR_IMAGE_REFUSED names the first entry that is not what was written, and how. */
int record_verify(const char *state, const struct key *key, const char *head, struct record_verdict *ret,
                  struct err *e);
