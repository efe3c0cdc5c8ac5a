/* Connections of the guest: bytes between its streams and those to devdep-broker. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "job/egress_priv.h"
#include "job/job_priv.h"
#include "loop/loop.h"
#include "net/link.h"
#include "net/name.h"
#include "wire/door.h"
#include "wire/guest.h"

struct egress_connection *egress_connection_of(struct list *pos)
{
        return list_entry(pos, struct egress_connection, list);
}

void egress_connection_free(struct egress_connection *c)
{
        list_remove(&c->list);
        loop_timer_free(c->timer);
        buf_wipe(&c->to_guest);
        buf_wipe(&c->to_broker);
        c->egress->n_connections--;
        free(c);
}

/* ---- its end ---- */

static bool waits_for_process(const struct egress_connection *c)
{
        return str_eq(c->record.verdict, "denied") && !c->is_attributed;
}

/* Without the broker's word: there is none, it was not asked or did not answer, or it is the host's own service. */
static void decide(struct egress_connection *c, const char *verdict, const char *reason)
{
        str_copy(c->record.verdict, sizeof(c->record.verdict), verdict);
        str_copy(c->record.reason, sizeof(c->record.reason), reason);
        c->record.ms = clock_mono_ms() - c->started_ms;
        c->is_recorded = true;
}

/* Whom it is asked of; NULL: nobody. With the profile sealed the broker is there for the mirrors alone. */
static struct link *link_of(const struct egress_connection *c)
{
        const struct egress *g = c->egress;

        if (c->internal)
                return g->service;
        return c->mirrored || g->policy->profile != POLICY_SEALED ? g->link : NULL;
}

/* Does the policy alone refuse a connection of which the broker says nothing? Then that is its record. */
static bool is_denied(struct egress_connection *c)
{
        const struct policy *p = c->egress->policy;
        struct egress_record *t = &c->record;
        struct address a = {0};

        if (c->internal || c->mirrored || (!t->name[0] && !address_parse(t->address, &a)))
                return false;
        if (link_of(c) && policy_match(p, t->name, &a, t->port).allowed)
                return false;
        decide(c, "denied", link_of(c) ? "not listed" : "the profile is sealed");
        policy_wanted(t->name[0] ? t->name : NULL, &a, t->port, t->entry);
        return true;
}

void egress_connection_conclude(struct egress_connection *c)
{
        if (!c->is_recorded && (c->answered || !is_denied(c)))
                decide(c, c->answered ? "allowed" : "abandoned", "");
}

int egress_connection_settle(struct egress_connection *c, struct err *e)
{
        struct egress *g = c->egress;

        if (c->guest || c->broker)
                return 0;
        if (c->internal)
                egress_connection_conclude(c);
        if (!c->is_recorded)
                return 0;
        if (waits_for_process(c)) {
                if (!loop_timer_is_armed(c->timer))
                        loop_timer_in(c->timer, EGRESS_PROCESS_MS);
                return 0;
        }
        struct egress_record r = c->record;
        egress_connection_free(c);
        return egress_record_add(g, &r, e);
}

/* For callbacks of the loop and of streams' ends, which cannot fail. */
static void settle(struct egress_connection *c)
{
        struct job *j = c->egress->job;
        struct err why = ERR_INIT;

        if (egress_connection_settle(c, &why) < 0)
                job_fail(j, &why);
}

static int on_timer(struct loop_timer *t, void *user, struct err *e)
{
        struct egress_connection *c = user;

        (void)t;
        (void)e;
        c->is_attributed = true;
        settle(c);
        return 0;
}

static int refuse_guest(struct egress_connection *c, const char *code, const char *message, struct err *e)
{
        struct door_stream *s = TAKE_PTR(c->guest);

        return s ? door_refuse(s, code, message, e) : 0;
}

/* ---- bytes ---- */

/* Hand on what `to` takes; `from` may send as much again. */
static int pump(struct buf *queue, struct door_stream *from, struct door_stream *to, bool eof, struct err *e)
{
        struct err inner = ERR_INIT;
        size_t n = queue->len ? door_write(to, queue->data, queue->len, &inner) : 0;

        if (inner.code != ERR_SUCCESS) {
                if (e)
                        *e = inner;
                return -1;
        }
        buf_consume(queue, n);
        if (n && from)
                door_consumed(from, n);
        return eof && !queue->len ? door_close(to, e) : 0;
}

