#include "pool/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"

int notify(const char *state, struct err *e)
{
        const char *path = getenv("NOTIFY_SOCKET");
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        AUTO(auto_close) int fd = -1;

        if (!path || !*path)
                return 0;
        if ((path[0] != '/' && path[0] != '@') || !str_copy(address.sun_path, sizeof(address.sun_path), path))
                return err_set(e, ERR_USAGE, "NOTIFY_SOCKET: expected a path or an abstract name, found '%s'", path);
        socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
        if (path[0] == '@')
                address.sun_path[0] = '\0';
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, len) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "tell the service manager");
        return 0;
}
