#include "sandbox/internal.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

static const struct {
        const char *name, *mend;
} protections[SANDBOX_PROTECTION_COUNT] = {
        [SANDBOX_OWN_USER] = {"own-user", "run devdep-cli as root: it gives every VM user ids of its own"},
        [SANDBOX_USER_NS] = {"user-namespace",
                             "sysctl -w user.max_user_namespaces=10000 kernel.unprivileged_userns_clone=1"},
        [SANDBOX_PID_NS] = {"pid-namespace", "allow user namespaces, or run as root with CAP_SYS_ADMIN"},
        [SANDBOX_MOUNT_NS] = {"mount-namespace", "allow user namespaces, or run as root with CAP_SYS_ADMIN"},
        [SANDBOX_IPC_NS] = {"ipc-namespace", "allow user namespaces, or run as root with CAP_SYS_ADMIN"},
        [SANDBOX_UTS_NS] = {"uts-namespace", "allow user namespaces, or run as root with CAP_SYS_ADMIN"},
        [SANDBOX_NET_NS] = {"empty-network", "allow user namespaces, or run as root with CAP_SYS_ADMIN"},
        [SANDBOX_PRIVATE_ROOT] = {"private-root", "use Linux 5.12 or later and allow mounts in user namespaces"},
        [SANDBOX_PROC_SUBSET] = {"proc-subset", "do not mask parts of /proc in the container that devdep runs in"},
        [SANDBOX_NO_CAPS] = {"no-capabilities", "use Linux 5.12 or later"},
        [SANDBOX_NO_NEW_PRIVS] = {"no-new-privileges", "use Linux 5.12 or later"},
        [SANDBOX_LIMITS] = {"limits", "raise the hard limits of the session that starts devdep (limits.conf)"},
        [SANDBOX_CLOSED_FDS] = {"closed-descriptors", "use Linux 5.12 or later"},
        [SANDBOX_CLEAN_ENV] = {"clean-environment", "use Linux 5.12 or later"},
        [SANDBOX_SECCOMP] = {"seccomp", "use a kernel with CONFIG_SECCOMP_FILTER"},
        [SANDBOX_CGROUP] = {"control-group",
                            "run as root, or with control groups version 2: systemd-run --user --scope -p Delegate=yes "
                            "devdep-cli ..."},
        [SANDBOX_NO_DUMPS] = {"no-dumps", "use Linux 5.12 or later"},
        [SANDBOX_LOCKED_MEMORY] = {"locked-memory", "raise memlock in /etc/security/limits.conf"},
};

const char *sandbox_protection_name(enum sandbox_protection p)
{
        return protections[p].name;
}

const char *sandbox_protection_mend(enum sandbox_protection p)
{
        return protections[p].mend;
}

const char *sandbox_state_name(enum sandbox_state s)
{
        static const char *const names[] = {"unused", "ok", "degraded", "missing"};
        return names[s];
}

void sandbox_held_ok(struct sandbox_report *r, enum sandbox_protection p)
{
        r->held[p].state = SANDBOX_OK;
        r->held[p].why[0] = '\0';
}

void sandbox_held_less(struct sandbox_report *r, enum sandbox_protection p, enum sandbox_state state, const char *fmt,
                       ...)
{
        va_list ap;

        r->held[p].state = state;
        va_start(ap, fmt);
        vsnprintf(r->held[p].why, sizeof(r->held[p].why), fmt, ap);
        va_end(ap);
}

int sandbox_check_required(const struct sandbox *s, const struct sandbox_report *r, struct err *e)
{
        for (unsigned p = 0; p < SANDBOX_PROTECTION_COUNT; p++) {
                const struct sandbox_held *h = &r->held[p];
                if ((s->required & SANDBOX_BIT(p)) && h->state == SANDBOX_MISSING)
                        return err_set(e, ERR_RESOURCES, "the jail '%s' cannot hold %s: %s (%s)", s->name,
                                       protections[p].name, h->why, protections[p].mend);
        }
        return 0;
}

static_assert(sizeof(struct sandbox_report) <= PIPE_BUF, "one write is one read");

int sandbox_report_send(int fd, const struct sandbox_report *r, struct err *e)
{
        ssize_t n = write(fd, r, sizeof(*r));

        return n == (ssize_t)sizeof(*r) ? 0 : err_errno(e, ERR_RESOURCES, errno, "tell which protections hold");
}

static bool is_report(const struct sandbox_report *r)
{
        for (unsigned p = 0; p < SANDBOX_PROTECTION_COUNT; p++) {
                const struct sandbox_held *h = &r->held[p];
                if (h->state > SANDBOX_MISSING || !memchr(h->why, '\0', sizeof(h->why)))
                        return false;
        }
        return true;
}

int sandbox_report_receive(int fd, int ms, struct sandbox_report *into, struct err *e)
{
        struct pollfd ready = {fd, POLLIN, 0};
        struct sandbox_report said;
        ssize_t n = poll(&ready, 1, ms) > 0 ? read(fd, &said, sizeof(said)) : 0;

        if (n <= 0)
                return SANDBOX_E_SILENT;
        if (n != (ssize_t)sizeof(said) || !is_report(&said))
                return err_set(e, ERR_PROTOCOL, "a report of protections is out of form");
        for (unsigned p = 0; p < SANDBOX_PROTECTION_COUNT; p++)
                if (said.held[p].state != SANDBOX_UNUSED)
                        into->held[p] = said.held[p];
        return 0;
}
