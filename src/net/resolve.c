#include "net/resolve.h"

#include <ares.h>
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/list.h"
#include "loop/loop.h"

/* A socket of c-ares. */
struct watch {
        struct list list;
        int fd;
        struct loop_io *io;
};

struct resolver {
        struct loop *loop;
        ares_channel channel;
        bool open;                /* channel is initialised */
        struct loop_timer *timer; /* c-ares' own time limits, and answers that came at once */
        struct list watches, queries;
        struct err broken; /* what a callback without an error of its own met */
};

struct resolve {
        struct list list; /* of resolver.queries, or of none when cancelled */
        struct resolver *resolver;
        resolve_fn *done; /* NULL: cancelled */
        void *user;
        bool answered;
        struct address addresses[RESOLVE_MAX_ADDRESSES];
        size_t n;
        const char *why;
};

/* ---- answers ---- */

/* Those of one family, behind what is there. */
static void take_family(struct resolve *q, const struct ares_addrinfo *info, int family)
{
        for (const struct ares_addrinfo_node *n = info->nodes; n && q->n < RESOLVE_MAX_ADDRESSES; n = n->ai_next)
                if (n->ai_family == family && address_from_socket(n->ai_addr, &q->addresses[q->n]))
                        q->n++;
}

/* Only noted: c-ares may call from within ares_getaddrinfo(). */
static void on_answer(void *user, int status, int timeouts, struct ares_addrinfo *info)
{
        struct resolve *q = user;

        (void)timeouts;
        q->answered = true;
        if (info) {
                take_family(q, info, AF_INET);
                take_family(q, info, AF_INET6);
                ares_freeaddrinfo(info);
        }
        q->why = q->n ? NULL : status == ARES_SUCCESS ? "the name has no address" : ares_strerror(status);
        if (q->done)
                loop_timer_in(q->resolver->timer, 0);
        else
                free(q);
}

static struct resolve *next_answered(struct resolver *r)
{
        list_for (pos, &r->queries) {
                struct resolve *q = list_entry(pos, struct resolve, list);
                if (q->answered)
                        return q;
        }
        return NULL;
}

static int deliver(struct resolver *r, struct err *e)
{
        struct resolve *q;
        int ret = 0;

        while (ret == 0 && (q = next_answered(r))) {
                list_remove(&q->list);
                ret = q->done(q->addresses, q->n, q->why, q->user, e);
                free(q);
        }
        return ret;
}

/* ---- c-ares on the loop ---- */

