#include "broker/broker.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "broker/limits.h"
#include "broker/priv.h"
#include "broker/secure.h"
#include "loop/loop.h"
#include "net/link.h"
#include "wire/door.h"

static int on_request(struct door_stream *s, const char *op, const struct fields *header, void *user, struct err *e)
{
        struct broker *b = user;

        if (strcmp(op, "connect") == 0)
                return connection_open(b, s, header, e);
        if (strcmp(op, "records") == 0)
                return records_open(b, s, e);
        return 0; /* the door refuses as unsupported */
}

/* devdep-job is gone, in order or not: so are the connections. */
static int on_ended(struct link *k, const struct err *why, void *user, struct err *e)
{
        struct broker *b = user;

        (void)k;
        return link_end_loop(b->loop, why, e);
}

CLEANUP_DEFINE(struct broker, broker_free)

int broker_new(struct loop *l, int fd, const struct policy *policy, struct resolver *resolver, struct broker **ret,
               struct err *e)
{
        const struct door_limits limits = {.yamux = {.max_streams = BROKER_MAX_CONNECTIONS + 32,
                                                     .max_send_queue = 64 * 1024,
                                                     .max_pending_acks = 1,
                                                     .max_control = 64 * 1024},
                                           .max_header = BROKER_MAX_HEADER,
                                           .max_headers = BROKER_MAX_HEADERS};
        const struct door_callbacks callbacks = {.request = on_request};
        AUTO(broker_freep) struct broker *b = calloc(1, sizeof(*b));

        if (!b)
                return err_nomem(e);
        b->loop = l;
        b->policy = policy;
        b->resolver = resolver;
        list_init(&b->connections);
        b->waiting.max = BROKER_MAX_WAITING;
        const struct link_config config = {.loop = l,
                                           .fd = fd,
                                           .role = DOOR_GUEST,
                                           .limits = &limits,
                                           .callbacks = &callbacks,
                                           .ended = on_ended,
                                           .user = b};
        int r = secure_roots_new(policy, &b->roots, e);
        if (r == 0)
                r = link_new(&config, &b->link, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(b);
        return 0;
}

struct broker *broker_free(struct broker *b)
{
        if (!b)
                return NULL;
        list_for_safe (pos, tmp, &b->connections)
                connection_free(connection_of(pos));
        link_free(b->link);
        secure_roots_free(b->roots);
        buf_wipe(&b->waiting);
        free(b);
        return NULL;
}