static int pump_to_broker(struct egress_connection *c, struct err *e)
{
        return c->broker ? pump(&c->to_broker, c->guest, c->broker, c->guest_eof, e) : 0;
}

static int pump_to_guest(struct egress_connection *c, struct err *e)
{
        return c->guest && c->answered ? pump(&c->to_guest, c->broker, c->guest, c->broker_eof, e) : 0;
}

static int on_guest_data(struct door_stream *s, const uint8_t *data, size_t len, void *user, struct err *e)
{
        struct egress_connection *c = user;

        if (!c->broker) {
                door_consumed(s, len);
                return 0;
        }
        c->record.sent += len;
        int r = buf_append(&c->to_broker, data, len, e);
        if (r == 0)
                r = pump_to_broker(c, e);
        egress_wake(c->egress);
        return r;
}

static int on_guest_eof(struct door_stream *s, void *user, struct err *e)
{
        struct egress_connection *c = user;

        (void)s;
        c->guest_eof = true;
        int r = pump_to_broker(c, e);
        egress_wake(c->egress);
        return r;
}

static int on_guest_writable(struct door_stream *s, void *user, struct err *e)
{
        struct egress_connection *c = user;

        (void)s;
        int r = pump_to_guest(c, e);
        egress_wake(c->egress);
        return r;
}

static void on_guest_end(struct door_stream *s, enum door_end why, const struct fields *refusal, void *user)
{
        struct egress_connection *c = user;

        (void)s;
        (void)refusal;
        c->guest = NULL;
        if (why == DOOR_RESET && c->broker) {
                door_reset(TAKE_PTR(c->broker), NULL);
                egress_wake(c->egress);
        }
        settle(c);
}

static const struct door_handler guest_handler = {
        .data = on_guest_data, .eof = on_guest_eof, .writable = on_guest_writable, .end = on_guest_end};

/* ---- the broker's side ---- */

static int on_broker_answer(struct door_stream *s, const struct fields *answer, void *user, struct err *e)
{
        struct egress_connection *c = user;

        (void)s;
        (void)answer;
        c->answered = true;
        int r = c->guest ? door_answer(c->guest, NULL, e) : 0;
        egress_wake(c->egress);
        return r;
}

static int on_broker_data(struct door_stream *s, const uint8_t *data, size_t len, void *user, struct err *e)
{
        struct egress_connection *c = user;

        if (!c->guest) {
                door_consumed(s, len);
                return 0;
        }
        c->record.received += len;
        int r = buf_append(&c->to_guest, data, len, e);
        if (r == 0)
                r = pump_to_guest(c, e);
        egress_wake(c->egress);
        return r;
}

static int on_broker_eof(struct door_stream *s, void *user, struct err *e)
{
        struct egress_connection *c = user;

        (void)s;
        c->broker_eof = true;
        int r = pump_to_guest(c, e);
        egress_wake(c->egress);
        return r;
}

static int on_broker_writable(struct door_stream *s, void *user, struct err *e)
{
        struct egress_connection *c = user;

        (void)s;
        int r = pump_to_broker(c, e);
        egress_wake(c->egress);
        return r;
}

static void on_broker_end(struct door_stream *s, enum door_end why, const struct fields *refusal, void *user)
{
        struct egress_connection *c = user;
        char code[16] = "unreachable", message[EGRESS_TEXT] = "";

        (void)s;
        c->broker = NULL;
        if (refusal) {
                egress_text(refusal, "code", code, sizeof(code), NULL);
                egress_text(refusal, "message", message, sizeof(message), NULL);
        }
        if (c->internal && !c->answered)
                decide(c, str_eq(code, "limited") ? code : "unreachable", message);
        if (c->guest && why != DOOR_CLOSED) {
                if (c->answered)
                        door_reset(TAKE_PTR(c->guest), NULL);
                else
                        refuse_guest(c, code, message, NULL);
                egress_wake(c->egress);
        }
        settle(c);
}

static const struct door_handler broker_handler = {.answer = on_broker_answer,
                                                   .data = on_broker_data,
                                                   .eof = on_broker_eof,
                                                   .writable = on_broker_writable,
                                                   .end = on_broker_end};

/* ---- the request ---- */

