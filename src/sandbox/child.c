#include "sandbox/child.h"

#include <signal.h>

#include "base/fd.h"

void sandbox_child_end(struct sandbox_child *c)
{
        c->socket_fd = fd_close(c->socket_fd);
        if (c->pid > 0)
                c->status = sandbox_wait(c->pid, c->pidfd, c->grace_ms);
        c->pidfd = fd_close(c->pidfd);
        c->pid = 0;
}

bool sandbox_child_explain(const struct sandbox_child *c, char *ret, size_t size)
{
        if (c->status <= 128 || c->status == 128 + SIGKILL)
                return false;
        sandbox_explain_exit(c->name, c->status, ret, size);
        return true;
}
