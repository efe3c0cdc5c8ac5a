/* Making, entering and ending control groups (kernel documentation: cgroup-v1/, cgroup-v2). */
#include "sandbox/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"
#include "sandbox/cgroup_priv.h"

#define END_TIMEOUT_MS 5000 /* for the processes of a group to die */
#define MOVE_ROUNDS 8       /* of moving a group's processes into a leaf while they fork */
#define MAX_MEMBERS 4096    /* processes that are looked at in one round */

struct cgroup {
        unsigned n;
        char path[CGROUP_MAX_PLACES][CGROUP_MAX_PATH];
        int procs_fd[CGROUP_MAX_PLACES];
};
CLEANUP_DEFINE(struct cgroup, cgroup_free)

/* ---- files of a group ---- */

static int write_file(const char *group, const char *name, const char *text, struct err *e)
{
        AUTO(auto_free) char *path = fs_join(group, name);

        return path ? fs_put(AT_FDCWD, path, text, e) : err_nomem(e);
}

static int write_number(const char *group, const char *name, uint64_t value, struct err *e)
{
        char text[24];

        snprintf(text, sizeof(text), "%" PRIu64, value);
        return write_file(group, name, text, e);
}

/* The process ids in a group; how many. */
static size_t members(const char *group, pid_t *ret, size_t max)
{
        AUTO(auto_free) char *path = fs_join(group, "cgroup.procs");
        struct buf text = BUF_INIT;
        size_t n = 0;

        if (path && fs_read(path, 1 << 20, &text, NULL) == 0 && buf_cstr(&text)) {
                for (char *p = (char *)text.data; *p && n < max; p += strcspn(p, "\n"), p += *p == '\n') {
                        long pid = strtol(p, NULL, 10);
                        if (pid > 1 && pid != getpid())
                                ret[n++] = (pid_t)pid;
                }
        }
        buf_done(&text);
        return n;
}

/* ---- making ---- */

/* Processes fork while they are moved, so that one round may miss some. */
static int move_to_leaf(const char *group, struct err *e)
{
        AUTO(auto_free) char *leaf = str_printf("%s" CGROUP_LEAF, group);
        AUTO(auto_free) pid_t *pids = calloc(MAX_MEMBERS, sizeof(*pids));

        if (!leaf || !pids)
                return err_nomem(e);
        if (mkdir(leaf, 0755) < 0 && errno != EEXIST)
                return err_errno(e, ERR_RESOURCES, errno, "make %s", leaf);
        for (unsigned round = 0; round < MOVE_ROUNDS; round++) {
                size_t n = members(group, pids, MAX_MEMBERS);
                if (n == 0)
                        break;
                for (size_t i = 0; i < n; i++)
                        write_number(leaf, "cgroup.procs", (uint64_t)pids[i], NULL);
        }
        return write_file(leaf, "cgroup.procs", "0", e);
}

/* Give the children of a group their controllers. cpu is welcome and not needed. */
static int enable(const char *group, bool own, struct err *e)
{
        static const char file[] = "cgroup.subtree_control", needed[] = "+memory +pids";
        struct err why = ERR_INIT;

        int r = write_file(group, file, needed, &why);
        if (r < 0 && why.errnum == EBUSY && own) {
                r = move_to_leaf(group, e);
                if (r == 0)
                        r = write_file(group, file, needed, e);
        } else if (r < 0 && e) {
                *e = why;
        }
        if (r == 0)
                write_file(group, file, "+cpu", NULL);
        return r;
}

static int make_folder(const char *path, struct err *e)
{
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
                return err_errno(e, ERR_RESOURCES, errno, "make the control group %s", path);
        return 0;
}

