/* devdep-pool: keeps VMs parked and hands each to one job. man devdep-pool(8); ARCHITECTURE.md, "Processes".
 *
 * This process opens its own files, starts makers, and passes descriptors on. It reads what clients send (verbs of
 * words and numbers) and what makers answer (a struct of its own build), and no byte that a VMM or a guest wrote. */
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/num.h"
#include "base/options.h"
#include "base/str.h"
#include "loop/loop.h"
#include "pool/bury.h"
#include "pool/client.h"
#include "pool/limits.h"
#include "pool/make.h"
#include "pool/maker.h"
#include "pool/notify.h"
#include "pool/pool.h"
#include "pool/server.h"
#include "sandbox/sandbox.h"
#include "vm/image.h"
#include "vm/memory.h"
#include "vm/slot.h"
#include "vm/vm.h"

#define MAX_AGE_S (7u * 24u * 3600u)
#define LEAST_BUDGET ((uint64_t)1 << 20)

struct options {
        uid_t allowed[POOL_MAX_USERS];
        size_t n_allowed;
        uint64_t budget, age_s;
        struct strv warm;
};

struct daemon {
        struct loop *loop;
        struct image_store store;
        int lock_fd;
        struct pool *pool;
        struct server *server;
        struct loop_signal *term, *interrupt;
};

static const char usage[] =
        "usage: devdep-pool [--warm IMAGE[=COUNT]]... [--memory SIZE] [--age SECONDS] [--allow USER]...\n"
        "\n"
        "Keeps virtual machines parked, so that 'devdep-cli run' has a fresh guest in milliseconds.\n"
        "One pool runs per state folder ($DEVDEP_STATE, /var/lib/devdep for root, else\n"
        "~/.local/state/devdep). It stays in the foreground; SIGTERM ends it and its parked machines,\n"
        "jobs that run are left alone.\n"
        "\n"
        "  --warm IMAGE[=COUNT]  keep COUNT (1) of this image parked, in the default size\n"
        "  --memory SIZE         what parked machines and templates may take (default: a quarter of\n"
        "                        the memory that is available at the start)\n"
        "  --age SECONDS         replace a parked machine that is older (default: 1800)\n"
        "  --allow USER          serve this user, too, with machines of its own\n"
        "  --help, --version\n"
        "\n"
        "examples:\n"
        "  devdep-pool --warm default=2\n"
        "  devdep-pool --memory 1G --allow builder\n"
        "  devdep-cli vm warm default --count 2    ask a running pool; 'devdep-cli vm ls' shows it\n";

static int read_user(const char *name, struct options *o, struct err *e)
{
        const struct passwd *p = getpwnam(name);
        uint64_t uid = 0;

        if (!p && num_u64(name, 0, UINT32_MAX - 1, "--allow", &uid, NULL) < 0)
                return err_set(e, ERR_USAGE, "--allow: there is no user '%s'", name);
        /* Two places are the pool's own user's and root's. */
        if (o->n_allowed + 2 >= POOL_MAX_USERS)
                return err_set(e, ERR_USAGE, "--allow: expected at most %u users", POOL_MAX_USERS - 2);
        o->allowed[o->n_allowed++] = p ? p->pw_uid : (uid_t)uid;
        return 0;
}

static int take_option(int option, const char *value, void *user, struct err *e)
{
        struct options *o = user;

        if (option == 'w')
                return strv_add(&o->warm, value, e);
        if (option == 'm')
                return num_size(value, POOL_MAX_MEMORY, "--memory", &o->budget, e);
        if (option == 'a')
                return num_u64(value, 1, MAX_AGE_S, "--age", &o->age_s, e);
        return read_user(value, o, e);
}

/* 1: help or version was printed. */
static int read_options(int argc, char **argv, struct options *o, struct err *e)
{
        static const struct option known[] = {{"warm", required_argument, NULL, 'w'},
                                              {"memory", required_argument, NULL, 'm'},
                                              {"age", required_argument, NULL, 'a'},
                                              {"allow", required_argument, NULL, 'u'},
                                              {0}};
        static const struct options_of program = {"devdep-pool", usage, known, take_option};
        int r = options_read(&program, argc, argv, o, e);

        if (r == 0 && o->budget != 0 && o->budget < LEAST_BUDGET)
                return err_set(e, ERR_USAGE, "--memory: expected at least 1M");
        return r;
}

/* STATE/pool, for us alone unless others may connect; one pool at a time. */
static int lock_state(struct daemon *d, const struct options *o, struct err *e)
{
        AUTO(auto_free) char *folder = fs_join(d->store.state, "pool");
        AUTO(auto_free) char *lock = folder ? fs_join(folder, "lock") : NULL;

        if (!lock)
                return err_nomem(e);
        int r = fs_mkdirs(folder, 0700, e);
        if (r == 0 && chmod(folder, o->n_allowed ? 0711 : 0700) < 0)
                r = err_errno(e, ERR_RESOURCES, errno, "set the mode of %s", folder);
        if (r == 0)
                r = fs_lock(lock, false, &d->lock_fd, e);
        if (r == FS_E_LOCKED)
                return err_set(e, ERR_USAGE, "a devdep-pool runs already for %s", d->store.state);
        return r;
}

