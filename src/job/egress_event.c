/* What the guest tells: names that were looked up, packets that led nowhere, whose a connection was. */
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "job/egress_priv.h"
#include "net/name.h"
#include "wire/door.h"
#include "wire/guest.h"

#define MAX_PID 4194304u /* the kernel's own limit */

int egress_text(const struct fields *f, const char *key, char *ret, size_t size, struct err *e)
{
        const char *text;
        int r = fields_str_opt(f, key, "", &text, e);

        if (r == 0)
                str_copy_plain(ret, size, text);
        return r;
}

static const struct door_handler no_bytes = {.data = NULL};

static int answer(struct door_stream *s, int reached, struct err *e)
{
        struct buf list = BUF_INIT;
        size_t mark;
        int r = fields_begin(&list, &mark, e);

        if (r == 0)
                r = fields_add_str(&list, "status", "ok", e);
        if (r == 0 && reached >= 0)
                r = fields_add_u64(&list, "reached", (uint64_t)reached, e);
        if (r == 0)
                r = fields_end(&list, mark, e);
        door_accept(s, &no_bytes, NULL);
        if (r == 0)
                r = door_answer(s, &list, e);
        if (r == 0)
                r = door_close(s, e);
        buf_done(&list);
        return r;
}

static int read_owner(const struct fields *f, struct egress_record *r, struct err *e)
{
        int ret = egress_text(f, "process", r->process, sizeof(r->process), e);

        return ret < 0 ? ret : fields_u64_opt(f, "pid", 0, MAX_PID, &r->pid, e);
}

/* The record says what was asked for; the answer, which kind of address the name gets. */
static int on_lookup(struct egress *g, struct door_stream *s, const struct fields *header, struct err *e)
{
        struct egress_record r = {.step = egress_step(g), .kind = "lookup"};
        char name[NAME_TEXT];
        int ret = egress_text(header, "name", r.name, sizeof(r.name), e);

        if (ret < 0)
                return ret;
        bool reached = name_normalise(r.name, strlen(r.name), name, NULL) == 0 &&
                       (name_is_internal(name) || g->policy->profile == POLICY_AUDIT ||
                        (g->policy->profile == POLICY_BROKERED && policy_knows_name(g->policy, name)));
        str_copy(r.verdict, sizeof(r.verdict), reached ? "listed" : "unlisted");
        ret = egress_record_add(g, &r, e);
        return ret < 0 ? ret : answer(s, reached, e);
}

/* No entry allows anything but TCP to a name of a host, or to an address. */
static void want(struct egress_record *r)
{
        struct address a;
        char name[NAME_TEXT] = "";

        if (!str_eq(r->protocol, "tcp") || !r->port)
                return;
        if (r->name[0] ? name_normalise(r->name, strlen(r->name), name, NULL) == 0 : address_parse(r->address, &a))
                policy_wanted(r->name[0] ? name : NULL, &a, r->port, r->entry);
}

static int on_packet(struct egress *g, struct door_stream *s, const struct fields *header, struct err *e)
{
        struct egress_record r = {.step = egress_step(g), .kind = "packet", .verdict = "denied"};
        uint64_t port = 0, missed = 0;
        int ret = egress_text(header, "name", r.name, sizeof(r.name), e);

        if (ret == 0)
                ret = egress_text(header, "address", r.address, sizeof(r.address), e);
        if (ret == 0)
                ret = egress_text(header, "protocol", r.protocol, sizeof(r.protocol), e);
        if (ret == 0)
                ret = fields_u64_opt(header, "port", 0, UINT16_MAX, &port, e);
        if (ret == 0)
                ret = fields_u64_opt(header, "missed", 0, UINT32_MAX, &missed, e);
        if (ret == 0)
                ret = read_owner(header, &r, e);
        if (ret < 0)
                return ret;
        r.port = (uint16_t)port;
        g->n_untold += missed;
        want(&r);
        ret = answer(s, -1, e);
        return ret < 0 ? ret : egress_record_add(g, &r, e);
}

/* Of a connection that is not waited for any more: nothing is done with it. */
static int on_process(struct egress *g, struct door_stream *s, const struct fields *header, struct err *e)
{
        uint64_t id;
        int r = fields_u64(header, "connection", UINT64_MAX, &id, e);

        if (r == 0)
                r = answer(s, -1, e);
        list_for_safe (pos, tmp, &g->connections) {
                struct egress_connection *c = egress_connection_of(pos);
                if (r < 0 || c->guest_id != id)
                        continue;
                r = read_owner(header, &c->record, e);
                c->is_attributed = true;
                return r < 0 ? r : egress_connection_settle(c, e);
        }
        return r;
}

int egress_event(struct egress *g, struct door_stream *s, const struct fields *header, struct err *e)
{
        const char *kind;
        int r = fields_str(header, "kind", &kind, e);

        if (r < 0)
                return r;
        if (str_eq(kind, "lookup"))
                return on_lookup(g, s, header, e);
        if (str_eq(kind, "packet"))
                return on_packet(g, s, header, e);
        if (str_eq(kind, "process"))
                return on_process(g, s, header, e);
        return door_refuse(s, "unsupported", "this host does not know the event", e);
}
