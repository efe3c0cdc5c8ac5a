#include "guest/network.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "guest/ip.h"
#include "guest/netlink.h"
#include "guest/network_priv.h"
#include "loop/loop.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TABLE_STEERED 100u /* routes of TCP to listed addresses */

static struct address address_of(const char *text)
{
        struct address a;
        address_parse(text, &a);
        return a;
}

/* Everything that the main table does not know goes out of the TUN device. */
static int add_outside(struct network *n, unsigned device, struct err *e)
{
        static const char *const rows[][2] = {{IP_OWN_V4, "0.0.0.0/0"}, {IP_OWN_V6, "::/0"}};
        int r = netlink_up(n->routing, device, e);
        for (size_t i = 0; i < ARRAY_SIZE(rows) && r == 0; i++) {
                struct netlink_route route = {.device = device, .from = address_of(rows[i][0])};
                prefix_parse(rows[i][1], &route.to, NULL);
                r = netlink_add_address(n->routing, device, &route.from, e);
                r = r < 0 ? r : netlink_add_route(n->routing, &route, e);
        }
        return r;
}

/* The addresses of names that may be reached are local. So are, in a table that only rules lead to, all others. */
static int add_local(struct network *n, struct err *e)
{
        const unsigned lo = if_nametoindex("lo");
        static const char *const rows[][3] = {{IP_STEERED_V4, IP_REACHED_V4, "0.0.0.0/0"},
                                              {IP_STEERED_V6, IP_REACHED_V6, "::/0"}};
        int r = netlink_up(n->routing, lo, e);
        for (size_t i = 0; i < ARRAY_SIZE(rows) && r == 0; i++) {
                const struct address from = address_of(rows[i][0]);
                struct netlink_route names = {.device = lo, .local = true, .from = from};
                struct netlink_route all = {.device = lo, .local = true, .from = from, .table = TABLE_STEERED};
                prefix_parse(rows[i][1], &names.to, NULL);
                prefix_parse(rows[i][2], &all.to, NULL);
                r = netlink_add_address(n->routing, lo, &from, e);
                r = r < 0 ? r : netlink_add_route(n->routing, &names, e);
                r = r < 0 ? r : netlink_add_route(n->routing, &all, e);
        }
        return r;
}

/* ---- the making ---- */

/* What the maker hands over, in this order. */
enum { MADE_TUN, MADE_LISTENER_V4, MADE_LISTENER_V6, MADE_STEERING, MADE_RESOLVER, MADE_COUNT };

static int make(struct network *n, struct err *e)
{
        unsigned device = 0;
        int r = netlink_open(&n->routing, e);
        r = r < 0 ? r : add_local(n, e);
        r = r < 0 ? r : tun_open(n, &device, e);
        r = r < 0 ? r : add_outside(n, device, e);
        r = r < 0 ? r : outgoing_open(n, e);
        return r < 0 ? r : lookup_open(n, e);
}

static __attribute__((noreturn)) void maker_main(struct network *n, int sock)
{
        struct err e = ERR_INIT;
        bool failed = make(n, &e) < 0;
        const int made[MADE_COUNT] = {n->tun, n->listeners[0], n->listeners[1], n->steering, n->resolver};
        const char *word = failed ? e.msg : ""; /* its NUL goes along: nothing but that is success */
        _exit(fd_send(sock, word, strlen(word) + 1, made, failed ? 0 : MADE_COUNT, &e) != 0);
}

/* Wait for the maker's word, and take over what it made. */
static int finish(struct network *n, struct err *e)
{
        char word[ERR_MAX_MESSAGE] = "";
        int made[MADE_COUNT];
        size_t len = 0, n_made = 0;
        int r = fd_recv(n->maker, word, sizeof(word) - 1, made, MADE_COUNT, &len, &n_made, e);
        n->maker_io = loop_io_free(n->maker_io);
        n->maker = fd_close(n->maker);
        if (r != 0 || n_made != MADE_COUNT)
                return r < 0 ? r : err_set(e, ERR_RESOURCES, "the network: %s", len ? word : "its maker died");
        n->tun = made[MADE_TUN];
        n->listeners[0] = made[MADE_LISTENER_V4];
        n->listeners[1] = made[MADE_LISTENER_V6];
        n->steering = made[MADE_STEERING];
        n->resolver = made[MADE_RESOLVER];
        r = netlink_open(&n->routing, e);
        r = r < 0 ? r : outgoing_start(n, e);
        r = r < 0 ? r : tun_start(n, e);
        return r < 0 ? r : lookup_start(n, e);
}

static int on_made(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        (void)io;
        (void)fd;
        (void)events;
        return finish(user, e);
}

int network_wait(struct network *n, struct err *e)
{
        return n->maker < 0 ? 0 : finish(n, e);
}

int network_start(struct guest *g, struct network **ret, struct err *e)
{
        struct network *n = calloc(1, sizeof(*n));
        int socks[2];
        if (!n)
                return err_nomem(e);
        /* For the life of the guest, also when it fails: then the guest ends. */
        *ret = n;
        n->g = g;
        list_init(&n->lookups);
        int r = hosts_new(&n->hosts, e);
        r = r < 0 ? r : fd_socketpair(SOCK_SEQPACKET, socks, e);
        if (r < 0)
                return r;
        pid_t pid = fork();
        if (pid == 0)
                maker_main(n, socks[1]);
        fd_close(socks[1]);
        n->maker = socks[0];
        if (pid < 0)
                return err_errno(e, ERR_RESOURCES, errno, "fork");
        return loop_io_new(g->loop, n->maker, LOOP_READ, on_made, n, &n->maker_io, e);
}

int network_route(struct network *n, const char *prefix, unsigned port, struct err *e)
{
        struct prefix to;
        int r = network_wait(n, e);
        r = r < 0 ? r : prefix_parse(prefix, &to, e);
        if (r == 0 && n->n_routes == NETWORK_MAX_ROUTES)
                return err_set(e, ERR_USAGE, "more than %u listed addresses", NETWORK_MAX_ROUTES);
        n->n_routes++;
        return r < 0 ? r : netlink_add_rule(n->routing, &to, (uint16_t)port, TABLE_STEERED, e);
}
