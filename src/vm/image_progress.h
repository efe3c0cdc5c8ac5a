/* What a long command shows while it works, and how it runs its tools: a line at once, never silent for more than two
 * seconds, interruptible at any time. Internal to src/vm/image*.
 *
 * While a progress exists SIGINT, SIGTERM and SIGHUP are blocked and become ERR_CANCELLED at the next tool or tick, so
 * that the caller's cleanup runs; so does a standard error that nobody reads any more. */
#pragma once

#include <stdint.h>

struct err;
struct buf;
struct image_progress;
struct sandbox;
struct spawn_fd;

/* Lines go to standard error as "NAME: text". */
int image_progress_new(const char *name, struct image_progress **ret, struct err *e);
struct image_progress *image_progress_free(struct image_progress *p); /* always NULL */
/* A new stage: shown at once, and again with its age while nothing else is said. */
void image_progress_stage(struct image_progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* For loops of our own: shows the stage's age when it is time; ERR_CANCELLED after a signal. */
int image_progress_tick(struct image_progress *p, struct err *e);
/* The same as an image_tick_fn; user is the progress. */
int image_progress_hash_tick(const char *what, uint64_t done, uint64_t total, void *user, struct err *e);
/* Sleep without becoming deaf. */
int image_progress_sleep(struct image_progress *p, unsigned ms, struct err *e);

struct image_tool {
        const char *name;        /* "mmdebstrap": looked for in the usual folders of programs */
        const char *package;     /* the Debian package that has it, for the error */
        const char *const *argv; /* NULL-terminated; argv[0] is the name again */
        const char *const *env;  /* more variables, "K=V", NULL-terminated; or NULL */
        const struct spawn_fd *fds;
        unsigned n_fds;
        const struct sandbox *jail; /* run it in this jail, without our environment; or NULL */
        struct buf *out;            /* takes standard output; NULL: it is progress like standard error */
};
/* Run it to its end. "devdep-stage: TEXT" and mmdebstrap's "I: TEXT" lines of its output are stages. A status other
 * than 0 is an error (ERR_RESOURCES) with the last lines of its output. */
int image_tool_run(struct image_progress *p, const struct image_tool *t, struct err *e);
/* Is the tool here? Else ERR_RESOURCES naming the package. ret_path may be NULL. */
int image_tool_find(const char *name, const char *package, char **ret_path, struct err *e);
