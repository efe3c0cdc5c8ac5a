/* The steps of one job that have begun and not ended, as a reader of its journal sees them (docs/events.md): steps of
 * actions below the step that uses the action, and steps that run beside others. At most OPEN_STEPS_MAX are known at a
 * time; what a further one says is as if it had no step. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct err;

#define OPEN_STEPS_MAX 256u
#define OPEN_STEPS_TAIL 10u /* last lines that are remembered of each */

struct open_step {
        struct list link;
        long long index;
        struct open_step *parent; /* NULL: none */
        bool background;          /* it runs beside others */
        bool told;                /* a part of it failed and was told about */
        char *name;
        char *group; /* of its last line */
        uint64_t since_ms;
        char *tail[OPEN_STEPS_TAIL];
        unsigned n_tail;
};

struct open_steps {
        struct list all; /* in the order of their beginnings */
        unsigned n, n_background;
};

void open_steps_init(struct open_steps *o);
void open_steps_done(struct open_steps *o);
/* *ret: the new one, or NULL when there are too many. parent: its index, or negative. name is taken. */
int open_steps_add(struct open_steps *o, long long index, long long parent, bool background, char *name,
                   struct open_step **ret, struct err *e);
struct open_step *open_steps_find(struct open_steps *o, long long index); /* NULL: none */
void open_steps_remove(struct open_steps *o, struct open_step *s);
struct open_step *open_steps_last(struct open_steps *o); /* the one that began last, or NULL */
/* The step that s is shown as part of: itself, or the outermost one around it that is no list of steps that run beside
 * each other. */
const struct open_step *open_step_shown(const struct open_step *s);
/* A line of it, taken; the oldest one gives way. */
void open_step_remember(struct open_step *s, char *line);