/* A process commonly begins with 1,024, fewer than the VMs of a few users have. */
static int raise_files(struct err *e)
{
        struct rlimit l;

        if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
                l.rlim_cur = MAX(l.rlim_cur, MIN(l.rlim_max, (rlim_t)POOL_MAX_FILES));
                if (setrlimit(RLIMIT_NOFILE, &l) == 0)
                        return 0;
        }
        return err_errno(e, ERR_RESOURCES, errno, "set the number of descriptors");
}

/* "IMAGE" or "IMAGE=COUNT". */
static int warm_one(struct daemon *d, const char *text, struct err *e)
{
        const struct vm_shape shape = VM_SHAPE_DEFAULT;
        struct pool_request q = {
                .verb = POOL_WARM, .accel = "auto", .class = {shape.vcpus, shape.memory, shape.scratch}, .count = 1};
        const char *count = strchr(text, '=');
        uint64_t n = 1;

        if (count && num_u64(count + 1, 1, POOL_MAX_KEEP, "--warm", &n, e) < 0)
                return -1;
        q.count = (uint32_t)n;
        AUTO(auto_free) char *image = str_ndup(text, count ? (size_t)(count - text) : strlen(text));
        if (!image)
                return err_nomem(e);
        if (!*image || !str_copy(q.image, sizeof(q.image), image))
                return err_set(e, ERR_USAGE, "--warm: expected the name of an image, found '%s'", text);
        return pool_warm(d->pool, geteuid(), &q, e);
}

static int on_end(int signo, void *user, struct err *e)
{
        struct daemon *d = user;

        (void)signo;
        (void)e;
        loop_quit(d->loop);
        return 0;
}

static int start(struct daemon *d, const struct options *o, struct err *e)
{
        AUTO(auto_free) char *path = NULL;
        struct pool_options p = {.self = geteuid(), .budget = o->budget, .maker = &maker_process};
        struct server_options s = {.self = geteuid(), .allowed = o->allowed, .n_allowed = o->n_allowed};
        uint64_t available = 0;

        int r = memory_available(&available, e);
        p.budget = p.budget ? p.budget : available / 4;
        p.age_ms = o->age_s * 1000;
        p.state = d->store.state;
        if (r == 0)
                r = loop_new(&d->loop, e);
        if (r == 0)
                r = loop_signal_new(d->loop, SIGTERM, on_end, d, &d->term, e);
        if (r == 0)
                r = loop_signal_new(d->loop, SIGINT, on_end, d, &d->interrupt, e);
        if (r == 0)
                r = pool_new(d->loop, &p, &d->pool, e);
        for (size_t i = 0; i < o->warm.n && r == 0; i++)
                r = warm_one(d, o->warm.v[i], e);
        s.path = path = client_path(d->store.state);
        if (r == 0)
                r = path ? server_new(d->loop, d->pool, &s, &d->server, e) : err_nomem(e);
        return r;
}

static int serve(const struct options *o, struct err *e)
{
        struct daemon d = {.lock_fd = -1};
        struct slot_reclaimed reclaimed;

        int r = image_store_init(&d.store, NULL, e);
        if (r == 0)
                r = lock_state(&d, o, e);
        /* What a pool that was killed left. */
        if (r == 0)
                r = slot_reclaim(d.store.state, &reclaimed, e);
        if (r == 0)
                r = start(&d, o, e);
        if (r == 0)
                r = notify("READY=1", e);
        if (r == 0) {
                log_info("keeps virtual machines of %s parked", d.store.state);
                r = loop_run(d.loop, e);
        }
        notify("STOPPING=1", NULL);
        server_free(d.server);
        pool_free(d.pool);
        /* The slot of a preparation that was cut short. */
        if (d.loop)
                slot_reclaim(d.store.state, &reclaimed, NULL);
        loop_free(d.loop);
        fd_close(d.lock_fd);
        image_store_done(&d.store);
        return r;
}

int main(int argc, char **argv)
{
        struct options o = {.age_s = POOL_AGE_MS / 1000, .warm = STRV_INIT};
        struct err err = ERR_INIT;

        if (argc > 1 && str_eq(argv[1], "--make"))
                return make_main(argc, argv);
        if (argc > 1 && str_eq(argv[1], "--bury"))
                return bury_main(argc, argv);
        log_init("devdep-pool", LOG_INFO);
        signal(SIGPIPE, SIG_IGN);
        signal(SIGCHLD, SIG_DFL); /* ignored, the kernel would reap makers and jails before we ask how they ended */
        int r = read_options(argc, argv, &o, &err);
        if (r == 0)
                r = sandbox_server(&err);
        if (r == 0)
                r = raise_files(&err);
        if (r == 0)
                r = serve(&o, &err);
        strv_done(&o.warm);
        return r < 0 ? log_final(&err) : 0;
}
