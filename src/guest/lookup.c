/* The stub resolver: every name gets an address, of the kind that the host says. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"
#include "guest/dns.h"
#include "guest/ip.h"
#include "guest/network_priv.h"
#include "loop/loop.h"
#include "wire/door.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT 53
#define QUESTIONS_PER_TURN 64

struct question {
        struct dns_query query;
        struct sockaddr_storage from;
        socklen_t from_len;
};

/* A name that the host is being asked about. */
struct lookup {
        struct list list;
        struct network *n;
        char name[DNS_MAX_NAME];
        bool reached;
        struct question waiting[NETWORK_MAX_WAITING];
        unsigned n_waiting;
};

/* Whoever does not get its answer asks again. */
static void answer(struct network *n, const struct question *q, enum dns_code code, const struct address *a)
{
        uint8_t bytes[DNS_MAX_ANSWER];
        size_t len = dns_answer(&q->query, code, a, bytes);
        (void)!sendto(n->resolver, bytes, len, MSG_NOSIGNAL, (const struct sockaddr *)&q->from, q->from_len);
}

/* A name has addresses and nothing else. */
static void answer_host(struct network *n, const struct question *q, const struct host *host)
{
        struct address a;
        bool v6 = q->query.type == DNS_AAAA;
        if (!v6 && q->query.type != DNS_A) {
                answer(n, q, DNS_OK, NULL);
                return;
        }
        hosts_address(host, v6, &a);
        answer(n, q, DNS_OK, &a);
}

static void answer_localhost(struct network *n, const struct question *q)
{
        struct address a;
        bool v6 = q->query.type == DNS_AAAA;
        address_parse(v6 ? "::1" : "127.0.0.1", &a);
        answer(n, q, DNS_OK, v6 || q->query.type == DNS_A ? &a : NULL);
}

/* ---- the host's word ---- */

static int on_answer(struct door_stream *s, const struct fields *answer_fields, void *user, struct err *e)
{
        struct lookup *l = user;
        uint64_t reached;
        (void)s;
        int r = fields_u64_opt(answer_fields, "reached", 0, 1, &reached, e);
        l->reached = r == 0 && reached;
        return r;
}

static void on_end(struct door_stream *s, enum door_end why, const struct fields *refusal, void *user)
{
        struct lookup *l = user;
        const struct host *host = NULL;
        (void)s;
        (void)refusal;
        bool known = why != DOOR_RESET && hosts_add(l->n->hosts, l->name, l->reached, &host, NULL) == 0;
        for (unsigned i = 0; i < l->n_waiting; i++) {
                if (known)
                        answer_host(l->n, &l->waiting[i], host);
                else
                        answer(l->n, &l->waiting[i], DNS_FAILED, NULL);
        }
        list_remove(&l->list);
        l->n->n_lookups--;
        free(l);
}

static const struct door_handler handler = {.answer = on_answer, .end = on_end};

static int ask(struct network *n, struct lookup *l, struct err *e)
{
        AUTO(buf_done) struct buf header = BUF_INIT;
        struct door_stream *s;
        size_t mark;
        int r = fields_begin(&header, &mark, e);
        r = r < 0 ? r : fields_add_str(&header, "op", "event", e);
        r = r < 0 ? r : fields_add_str(&header, "kind", "lookup", e);
        r = r < 0 ? r : fields_add_str(&header, "name", l->name, e);
        r = r < 0 ? r : fields_end(&header, mark, e);
        r = r < 0 ? r : door_open(n->g->door, &header, &handler, l, &s, e);
        return r == 0 ? door_close(s, e) : r;
}

static int begin(struct network *n, const struct question *q, struct err *e)
{
        struct lookup *l = n->n_lookups < NETWORK_MAX_LOOKUPS ? calloc(1, sizeof(*l)) : NULL;
        if (!l) {
                answer(n, q, DNS_FAILED, NULL);
                return 0;
        }
        l->n = n;
        str_copy(l->name, sizeof(l->name), q->query.name);
        l->waiting[l->n_waiting++] = *q;
        int r = ask(n, l, e);
        if (r != 0) {
                answer(n, q, DNS_FAILED, NULL);
                free(l);
                return r < 0 ? r : 0;
        }
        list_append(&n->lookups, &l->list);
        n->n_lookups++;
        return 0;
}

/* ---- questions ---- */

static struct lookup *find(struct network *n, const char *name)
{
        list_for (pos, &n->lookups) {
                struct lookup *l = list_entry(pos, struct lookup, list);
                if (str_eq(l->name, name))
                        return l;
        }
        return NULL;
}

static int take(struct network *n, const struct question *q, struct err *e)
{
        const char *name = q->query.name;
        const struct host *host = hosts_find(n->hosts, name);
        struct lookup *asked = host ? NULL : find(n, name);
        if (str_eq(name, "localhost") || str_ends(name, ".localhost"))
                answer_localhost(n, q);
        else if (!name[0])
                answer(n, q, DNS_OK, NULL);
        else if (host)
                answer_host(n, q, host);
        else if (!asked)
                return begin(n, q, e);
        else if (asked->n_waiting < NETWORK_MAX_WAITING)
                asked->waiting[asked->n_waiting++] = *q;
        return 0;
}

static int on_questions(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        struct network *n = user;
        uint8_t data[DNS_MAX_QUERY + 1];
        int r = 0;
        (void)io;
        (void)events;
        for (unsigned i = 0; i < QUESTIONS_PER_TURN && r == 0; i++) {
                struct question q = {.from_len = sizeof(q.from)};
                ssize_t len = recvfrom(fd, data, sizeof(data), MSG_DONTWAIT, (struct sockaddr *)&q.from, &q.from_len);
                if (len < 0)
                        break;
                int code = n->g->parked ? -1 : dns_parse(data, (size_t)len, &q.query);
                if (code == DNS_OK)
                        r = take(n, &q, e);
                else if (code > 0)
                        answer(n, &q, (enum dns_code)code, NULL);
        }
        return r < 0 ? r : guest_flush(n->g, e);
}

int lookup_open(struct network *n, struct err *e)
{
        struct sockaddr_storage at;
        struct address a;
        const int on = 1;
        address_parse(IP_RESOLVER, &a);
        socklen_t len = address_to_socket(&a, PORT, &at);
        n->resolver = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        /* Shared: a job may have a name server of its own on every address. */
        if (n->resolver < 0 || setsockopt(n->resolver, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
            bind(n->resolver, (const struct sockaddr *)&at, len) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "open the stub resolver");
        return 0;
}

int lookup_start(struct network *n, struct err *e)
{
        return loop_io_new(n->g->loop, n->resolver, LOOP_READ, on_questions, n, &n->resolver_io, e);
}
