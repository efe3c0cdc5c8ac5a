/* What the loop's two halves share: the turn (loop.c) and the heap of timers (timer.c). */
#pragma once

#include "base/list.h"

#include <stddef.h>
#include <stdint.h>

struct err;
struct loop_timer;

struct timers {
        struct loop_timer **heap; /* armed ones, the earliest first; room for every timer that exists */
        size_t n, cap;
        struct list all;
        size_t n_all;
        uint64_t turn;   /* a timer armed in this turn fires in a later one */
        uint64_t serial; /* orders timers of equal deadline by arming */
};

struct timers *loop_timers(struct loop *l);
void timers_init(struct timers *t);
void timers_done(struct timers *t);
/* Milliseconds until the earliest deadline, at most INT_MAX; -1 when none is armed. */
int timers_timeout(const struct timers *t);
/* Fire what is due. Stops early when *stop becomes true. 0 or a callback's error. */
int timers_fire(struct timers *t, const bool *stop, struct err *e);
