/* Sentences for the job's log about what a checkout left out. Bounded: further ones are only counted. */
#pragma once

#include "base/str.h"

struct err;

struct notes {
        struct strv text;
        size_t dropped;
};
/* `path` is foreign: it is shown escaped. */
int notes_add(struct notes *n, const char *path, const char *what, struct err *e);
int notes_close(struct notes *n, struct err *e); /* adds "N more" where some were dropped */
void notes_done(struct notes *n);
