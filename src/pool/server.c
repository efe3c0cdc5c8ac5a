#include "pool/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/list.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "loop/loop.h"
#include "pool/limits.h"
#include "pool/pool.h"
#include "wire/guest.h"
#include "wire/pool.h"

#define BACKLOG 64

CLEANUP_DEFINE(struct fields, fields_free)

/* What one user has used up. */
struct user {
        uid_t uid;
        unsigned connections;
        uint64_t verbs_ms; /* clock_mono_ms() up to which requests are paid for: 1000 / POOL_USER_VERBS each */
};

struct client {
        struct list item;
        struct server *server;
        struct user *user;
        int fd;
        struct loop_io *io;
        struct loop_timer *deadline;
        struct fields_reader *reader;
        struct buf out;
        bool ending; /* once `out` is sent */
};

struct server {
        struct loop *loop;
        struct pool *pool;
        char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
        int fd;
        struct loop_io *io;
        struct list clients;
        unsigned n_clients;
        struct user users[POOL_MAX_USERS];
        size_t n_users;
};

/* ---- one client ---- */

static struct client *client_free(struct client *c)
{
        if (!c)
                return NULL;
        list_remove(&c->item);
        c->server->n_clients--;
        if (c->user)
                c->user->connections--;
        loop_io_free(c->io);
        loop_timer_free(c->deadline);
        fields_reader_free(c->reader);
        buf_done(&c->out);
        fd_close(c->fd);
        free(c);
        return NULL;
}

static int on_client_deadline(struct loop_timer *t, void *user, struct err *e)
{
        (void)t;
        (void)e;
        client_free(user);
        return 0;
}

/* Send what is left; a client with answers to take is not read from. Frees it at its end: 1. */
static int flush(struct client *c, struct err *e)
{
        while (c->out.len > 0) {
                ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN) {
                        loop_timer_in(c->deadline, POOL_SLOW_MS);
                        return loop_io_set(c->io, LOOP_WRITE, e);
                }
                if (n <= 0) {
                        client_free(c);
                        return 1;
                }
                buf_consume(&c->out, (size_t)n);
        }
        if (c->ending) {
                client_free(c);
                return 1;
        }
        loop_timer_in(c->deadline, POOL_SILENCE_MS);
        return loop_io_set(c->io, LOOP_READ, e);
}

static int answer(struct client *c, const struct pool_answer *a, struct err *e)
{
        int r = pool_answer_write(a, &c->out, e);

        return r == 0 ? flush(c, e) : r;
}

static int answer_error(struct client *c, const struct err *why, struct err *e)
{
        struct pool_answer a = {.status = POOL_ERROR, .code = why->code};

        c->ending |= why->code == ERR_PROTOCOL;
        str_copy(a.message, sizeof(a.message), why->msg);
        return answer(c, &a, e);
}

/* ---- verbs ---- */

/* The message and its descriptors go at once or not at all; without them nobody has the VM, and it ends. */
static int claim(struct client *c, const struct pool_request *q, struct err *e)
{
        struct pool *p = c->server->pool;
        struct vm_entry *v = pool_claim(p, c->user->uid, q);
        struct pool_answer *a = calloc(1, sizeof(*a));
        struct buf text = BUF_INIT_MAX(POOL_MAX_ANSWER);
        int fds[POOL_FD_COUNT];
        int r = a ? 0 : err_nomem(e);

        if (r == 0 && !v) {
                a->status = POOL_NONE;
                r = answer(c, a, e);
        } else if (v) {
                size_t n = r == 0 ? pool_claim_answer(p, v, c->user->uid, a, fds) : 0;
                struct err why = ERR_INIT;
                bool adopted = r == 0 && a->adopt;

                bool sent = r == 0 && pool_answer_write(a, &text, &why) == 0 &&
                            fd_send(c->fd, text.data, text.len, fds, n, &why) == 0;
                pool_claim_sent(p, v, sent, adopted);
                if (sent) {
                        loop_timer_in(c->deadline, POOL_SILENCE_MS);
                } else {
                        client_free(c);
                        r = 1;
                }
        }
        buf_done(&text);
        free(a);
        return r;
}

