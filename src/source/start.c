#include "source/start.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/program.h"
#include "base/str.h"
#include "loop/spawn.h"
#include "source/git.h"
#include "source/limits.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where the jail shows things. */
#define JAIL_TOP "/repo/top"
#define JAIL_GITDIR "/repo/git"
#define JAIL_COMMON "/repo/common"
#define JAIL_MIRROR "/mirror"
#define JAIL_SCRATCH "/scratch"
#define JAIL_MEMORY "/dev/shm"

#define MAX_BINDS 16
#define NAME "devdep-source"
#define EXIT_GRACE_MS 2000 /* after the socket was closed */

static int make_scratch(const struct source_start *s, struct source_process *p, struct err *e)
{
        if (!s->scratch)
                return 0;
        p->scratch = str_printf("%s/source.XXXXXX", s->scratch);
        if (!p->scratch)
                return err_nomem(e);
        if (!mkdtemp(p->scratch)) {
                int errnum = errno;
                free(p->scratch);
                p->scratch = NULL;
                return err_errno(e, ERR_RESOURCES, errnum, "make a folder in %s", s->scratch);
        }
        return 0;
}

static int add_all(struct strv *argv, const char *const *words, size_t n, struct err *e)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < n; i++)
                r = strv_add(argv, words[i], e);
        return r;
}

static int add_place(const struct source_place *p, struct strv *argv, struct err *e)
{
        const char *const fixed[] = {"--gitdir", JAIL_GITDIR, "--host-gitdir", p->gitdir,
                                     "--common", JAIL_COMMON, "--host-common", p->common};
        const char *const top[] = {"--top", JAIL_TOP, "--host-top", p->top};
        int r = add_all(argv, fixed, ARRAY_SIZE(fixed), e);
        if (r == 0 && p->top)
                r = add_all(argv, top, ARRAY_SIZE(top), e);
        return r == 0 && p->back_link ? strv_add(argv, "--back-link", e) : r;
}

static int build_argv(const struct source_start *s, bool on_disk, struct strv *argv, struct err *e)
{
        const char *const fixed[] = {NAME, "--own", on_disk ? JAIL_SCRATCH : JAIL_MEMORY};
        const char *const mirror[] = {"--mirror", JAIL_MIRROR, "--host-mirror", s->mirror};
        int r = add_all(argv, fixed, ARRAY_SIZE(fixed), e);
        if (r == 0 && s->place)
                r = add_place(s->place, argv, e);
        return r == 0 && s->mirror ? add_all(argv, mirror, ARRAY_SIZE(mirror), e) : r;
}

/* Repository and mirror are shown without leave to execute or write; the only program is git's, and there is no shell.
 */
static unsigned build_binds(const struct source_start *s, bool idmap, const struct source_process *p,
                            struct sandbox_bind *b)
{
        unsigned n = 0;
        for (unsigned i = 0; i < sandbox_n_binds_libraries; i++)
                b[n++] = sandbox_binds_libraries[i];
        b[n++] = (struct sandbox_bind){.from = GIT_PROGRAM, .executable = true};
        const struct {
                const char *from, *to;
        } shown[] = {{s->place ? s->place->top : NULL, JAIL_TOP},
                     {s->place ? s->place->gitdir : NULL, JAIL_GITDIR},
                     {s->place ? s->place->common : NULL, JAIL_COMMON},
                     {s->mirror, JAIL_MIRROR}};
        for (size_t i = 0; i < ARRAY_SIZE(shown); i++)
                if (shown[i].from)
                        b[n++] = (struct sandbox_bind){
                                .from = shown[i].from, .to = shown[i].to, .idmap_owner = idmap, .exact = true};
        if (p->scratch)
                b[n++] = (struct sandbox_bind){.from = p->scratch, .to = JAIL_SCRATCH, .writable = true};
        return n;
}