int egress_target_read(const struct fields *header, struct egress_target *ret, struct err *e)
{
        const char *name, *address;
        uint64_t port = 0;
        int r = fields_u64(header, "port", UINT16_MAX, &port, e);

        *ret = (struct egress_target){.port = (uint16_t)port};
        if (r == 0)
                r = fields_str_opt(header, "name", NULL, &name, e);
        if (r == 0)
                r = fields_str_opt(header, "address", NULL, &address, e);
        if (r < 0)
                return r;
        if (!port || !name == !address)
                return err_set(e, ERR_USAGE, "expected a port, and either a name or an address");
        if (name)
                return name_normalise(name, strlen(name), ret->name, e);
        return address_parse(address, &ret->address) ? 0 : err_set(e, ERR_USAGE, "expected a numeric address");
}

static int build_header(const struct egress_connection *c, struct buf *b, struct err *e)
{
        const struct egress_record *t = &c->record;
        size_t mark;
        int r = fields_begin(b, &mark, e);

        if (r == 0)
                r = fields_add_str(b, "op", "connect", e);
        if (r == 0)
                r = fields_add_u64(b, "id", c->id, e);
        if (r == 0)
                r = fields_add_str(b, t->name[0] ? "name" : "address", t->name[0] ? t->name : t->address, e);
        if (r == 0)
                r = fields_add_u64(b, "port", t->port, e);
        return r < 0 ? r : fields_end(b, mark, e);
}

/* Nobody is asked, because of a limit, or because there is nobody (NULL). At a limit a violation is one, too. */
static int refuse_unasked(struct egress_connection *c, const char *limit, struct err *e)
{
        if (!is_denied(c))
                decide(c, limit ? "limited" : "unreachable",
                       limit ? limit : "this job has no such service of the host");
        return refuse_guest(c, c->record.verdict, c->record.reason, e);
}

static int ask(struct egress_connection *c, struct link *link, struct err *e)
{
        struct buf header = BUF_INIT;
        int r = build_header(c, &header, e);

        if (r == 0)
                r = door_open(link_door(link), &header, &broker_handler, c, &c->broker, e);
        buf_done(&header);
        egress_wake(c->egress);
        return r > 0 ? refuse_unasked(c, "the host takes no more connections", e) : r;
}

static int begin(struct egress_connection *c, struct err *e)
{
        struct egress *g = c->egress;
        const char *limit = g->n_connections > EGRESS_MAX_CONNECTIONS ? "too many connections at once" : NULL;
        int r = loop_timer_new(g->job->config.loop, on_timer, c, &c->timer, e);

        if (r < 0)
                return r;
        if (!limit && link_of(c))
                return ask(c, link_of(c), e);
        return refuse_unasked(c, limit, e);
}

int egress_connect(struct egress *g, struct door_stream *s, const struct fields *header, struct err *e)
{
        struct egress_target target;
        struct err why = ERR_INIT;
        uint64_t guest_id = 0;

        if (egress_target_read(header, &target, &why) < 0 ||
            fields_u64(header, "connection", UINT64_MAX, &guest_id, &why) < 0)
                return door_refuse(s, "invalid", why.msg, e);
        struct egress_connection *c = calloc(1, sizeof(*c));
        if (!c)
                return err_nomem(e);
        *c = (struct egress_connection){.egress = g,
                                        .guest = s,
                                        .id = g->next_id++,
                                        .guest_id = guest_id,
                                        .started_ms = clock_mono_ms(),
                                        .record = {.step = egress_step(g), .kind = "connect", .port = target.port}};
        str_copy(c->record.name, sizeof(c->record.name), target.name);
        if (!target.name[0])
                address_text(&target.address, c->record.address);
        str_copy(c->record.protocol, sizeof(c->record.protocol), "tcp");
        const struct mirror *mirror = policy_mirror(g->policy, target.name);
        if (mirror)
                mirror_server_text(mirror, c->record.mirror);
        c->mirrored = mirror;
        c->internal = !mirror && name_is_internal(target.name);
        c->to_broker.max = c->to_guest.max = YAMUX_INITIAL_WINDOW;
        list_append(&g->connections, &c->list);
        g->n_connections++;
        door_accept(s, &guest_handler, c);
        int r = begin(c, e);
        return r < 0 ? r : egress_connection_settle(c, e);
}
