/* Work on the job's files, in a process of its own: it may block, be slow, or die of what it finds, and process 1
 * answers on. It runs in the job's root as the request's user, in the agent's control group, with one descriptor:
 * CHILD_REPORT, both ways.
 *
 * A work function first reports (child_report_ok, child_fail); bytes written then are the operation's, bytes read are
 * the opener's. 0 ends the stream in order, negative with a reset. */
#pragma once

#include <stddef.h>

struct door_stream;
struct err;
struct fields;
struct guest;
struct user;

#define WORKER_MAX_PATH 4095 /* bytes of a path in a request */

typedef int worker_fn(const struct fields *request, const struct user *user, struct err *e);

/* Start it for a request; `user` when the request names none. Accepts or refuses the stream. */
int worker_start(struct guest *g, struct door_stream *s, const struct fields *request, const char *user, worker_fn *fn,
                 struct err *e);

/* For work functions. A path of the request, absolute and not too long, or the end of the process. */
const char *worker_path(const struct fields *request, const char *key);
const char *worker_check_path(const char *path);
/* An octal mode of at most 07777. */
unsigned worker_mode(const struct fields *request, unsigned fallback);
/* Open a folder, made when it is missing with all above it; -1 with errno. */
int worker_open_folder(const char *path, unsigned mode);

worker_fn work_put, work_get;                            /* files_put.c, files_get.c */
worker_fn work_read, work_which, work_mkdir, work_write; /* files_small.c */
