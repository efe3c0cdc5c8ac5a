/* The operation `secret`: files of secrets, written by process 1 itself, since they are small and in memory; and their
 * end, which is a child's work. */
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"
#include "guest/cgroup.h"
#include "guest/child.h"
#include "guest/guest.h"
#include "guest/ops.h"
#include "guest/relay.h"
#include "guest/scrub.h"
#include "guest/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#define SCRUB_WAITS 250u /* for killed processes to be gone: 5 s, as at a shutdown */
#define SCRUB_WAIT_US 20000u

/* name, data, name, data, ... */
static int write_all(const struct guest *g, const struct fields *header, struct err *e)
{
        const struct field *name = NULL;
        int r = 0, n = 0;
        for (size_t i = 0; r == 0 && i < fields_count(header); i++) {
                const struct field *f = fields_at(header, i);
                if (str_eq(f->key, "name")) {
                        name = f;
                } else if (str_eq(f->key, "data")) {
                        if (!name)
                                return err_set(e, ERR_USAGE, "data: expected behind its name");
                        r = secrets_write(g->job.secrets, (const char *)name->value, f->value, f->len, e);
                        name = NULL;
                        n++;
                }
        }
        return r == 0 && (name || !n) ? err_set(e, ERR_USAGE, "expected fields name and data in pairs") : r;
}

static __attribute__((noreturn)) void scrub_main(int sock)
{
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        const int fds[CHILD_N_FDS] = {null, null, null, sock, null, null, null};
        if (child_take_fds(fds) < 0)
                _exit(127);
        for (unsigned i = 0; i < SCRUB_WAITS && cgroup_job_is_populated(); i++)
                usleep(SCRUB_WAIT_US);
        scrub_memory();
        child_report_ok();
        _exit(0);
}

static int start_scrub(struct guest *g, struct door_stream *s, struct err *e)
{
        struct err why = ERR_INIT;
        int socks[2];
        if (fd_socketpair(SOCK_STREAM, socks, &why) < 0)
                return door_refuse(s, "resources", why.msg, e);
        AUTO(auto_close) int ours = socks[0];
        AUTO(auto_close) int theirs = socks[1];
        pid_t pid = fork();
        if (pid < 0)
                return door_refuse(s, "resources", "no process to zero the memory", e);
        if (pid == 0)
                scrub_main(theirs);
        int r = fd_set_nonblock(ours, true, e);
        return r < 0 ? r : relay_start(g, s, TAKE_FD(ours), pid, e);
}

int op_secret(struct guest *g, struct door_stream *s, const struct fields *header, struct err *e)
{
        struct err why = ERR_INIT;
        uint64_t wipe = 0;
        bool left;
        int r = fields_u64_opt(header, "wipe", 0, 1, &wipe, &why);
        if (r == 0 && !wipe)
                r = write_all(g, header, &why);
        if (r == 0 && wipe)
                r = secrets_wipe(g->job.secrets, &why);
        if (r == 0 && wipe)
                r = cgroup_kill_job(&left, &why);
        if (r < 0)
                return op_refuse_invalid(s, &why, e);
        return wipe ? start_scrub(g, s, e) : op_done(s, NULL, e);
}