static int start_jailed(const struct source_start *s, bool idmap, const char *program, int socket,
                        struct source_process *p, struct err *e)
{
        /* Processes are counted by user: only where the user is the slot's own does a limit mean this jail. */
        const struct sandbox_limit limits[] = {
                {RLIMIT_FSIZE, SOURCE_MAX_SCRATCH},
                {RLIMIT_NOFILE, 1024},
                {RLIMIT_NPROC, idmap && s->uid != (uid_t)-1 ? SOURCE_MAX_PROCESSES : RLIM_INFINITY},
        };
        static char *const env[] = {NULL};
        AUTO(strv_done) struct strv argv = STRV_INIT;
        struct sandbox_bind binds[MAX_BINDS];
        struct sandbox jail = SANDBOX_INIT;
        AUTO(auto_close) int pins = -1;
        int r = build_argv(s, p->scratch != NULL, &argv, e);
        if (r == 0 && s->mirror)
                r = fd_memfd_sealed("pins", s->pins, s->n_pins, &pins, e);
        if (r < 0)
                return r;
        if (p->scratch && s->uid != (uid_t)-1 && chown(p->scratch, s->uid, s->gid) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "give %s to the jail's user", p->scratch);
        jail.name = "source";
        jail.uid = s->uid;
        jail.gid = s->gid;
        jail.binds = binds;
        jail.n_binds = build_binds(s, idmap, p, binds);
        jail.devices = SANDBOX_DEV_NULL | SANDBOX_DEV_URANDOM | (p->scratch ? 0 : SANDBOX_DEV_SHM);
        jail.limits = limits;
        jail.n_limits = ARRAY_SIZE(limits);
        jail.filter = SANDBOX_FILTER_GIT;
        struct spawn_fd fds[3] = {{socket, 3}};
        unsigned n_fds = 1;
        if (pins >= 0)
                fds[n_fds++] = (struct spawn_fd){pins, 4};
        if (s->log_fd >= 0)
                fds[n_fds++] = (struct spawn_fd){s->log_fd, 2};
        const struct sandbox_exec exec = {.path = program,
                                          .argv = argv.v,
                                          .envp = env,
                                          .fds = fds,
                                          .n_fds = n_fds,
                                          .enter = s->enter,
                                          .n_enter = s->n_enter,
                                          .die_with_parent = true};
        return sandbox_spawn(&jail, &exec, &p->child.pid, &p->child.pidfd, &p->child.report, e);
}

/* Some file systems (overlayfs, in containers) cannot show an owner as somebody else. Then the jail runs as the
 * repository's owner; where that is root, which no jail runs as, under its own user, and sees what everybody may read.
 */
static int start_without_idmap(const struct source_start *s, const char *program, int socket, struct source_process *p,
                               struct err *e)
{
        struct source_start changed = *s;
        struct stat st;
        const char *folder = s->place ? s->place->gitdir : s->mirror;
        if (stat(folder, &st) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "%s", folder);
        if (st.st_uid != 0) {
                changed.uid = st.st_uid;
                changed.gid = st.st_gid;
        }
        int r = start_jailed(&changed, false, program, socket, p, e);
        if (r < 0)
                return r;
        struct sandbox_held *held = &p->child.report.held[SANDBOX_OWN_USER];
        held->state = SANDBOX_DEGRADED;
        str_copy(held->why, sizeof(held->why),
                 st.st_uid != 0
                         ? "the repository's file system cannot map owners: git runs as the repository's owner"
                         : "the repository's file system cannot map owners: only files that everybody may read arrive");
        return 0;
}

int source_start(const struct source_start *s, struct source_process *ret, struct err *e)
{
        AUTO(source_process_done) struct source_process p = SOURCE_PROCESS_INIT;
        AUTO(auto_free) char *program = s->program ? str_dup(s->program) : NULL;
        AUTO(auto_close) int theirs = -1;
        int pair[2], r = 0;
        *ret = (struct source_process)SOURCE_PROCESS_INIT;
        if (!s->program)
                r = program_path(NAME, &program, e);
        else if (!program)
                r = err_nomem(e);
        if (r == 0)
                r = fd_socketpair(SOCK_STREAM, pair, e);
        if (r < 0)
                return r;
        p.child.socket_fd = pair[0];
        p.child.name = NAME;
        p.child.grace_ms = EXIT_GRACE_MS;
        theirs = pair[1];
        r = make_scratch(s, &p, e);
        if (r == 0)
                r = start_jailed(s, true, program, theirs, &p, e);
        if (r < 0 && s->uid != (uid_t)-1 && start_without_idmap(s, program, theirs, &p, NULL) == 0)
                r = 0;
        if (r < 0)
                return err_wrap(e, r, "start " NAME);
        *ret = p;
        p = (struct source_process)SOURCE_PROCESS_INIT;
        return 0;
}

void source_process_done(struct source_process *p)
{
        sandbox_child_end(&p->child);
        if (p->scratch)
                fs_remove_tree(p->scratch, NULL);
        free(p->scratch);
        p->scratch = NULL;
}
