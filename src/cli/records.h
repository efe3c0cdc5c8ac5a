/* The log of records, as the command writes it: src/record/record.h. */
#pragma once

#include "codec/hash.h"

struct err;
struct json_t;
struct rundir;

/* The entry of a run that has ended, made from its run.json, and the run's mark. Starts devdep-signer. */
int records_seal(const char *state, const struct rundir *d, const struct json_t *run, char ret_hash[HASH_HEX_SIZE],
                 struct err *e);
/* Entries of runs whose command was killed before it wrote one: interrupted, 302. */
int records_recover(const char *state, struct err *e);
