#include "job/egress.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"
#include "job/egress_priv.h"
#include "job/job_priv.h"
#include "job/mask.h"
#include "job/ops.h"
#include "job/session.h"
#include "job/spec.h"
#include "job/texts.h"
#include "net/link.h"
#include "net/name.h"
#include "wire/door.h"
#include "wire/guest.h"

#define MAX_QUESTIONS 256u        /* of devdep-service at once: more than it has connections */
#define MAX_RECORD ((size_t)4096) /* bytes of one record of the broker */

int egress_step(struct egress *g)
{
        list_for (pos, &g->job->steps) {
                const struct step *s = list_entry(pos, struct step, link);
                if (s->is_open)
                        g->last_step = s->index;
        }
        return g->last_step;
}

void egress_wake(struct egress *g)
{
        session_wake(g->job->session);
        if (g->link)
                link_wake(g->link);
        if (g->service)
                link_wake(g->service);
}

/* ---- the broker's records ---- */

static struct egress_connection *find(struct egress *g, uint64_t id)
{
        list_for (pos, &g->connections) {
                struct egress_connection *c = egress_connection_of(pos);
                if (c->id == id)
                        return c;
        }
        return NULL;
}

static int take_record(struct egress *g, const struct fields *f, struct err *e)
{
        uint64_t id, weak;
        int r = fields_u64(f, "id", UINT64_MAX, &id, e);
        struct egress_connection *c = r == 0 ? find(g, id) : NULL;

        if (!c)
                return r;
        struct egress_record *t = &c->record;
        r = egress_text(f, "verdict", t->verdict, sizeof(t->verdict), e);
        if (r == 0)
                r = egress_text(f, "reason", t->reason, sizeof(t->reason), e);
        if (r == 0)
                r = egress_text(f, "address", t->address, sizeof(t->address), e);
        if (r == 0)
                r = egress_text(f, "entry", t->entry, sizeof(t->entry), e);
        if (r == 0)
                r = fields_u64_opt(f, "weak", 0, 1, &weak, e);
        if (r == 0)
                r = fields_u64(f, "sent", INT64_MAX, &t->sent, e);
        if (r == 0)
                r = fields_u64(f, "received", INT64_MAX, &t->received, e);
        if (r == 0)
                r = fields_u64(f, "ms", INT64_MAX, &t->ms, e);
        if (r < 0)
                return r;
        t->weak = weak;
        c->is_recorded = true;
        return egress_connection_settle(c, e);
}

static int on_records(struct door_stream *s, const uint8_t *data, size_t len, void *user, struct err *e)
{
        struct egress *g = user;
        int r = 0;

        door_consumed(s, len);
        while (len && r == 0) {
                struct fields *list = NULL;
                size_t used = 0;
                r = fields_reader_feed(g->reader, data, len, &used, &list, e);
                if (r == 0 && list)
                        r = take_record(g, list, e);
                fields_free(list);
                data += used;
                len -= used;
        }
        return r;
}

static void on_records_end(struct door_stream *s, enum door_end why, const struct fields *refusal, void *user)
{
        struct egress *g = user;

        (void)s;
        (void)why;
        (void)refusal;
        g->records = NULL;
}

static const struct door_handler records_handler = {.data = on_records, .end = on_records_end};

static int ask_records(struct egress *g, struct err *e)
{
        struct buf header = BUF_INIT;
        size_t mark;
        int r = fields_reader_new(MAX_RECORD, &g->reader, e);

        if (r == 0)
                r = fields_begin(&header, &mark, e);
        if (r == 0)
                r = fields_add_str(&header, "op", "records", e);
        if (r == 0)
                r = fields_end(&header, mark, e);
        if (r == 0)
                r = door_open(link_door(g->link), &header, &records_handler, g, &g->records, e);
        if (r == 0)
                r = door_close(g->records, e);
        buf_done(&header);
        link_wake(g->link);
        return r;
}

static int on_ended(struct link *k, const struct err *why, void *user, struct err *e)
{
        struct egress *g = user;
        struct err text = ERR_INIT;

        (void)e;
        err_set(&text, ERR_RESOURCES, "%s has ended: %s", k == g->service ? "devdep-service" : "devdep-broker",
                why->msg);
        job_fail(g->job, &text);
        return 0;
}

/* devdep-service knows no secret: whether the name that a client gives may be shown it asks here. */
static int on_question(struct door_stream *s, const char *op, const struct fields *header, void *user, struct err *e)
{
        static const struct door_handler no_bytes;
        struct egress *g = user;
        const char *text = "";
        bool masked = false;

        if (!str_eq(op, "is-masked"))
                return 0; /* the door refuses as unsupported */
        int r = fields_str(header, "text", &text, e);
        if (r == 0)
                r = masks_found(g->job->config.masks, text, strlen(text), &masked, e);
        if (r < 0)
                return r;
        if (masked)
                return door_refuse(s, "masked", "it holds a masked value", e);
        door_accept(s, &no_bytes, NULL);
        r = door_answer(s, NULL, e);
        return r < 0 ? r : door_close(s, e);
}