/* Everything above the group. */
static int make_base(const struct cgroup_host *h, struct err *e)
{
        char above[CGROUP_MAX_PATH];
        int r = 0;

        for (unsigned c = 0; c < CGROUP_CONTROLLER_COUNT && h->version == 1 && r == 0; c++)
                r = h->base[c][0] ? make_folder(h->base[c], e) : 0;
        if (h->version == 1)
                return r;
        str_copy(above, sizeof(above), h->base[0]);
        above[strlen(above) - strlen(CGROUP_FOLDER)] = '\0';
        r = enable(above, true, e);
        if (r == 0)
                r = make_folder(h->base[0], e);
        return r < 0 ? r : enable(h->base[0], false, e);
}

/* cpu and cpuacct, for example, may be one hierarchy: its folder is made once. */
static int make_places(const struct cgroup_host *h, const char *name, struct cgroup *g, struct err *e)
{
        for (unsigned c = 0; c < CGROUP_CONTROLLER_COUNT; c++) {
                char *path = g->path[g->n];
                bool known = !h->base[c][0];
                if (!known && snprintf(path, CGROUP_MAX_PATH, "%s/%s", h->base[c], name) >= CGROUP_MAX_PATH)
                        return err_set(e, ERR_RESOURCES, "the path of a control group is too long: %s", h->base[c]);
                for (unsigned i = 0; i < g->n && !known; i++)
                        known = str_eq(g->path[i], path);
                if (known)
                        continue;
                AUTO(auto_free) char *procs = fs_join(path, "cgroup.procs");
                g->n++;
                int r = procs ? make_folder(path, e) : err_nomem(e);
                if (r < 0)
                        return r;
                g->procs_fd[g->n - 1] = open(procs, O_WRONLY | O_CLOEXEC);
                if (g->procs_fd[g->n - 1] < 0)
                        return err_errno(e, ERR_RESOURCES, errno, "open %s", procs);
        }
        return 0;
}

/* Swap would keep a guest's memory on the disk, and the bound of memory would not be one. Not every kernel counts it.
 */
static int limit_memory(const struct cgroup_host *h, const char *group, uint64_t bytes, struct err *e)
{
        bool v2 = h->version == 2;
        int r = write_number(group, v2 ? "memory.max" : "memory.limit_in_bytes", bytes, e);

        if (r < 0)
                return r;
        if (v2) {
                write_file(group, "memory.swap.max", "0", NULL);
                write_file(group, "memory.oom.group", "1", NULL);
        } else {
                write_file(group, "memory.swappiness", "0", NULL);
                write_number(group, "memory.memsw.limit_in_bytes", bytes, NULL);
        }
        return 0;
}

static int set_limits(const struct cgroup_host *h, const char *name, const struct cgroup_limits *l, struct err *e)
{
        char group[CGROUP_CONTROLLER_COUNT][CGROUP_MAX_PATH + CGROUP_MAX_NAME + 2];
        int r = 0;

        for (unsigned c = 0; c < CGROUP_CONTROLLER_COUNT; c++)
                snprintf(group[c], sizeof(group[c]), "%s/%s", h->base[c], name);
        if (l->memory && h->base[CGROUP_MEMORY][0])
                r = limit_memory(h, group[CGROUP_MEMORY], l->memory, e);
        if (r == 0 && l->processes && h->base[CGROUP_PIDS][0])
                r = write_number(group[CGROUP_PIDS], "pids.max", l->processes, e);
        if (r == 0 && l->weight && h->base[CGROUP_CPU][0])
                write_number(group[CGROUP_CPU], "cpu.weight", l->weight, NULL);
        return r;
}

static void tell_held(const struct cgroup_host *h, const struct cgroup_limits *l, struct sandbox_held *ret)
{
        bool memory = l->memory && h->base[CGROUP_MEMORY][0], pids = l->processes && h->base[CGROUP_PIDS][0];
        uint64_t mib = l->memory >> 20, tenths = (mib * 10 + 512) >> 10;
        char words[2][48] = {"", ""};

        if (memory && mib < 1024)
                snprintf(words[0], sizeof(words[0]), "memory %" PRIu64 " MiB", mib);
        else if (memory)
                snprintf(words[0], sizeof(words[0]), "memory %" PRIu64 ".%" PRIu64 " GiB", tenths / 10, tenths % 10);
        if (pids)
                snprintf(words[1], sizeof(words[1]), "%" PRIu32 " processes", l->processes);
        ret->state = memory && pids ? SANDBOX_OK : SANDBOX_DEGRADED;
        snprintf(ret->why, sizeof(ret->why), "%.24s%s%.24s; version %u%s%.60s", words[0], memory && pids ? ", " : "",
                 words[1], h->version, h->why[0] ? "; " : "", h->why);
}

