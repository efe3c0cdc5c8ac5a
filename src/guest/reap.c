#include "guest/reap.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/list.h"
#include "loop/loop.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

struct watch {
        struct list list;
        pid_t pid;
        reap_fn *fn;
        void *user;
};

struct reaper {
        struct loop_signal *signal;
        struct loop_timer *again;
        struct list watches;
};

static struct watch *find(struct reaper *r, pid_t pid)
{
        list_for (pos, &r->watches) {
                struct watch *w = list_entry(pos, struct watch, list);
                if (w->pid == pid)
                        return w;
        }
        return NULL;
}

static int ended(struct reaper *r, pid_t pid, int status, struct err *e)
{
        struct watch *w = find(r, pid);
        if (!w)
                return 0; /* an orphan */
        reap_fn *fn = w->fn;
        void *user = w->user;
        reaper_forget(r, pid);
        return fn(WIFEXITED(status) ? WEXITSTATUS(status) : -1, WIFSIGNALED(status) ? WTERMSIG(status) : -1, user, e);
}

static int reap(struct reaper *r, struct err *e)
{
        for (unsigned i = 0; i < REAP_PER_TURN; i++) {
                int status;
                pid_t pid = waitpid(-1, &status, WNOHANG);
                if (pid <= 0)
                        return 0;
                int x = ended(r, pid, status, e);
                if (x < 0)
                        return x;
        }
        loop_timer_in(r->again, 0);
        return 0;
}

static int on_signal(int signo, void *user, struct err *e)
{
        (void)signo;
        return reap(user, e);
}

static int on_again(struct loop_timer *t, void *user, struct err *e)
{
        (void)t;
        return reap(user, e);
}

static struct reaper *reaper_free(struct reaper *r)
{
        if (!r)
                return NULL;
        list_for_safe (pos, next, &r->watches)
                free(list_entry(pos, struct watch, list));
        loop_signal_free(r->signal);
        loop_timer_free(r->again);
        free(r);
        return NULL;
}

int reaper_new(struct loop *l, struct reaper **ret, struct err *e)
{
        struct reaper *r = calloc(1, sizeof(*r));
        if (!r)
                return err_nomem(e);
        list_init(&r->watches);
        int x = loop_signal_new(l, SIGCHLD, on_signal, r, &r->signal, e);
        x = x < 0 ? x : loop_timer_new(l, on_again, r, &r->again, e);
        if (x < 0)
                reaper_free(r);
        else
                *ret = r;
        return x;
}

int reaper_watch(struct reaper *r, pid_t pid, reap_fn *fn, void *user, struct err *e)
{
        struct watch *w = calloc(1, sizeof(*w));
        if (!w)
                return err_nomem(e);
        *w = (struct watch){.pid = pid, .fn = fn, .user = user};
        list_append(&r->watches, &w->list);
        return 0;
}

void reaper_forget(struct reaper *r, pid_t pid)
{
        struct watch *w = find(r, pid);
        if (!w)
                return;
        list_remove(&w->list);
        free(w);
}