static void arm(struct resolver *r)
{
        struct timeval tv;

        if (next_answered(r))
                loop_timer_in(r->timer, 0);
        else if (ares_timeout(r->channel, NULL, &tv))
                loop_timer_in(r->timer, (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000 + 1);
        else
                loop_timer_off(r->timer);
}

static int turn_over(struct resolver *r, struct err *e)
{
        if (r->broken.code != ERR_SUCCESS) {
                if (e)
                        *e = r->broken;
                return -1;
        }
        int ret = deliver(r, e);
        arm(r);
        return ret;
}

static int on_socket(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        struct resolver *r = user;

        (void)io;
        ares_process_fd(r->channel, events & (LOOP_READ | LOOP_HANGUP) ? fd : ARES_SOCKET_BAD,
                        events & LOOP_WRITE ? fd : ARES_SOCKET_BAD);
        return turn_over(r, e);
}

static int on_timer(struct loop_timer *t, void *user, struct err *e)
{
        struct resolver *r = user;

        (void)t;
        ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
        return turn_over(r, e);
}

static struct watch *find_watch(struct resolver *r, int fd)
{
        list_for (pos, &r->watches) {
                struct watch *w = list_entry(pos, struct watch, list);
                if (w->fd == fd)
                        return w;
        }
        return NULL;
}

static void watch_free(struct watch *w)
{
        list_remove(&w->list);
        loop_io_free(w->io);
        free(w);
}

static int watch_new(struct resolver *r, int fd, unsigned events, struct err *e)
{
        struct watch *w = calloc(1, sizeof(*w));

        if (!w)
                return err_nomem(e);
        w->fd = fd;
        list_append(&r->watches, &w->list);
        int ret = loop_io_new(r->loop, fd, events, on_socket, r, &w->io, e);
        if (ret < 0)
                watch_free(w);
        return ret;
}

/* What c-ares wants to know of a socket of its own; nothing: it closes it. */
static void on_state(void *user, ares_socket_t fd, int readable, int writable)
{
        struct resolver *r = user;
        struct watch *w = find_watch(r, fd);
        unsigned events = (readable ? (unsigned)LOOP_READ : 0) | (writable ? (unsigned)LOOP_WRITE : 0);
        int ret = 0;

        if (w && !events)
                watch_free(w);
        else if (w)
                ret = loop_io_set(w->io, events, &r->broken);
        else if (events)
                ret = watch_new(r, fd, events, &r->broken);
        if (ret < 0)
                loop_timer_in(r->timer, 0);
}

/* ---- life ---- */

CLEANUP_DEFINE(struct resolver, resolver_free)

int resolver_new(struct resolver **ret, struct err *e)
{
        AUTO(resolver_freep) struct resolver *r = calloc(1, sizeof(*r));
        char dns_only[] = "b";

        if (!r)
                return err_nomem(e);
        list_init(&r->watches);
        list_init(&r->queries);
        struct ares_options options = {.timeout = RESOLVE_TIMEOUT_MS,
                                       .tries = RESOLVE_TRIES,
                                       .lookups = dns_only,
                                       .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES,
                                       .sock_state_cb = on_state,
                                       .sock_state_cb_data = r};
        int status = ares_library_init(ARES_LIB_INIT_ALL);
        if (status == ARES_SUCCESS)
                status = ares_init_options(&r->channel, &options,
                                           ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_FLAGS |
                                                   ARES_OPT_SOCK_STATE_CB);
        if (status != ARES_SUCCESS)
                return err_set(e, ERR_RESOURCES, "start the resolver: %s", ares_strerror(status));
        r->open = true;
        *ret = TAKE_PTR(r);
        return 0;
}

int resolver_attach(struct resolver *r, struct loop *l, struct err *e)
{
        r->loop = l;
        return loop_timer_new(l, on_timer, r, &r->timer, e);
}

struct resolver *resolver_free(struct resolver *r)
{
        if (!r)
                return NULL;
        list_for (pos, &r->queries)
                list_entry(pos, struct resolve, list)->done = NULL;
        list_for_safe (pos, tmp, &r->queries) {
                struct resolve *q = list_entry(pos, struct resolve, list);
                list_remove(pos);
                if (q->answered)
                        free(q);
        }
        if (r->open)
                ares_destroy(r->channel); /* answers what is open, and closes its sockets */
        ares_library_cleanup();
        list_for_safe (pos, tmp, &r->watches)
                watch_free(list_entry(pos, struct watch, list));
        loop_timer_free(r->timer);
        free(r);
        return NULL;
}

int resolve_start(struct resolver *r, const char *name, resolve_fn *done, void *user, struct resolve **ret,
                  struct err *e)
{
        const struct ares_addrinfo_hints hints = {
                .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = ARES_AI_NOSORT};
        struct resolve *q = calloc(1, sizeof(*q));

        if (!q)
                return err_nomem(e);
        q->resolver = r;
        q->done = done;
        q->user = user;
        list_append(&r->queries, &q->list);
        ares_getaddrinfo(r->channel, name, NULL, &hints, on_answer, q);
        arm(r);
        *ret = q;
        return 0;
}

/* c-ares cannot give up one question: its answer is thrown away. */
void resolve_cancel(struct resolve *q)
{
        assert(q->done);
        list_remove(&q->list);
        q->done = NULL;
        if (q->answered)
                free(q);
}
