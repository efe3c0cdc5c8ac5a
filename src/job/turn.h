/* Who may ask devdep-source: it answers one request at a time, and steps may run beside each other. Whoever needs it
 * takes a turn, asks as often as it likes, and gives it back; first come, first served. */
#pragma once

#include "base/list.h"

struct err;
struct job;

/* Embedded by who wants one; initialised by turn_init(). */
struct turn {
        struct list link;
        struct job *job; /* NULL: neither waiting nor taken */
        int (*begin)(void *user, struct err *e);
        void *user;
};

void turn_init(struct turn *t);
/* Calls begin when its turn has come, perhaps at once. What begin returns at once is returned; later, an error ends the
 * job: a step's own mistake goes through step_try() in it. */
int turn_take(struct turn *t, struct job *j, int (*begin)(void *user, struct err *e), void *user, struct err *e);
/* The next one begins, from the loop. Nothing happens to one that was not taken; one that waits leaves. */
void turn_give(struct turn *t);

/* Of the job. */
int turns_init(struct job *j, struct err *e);
void turns_done(struct job *j);
