/* The TUN device: the way of every packet that has no other one. */
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/str.h"
#include "guest/network_priv.h"
#include "loop/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DEVICE "outside"
#define PACKETS_PER_TURN 64

/* 1: none. With an address of its own making the kernel would look for routers. */
#define OWN_ADDRESS "/proc/sys/net/ipv6/conf/" DEVICE "/addr_gen_mode"

int tun_open(struct network *n, unsigned *ret_device, struct err *e)
{
        struct ifreq q = {.ifr_flags = IFF_TUN | IFF_NO_PI};
        str_copy(q.ifr_name, sizeof(q.ifr_name), DEVICE);
        n->tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
        if (n->tun < 0 || ioctl(n->tun, TUNSETIFF, &q) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "make the device %s", DEVICE);
        *ret_device = if_nametoindex(DEVICE);
        return fs_put(AT_FDCWD, OWN_ADDRESS, "1", e);
}

static int refuse(struct network *n, const uint8_t *data, size_t len, struct err *e)
{
        uint8_t reply[PACKET_MAX_REPLY];
        struct packet p;
        if (!packet_parse(data, len, &p))
                return 0;
        bool told = p.attempt && event_is_due(n);
        /* First, because the sender is looked for while it waits. */
        int r = told ? event_packet(n, &p, e) : 0;
        n->missed += p.attempt && !told;
        size_t size = packet_refuse(data, len, reply);
        if (size && write(n->tun, reply, size) < 0 && errno != EAGAIN && errno != EIO)
                return err_errno(e, ERR_RESOURCES, errno, "answer a packet");
        return r;
}

static int on_packets(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        static uint8_t data[PACKET_MAX];
        struct network *n = user;
        int r = 0;
        (void)io;
        (void)events;
        for (unsigned i = 0; i < PACKETS_PER_TURN && r == 0; i++) {
                ssize_t len = read(fd, data, sizeof(data));
                if (len < 0 && (errno == EAGAIN || errno == EINTR))
                        break;
                if (len < 0) {
                        /* The job's root took the device down: what it sends is its own business from then on. */
                        n->tun_io = loop_io_free(n->tun_io);
                        break;
                }
                r = refuse(n, data, (size_t)len, e);
        }
        return r;
}

int tun_start(struct network *n, struct err *e)
{
        return loop_io_new(n->g->loop, n->tun, LOOP_READ, on_packets, n, &n->tun_io, e);
}