/* ---- life ---- */

static int link_to(struct egress *g, int fd, const struct door_callbacks *callbacks, struct link **ret, struct err *e)
{
        static const struct door_limits limits = {.yamux = {.max_streams = MAX_QUESTIONS,
                                                            .max_send_queue = 64 * 1024,
                                                            .max_pending_acks = 256,
                                                            .max_control = 64 * 1024},
                                                  .max_header = MAX_RECORD,
                                                  .max_headers = 256 * 1024};
        const struct link_config config = {.loop = g->job->config.loop,
                                           .fd = fd,
                                           .role = DOOR_HOST,
                                           .limits = &limits,
                                           .callbacks = callbacks,
                                           .ended = on_ended,
                                           .user = g};
        return link_new(&config, ret, e);
}

static int link_all(struct egress *g, struct err *e)
{
        static const struct door_callbacks of_service = {.request = on_question};
        static const struct door_callbacks of_broker = {.request = NULL};
        int r = g->service_fd >= 0 ? link_to(g, g->service_fd, &of_service, &g->service, e) : 0;

        if (r < 0 || g->broker_fd < 0)
                return r;
        r = link_to(g, g->broker_fd, &of_broker, &g->link, e);
        return r < 0 ? r : ask_records(g, e);
}

CLEANUP_DEFINE(struct egress, egress_free)

int egress_new(struct job *j, int broker_fd, int service_fd, struct egress **ret, struct err *e)
{
        AUTO(egress_freep) struct egress *g = calloc(1, sizeof(*g));

        if (!g) {
                fd_close(broker_fd);
                fd_close(service_fd);
                return err_nomem(e);
        }
        g->job = j;
        g->policy = j->spec->egress;
        g->broker_fd = broker_fd;
        g->service_fd = service_fd;
        g->last_step = -1;
        list_init(&g->connections);
        int r = link_all(g, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(g);
        return 0;
}

struct egress *egress_free(struct egress *g)
{
        if (!g)
                return NULL;
        list_for_safe (pos, tmp, &g->connections)
                egress_connection_free(egress_connection_of(pos));
        link_free(g->link);
        link_free(g->service);
        fields_reader_free(g->reader);
        fd_close(g->broker_fd);
        fd_close(g->service_fd);
        free(g);
        return NULL;
}

/* What binds a request to this job is the stream that it comes on. Clients insist on a token with a scope. */
int egress_variables(const struct egress *g, struct map *ret, struct err *e)
{
        static const struct {
                const char *name, *value;
        } variables[] = {
                {"ACTIONS_RESULTS_URL", "http://" NAME_RESULTS "/"},
                {"ACTIONS_CACHE_SERVICE_V2", "true"},
                {"ACTIONS_RUNTIME_TOKEN", "eyJhbGciOiJub25lIn0.eyJzY3AiOiJBY3Rpb25zLlJlc3VsdHM6cnVuOmpvYiJ9."}};
        int r = 0;

        for (size_t i = 0; g->service && r == 0 && i < ARRAY_SIZE(variables); i++)
                r = texts_set(ret, variables[i].name, variables[i].value, e);
        return r;
}

int egress_request(struct egress *g, struct door_stream *s, const char *op, const struct fields *header, struct err *e)
{
        if (str_eq(op, "connect"))
                return egress_connect(g, s, header, e);
        if (str_eq(op, "event"))
                return egress_event(g, s, header, e);
        return 0;
}

static int add_routes(const struct egress *g, struct strv *ret, struct err *e)
{
        const struct policy *p = g->policy;
        char prefix[PREFIX_TEXT];
        int r = 0;

        if (p->profile == POLICY_AUDIT) {
                r = strv_add(ret, "0.0.0.0/0 0", e);
                return r < 0 ? r : strv_add(ret, "::/0 0", e);
        }
        for (size_t i = 0; p->profile == POLICY_BROKERED && i < p->n && r == 0; i++) {
                if (p->entries[i].kind != POLICY_PREFIX)
                        continue;
                prefix_text(&p->entries[i].prefix, prefix);
                r = strv_addf(ret, e, "%s %u", prefix, p->entries[i].port);
        }
        return r;
}

int egress_prepare(struct egress *g, egress_done_fn *done, void *user, struct err *e)
{
        AUTO(strv_done) struct strv routes = STRV_INIT;
        int r = add_routes(g, &routes, e);

        if (r < 0)
                return r;
        if (!routes.n)
                return EGRESS_E_NONE;
        return op_route(g->job->ops, (const char *const *)routes.v, routes.n, done, user, e);
}

int egress_finish(struct egress *g, struct err *e)
{
        int r = 0;

        list_for_safe (pos, tmp, &g->connections) {
                struct egress_connection *c = egress_connection_of(pos);
                egress_connection_conclude(c);
                struct egress_record t = c->record;
                egress_connection_free(c);
                if (r == 0)
                        r = egress_record_add(g, &t, e);
        }
        return r < 0 ? r : egress_summary(g, e);
}