static int name_is_valid(const char *name, struct err *e)
{
        size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

        if (!len || len > CGROUP_MAX_NAME || name[len])
                return err_set(e, ERR_USAGE, "the name of a control group: expected small letters, digits and '-'");
        return 0;
}

int cgroup_new(const char *name, const struct cgroup_limits *l, struct cgroup **ret, struct sandbox_held *ret_held,
               struct err *e)
{
        AUTO(cgroup_freep) struct cgroup *g = calloc(1, sizeof(*g));
        struct cgroup_host h;
        struct buf places = BUF_INIT;
        struct err why = ERR_INIT;

        *ret = NULL;
        *ret_held = (struct sandbox_held){.state = SANDBOX_MISSING};
        if (!g)
                return err_nomem(e);
        memset(g->procs_fd, 0xff, sizeof(g->procs_fd));
        int r = name_is_valid(name, e);
        if (r == 0)
                r = cgroup_host_find(&h, e);
        if (r < 0)
                return r;
        if (!h.version) {
                str_copy(ret_held->why, sizeof(ret_held->why), h.why);
                return 0;
        }
        for (unsigned c = 0; c < CGROUP_CONTROLLER_COUNT && r == 0; c++)
                r = h.base[c][0] ? buf_printf(&places, e, "%s/%s\n", h.base[c], name) : 0;
        if (r == 0)
                r = cgroup_end(buf_cstr(&places), name, NULL, e);
        buf_done(&places);
        if (r < 0)
                return r;
        /* For example a hierarchy that a container sees read-only. */
        if (make_base(&h, &why) < 0 || make_places(&h, name, g, &why) < 0 || set_limits(&h, name, l, &why) < 0) {
                snprintf(ret_held->why, sizeof(ret_held->why), "%.*s", (int)sizeof(ret_held->why) - 1, why.msg);
                for (unsigned i = 0; i < g->n; i++)
                        rmdir(g->path[i]);
                return 0;
        }
        tell_held(&h, l, ret_held);
        *ret = TAKE_PTR(g);
        return 0;
}

struct cgroup *cgroup_free(struct cgroup *g)
{
        for (unsigned i = 0; g && i < CGROUP_MAX_PLACES; i++)
                fd_close(g->procs_fd[i]);
        free(g);
        return NULL;
}

unsigned cgroup_entries(const struct cgroup *g, int ret[CGROUP_MAX_PLACES])
{
        for (unsigned i = 0; i < g->n; i++)
                ret[i] = g->procs_fd[i];
        return g->n;
}

int cgroup_enter(int entry, struct err *e)
{
        if (write(entry, "0", 1) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "enter a control group");
        return 0;
}

int cgroup_places(const struct cgroup *g, struct buf *ret, struct err *e)
{
        int r = 0;

        for (unsigned i = 0; i < g->n && r == 0; i++)
                r = buf_printf(ret, e, "%s\n", g->path[i]);
        return r;
}

/* ---- ending ---- */

/* The next line of `places` into ret; false at the end. */
static bool next_place(const char **places, char ret[CGROUP_MAX_PATH])
{
        size_t len = strcspn(*places, "\n");

        if (!len || len >= CGROUP_MAX_PATH)
                return false;
        memcpy(ret, *places, len);
        ret[len] = '\0';
        *places += len + ((*places)[len] == '\n');
        return true;
}