static int serve(struct client *c, const struct pool_request *q, struct err *e)
{
        struct pool *p = c->server->pool;
        struct pool_answer a = {.status = POOL_OK};
        struct err why = ERR_INIT;
        int r = 0;

        if (q->verb == POOL_CLAIM)
                return claim(c, q, e);
        if (q->verb == POOL_WARM)
                r = pool_warm(p, c->user->uid, q, &why);
        else if (q->verb == POOL_STOP)
                r = pool_stop(p, c->user->uid, q, &a.stopped, &why);
        else
                r = pool_list(p, c->user->uid, &a, &why);
        if (q->verb == POOL_HELLO)
                a.n_vms = a.n_keeps = 0;
        r = r < 0 ? answer_error(c, &why, e) : answer(c, &a, e);
        pool_answer_done(&a);
        return r;
}

/* A bucket of POOL_USER_VERBS requests that fills up within a second. */
static bool may_ask(struct user *u)
{
        uint64_t now = clock_mono_ms(), floor = now > 1000 ? now - 1000 : 0;

        u->verbs_ms = MAX(u->verbs_ms, floor);
        if (u->verbs_ms + 1000 / POOL_USER_VERBS > now)
                return false;
        u->verbs_ms += 1000 / POOL_USER_VERBS;
        return true;
}

static int on_request(struct client *c, const struct fields *f, struct err *e)
{
        struct pool_request q;
        struct err why = ERR_INIT;

        if (!may_ask(c->user)) {
                err_set(&why, ERR_PROTOCOL, "more than %u requests a second: ask less often", POOL_USER_VERBS);
                return answer_error(c, &why, e);
        }
        if (pool_request_parse(f, &q, &why) < 0)
                return answer_error(c, &why, e);
        return serve(c, &q, e);
}

/* A request that comes before the answer to the one before it is refused: whoever waits for answers never sends one,
 * and nothing has to be kept for whoever does not. */
static int on_bytes(struct client *c, const uint8_t *data, size_t len, struct err *e)
{
        struct err why = ERR_INIT;

        while (len > 0) {
                AUTO(fields_freep) struct fields *f = NULL;
                size_t used = 0;

                if (fields_reader_feed(c->reader, data, len, &used, &f, &why) < 0)
                        return answer_error(c, &why, e);
                data += used;
                len -= used;
                if (!f)
                        continue;
                if (len > 0) {
                        err_set(&why, ERR_PROTOCOL, "expected one request at a time");
                        return answer_error(c, &why, e);
                }
                return on_request(c, f, e);
        }
        return 0;
}

static int on_readable(struct client *c, struct err *e)
{
        uint8_t data[POOL_MAX_REQUEST];
        size_t len = 0, n = 0;
        struct err why = ERR_INIT;
        int none;

        /* Descriptors that come with bytes are closed by fd_recv(), and refused. */
        int r = fd_recv(c->fd, data, sizeof(data), &none, 0, &len, &n, &why);
        if (r == FD_E_AGAIN)
                return 0;
        if (r < 0 && why.code == ERR_PROTOCOL)
                return answer_error(c, &why, e);
        if (r < 0 || len == 0) {
                client_free(c);
                return 0;
        }
        return on_bytes(c, data, len, e);
}

/* An answer that cannot be made or sent costs this client its connection, and nobody else anything. */
static int on_client(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        struct client *c = user;
        struct err why = ERR_INIT;

        (void)io;
        (void)fd;
        (void)e;
        int r = events & LOOP_WRITE ? flush(c, &why) : on_readable(c, &why);
        if (r < 0) {
                log_warning("a client is cut off: %s", why.msg);
                client_free(c);
        }
        return 0;
}

/* ---- who may ---- */

static struct user *find_user(struct server *s, uid_t uid)
{
        for (size_t i = 0; i < s->n_users; i++)
                if (s->users[i].uid == uid)
                        return &s->users[i];
        return NULL;
}

