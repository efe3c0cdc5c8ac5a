/* What our long-lived programs give up at their start. */
#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/err.h"
#include "sandbox/sandbox.h"

int sandbox_server(struct err *e)
{
        const struct rlimit none = {0, 0};

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "give up what a server does not need");
        return sandbox_filter_apply(SANDBOX_FILTER_SERVER, e);
}
