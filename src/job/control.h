/* The control socket of a job (docs/control.md): cancel, kill, release, terminals and dialled ports.
 *
 * Its clients are this user's own programs, but they are bounded like anybody else: CONTROL_MAX_CLIENTS connections,
 * one request line of CONTROL_MAX_REQUEST bytes within CONTROL_REQUEST_MS, one window of bytes held per direction. A
 * client that does not read stops its own stream in the guest and nothing else. */
#pragma once

#include <stddef.h>

struct control;
struct err;
struct job;
struct loop;

#define CONTROL_MAX_CLIENTS 16u
#define CONTROL_MAX_REQUEST ((size_t)4096)
#define CONTROL_REQUEST_MS 10000u

enum control_op { CONTROL_CANCEL, CONTROL_KILL, CONTROL_RELEASE, CONTROL_ROTATE, CONTROL_PTY, CONTROL_DIAL };

struct control_request {
        enum control_op op;
        unsigned rows, columns, port;
};

/* One request line without its newline. ERR_USAGE names the field. */
int control_parse(const void *line, size_t len, struct control_request *ret, struct err *e);

/* fd is listening and stays the caller's. job is borrowed and must outlive it. */
int control_new(struct loop *l, int fd, struct job *job, struct control **ret, struct err *e);
struct control *control_free(struct control *c); /* always NULL */
