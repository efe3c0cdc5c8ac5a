/* Which protections this host can hold: a jail like the VMM's is built around `true`, and its report is what counts. */
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"
#include "sandbox/cgroup.h"
#include "sandbox/sandbox.h"
#include "vm/doctor_internal.h"
#include "vm/slot.h"

/* Below the first slot's ids: nothing else ever runs under it. */
#define DOCTOR_UID SLOT_UID_BASE

CLEANUP_DEFINE(struct cgroup, cgroup_free)

static int build_jail(struct sandbox_report *report, struct err *e)
{
        static const char program[] = "/usr/bin/true";
        char name[] = "true", *argv[] = {name, NULL}, *envp[] = {NULL};
        struct sandbox_exec x = {.path = program, .argv = argv, .envp = envp, .die_with_parent = true};
        struct sandbox_bind binds[SANDBOX_MAX_BINDS];
        struct sandbox s = SANDBOX_INIT;
        AUTO(auto_close) int pidfd = -1;
        int status = 0, r;
        pid_t pid;

        s.name = "doctor";
        if (geteuid() == 0)
                s.uid = s.gid = DOCTOR_UID;
        s.binds = binds;
        for (; s.n_binds < sandbox_n_binds_libraries; s.n_binds++)
                binds[s.n_binds] = sandbox_binds_libraries[s.n_binds];
        /* Visible, as a VMM is: its filter knows no execution by descriptor. */
        binds[s.n_binds++] = (struct sandbox_bind){.from = program, .executable = true};
        s.proc = true;
        s.filter = SANDBOX_FILTER_VMM;
        r = sandbox_spawn(&s, &x, &pid, &pidfd, report, e);
        if (r < 0)
                return r;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        return status == 0
                       ? 0
                       : err_set(e, ERR_RESOURCES, "a program in a jail ended with wait status 0x%x", (unsigned)status);
}

static void say_protection(struct doctor *d, const char *name, enum sandbox_protection p, const struct sandbox_held *h)
{
        bool required = (SANDBOX_REQUIRED & SANDBOX_BIT(p)) || p == SANDBOX_PID_NS || p == SANDBOX_PROC_SUBSET;
        enum doctor_state state = h->state == SANDBOX_OK         ? DOCTOR_OK
                                  : h->state == SANDBOX_DEGRADED ? DOCTOR_DEGRADED
                                  : required                     ? DOCTOR_MISSING
                                                                 : DOCTOR_DEGRADED;

        doctor_say(d, name, state, required, sandbox_protection_mend(p), "%s",
                   h->state == SANDBOX_OK ? "held" : h->why);
}

void doctor_say_program(struct doctor *d, const char *who, const char *group, const struct sandbox_report *report,
                        const char *why)
{
        unsigned first = d->n;
        char name[48];

        if (!report)
                doctor_say(d, who, DOCTOR_MISSING, false, "mend what the message names", "%s", why);
        for (unsigned p = 0; report && p < SANDBOX_PROTECTION_COUNT; p++) {
                snprintf(name, sizeof(name), "%s.%s", who, sandbox_protection_name(p));
                if (report->held[p].state != SANDBOX_UNUSED)
                        say_protection(d, name, p, &report->held[p]);
        }
        for (unsigned i = first; i < d->n; i++)
                d->checks[i].group = group;
}

/* A group is made as for a VMM, and removed. */
static void check_cgroup(struct doctor *d)
{
        const struct cgroup_limits l = {.memory = 1ull << 30, .processes = 64};
        AUTO(cgroup_freep) struct cgroup *g = NULL;
        struct sandbox_held held = {0};
        struct buf places = BUF_INIT;
        struct err err = ERR_INIT;
        char name[32];

        snprintf(name, sizeof(name), "doctor-%d", (int)getpid());
        int r = cgroup_new(name, &l, &g, &held, &err);
        if (r == 0 && g)
                r = cgroup_places(g, &places, &err);
        if (r == 0 && g)
                r = buf_cstr(&places) ? cgroup_end(buf_cstr(&places), name, NULL, &err) : err_nomem(&err);
        buf_done(&places);
        if (r < 0)
                str_copy(held.why, sizeof(held.why), err.msg);
        doctor_say(d, "control-group", held.state == SANDBOX_OK ? DOCTOR_OK : DOCTOR_DEGRADED, false,
                   sandbox_protection_mend(SANDBOX_CGROUP), "%s%s", held.state == SANDBOX_OK ? "held: " : "", held.why);
}

static void check_subuid(struct doctor *d)
{
        struct passwd *pw = getpwuid(geteuid());
        struct buf text = BUF_INIT;
        char entry[128];
        bool found = false;

        if (geteuid() == 0 || !pw)
                return;
        snprintf(entry, sizeof(entry), "%s:", pw->pw_name);
        if (fs_read("/etc/subuid", 1 << 20, &text, NULL) == 0 && buf_cstr(&text))
                for (const char *p = buf_cstr(&text); p && !found; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
                        found = str_starts(p, entry);
        buf_done(&text);
        if (found)
                doctor_say(d, "subordinate-ids", DOCTOR_OK, false, "", "/etc/subuid has a range for %.64s",
                           pw->pw_name);
        else
                doctor_say(d, "subordinate-ids", DOCTOR_DEGRADED, false,
                           "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER",
                           "/etc/subuid has no range for %.64s: images cannot be built by this user", pw->pw_name);
}

void doctor_check_protections(struct doctor *d)
{
        struct sandbox_report report = {0};
        struct err err = ERR_INIT;
        int r = build_jail(&report, &err);

        doctor_say(d, "jail", r < 0 ? DOCTOR_MISSING : DOCTOR_OK, true,
                   "allow user namespaces (sysctl user.max_user_namespaces), or run as root", "%s",
                   r < 0 ? err.msg : "a program ran in one");
        for (unsigned p = 0; p < SANDBOX_PROTECTION_COUNT; p++) {
                if (p != SANDBOX_CGROUP && report.held[p].state != SANDBOX_UNUSED)
                        say_protection(d, sandbox_protection_name(p), p, &report.held[p]);
        }
        check_cgroup(d);
        check_subuid(d);
}
