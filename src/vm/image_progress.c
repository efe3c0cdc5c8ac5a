#include "vm/image_progress.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "loop/loop.h"
#include "loop/spawn.h"
#include "sandbox/sandbox.h"
#include "vm/image_orphans.h"

#define HEARTBEAT_MS 1500     /* silence is at most 2 s */
#define STOP_PATIENCE_MS 3000 /* from SIGTERM to SIGKILL of an interrupted tool */
#define MAX_LINE 512          /* bytes of a tool's line that are kept */
#define LAST_LINES 12         /* of a failed tool, in its error */
#define MAX_TOOL_OUTPUT ((size_t)1 << 20)

static const char *const folders[] = {"/usr/sbin/", "/usr/bin/",        "/sbin/",
                                      "/bin/",      "/usr/local/sbin/", "/usr/local/bin/"};
static const int stop_signals[] = {SIGINT, SIGTERM, SIGHUP};

struct image_progress {
        char name[80];
        char stage[128];
        uint64_t stage_began, last_shown;
        struct loop *loop;
        struct loop_timer *timer;
        struct loop_signal *signals[ARRAY_SIZE(stop_signals)];
        int stopped_by; /* a signal, or 0 */
        struct sigaction old_pipe;
        bool was_reaper;
        struct run *run;
};

/* One tool at work. */
struct run {
        struct image_progress *p;
        const struct image_tool *t;
        pid_t pid;
        int text_fd, out_fd; /* our ends of the pipes */
        struct loop_io *text_io, *out_io;
        struct loop_child *child;
        char line[MAX_LINE];
        size_t line_len;
        char last[LAST_LINES][MAX_LINE];
        size_t n_lines;
        int status; /* exit code or 128 + signal; -1: it runs */
        uint64_t kill_at;
};

CLEANUP_DEFINE(struct image_progress, image_progress_free)

static void stop(struct image_progress *p, int signo);

static void show(struct image_progress *p, bool again)
{
        uint64_t now = clock_mono_ms();
        int n;
        if (again) {
                char age[CLOCK_DURATION_SIZE];
                clock_duration(now - p->stage_began, age);
                n = fprintf(stderr, "%s: %s (%s)\n", p->name, p->stage, age);
        } else {
                n = fprintf(stderr, "%s: %s\n", p->name, p->stage);
        }
        /* Whoever watched is gone, and with it whoever wanted this. */
        if (n < 0 && errno == EPIPE && !p->stopped_by)
                stop(p, SIGPIPE);
        p->last_shown = now;
        if (p->timer)
                loop_timer_at(p->timer, now + HEARTBEAT_MS);
}

void image_progress_stage(struct image_progress *p, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(p->stage, sizeof(p->stage), fmt, ap);
        va_end(ap);
        /* A stage may quote a tool's output. */
        for (char *c = p->stage; *c; c++)
                if ((unsigned char)*c < 0x20 || *c == 0x7f)
                        *c = '?';
        p->stage_began = clock_mono_ms();
        show(p, false);
}

static void end_tool(const struct run *x, int signo);

static int on_timer(struct loop_timer *t, void *user, struct err *e)
{
        (void)t;
        (void)e;
        struct image_progress *p = user;
        struct run *x = p->run;
        if (x && x->kill_at && clock_mono_ms() >= x->kill_at)
                end_tool(x, SIGKILL);
        show(p, true);
        return 0;
}

static void stop(struct image_progress *p, int signo)
{
        p->stopped_by = signo;
        if (p->run && !p->run->kill_at) {
                p->run->kill_at = clock_mono_ms() + STOP_PATIENCE_MS;
                end_tool(p->run, SIGTERM);
                image_progress_stage(p, "interrupted, cleaning up");
        } else if (!p->run) {
                loop_quit(p->loop);
        }
}

static int on_signal(int signo, void *user, struct err *e)
{
        (void)e;
        stop(user, signo);
        return 0;
}

