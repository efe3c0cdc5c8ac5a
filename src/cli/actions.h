/* The operator's mirror of actions, as the commands see it (docs/actions-mirror.md): where it is, what is pinned in it,
 * and whether a `uses:` of a workflow is there. */
#pragma once

#include "base/buf.h"

struct err;
struct map;
struct pins;
struct plan_refusal;
struct slot;
struct source_asker;
struct uses;

struct actions {
        char *folder;    /* absolute, without links; NULL: there is no mirror */
        char *origin;    /* what named it: "--actions", or a file; for messages */
        struct buf text; /* of its file of pins */
        struct pins *pins;
        const char *state;
        struct source_asker *asker; /* of actions_check(), from its first question on */
        struct slot *slot;
        struct map *checked; /* "owner/repo/path@ref" that can run */
};
#define ACTIONS_INIT                                                                                                   \
        {                                                                                                              \
                .text = BUF_INIT                                                                                       \
        }

/* dir: --actions, or NULL: STATE/actions.conf, then /etc/devdep/actions.conf, then the folder STATE/actions, whichever
 * is there. state is borrowed. ERR_USAGE: a folder that is named and is not there, a file that says something else. */
int actions_open(const char *state, const char *dir, struct actions *ret, struct err *e);
void actions_done(struct actions *a);
/* The path of the mirror that actions_open() looks for, there or not: what `actions add` makes. */
int actions_path(const char *state, const char *dir, char **ret, char **ret_origin, struct err *e);
/* Read and parse a mirror's file of pins; no file is an empty one. */
int actions_read_pins(const char *folder, struct buf *ret_text, struct pins **ret, struct err *e);

/* A plan_action_fn; user is the struct actions: is the action there, can it run, and so all that it uses in turn? */
int actions_check(const struct uses *u, void *user, struct plan_refusal *ret, struct err *e);
/* Nothing more is asked: end what was started for it. */
void actions_end_asking(struct actions *a);
