/* How a turn works: epoll_wait() fills an array of events; each event carries its source's address. A source that a
 * callback frees is only marked dead and leaves epoll at once; its memory goes at the end of the turn, so an event of
 * the same turn that still names it is recognised and dropped. Timers fire after the events. */
#include "loop/loop.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/list.h"
#include "loop/internal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define EVENTS_PER_TURN 64
#define WAIT_PIDFD ((idtype_t)3) /* P_PIDFD, which musl does not name */

enum source_kind { SOURCE_IO, SOURCE_SIGNAL, SOURCE_CHILD };

struct source {
        struct loop *loop;
        struct list link; /* in the loop's `sources` or, when dead, `graveyard` */
        enum source_kind kind;
        int fd;
        bool dead;
        bool holds; /* does it keep loop_run() waiting? */
};

struct loop_io {
        struct source source;
        unsigned events;
        loop_io_fn *fn;
        void *user;
};

struct loop_signal {
        struct source source;
        int signo;
        bool was_blocked;
        loop_signal_fn *fn;
        void *user;
};

struct loop_child {
        struct source source;
        pid_t pid;
        bool reaped;
        loop_child_fn *fn;
        void *user;
};

struct loop {
        int epoll;
        bool quit, in_turn;
        size_t n_holding;
        struct list sources, graveyard;
        struct timers timers;
};

struct timers *loop_timers(struct loop *l)
{
        return &l->timers;
}

int loop_new(struct loop **ret, struct err *e)
{
        struct loop *l = calloc(1, sizeof(*l));
        if (!l)
                return err_nomem(e);
        l->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (l->epoll < 0) {
                int errnum = errno;
                free(l);
                return err_errno(e, ERR_RESOURCES, errnum, "make an epoll instance");
        }
        list_init(&l->sources);
        list_init(&l->graveyard);
        timers_init(&l->timers);
        *ret = l;
        return 0;
}

static void empty_graveyard(struct loop *l)
{
        list_for_safe (pos, next, &l->graveyard)
                free(list_entry(pos, struct source, link));
        list_init(&l->graveyard);
}

struct loop *loop_free(struct loop *l)
{
        if (!l)
                return NULL;
        list_for_safe (pos, next, &l->sources) {
                struct source *s = list_entry(pos, struct source, link);
                if (s->kind == SOURCE_IO)
                        loop_io_free((struct loop_io *)(void *)s);
                else if (s->kind == SOURCE_SIGNAL)
                        loop_signal_free((struct loop_signal *)(void *)s);
                else
                        loop_child_free((struct loop_child *)(void *)s);
        }
        empty_graveyard(l);
        timers_done(&l->timers);
        fd_close(l->epoll);
        free(l);
        return NULL;
}

/* Make a source of `size` bytes that begins with struct source, and watch its descriptor. */
static int source_new(struct loop *l, size_t size, enum source_kind kind, int fd, uint32_t mask, struct source **ret,
                      struct err *e)
{
        AUTO(auto_free) struct source *s = calloc(1, size);
        if (!s)
                return err_nomem(e);
        struct epoll_event event = {.events = mask, .data.ptr = s};
        if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "watch descriptor %d", fd);
        s->loop = l;
        s->kind = kind;
        s->fd = fd;
        s->holds = kind != SOURCE_SIGNAL;
        l->n_holding += s->holds;
        list_append(&l->sources, &s->link);
        *ret = TAKE_PTR(s);
        return 0;
}

static void source_stop_holding(struct source *s)
{
        s->loop->n_holding -= s->holds;
        s->holds = false;
}

static void source_free(struct source *s)
{
        struct loop *l = s->loop;
        epoll_ctl(l->epoll, EPOLL_CTL_DEL, s->fd, NULL);
        source_stop_holding(s);
        s->dead = true;
        list_remove(&s->link);
        list_append(&l->graveyard, &s->link);
        if (!l->in_turn)
                empty_graveyard(l);
}

/* With nothing asked for, a hangup is reported once (edge-triggered) and not again and again. */
static uint32_t epoll_mask(unsigned events)
{
        if (!events)
                return EPOLLET;
        return (events & LOOP_READ ? (uint32_t)EPOLLIN : 0) | (events & LOOP_WRITE ? (uint32_t)EPOLLOUT : 0);
}

int loop_io_new(struct loop *l, int fd, unsigned events, loop_io_fn *fn, void *user, struct loop_io **ret,
                struct err *e)
{
        struct source *s;
        int r = source_new(l, sizeof(struct loop_io), SOURCE_IO, fd, epoll_mask(events), &s, e);
        if (r < 0)
                return r;
        struct loop_io *io = (struct loop_io *)(void *)s;
        io->events = events;
        io->fn = fn;
        io->user = user;
        *ret = io;
        return 0;
}

int loop_io_set(struct loop_io *io, unsigned events, struct err *e)
{
        if (io->events == events)
                return 0;
        struct epoll_event event = {.events = epoll_mask(events), .data.ptr = io};
        if (epoll_ctl(io->source.loop->epoll, EPOLL_CTL_MOD, io->source.fd, &event) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "watch descriptor %d", io->source.fd);
        io->events = events;
        return 0;
}

struct loop_io *loop_io_free(struct loop_io *io)
{
        if (io)
                source_free(&io->source);
        return NULL;
}