int image_progress_new(const char *name, struct image_progress **ret, struct err *e)
{
        AUTO(image_progress_freep) struct image_progress *p = calloc(1, sizeof(*p));
        if (!p)
                return err_nomem(e);
        str_copy(p->name, sizeof(p->name), name);
        str_copy(p->stage, sizeof(p->stage), "starting");
        p->stage_began = p->last_shown = clock_mono_ms();
        /* A closed standard error must not end us before the cleanup. */
        struct sigaction ignore = {.sa_handler = SIG_IGN};
        sigaction(SIGPIPE, &ignore, &p->old_pipe);
        image_orphans_adopt(&p->was_reaper);
        int r = loop_new(&p->loop, e);
        if (r >= 0)
                r = loop_timer_new(p->loop, on_timer, p, &p->timer, e);
        for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(stop_signals); i++)
                r = loop_signal_new(p->loop, stop_signals[i], on_signal, p, &p->signals[i], e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(p);
        return 0;
}

struct image_progress *image_progress_free(struct image_progress *p)
{
        if (!p)
                return NULL;
        loop_free(p->loop);
        sigaction(SIGPIPE, &p->old_pipe, NULL);
        image_orphans_restore(p->was_reaper);
        free(p);
        return NULL;
}

static int cancelled(const struct image_progress *p, struct err *e)
{
        return err_set(e, ERR_CANCELLED, "interrupted by %s; nothing was changed", strsignal(p->stopped_by));
}

static int on_nap_end(struct loop_timer *t, void *user, struct err *e)
{
        (void)t;
        (void)e;
        struct image_progress *p = user;
        loop_quit(p->loop);
        return 0;
}

int image_progress_sleep(struct image_progress *p, unsigned ms, struct err *e)
{
        struct loop_timer *nap = NULL;
        if (!p->stopped_by) {
                int r = loop_timer_new(p->loop, on_nap_end, p, &nap, e);
                if (r < 0)
                        return r;
                loop_timer_in(nap, ms);
                r = loop_run(p->loop, e);
                loop_timer_free(nap);
                if (r < 0)
                        return r;
        }
        return p->stopped_by ? cancelled(p, e) : 0;
}

int image_progress_tick(struct image_progress *p, struct err *e)
{
        sigset_t waiting;
        sigpending(&waiting);
        for (size_t i = 0; i < ARRAY_SIZE(stop_signals); i++)
                if (sigismember(&waiting, stop_signals[i]) == 1)
                        return image_progress_sleep(p, 0, e);
        if (clock_mono_ms() - p->last_shown >= HEARTBEAT_MS)
                show(p, true);
        return p->stopped_by ? cancelled(p, e) : 0;
}

int image_progress_hash_tick(const char *what, uint64_t done, uint64_t total, void *user, struct err *e)
{
        (void)what;
        (void)done;
        (void)total;
        return image_progress_tick(user, e);
}

int image_tool_find(const char *name, const char *package, char **ret_path, struct err *e)
{
        for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
                AUTO(auto_free) char *path = str_printf("%s%s", folders[i], name);
                if (!path)
                        return err_nomem(e);
                if (access(path, X_OK) == 0) {
                        if (ret_path)
                                *ret_path = TAKE_PTR(path);
                        return 0;
                }
        }
        return err_set(e, ERR_RESOURCES, "the program %s is missing; install it: apt-get install %s", name, package);
}

static void take_line(struct run *x)
{
        x->line[x->line_len] = 0;
        x->line_len = 0;
        for (char *c = x->line; *c; c++)
                if ((unsigned char)*c < 0x20 || *c == 0x7f)
                        *c = ' ';
        if (!x->line[0])
                return;
        memcpy(x->last[x->n_lines++ % LAST_LINES], x->line, MAX_LINE);
        static const char *const marks[] = {"devdep-stage: ", "I: "};
        for (size_t i = 0; i < ARRAY_SIZE(marks) && !x->kill_at; i++)
                if (str_starts(x->line, marks[i]))
                        image_progress_stage(x->p, "%.100s", x->line + strlen(marks[i]));
}

static void take_text(struct run *x, const char *data, size_t len)
{
        for (size_t i = 0; i < len; i++) {
                if (data[i] == '\n' || data[i] == '\r')
                        take_line(x);
                else if (x->line_len < MAX_LINE - 1)
                        x->line[x->line_len++] = data[i];
        }
}

