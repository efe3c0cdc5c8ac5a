/* The folders of runs: STATE/runs/N with run.json, a journal and a specification per job, and a lock.
 *
 * The process that makes a run holds its lock to the end; a run whose run.json says "running" and whose lock is free
 * was interrupted. run.json is replaced atomically. The folder of runs is bounded: rundir_prune() removes the oldest
 * finished runs. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct err;
struct json_t;
struct rundir;

#define RUNDIR_MAX_RUNS 200u                 /* runs kept */
#define RUNDIR_MAX_BYTES ((uint64_t)2 << 30) /* bytes of all runs kept */
#define RUNDIR_MAX_RECORD ((size_t)4 << 20)  /* bytes of run.json */

#define RUNDIR_E_MISSING 1

/* Make the next run: its number is one more than the largest that a run here ever had, removed ones as well. */
int rundir_new(const char *state, struct rundir **ret, struct err *e);
struct rundir *rundir_free(struct rundir *d); /* releases the lock; always NULL */
CLEANUP_DEFINE(struct rundir, rundir_free)
/* A run whose process is gone; what it left half written is removed. RUNDIR_E_MISSING; RUNDIR_E_ALIVE: somebody holds
 * its lock. */
#define RUNDIR_E_ALIVE 2
int rundir_adopt(const char *state, uint64_t number, struct rundir **ret, struct err *e);
/* Free it and remove its folder: the run never began. Always NULL. */
struct rundir *rundir_discard(struct rundir *d);
uint64_t rundir_number(const struct rundir *d);
/* Replace run.json (a borrowed reference). */
int rundir_write(const struct rundir *d, const struct json_t *record, struct err *e);
/* The journal of a job, opened for append, 0600; key is safe as a file name. *ret_path is malloc'd. */
int rundir_open_journal(const struct rundir *d, const char *key, int *ret_fd, char **ret_path, struct err *e);
/* Keep a copy of a specification beside its journal. */
int rundir_write_spec(const struct rundir *d, const char *key, const void *text, size_t len, struct err *e);

/* The mark that the run has an entry in the log of records: the file `record`, with its hash. */
int rundir_mark(const struct rundir *d, const char *hash, struct err *e);
/* Call fn for the number of each run without that mark, oldest name first. */
int rundir_unmarked(const char *state, int (*fn)(uint64_t number, void *user, struct err *e), void *user,
                    struct err *e);
/* ... and for each with it: hash is what it says. */
int rundir_marked(const char *state, int (*fn)(uint64_t number, const char *hash, void *user, struct err *e),
                  void *user, struct err *e);

/* Reading, from any process. */
struct rundir_entry {
        uint64_t number;
        char *path;
        struct json_t *record; /* run.json, or NULL when it cannot be read */
        bool alive;            /* somebody holds the lock */
};
void rundir_entry_done(struct rundir_entry *x);
/* Newest first; *ret is malloc'd, each entry to be released. */
int rundir_list(const char *state, struct rundir_entry **ret, size_t *ret_n, struct err *e);
/* RUNDIR_E_MISSING when there is no such run. */
int rundir_get(const char *state, uint64_t number, struct rundir_entry *ret, struct err *e);
/* ERR_USAGE while the run is alive. RUNDIR_E_MISSING. */
int rundir_remove(const char *state, uint64_t number, struct err *e);
/* Remove the oldest finished runs past the bounds. Returns how many, or negative. */
int rundir_prune(const char *state, struct err *e);