bool cgroup_ran_out_of_memory(const char *places)
{
        static const char *const files[] = {"memory.events", "memory.oom_control"};
        char group[CGROUP_MAX_PATH];
        uint64_t kills = 0;

        while (kills == 0 && next_place(&places, group)) {
                for (size_t i = 0; i < ARRAY_SIZE(files) && kills == 0; i++) {
                        AUTO(auto_free) char *path = fs_join(group, files[i]);
                        struct buf text = BUF_INIT;
                        const char *line = NULL;
                        if (path && fs_read(path, 4096, &text, NULL) == 0 && buf_cstr(&text))
                                line = strstr(buf_cstr(&text), "oom_kill ");
                        kills = line ? strtoull(line + strlen("oom_kill "), NULL, 10) : 0;
                        buf_done(&text);
                }
        }
        return kills != 0;
}

bool cgroup_bars_swap(const char *places)
{
        char group[CGROUP_MAX_PATH];
        bool bars = false;

        while (!bars && next_place(&places, group)) {
                AUTO(auto_free) char *path = fs_join(group, "memory.swap.max");
                AUTO(buf_done) struct buf text = BUF_INIT;
                bars = path && fs_read(path, 64, &text, NULL) == 0 && str_eq(buf_cstr(&text), "0\n");
        }
        return bars;
}

static int check_place(const char *group, const char *name, struct err *e)
{
        AUTO(auto_free) char *end = str_printf(CGROUP_FOLDER "/%s", name);

        if (!end)
                return err_nomem(e);
        if (group[0] != '/' || strstr(group, "/../") || !str_ends(group, end))
                return err_set(e, ERR_USAGE, "%s is not the control group %s", group, name);
        return 0;
}

/* With cgroup.kill all of them at once; without (version 1, Linux before 5.14) one by one, which those that fork are
 * not outrun by because pids.max is lowered first. The pidfds wait for the ends. */
static unsigned kill_members(const char *group, uint64_t deadline)
{
        AUTO(auto_free) pid_t *pids = calloc(MAX_MEMBERS, sizeof(*pids));
        size_t n = pids ? members(group, pids, MAX_MEMBERS) : 0;
        bool at_once = write_file(group, "cgroup.kill", "1", NULL) == 0;

        for (size_t i = 0; i < n; i++) {
                struct pollfd p = {.fd = (int)syscall(SYS_pidfd_open, pids[i], 0), .events = POLLIN};
                uint64_t now = clock_mono_ms();
                if (p.fd < 0)
                        continue;
                if (!at_once)
                        syscall(SYS_pidfd_send_signal, p.fd, SIGKILL, NULL, 0);
                poll(&p, 1, now < deadline ? (int)(deadline - now) : 0);
                close(p.fd);
        }
        return (unsigned)n;
}

static int end_place(const char *group, unsigned *killed, struct err *e)
{
        const struct timespec pause = {.tv_nsec = 1000000};
        uint64_t deadline = clock_mono_ms() + END_TIMEOUT_MS;

        if (access(group, F_OK) < 0)
                return 0;
        for (;;) {
                *killed += kill_members(group, deadline);
                if (rmdir(group) == 0 || errno == ENOENT)
                        return 0;
                if (errno != EBUSY || clock_mono_ms() >= deadline)
                        return err_errno(e, ERR_RESOURCES, errno, "remove the control group %s", group);
                /* What has died is counted for a moment more. */
                nanosleep(&pause, NULL);
        }
}

int cgroup_end(const char *places, const char *name, unsigned *ret_killed, struct err *e)
{
        char group[CGROUP_MAX_PATH];
        unsigned killed = 0;
        int r = 0;

        for (const char *p = places; r == 0 && next_place(&p, group);) {
                r = check_place(group, name, e);
                if (r == 0)
                        write_file(group, "pids.max", "0", NULL);
        }
        while (r == 0 && next_place(&places, group))
                r = end_place(group, &killed, e);
        if (ret_killed)
                *ret_killed = killed;
        return r;
}