/* Everything that is there now; false at the end of the pipe. */
static bool drain(struct run *x, int fd, struct buf *to)
{
        char chunk[8192];
        for (;;) {
                ssize_t n = read(fd, chunk, sizeof(chunk));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return errno == EAGAIN;
                if (n == 0)
                        return false;
                if (!to)
                        take_text(x, chunk, (size_t)n);
                else if (to->len + (size_t)n <= MAX_TOOL_OUTPUT)
                        buf_append(to, chunk, (size_t)n, NULL);
        }
}

static int on_text(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        (void)io;
        (void)events;
        (void)e;
        struct run *x = user;
        if (!drain(x, fd, NULL))
                x->text_io = loop_io_free(x->text_io);
        return 0;
}

static int on_out(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        (void)io;
        (void)events;
        (void)e;
        struct run *x = user;
        if (!drain(x, fd, x->t->out))
                x->out_io = loop_io_free(x->out_io);
        return 0;
}

static int on_exit_of_tool(struct loop_child *c, int exit_code, int term_signal, void *user, struct err *e)
{
        (void)c;
        (void)e;
        struct run *x = user;
        x->status = exit_code >= 0 ? exit_code : 128 + term_signal;
        if (x->text_io)
                drain(x, x->text_fd, NULL);
        if (x->out_io)
                drain(x, x->out_fd, x->t->out);
        take_line(x);
        loop_quit(x->p->loop);
        return 0;
}

/* What a tool may know of our environment. */
static int tool_env(const struct image_tool *t, struct strv *ret, struct err *e)
{
        static const char *const kept[] = {"HOME",      "USER",         "LOGNAME",      "http_proxy",  "https_proxy",
                                           "ftp_proxy", "no_proxy",     "HTTP_PROXY",   "HTTPS_PROXY", "NO_PROXY",
                                           "TMPDIR",    "SSL_CERT_DIR", "SSL_CERT_FILE"};
        int r = strv_add(ret, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", e);
        if (r >= 0)
                r = strv_add(ret, "LC_ALL=C.UTF-8", e);
        if (r >= 0)
                r = strv_add(ret, "DEBIAN_FRONTEND=noninteractive", e);
        for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(kept); i++) {
                const char *value = getenv(kept[i]);
                AUTO(auto_free) char *prefix = str_printf("%s=", kept[i]);
                bool replaced = false;
                for (size_t j = 0; t->env && t->env[j]; j++)
                        replaced |= prefix && str_starts(t->env[j], prefix);
                if (value && !replaced)
                        r = strv_addf(ret, e, "%s=%s", kept[i], value);
        }
        for (size_t i = 0; r >= 0 && t->env && t->env[i]; i++)
                r = strv_add(ret, t->env[i], e);
        return r;
}

static int start_jailed(const struct image_tool *t, const struct spawn *s, pid_t *ret_pid, int *ret_pidfd,
                        struct err *e)
{
        char *const env[] = {(char *)(uintptr_t) "LC_ALL=C.UTF-8", NULL};
        struct sandbox_exec x = {.path = s->path,
                                 .argv = s->argv,
                                 .envp = env,
                                 .fds = s->fds,
                                 .n_fds = s->n_fds,
                                 .die_with_parent = true};
        return sandbox_spawn(t->jail, &x, ret_pid, ret_pidfd, NULL, e);
}

/* The whole process group; a jail dies with its first process. */
static void end_tool(const struct run *x, int signo)
{
        if (x->t->jail)
                kill(x->pid, SIGKILL);
        else
                kill(-x->pid, signo);
}