static int client_new(struct server *s, int fd, struct user *u, struct err *e)
{
        struct client *c = calloc(1, sizeof(*c));

        if (!c) {
                fd_close(fd);
                return err_nomem(e);
        }
        c->server = s;
        c->user = u;
        c->fd = fd;
        c->out.max = POOL_MAX_ANSWER;
        list_append(&s->clients, &c->item);
        s->n_clients++;
        u->connections++;
        int r = fields_reader_new(POOL_MAX_REQUEST, &c->reader, e);
        if (r == 0)
                r = loop_timer_new(s->loop, on_client_deadline, c, &c->deadline, e);
        if (r == 0)
                r = loop_io_new(s->loop, fd, LOOP_READ, on_client, c, &c->io, e);
        if (r == 0)
                loop_timer_in(c->deadline, POOL_SILENCE_MS);
        else
                client_free(c);
        return r;
}

/* One sentence for somebody who is turned away; it fits into the empty buffer of a new socket. */
static void turn_away(int fd, const char *message)
{
        struct pool_answer a = {.status = POOL_ERROR, .code = ERR_RESOURCES};
        struct buf text = BUF_INIT;

        str_copy(a.message, sizeof(a.message), message);
        if (pool_answer_write(&a, &text, NULL) == 0)
                send(fd, text.data, text.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        buf_done(&text);
        fd_close(fd);
}

static int on_connection(struct loop_io *io, int listener, unsigned events, void *user, struct err *e)
{
        struct server *s = user;
        struct ucred peer;
        socklen_t size = sizeof(peer);
        struct err why = ERR_INIT;
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        (void)io;
        (void)events;
        (void)e;
        if (fd < 0)
                return 0;
        struct user *u = NULL;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && size == sizeof(peer))
                u = find_user(s, peer.uid);
        if (!u)
                turn_away(fd, "this pool does not serve your user; its operator may start it with --allow USER");
        else if (s->n_clients >= POOL_MAX_CONNECTIONS || u->connections >= POOL_MAX_USER_CONNECTIONS)
                turn_away(fd, "too many connections to this pool; try again");
        else if (client_new(s, fd, u, &why) < 0)
                log_warning("a client was turned away: %s", why.msg);
        return 0;
}

/* ---- the socket ---- */

static int listen_at(struct server *s, bool others, struct err *e)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        str_copy(address.sun_path, sizeof(address.sun_path), s->path);
        s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        unlink(s->path);
        if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
            chmod(s->path, others ? 0666 : 0600) < 0 || listen(s->fd, BACKLOG) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "listen on %s", s->path);
        return 0;
}

static void add_user(struct server *s, uid_t uid)
{
        if (!find_user(s, uid) && s->n_users < POOL_MAX_USERS)
                s->users[s->n_users++] = (struct user){.uid = uid};
}

int server_new(struct loop *l, struct pool *p, const struct server_options *o, struct server **ret, struct err *e)
{
        struct server *s = calloc(1, sizeof(*s));

        if (!s)
                return err_nomem(e);
        s->loop = l;
        s->pool = p;
        s->fd = -1;
        list_init(&s->clients);
        add_user(s, o->self);
        add_user(s, 0);
        for (size_t i = 0; i < o->n_allowed; i++)
                add_user(s, o->allowed[i]);
        int r = str_copy(s->path, sizeof(s->path), o->path) ? 0
                                                            : err_set(e, ERR_USAGE,
                                                                      "%s is longer than the %zu bytes that a socket's "
                                                                      "path may have; set DEVDEP_STATE to a shorter "
                                                                      "folder",
                                                                      o->path, sizeof(s->path) - 1);
        if (r == 0)
                r = listen_at(s, o->n_allowed > 0, e);
        if (r == 0)
                r = loop_io_new(l, s->fd, LOOP_READ, on_connection, s, &s->io, e);
        if (r < 0)
                s = server_free(s);
        *ret = s;
        return r;
}

struct server *server_free(struct server *s)
{
        if (!s)
                return NULL;
        list_for_safe (item, next, &s->clients)
                client_free(list_entry(item, struct client, item));
        loop_io_free(s->io);
        if (s->fd >= 0)
                unlink(s->path);
        fd_close(s->fd);
        free(s);
        return NULL;
}
