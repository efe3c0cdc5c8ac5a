/* The one event loop: epoll, timers on a heap, signals by signalfd, children by pidfd. One per process, one thread.
 *
 * Callbacks run from loop_run() only. A callback may free any source, its own included; no further callback of a freed
 * source runs, also when it was already reported in the same turn. A callback that returns negative (with *e filled)
 * ends loop_run() with that error. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct loop;
struct loop_io;
struct loop_timer;
struct loop_signal;
struct loop_child;

enum { LOOP_READ = 1, LOOP_WRITE = 2, LOOP_HANGUP = 4 /* reported always, never asked for */ };

typedef int loop_io_fn(struct loop_io *io, int fd, unsigned events, void *user, struct err *e);
typedef int loop_timer_fn(struct loop_timer *t, void *user, struct err *e);
typedef int loop_signal_fn(int signo, void *user, struct err *e);
/* status is that of waitid: exited (code) or killed (signal), exactly one is >= 0. */
typedef int loop_child_fn(struct loop_child *c, int exit_code, int term_signal, void *user, struct err *e);

int loop_new(struct loop **ret, struct err *e);
struct loop *loop_free(struct loop *l); /* frees all its sources too; always NULL; not from a callback */
/* Until loop_quit(), a callback's error, or nothing left to wait for: no io, no living child, no armed timer (signals
 * alone do not keep it waiting). 0 or negative. May be called again; not from a callback. */
int loop_run(struct loop *l, struct err *e);
void loop_quit(struct loop *l);

/* The descriptor stays the caller's; remove the source before closing it. On a hangup or an error the events asked for
 * are reported with LOOP_HANGUP, so that a read sees the end and a write the error. While nothing is asked for (events
 * 0) a hangup is reported once only: pausing a source costs no processor time. */
int loop_io_new(struct loop *l, int fd, unsigned events, loop_io_fn *fn, void *user, struct loop_io **ret,
                struct err *e);
int loop_io_set(struct loop_io *io, unsigned events, struct err *e);
struct loop_io *loop_io_free(struct loop_io *io);

/* A timer is born disarmed; arming cannot fail. Armed in a callback, also with 0, it fires in a later turn. deadline_ms
 * is on clock_mono_ms(). Fires once per arming. */
int loop_timer_new(struct loop *l, loop_timer_fn *fn, void *user, struct loop_timer **ret, struct err *e);
void loop_timer_at(struct loop_timer *t, uint64_t deadline_ms);
void loop_timer_in(struct loop_timer *t, uint64_t delay_ms);
void loop_timer_off(struct loop_timer *t);
bool loop_timer_is_armed(const struct loop_timer *t);
struct loop_timer *loop_timer_free(struct loop_timer *t);

/* Blocks the signal for the process and delivers it here; freeing it unblocks it, unless it was blocked before. */
int loop_signal_new(struct loop *l, int signo, loop_signal_fn *fn, void *user, struct loop_signal **ret, struct err *e);
struct loop_signal *loop_signal_free(struct loop_signal *s);

/* Watch a child by its pidfd (taken over on success). Called once, after the child was reaped. The object
 * stays until it is freed; freeing it does not kill the child. */
int loop_child_new(struct loop *l, pid_t pid, int pidfd, loop_child_fn *fn, void *user, struct loop_child **ret,
                   struct err *e);
int loop_child_kill(struct loop_child *c, int signo); /* no-op after exit */
struct loop_child *loop_child_free(struct loop_child *c);
