/* The door over vhost-vsock (docs/decisions/vsock.md).
 *
 * The starter reserves a context id for the guest and listens for it; the listening socket is then the VM's channel
 * descriptor. The guest connects to CID 2 at the port whose number is its own context id, so that guests share neither
 * a port nor a listener, and nobody has to tell a guest its number. The owner takes the first connection that comes
 * from that id; the connection replaces the listener, so that there is never a second one. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct err;

#define VSOCK_DEVICE "/dev/vhost-vsock"
/* Random ids: below 1024 the port would be privileged, and small ids are those that other programs give out. */
#define VSOCK_FIRST_CID 0x10000u
#define VSOCK_LAST_CID 0x7fffffffu
#define VSOCK_BACKLOG 16 /* strangers that wait to be turned away; other local programs may connect too */

struct vsock {
        int vhost_fd;    /* for the VMM; holds the id */
        int listener_fd; /* AF_VSOCK, non-blocking, at the port of the id */
        uint32_t cid;
};
#define VSOCK_INIT                                                                                                     \
        {                                                                                                              \
                .vhost_fd = -1, .listener_fd = -1                                                                      \
        }
/* ERR_RESOURCES: the device does not open, or no id is free. */
int vsock_reserve(struct vsock *ret, struct err *e);
void vsock_done(struct vsock *v);

/* Is this channel one that still waits for its guest? */
bool vsock_is_listener(int fd);
/* Take a connection that waits at the listener `fd`. From the listener's guest: it takes the place of the listener
 * under the same number, non-blocking; the caller first forgets `fd` in its loop. From anybody else: it is closed.
 * VSOCK_E_WAIT: nobody, or a stranger; the listener stays. */
#define VSOCK_E_WAIT 1
int vsock_take(int fd, struct err *e);
