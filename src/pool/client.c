#include "pool/client.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"
#include "wire/guest.h"

CLEANUP_DEFINE(struct fields, fields_free)
CLEANUP_DEFINE(struct fields_reader, fields_reader_free)

char *client_path(const char *state)
{
        return str_printf("%s/pool/socket", state);
}

/* Whoever answers will own our guests: nobody but us and root. */
static int check_peer(int fd, const char *path, struct err *e)
{
        struct ucred peer;
        socklen_t size = sizeof(peer);

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || size != sizeof(peer))
                return err_errno(e, ERR_RESOURCES, errno, "ask who listens on %s", path);
        if (peer.uid != 0 && peer.uid != geteuid())
                return err_set(e, ERR_RESOURCES, "%s belongs to user %u, not to you or root; it is not used", path,
                               (unsigned)peer.uid);
        return 0;
}

int client_connect(const char *state, int *ret, struct err *e)
{
        AUTO(auto_free) char *path = client_path(state);
        AUTO(auto_close) int fd = -1;
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        const struct timeval deadline = {.tv_sec = CLIENT_DEADLINE_MS / 1000};

        if (!path)
                return err_nomem(e);
        if (!str_copy(address.sun_path, sizeof(address.sun_path), path))
                return CLIENT_E_NONE;
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline)) < 0 ||
            setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof(deadline)) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "make a socket");
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
                if (errno == ENOENT || errno == ECONNREFUSED || errno == EACCES || errno == ENOTDIR)
                        return CLIENT_E_NONE;
                return err_errno(e, ERR_RESOURCES, errno, "connect to %s", path);
        }
        int r = check_peer(fd, path, e);
        if (r == 0)
                *ret = TAKE_FD(fd);
        return r;
}

/* Lists arrive in pieces; descriptors with the first of them only. */
static int receive(int fd, int *fds, struct fields **ret, struct err *e)
{
        AUTO(fields_reader_freep) struct fields_reader *reader = NULL;
        bool first = true;

        int r = fields_reader_new(POOL_MAX_ANSWER, &reader, e);
        while (r == 0 && !*ret) {
                uint8_t data[16384];
                size_t len = 0, n = 0, used = 0;

                r = fd_recv(fd, data, sizeof(data), fds, fds && first ? POOL_FD_COUNT : 0, &len, &n, e);
                if (r == FD_E_AGAIN)
                        return err_set(e, ERR_RESOURCES, "devdep-pool does not answer");
                for (size_t i = n; r == 0 && fds && first && i < POOL_FD_COUNT; i++)
                        fds[i] = -1;
                if (r == 0 && len == 0)
                        return err_set(e, ERR_RESOURCES, "devdep-pool ended the connection without an answer");
                if (r == 0)
                        r = fields_reader_feed(reader, data, len, &used, ret, e);
                if (r == 0 && used < len)
                        r = err_set(e, ERR_PROTOCOL, "devdep-pool sent more than one answer");
                first = false;
        }
        return r;
}

int client_ask(int fd, const struct pool_request *q, struct pool_answer *ret, int *fds, struct err *e)
{
        AUTO(fields_freep) struct fields *f = NULL;
        struct buf text = BUF_INIT_MAX(POOL_MAX_REQUEST);

        *ret = (struct pool_answer){0};
        for (int i = 0; fds && i < POOL_FD_COUNT; i++)
                fds[i] = -1;
        int r = pool_request_write(q, &text, e);
        /* A pool that turned us away has closed already; what it said is there to be read. */
        if (r == 0)
                send(fd, text.data, text.len, MSG_NOSIGNAL);
        buf_done(&text);
        if (r == 0)
                r = receive(fd, fds, &f, e);
        if (r == 0)
                r = pool_answer_parse(f, ret, e);
        if (r == 0 && ret->status == POOL_ERROR)
                r = err_set(e, ret->code, "devdep-pool: %s", ret->message);
        for (int i = 0; r < 0 && fds && i < POOL_FD_COUNT; i++)
                fds[i] = fd_close(fds[i]);
        return r;
}
