/* What the host is told of a job's packets: operations `event`. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/num.h"
#include "guest/network_priv.h"
#include "guest/owner.h"
#include "wire/door.h"

#include <stdio.h>

bool event_is_due(struct network *n)
{
        const uint64_t each = 1000 / NETWORK_EVENT_RATE;
        uint64_t now = clock_mono_ms();
        n->credit_ms = MAX(n->credit_ms, now);
        if (n->n_events >= NETWORK_MAX_EVENTS || n->credit_ms > now + (NETWORK_EVENT_BURST - 1) * each)
                return false;
        n->credit_ms += each;
        return true;
}

static void on_end(struct door_stream *s, enum door_end why, const struct fields *refusal, void *user)
{
        struct network *n = user;
        (void)s;
        (void)why;
        (void)refusal;
        n->n_events--;
}

static const struct door_handler handler = {.end = on_end};

/* A host that takes no more streams misses it. */
static int tell(struct network *n, struct buf *header, size_t mark, struct err *e)
{
        struct door_stream *s;
        int r = fields_end(header, mark, e);
        r = r < 0 ? r : door_open(n->g->door, header, &handler, n, &s, e);
        if (r > 0)
                n->missed++;
        if (r != 0)
                return r < 0 ? r : 0;
        n->n_events++;
        r = door_close(s, e);
        return r < 0 ? r : guest_flush(n->g, e);
}

static int begin(struct buf *header, const char *kind, size_t *ret_mark, struct err *e)
{
        int r = fields_begin(header, ret_mark, e);
        r = r < 0 ? r : fields_add_str(header, "op", "event", e);
        return r < 0 ? r : fields_add_str(header, "kind", kind, e);
}

static int add_owner(struct buf *header, const struct packet *p, struct err *e)
{
        struct owner owner;
        if (!owner_find(p, &owner))
                return 0;
        int r = fields_add_u64(header, "pid", (uint64_t)owner.pid, e);
        return r < 0 ? r : fields_add_str(header, "process", owner.name, e);
}

static int add_protocol(struct buf *header, const struct packet *p, struct err *e)
{
        static const char *const names[] = {[PACKET_TCP] = "tcp", [PACKET_UDP] = "udp", [PACKET_ECHO] = "icmp"};
        return p->kind == PACKET_OTHER ? fields_add_u64(header, "protocol", p->protocol, e)
                                       : fields_add_str(header, "protocol", names[p->kind], e);
}

int event_packet(struct network *n, const struct packet *p, struct err *e)
{
        AUTO(buf_done) struct buf header = BUF_INIT;
        char address[ADDRESS_TEXT];
        size_t mark;
        const struct host *host = hosts_at(n->hosts, &p->to);
        address_text(&p->to, address);
        int r = begin(&header, "packet", &mark, e);
        r = r < 0 ? r : add_protocol(&header, p, e);
        r = r < 0 ? r : fields_add_str(&header, host ? "name" : "address", host ? host->name : address, e);
        r = r < 0 ? r : fields_add_u64(&header, "port", p->to_port, e);
        r = r < 0 || !n->missed ? r : fields_add_u64(&header, "missed", n->missed, e);
        r = r < 0 ? r : add_owner(&header, p, e);
        n->missed = 0;
        return r < 0 ? r : tell(n, &header, mark, e);
}

int event_process(struct network *n, uint64_t connection, const struct packet *p, struct err *e)
{
        AUTO(buf_done) struct buf header = BUF_INIT;
        size_t mark;
        int r = begin(&header, "process", &mark, e);
        r = r < 0 ? r : fields_add_u64(&header, "connection", connection, e);
        r = r < 0 ? r : add_owner(&header, p, e);
        return r < 0 ? r : tell(n, &header, mark, e);
}