/* Start it with its output in pipes. */
static int start(struct run *x, const char *path, struct err *e)
{
        const struct image_tool *t = x->t;
        AUTO(strv_done) struct strv env = STRV_INIT, argv = STRV_INIT;
        int r = tool_env(t, &env, e);
        for (size_t i = 0; r >= 0 && t->argv[i]; i++)
                r = strv_add(&argv, t->argv[i], e);
        int text[2] = {-1, -1}, out[2] = {-1, -1}, pidfd = -1;
        if (r >= 0)
                r = fd_pipe(text, e);
        if (r >= 0 && t->out)
                r = fd_pipe(out, e);
        struct spawn_fd fds[SPAWN_MAX_FDS] = {{text[1], 2}, {t->out ? out[1] : text[1], 1}};
        unsigned n = 2;
        for (unsigned i = 0; i < t->n_fds && n < SPAWN_MAX_FDS; i++)
                fds[n++] = t->fds[i];
        struct spawn s = SPAWN_INIT;
        s.path = path;
        s.argv = argv.v;
        s.envp = env.v;
        s.fds = fds;
        s.n_fds = n;
        s.new_session = 1;
        s.die_with_parent = 1;
        if (r >= 0)
                r = t->jail ? start_jailed(t, &s, &x->pid, &pidfd, e) : spawn(&s, &x->pid, &pidfd, e);
        fd_close(text[1]);
        fd_close(out[1]);
        x->text_fd = text[0];
        x->out_fd = out[0];
        if (r < 0)
                return r;
        r = loop_child_new(x->p->loop, x->pid, pidfd, on_exit_of_tool, x, &x->child, e);
        if (r >= 0)
                r = fd_set_nonblock(x->text_fd, true, e);
        if (r >= 0)
                r = loop_io_new(x->p->loop, x->text_fd, LOOP_READ, on_text, x, &x->text_io, e);
        if (r >= 0 && t->out)
                r = fd_set_nonblock(x->out_fd, true, e);
        if (r >= 0 && t->out)
                r = loop_io_new(x->p->loop, x->out_fd, LOOP_READ, on_out, x, &x->out_io, e);
        return r;
}

static int tool_failed(const struct run *x, struct err *e)
{
        AUTO(buf_done) struct buf tail = BUF_INIT;
        size_t first = x->n_lines > LAST_LINES ? x->n_lines - LAST_LINES : 0;
        for (size_t i = first; i < x->n_lines; i++)
                buf_printf(&tail, NULL, "\n  %.160s", x->last[i % LAST_LINES]);
        /* The lines go out on their own: an error's message has room for the most important one only. */
        const char *lines = buf_cstr(&tail);
        fprintf(stderr, "%s: the last lines of %s:%s\n", x->p->name, x->t->name, lines ? lines : "");
        const char *last = x->n_lines ? x->last[(x->n_lines - 1) % LAST_LINES] : "it said nothing";
        for (size_t i = first; i < x->n_lines; i++)
                if (str_starts(x->last[i % LAST_LINES], "E: ") ||
                    str_starts(x->last[i % LAST_LINES], "devdep-error: ")) {
                        last = x->last[i % LAST_LINES];
                        break;
                }
        return err_set(e, ERR_RESOURCES, "%s failed while %s (status %d): %.300s", x->t->name, x->p->stage, x->status,
                       last);
}

int image_tool_run(struct image_progress *p, const struct image_tool *t, struct err *e)
{
        AUTO(auto_free) char *path = NULL;
        int r = image_tool_find(t->name, t->package, &path, e);
        if (r < 0)
                return r;
        r = image_progress_tick(p, e);
        if (r < 0)
                return r;
        struct run x = {.p = p, .t = t, .text_fd = -1, .out_fd = -1, .status = -1};
        r = start(&x, path, e);
        p->run = &x;
        loop_timer_in(p->timer, HEARTBEAT_MS);
        while (r >= 0 && x.status < 0)
                r = loop_run(p->loop, e);
        p->run = NULL;
        loop_timer_off(p->timer);
        loop_io_free(x.text_io);
        loop_io_free(x.out_io);
        loop_child_free(x.child);
        fd_close(x.text_fd);
        fd_close(x.out_fd);
        if (!image_orphans_end())
                log_warning("%s: what %s started did not end within %u s", p->name, t->name, IMAGE_ORPHANS_MS / 1000);
        if (r < 0)
                return r;
        if (p->stopped_by)
                return cancelled(p, e);
        return x.status == 0 ? 0 : tool_failed(&x, e);
}
