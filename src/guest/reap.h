/* Process 1 is the parent of every orphan: the one place that waits for children. */
#pragma once

#include <sys/types.h>

struct err;
struct loop;
struct reaper;

#define REAP_PER_TURN 128 /* zombies taken in one go, so that a dying fork bomb does not hold up an answer */

/* exit_code or term_signal, the other one is -1. */
typedef int reap_fn(int exit_code, int term_signal, void *user, struct err *e);

int reaper_new(struct loop *l, struct reaper **ret, struct err *e);
/* Tell fn once when the child ends. Call it before the next turn of the loop. */
int reaper_watch(struct reaper *r, pid_t pid, reap_fn *fn, void *user, struct err *e);
/* Do not tell any more; the child is reaped all the same. */
void reaper_forget(struct reaper *r, pid_t pid);
