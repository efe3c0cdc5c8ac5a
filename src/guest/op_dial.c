/* A TCP connection inside the guest, for the host. */
#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "guest/guest.h"
#include "guest/ops.h"
#include "guest/relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

union address {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
};

static int address_of(const char *host, uint16_t port, union address *ret, socklen_t *ret_len)
{
        *ret = (union address){0};
        if (str_eq(host, "localhost"))
                host = "127.0.0.1";
        if (inet_pton(AF_INET, host, &ret->v4.sin_addr) == 1) {
                ret->v4.sin_family = AF_INET;
                ret->v4.sin_port = htons(port);
                *ret_len = sizeof(ret->v4);
                return 0;
        }
        if (inet_pton(AF_INET6, host, &ret->v6.sin6_addr) == 1) {
                ret->v6.sin6_family = AF_INET6;
                ret->v6.sin6_port = htons(port);
                *ret_len = sizeof(ret->v6);
                return 0;
        }
        return -1;
}

int op_dial(struct guest *g, struct door_stream *s, const struct fields *header, struct err *e)
{
        struct err why = ERR_INIT;
        union address to;
        socklen_t len;
        const char *host;
        uint64_t port = 0;
        int r = fields_u64(header, "port", UINT16_MAX, &port, &why);
        r = r < 0 ? r : fields_str_opt(header, "host", "127.0.0.1", &host, &why);
        if (r < 0)
                return op_refuse_invalid(s, &why, e);
        if (!port || address_of(host, (uint16_t)port, &to, &len) < 0)
                return door_refuse(s, "invalid", "expected a port from 1 to 65535 and a numeric address", e);
        AUTO(auto_close) int fd = socket(to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return door_refuse(s, "resources", strerror(errno), e);
        if (connect(fd, &to.any, len) < 0 && errno != EINPROGRESS)
                return door_refuse(s, errno == ECONNREFUSED ? "refused" : "not-found", strerror(errno), e);
        return relay_start(g, s, TAKE_FD(fd), 0, e);
}