static int io_dispatch(struct loop_io *io, uint32_t got, struct err *e)
{
        unsigned events = 0;
        if (got & EPOLLIN)
                events |= LOOP_READ;
        if (got & EPOLLOUT)
                events |= LOOP_WRITE;
        /* Who waits to read or write is told to: read() then gives the end of file, write() the error. */
        if (got & (EPOLLHUP | EPOLLERR))
                events |= LOOP_HANGUP | (io->events & (LOOP_READ | LOOP_WRITE));
        return io->fn(io, io->source.fd, events, io->user, e);
}

int loop_signal_new(struct loop *l, int signo, loop_signal_fn *fn, void *user, struct loop_signal **ret, struct err *e)
{
        sigset_t set, before;
        sigemptyset(&set);
        sigaddset(&set, signo);
        AUTO(auto_close) int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        if (fd < 0)
                return err_errno(e, ERR_RESOURCES, errno, "watch signal %d", signo);
        struct source *s;
        int r = source_new(l, sizeof(struct loop_signal), SOURCE_SIGNAL, fd, EPOLLIN, &s, e);
        if (r < 0)
                return r;
        sigprocmask(SIG_BLOCK, &set, &before);
        struct loop_signal *sig = (struct loop_signal *)(void *)s;
        sig->signo = signo;
        sig->was_blocked = sigismember(&before, signo) == 1;
        sig->fn = fn;
        sig->user = user;
        TAKE_FD(fd);
        *ret = sig;
        return 0;
}

struct loop_signal *loop_signal_free(struct loop_signal *sig)
{
        if (!sig)
                return NULL;
        int fd = sig->source.fd, signo = sig->signo;
        bool was_blocked = sig->was_blocked;
        source_free(&sig->source);
        fd_close(fd);
        if (!was_blocked) {
                sigset_t set;
                sigemptyset(&set);
                sigaddset(&set, signo);
                sigprocmask(SIG_UNBLOCK, &set, NULL);
        }
        return NULL;
}

static int signal_dispatch(struct loop_signal *sig, struct err *e)
{
        struct signalfd_siginfo info;
        int r = 0;
        while (r == 0 && !sig->source.dead && read(sig->source.fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
                r = sig->fn(sig->signo, sig->user, e);
        return r;
}

int loop_child_new(struct loop *l, pid_t pid, int pidfd, loop_child_fn *fn, void *user, struct loop_child **ret,
                   struct err *e)
{
        struct source *s;
        int r = source_new(l, sizeof(struct loop_child), SOURCE_CHILD, pidfd, EPOLLIN, &s, e);
        if (r < 0)
                return r;
        struct loop_child *c = (struct loop_child *)(void *)s;
        c->pid = pid;
        c->fn = fn;
        c->user = user;
        *ret = c;
        return 0;
}

int loop_child_kill(struct loop_child *c, int signo)
{
        if (c->reaped)
                return 0;
        return (int)syscall(SYS_pidfd_send_signal, c->source.fd, signo, NULL, 0);
}

struct loop_child *loop_child_free(struct loop_child *c)
{
        if (!c)
                return NULL;
        int fd = c->source.fd;
        source_free(&c->source);
        fd_close(fd);
        return NULL;
}

static int child_dispatch(struct loop_child *c, struct err *e)
{
        siginfo_t info = {0};
        int r;
        do
                r = waitid(WAIT_PIDFD, (id_t)c->source.fd, &info, WEXITED | WNOHANG);
        while (r < 0 && errno == EINTR);
        if (r < 0)
                return err_errno(e, ERR_RESOURCES, errno, "wait for process %d", (int)c->pid);
        if (info.si_pid == 0)
                return 0;
        c->reaped = true;
        source_stop_holding(&c->source);
        epoll_ctl(c->source.loop->epoll, EPOLL_CTL_DEL, c->source.fd, NULL);
        if (info.si_code == CLD_EXITED)
                return c->fn(c, info.si_status, -1, c->user, e);
        return c->fn(c, -1, info.si_status, c->user, e);
}

static int dispatch(struct source *s, uint32_t got, struct err *e)
{
        if (s->dead)
                return 0;
        switch (s->kind) {
        case SOURCE_IO:
                return io_dispatch((struct loop_io *)(void *)s, got, e);
        case SOURCE_SIGNAL:
                return signal_dispatch((struct loop_signal *)(void *)s, e);
        case SOURCE_CHILD:
                return child_dispatch((struct loop_child *)(void *)s, e);
        }
        return 0;
}

static int turn(struct loop *l, struct err *e)
{
        struct epoll_event events[EVENTS_PER_TURN];
        int n = epoll_wait(l->epoll, events, EVENTS_PER_TURN, timers_timeout(&l->timers));
        if (n < 0 && errno != EINTR)
                return err_errno(e, ERR_RESOURCES, errno, "wait for events");
        int r = 0;
        l->in_turn = true;
        l->timers.turn++;
        for (int i = 0; r >= 0 && i < n && !l->quit; i++)
                r = dispatch(events[i].data.ptr, events[i].events, e);
        if (r >= 0)
                r = timers_fire(&l->timers, &l->quit, e);
        l->in_turn = false;
        empty_graveyard(l);
        return r < 0 ? r : 0;
}

int loop_run(struct loop *l, struct err *e)
{
        int r = 0;
        l->quit = false;
        while (r == 0 && !l->quit && (l->n_holding || l->timers.n))
                r = turn(l, e);
        return r;
}

void loop_quit(struct loop *l)
{
        l->quit = true;
}
