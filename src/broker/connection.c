/* One connection: from the request to its record. What it goes through is at the head of broker.h. */
#include "broker/connection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"
#include "broker/limits.h"
#include "broker/own.h"
#include "broker/secure.h"
#include "net/dial.h"
#include "net/link.h"
#include "net/mirror.h"
#include "net/policy.h"
#include "wire/guest.h"

struct connection *connection_of(struct list *pos)
{
        return list_entry(pos, struct connection, list);
}

/* A connection that goes away otherwise than in order is reset: half of a message must not look like a whole one. */
static void set_reset(int fd, bool on)
{
        const struct linger now = {.l_onoff = on};

        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

void connection_free(struct connection *c)
{
        if (c->in_order)
                set_reset(c->fd, false);
        if (c->resolve)
                resolve_cancel(c->resolve);
        dial_free(c->dial);
        secure_free(c->secure);
        loop_io_free(c->io);
        loop_timer_free(c->hello_timer);
        secure_tls_free(c->tls);
        fd_close(c->fd);
        buf_wipe(&c->queue);
        list_remove(&c->list);
        c->broker->n_connections--;
        free(c);
}

/* ---- the end ---- */

static int record(struct connection *c, enum broker_verdict verdict, struct err *e)
{
        const struct record r = {.id = c->id,
                                 .verdict = verdict,
                                 .reason = c->reason,
                                 .entry = c->entry,
                                 .name = c->name[0] ? c->name : NULL,
                                 .address = c->has_address ? &c->address : NULL,
                                 .port = c->port,
                                 .weak = c->weak,
                                 .sent = c->sent,
                                 .received = c->received,
                                 .ms = clock_mono_ms() - c->started_ms};
        return record_add(c->broker, &r, e);
}

int connection_end(struct connection *c, enum broker_verdict verdict, struct err *e)
{
        struct link *link = c->broker->link;
        struct door_stream *s = c->s;
        int r = record(c, verdict, e);

        connection_free(c);
        link_wake(link);
        return r == 0 && s ? door_reset(s, e) : r;
}

/* Before the answer. */
static int refuse(struct connection *c, enum broker_verdict verdict, struct err *e)
{
        struct door_stream *s = TAKE_PTR(c->s);
        int r = door_refuse(s, broker_verdict_name(verdict), c->reason, e);

        return r < 0 ? r : connection_end(c, verdict, e);
}

static int refuse_because(struct connection *c, enum broker_verdict verdict, const char *reason, struct err *e)
{
        str_copy_plain(c->reason, sizeof(c->reason), reason);
        return refuse(c, verdict, e);
}

/* ---- resolve, check, dial ---- */

static int answer(struct connection *c, struct err *e)
{
        AUTO(buf_done) struct buf list = BUF_INIT;
        char address[ADDRESS_TEXT];
        size_t mark;
        int r = fields_begin(&list, &mark, e);

        address_text(&c->address, address);
        if (r == 0)
                r = fields_add_str(&list, "status", "ok", e);
        if (r == 0)
                r = fields_add_str(&list, "address", address, e);
        if (r == 0)
                r = fields_end(&list, mark, e);
        return r < 0 ? r : door_answer(c->s, &list, e);
}

static int begin_flow(struct connection *c, struct err *e)
{
        int r = answer(c, e);
        return r < 0 ? r : connection_flow(c, e);
}

static int on_secured(int fd, struct ssl_st *tls, const char *why, void *user, struct err *e)
{
        struct connection *c = user;
        struct link *link = c->broker->link;

        c->fd = fd;
        c->tls = tls;
        c->secure = secure_free(c->secure);
        int r = fd < 0 ? refuse_because(c, BROKER_UNREACHABLE, why, e) : begin_flow(c, e);
        link_wake(link);
        return r;
}

static int secure(struct connection *c, struct err *e)
{
        const struct broker *b = c->broker;
        struct err why = ERR_INIT;

        if (secure_start(b->loop, b->roots, c->mirror, TAKE_FD(c->fd), on_secured, c, &c->secure, &why) < 0)
                return refuse_because(c, BROKER_UNREACHABLE, why.msg, e);
        return 0;
}

static int on_dialled(int fd, const struct address *at, const char *why, void *user, struct err *e)
{
        struct connection *c = user;

        if (fd >= 0) {
                set_reset(fd, true);
                c->fd = fd;
                c->address = *at;
                c->has_address = true;
        }
        c->dial = dial_free(c->dial);
        if (fd < 0)
                return refuse_because(c, BROKER_UNREACHABLE, why, e);
        if (connection_is_unfit(c))
                return refuse(c, BROKER_DENIED, e);
        return c->mirror && c->mirror->tls ? secure(c, e) : begin_flow(c, e);
}

/* A mirror's address is its operator's word, anything else the policy's. */
static const char *refusal_of(const struct connection *c, const struct address *a, bool own)
{
        return c->mirror ? mirror_address_refusal(c->mirror, a, own)
                         : policy_address_refusal(c->broker->policy, a, c->port, own);
}

/* Those of v that may be dialled, in place; the reason of one that must not be stays in c. */
static int check_addresses(struct connection *c, struct address *v, size_t n, size_t *ret, struct err *e)
{
        char text[ADDRESS_TEXT];

        *ret = 0;
        for (size_t i = 0; i < n; i++) {
                bool own;
                int r = own_has(&v[i], &own, e);
                if (r < 0)
                        return r;
                const char *what = refusal_of(c, &v[i], own);
                if (!what) {
                        v[(*ret)++] = v[i];
                        continue;
                }
                address_text(&v[i], text);
                c->address = v[i];
                c->has_address = true;
                snprintf(c->reason, sizeof(c->reason), "%s is %s", text, what);
                if (!c->mirror)
                        policy_wanted(NULL, &v[i], c->port, c->entry);
        }
        if (*ret)
                c->reason[0] = c->entry[0] = '\0';
        return 0;
}

static int check_and_dial(struct connection *c, const struct address *v, size_t n, struct err *e)
{
        struct address checked[RESOLVE_MAX_ADDRESSES];
        struct err why = ERR_INIT;
        size_t n_checked;

        memcpy(checked, v, n * sizeof(*v));
        if (check_addresses(c, checked, n, &n_checked, &why) < 0)
                return refuse_because(c, BROKER_LIMITED, why.msg, e);
        if (!n_checked)
                return refuse(c, c->mirror ? BROKER_UNREACHABLE : BROKER_DENIED, e); /* no fault of the guest */
        if (dial_start(c->broker->loop, checked, n_checked, c->mirror ? c->mirror->port : c->port, on_dialled, c,
                       &c->dial, &why) < 0)
                return refuse_because(c, BROKER_LIMITED, why.msg, e);
        return 0;
}

static int on_resolved(const struct address *v, size_t n, const char *why, void *user, struct err *e)
{
        struct connection *c = user;
        struct link *link = c->broker->link; /* c may end here */

        c->resolve = NULL;
        int r = n ? check_and_dial(c, v, n, e) : refuse_because(c, BROKER_UNREACHABLE, why, e);
        link_wake(link);
        return r;
}

/* ---- the request ---- */

static bool is_listed(struct connection *c)
{
        const struct policy_match m = policy_match(c->broker->policy, c->name, &c->address, c->port);

        c->weak = m.weak;
        return m.allowed;
}

/* As if every connection took its share of a second: a burst is time that was saved up. */
static bool is_too_fast(struct broker *b)
{
        const uint64_t each = 1000 / BROKER_RATE;
        uint64_t now = clock_mono_ms();

        b->credit_ms = MAX(b->credit_ms, now);
        if (b->credit_ms > now + (BROKER_BURST - 1) * each)
                return true;
        b->credit_ms += each;
        return false;
}

static const char *limit_reached(struct broker *b)
{
        if (b->n_connections > BROKER_MAX_CONNECTIONS)
                return "too many connections at once";
        if (b->n_waiting >= BROKER_MAX_RECORDS)
                return "too many records wait to be taken";
        return is_too_fast(b) ? "too many new connections a second" : NULL;
}

/* A name below devdep.internal: a mirror of the operator, or nobody. It is never looked up. */
static int begin_mirror(struct connection *c, struct err *e)
{
        struct broker *b = c->broker;

        c->mirror = policy_mirror(b->policy, c->name);
        if (!c->mirror)
                return refuse_because(c, BROKER_UNREACHABLE, "no mirror has this name", e);
        if (c->port != MIRROR_PORT)
                return refuse_because(c, BROKER_UNREACHABLE, "a mirror has port 80 alone", e);
        connection_clear(c);
        if (c->mirror->host[0])
                return resolve_start(b->resolver, c->mirror->host, on_resolved, c, &c->resolve, e);
        return check_and_dial(c, &c->mirror->address, 1, e);
}

static int begin(struct connection *c, struct err *e)
{
        struct broker *b = c->broker;
        const bool mirror = name_is_internal(c->name);

        /* First: a violation is one at a limit, too. */
        if (!mirror && !is_listed(c)) {
                policy_wanted(c->name[0] ? c->name : NULL, &c->address, c->port, c->entry);
                return refuse_because(c, BROKER_DENIED, "not listed", e);
        }
        const char *limit = limit_reached(b);
        if (limit)
                return refuse_because(c, BROKER_LIMITED, limit, e);
        if (mirror)
                return begin_mirror(c, e);
        if (c->name[0])
                return resolve_start(b->resolver, c->name, on_resolved, c, &c->resolve, e);
        return check_and_dial(c, &c->address, 1, e);
}

static int read_request(const struct fields *header, struct connection *c, struct err *e)
{
        const char *name, *address;
        uint64_t port = 0;
        int r = fields_u64(header, "id", UINT64_MAX, &c->id, e);

        if (r == 0)
                r = fields_u64(header, "port", UINT16_MAX, &port, e);
        if (r == 0)
                r = fields_str_opt(header, "name", NULL, &name, e);
        if (r == 0)
                r = fields_str_opt(header, "address", NULL, &address, e);
        if (r < 0)
                return r;
        c->port = (uint16_t)port;
        if (!port || !name == !address)
                return err_set(e, ERR_USAGE, "expected a port, and either a name or an address");
        if (name)
                return name_normalise(name, strlen(name), c->name, e);
        c->has_address = address_parse(address, &c->address);
        return c->has_address ? 0 : err_set(e, ERR_USAGE, "expected a numeric address");
}

int connection_open(struct broker *b, struct door_stream *s, const struct fields *header, struct err *e)
{
        struct connection *c = calloc(1, sizeof(*c));
        struct err why = ERR_INIT;

        if (!c)
                return err_nomem(e);
        c->broker = b;
        c->s = s;
        c->fd = -1;
        c->queue.max = YAMUX_INITIAL_WINDOW;
        c->started_ms = clock_mono_ms();
        list_append(&b->connections, &c->list);
        b->n_connections++;
        if (read_request(header, c, &why) < 0) {
                connection_free(c);
                return door_refuse(s, "invalid", why.msg, e);
        }
        if (!c->name[0])
                connection_clear(c);
        door_accept(s, &connection_handler, c);
        return begin(c, e);
}
