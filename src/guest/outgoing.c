/* Connections of the job to the outside: each that our listener gets becomes a stream `connect`. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "guest/network_priv.h"
#include "guest/relay.h"
#include "guest/steer.h"
#include "loop/loop.h"
#include "wire/door.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 128
#define ACCEPTS_PER_TURN 32

struct outgoing {
        struct network *n;
        uint64_t id;
        struct packet about; /* the job's end of the connection, to find the process by */
};

/* Few enough for the host: others wait in the listener's queue. */
static int watch(struct network *n, struct err *e)
{
        unsigned events = n->n_connections < NETWORK_MAX_CONNECTIONS ? LOOP_READ : 0;
        int r = 0;
        for (unsigned i = 0; i < 2 && r == 0; i++)
                r = loop_io_set(n->listener_io[i], events, e);
        return r;
}

static int on_ended(bool lost, void *user, struct err *e)
{
        struct outgoing *o = user;
        struct network *n = o->n;
        int r = lost && event_is_due(n) ? event_process(n, o->id, &o->about, e) : 0;
        n->n_connections--;
        free(o);
        return r < 0 ? r : watch(n, e);
}

/* ---- a new one ---- */

static int build_header(const struct outgoing *o, struct buf *header, struct err *e)
{
        const struct packet *p = &o->about;
        const struct host *host = hosts_at(o->n->hosts, &p->to);
        char address[ADDRESS_TEXT];
        size_t mark;
        address_text(&p->to, address);
        int r = fields_begin(header, &mark, e);
        r = r < 0 ? r : fields_add_str(header, "op", "connect", e);
        r = r < 0 ? r : fields_add_u64(header, "connection", o->id, e);
        r = r < 0 ? r : fields_add_str(header, host ? "name" : "address", host ? host->name : address, e);
        r = r < 0 ? r : fields_add_u64(header, "port", p->to_port, e);
        return r < 0 ? r : fields_end(header, mark, e);
}

static bool read_end(int fd, int (*get)(int, struct sockaddr *, socklen_t *), struct address *ret, uint16_t *ret_port)
{
        struct sockaddr_storage at;
        socklen_t len = sizeof(at);
        if (get(fd, (struct sockaddr *)&at, &len) < 0 || !address_from_socket((struct sockaddr *)&at, ret))
                return false;
        /* The port stands at the same place in both families. */
        *ret_port = ntohs(((const struct sockaddr_in *)(const void *)&at)->sin_port);
        return true;
}

static int begin(struct network *n, int fd, struct err *e)
{
        AUTO(buf_done) struct buf header = BUF_INIT;
        struct outgoing *o = calloc(1, sizeof(*o));
        if (!o) {
                fd_close(fd);
                return 0;
        }
        *o = (struct outgoing){.n = n, .id = n->next_connection++, .about = {.kind = PACKET_TCP}};
        struct packet *p = &o->about;
        if (n->g->parked || !read_end(fd, getsockname, &p->to, &p->to_port) ||
            !read_end(fd, getpeername, &p->from, &p->from_port)) {
                relay_cut(fd);
                free(o);
                return 0;
        }
        n->n_connections++;
        int r = build_header(o, &header, e);
        return r < 0 ? r : relay_connect(n->g, &header, fd, on_ended, o, e);
}

static int on_listener(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        struct network *n = user;
        int r = 0;
        (void)io;
        (void)events;
        for (unsigned i = 0; i < ACCEPTS_PER_TURN && r == 0 && n->n_connections < NETWORK_MAX_CONNECTIONS; i++) {
                int sock = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (sock < 0)
                        break;
                r = begin(n, sock, e);
        }
        r = r < 0 ? r : watch(n, e);
        return r < 0 ? r : guest_flush(n->g, e);
}

/* ---- the listeners ---- */

/* At a port of the kernel's choice: only the steering program leads here. Transparent, because it answers from listed
 * addresses, which are not this guest's. */
static int listen_at(const char *address, int *ret, struct err *e)
{
        const int on = 1;
        struct sockaddr_storage at;
        struct address a;
        address_parse(address, &a);
        socklen_t len = address_to_socket(&a, 0, &at);
        *ret = socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (*ret < 0 ||
            setsockopt(*ret, a.v6 ? SOL_IPV6 : SOL_IP, a.v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, &on, sizeof(on)) < 0 ||
            bind(*ret, (const struct sockaddr *)&at, len) < 0 || listen(*ret, BACKLOG) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "listen for outgoing connections");
        return 0;
}

int outgoing_open(struct network *n, struct err *e)
{
        int r = listen_at("127.0.0.1", &n->listeners[0], e);
        r = r < 0 ? r : listen_at("::1", &n->listeners[1], e);
        return r < 0 ? r : steer_start(n->listeners[0], n->listeners[1], &n->steering, e);
}

int outgoing_start(struct network *n, struct err *e)
{
        int r = 0;
        for (unsigned i = 0; i < 2 && r == 0; i++)
                r = loop_io_new(n->g->loop, n->listeners[i], LOOP_READ, on_listener, n, &n->listener_io[i], e);
        return r;
}
