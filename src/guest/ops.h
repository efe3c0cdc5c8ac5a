/* The operations of a stream: docs/protocol-guest.md. Each takes the request (door_accept) or refuses it; negative ends
 * the session. */
#pragma once

struct door_stream;
struct err;
struct fields;
struct guest;

typedef int op_fn(struct guest *g, struct door_stream *s, const struct fields *header, struct err *e);

op_fn op_exec, op_pty;                                       /* exec.c */
op_fn op_put, op_get, op_read, op_which, op_mkdir, op_write; /* op_files.c */
op_fn op_dial;                                               /* op_dial.c */
op_fn op_route;                                              /* op_route.c */
op_fn op_signal, op_seed, op_park, op_shutdown;              /* op_machine.c */
op_fn op_secret;                                             /* op_secret.c */

/* The answer to a seed: status=ok and facts of this machine. */
struct buf;
int op_seed_answer(struct buf *ret, struct err *e);
/* Accept a request without bytes, answer it (NULL: status=ok alone) and half-close. */
int op_done(struct door_stream *s, const struct buf *answer, struct err *e);
/* Answer status=error with the code "invalid" and the error's text: a request that cannot be carried out as it is
 * written. */
int op_refuse_invalid(struct door_stream *s, const struct err *why, struct err *e);
