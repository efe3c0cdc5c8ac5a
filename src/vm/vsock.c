#include "vm/vsock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <linux/vm_sockets.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/secret.h"

#define TRIES 16 /* each meets an id in use with a chance of one in millions */

/* Both the id and the port are the host's to give out; either may be taken. */
static int try_one(struct vsock *v, struct err *e)
{
        AUTO(auto_close) int fd = -1;
        uint32_t random;
        uint64_t cid;

        secret_random(&random, sizeof(random));
        v->cid = VSOCK_FIRST_CID + random % (VSOCK_LAST_CID - VSOCK_FIRST_CID + 1);
        cid = v->cid;
        if (ioctl(v->vhost_fd, VHOST_VSOCK_SET_GUEST_CID, &cid) < 0)
                return errno == EADDRINUSE ? VSOCK_E_WAIT : err_errno(e, ERR_RESOURCES, errno, "take a vsock id");
        struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = v->cid};
        fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return err_errno(e, ERR_RESOURCES, errno, "make a vsock socket");
        if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                return errno == EADDRINUSE ? VSOCK_E_WAIT : err_errno(e, ERR_RESOURCES, errno, "bind a vsock port");
        if (listen(fd, VSOCK_BACKLOG) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "listen on a vsock port");
        v->listener_fd = TAKE_FD(fd);
        return 0;
}

int vsock_reserve(struct vsock *ret, struct err *e)
{
        struct vsock v = VSOCK_INIT;
        int r = VSOCK_E_WAIT;

        v.vhost_fd = open(VSOCK_DEVICE, O_RDWR | O_CLOEXEC);
        if (v.vhost_fd < 0)
                return err_errno(e, ERR_RESOURCES, errno, "open " VSOCK_DEVICE);
        for (unsigned i = 0; i < TRIES && r == VSOCK_E_WAIT; i++)
                r = try_one(&v, e);
        if (r == VSOCK_E_WAIT)
                r = err_set(e, ERR_RESOURCES, "no vsock id is free");
        if (r < 0)
                vsock_done(&v);
        else
                *ret = v;
        return r;
}

void vsock_done(struct vsock *v)
{
        v->vhost_fd = fd_close(v->vhost_fd);
        v->listener_fd = fd_close(v->listener_fd);
}

bool vsock_is_listener(int fd)
{
        int on = 0;
        socklen_t len = sizeof(on);

        return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on;
}

int vsock_take(int fd, struct err *e)
{
        struct sockaddr_vm own = {0}, peer = {0};
        socklen_t own_len = sizeof(own), peer_len = sizeof(peer);
        AUTO(auto_close) int guest = -1;

        if (getsockname(fd, (struct sockaddr *)&own, &own_len) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "read the address of the vsock listener");
        guest = accept4(fd, (struct sockaddr *)&peer, &peer_len, SOCK_CLOEXEC | SOCK_NONBLOCK);
        /* Whoever connected may be gone again: any error of one connection is like none having come. */
        if (guest < 0)
                return errno == EMFILE || errno == ENFILE || errno == EBADF || errno == ENOTSOCK || errno == EINVAL
                               ? err_errno(e, ERR_RESOURCES, errno, "accept the guest's connection")
                               : VSOCK_E_WAIT;
        if (peer.svm_family != AF_VSOCK || peer.svm_cid != own.svm_port)
                return VSOCK_E_WAIT;
        if (dup3(guest, fd, O_CLOEXEC) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "put the guest's connection in place");
        return 0;
}
