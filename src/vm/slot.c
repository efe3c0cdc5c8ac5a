/* Order of things, so that a crash at any point leaves what reclaim() finds: lock, clean, make the run directory; and
 * at the end: kill, remove, unlock. Everything in a slot but its lock file is worth nothing to anybody who does not
 * hold the lock. */
#include "vm/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"
#include "vm/slot_priv.h"

#define KILL_WAIT_MS 5000

static void slot_free(struct slot *s)
{
        if (!s)
                return;
        fd_close(s->lock_fd);
        free(s->path);
        free(s->run);
        free(s);
}
CLEANUP_DEFINE(struct slot, slot_free)

/* ---- processes ---- */

/* pid, start time in clock ticks since boot, boot id: together they name one process of one boot. FS_E_MISSING: it
 * ended. */
static int process_identity(pid_t pid, struct buf *ret, struct err *e)
{
        char path[64], *p;
        struct buf stat = BUF_INIT, boot = BUF_INIT;
        unsigned long long start = 0;
        int r;

        snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        r = fs_read(path, 4096, &stat, e);
        if (r == 0)
                r = fs_read("/proc/sys/kernel/random/boot_id", 64, &boot, e);
        /* The name in parentheses may hold anything; the start time is the 20th field after it. */
        if (r == 0) {
                const char *text = buf_cstr(&stat);
                p = text ? strrchr(text, ')') : NULL;
                for (int field = 0; p && field < 20; field++)
                        p = strchr(p + 1, ' ');
                if (!p || sscanf(p, " %llu", &start) != 1)
                        r = err_set(e, ERR_RESOURCES, "%s: expected the kernel's format", path);
        }
        if (r == 0)
                r = buf_printf(ret, e, "%d %llu %.36s\n", (int)pid, start, buf_cstr(&boot));
        buf_done(&stat);
        buf_done(&boot);
        return r;
}

int slot_note(const struct slot *s, const char *name, pid_t pid, struct err *e)
{
        AUTO(auto_free) char *path = str_printf("%s/pids/%s", s->path, name);
        struct buf text = BUF_INIT;
        int r;

        if (!path)
                return err_nomem(e);
        r = process_identity(pid, &text, e);
        if (r == FS_E_MISSING)
                return 0; /* it has ended already */
        if (r == 0)
                r = fs_write_atomic(path, text.data, text.len, 0600, e);
        buf_done(&text);
        return r;
}

/* Wait for the end of a process. The state in /proc would not do: that of a process whose first thread has ended is
 * that of a dead one, while its other threads run. */
static bool has_ended(int pidfd, int timeout_ms)
{
        struct pollfd p = {.fd = pidfd, .events = POLLIN};

        return poll(&p, 1, timeout_ms) == 1;
}

/* The pidfd is opened first and the identity checked afterwards: between the two the number cannot have changed hands.
 */
static bool kill_if_same(pid_t pid, const struct buf *identity)
{
        AUTO(auto_close) int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        struct buf now = BUF_INIT;
        bool same;

        if (pidfd < 0 || has_ended(pidfd, 0))
                return false;
        same = process_identity(pid, &now, NULL) == 0 && now.len == identity->len &&
               memcmp(now.data, identity->data, now.len) == 0;
        buf_done(&now);
        if (!same || syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) < 0)
                return false;
        has_ended(pidfd, KILL_WAIT_MS);
        return true;
}

struct noted {
        const char *folder;
        unsigned killed;
};

static int kill_noted(const char *name, void *user, struct err *e)
{
        struct noted *n = user;
        AUTO(auto_free) char *path = fs_join(n->folder, name);
        struct buf text = BUF_INIT;
        int pid = 0;

        if (!path)
                return err_nomem(e);
        /* A note that cannot be read or understood names nobody. */
        if (fs_read(path, 256, &text, NULL) == 0 && buf_cstr(&text) && sscanf(buf_cstr(&text), "%d ", &pid) == 1 &&
            pid > 1)
                n->killed += kill_if_same(pid, &text);
        buf_done(&text);
        return 0;
}

struct census {
        const struct slot *slot;
        unsigned found;
        int last_pidfd; /* one of those that were found, and whose it is */
        uid_t last_uid;
};

static bool is_of_slot(const struct slot *s, uid_t uid)
{
        return uid >= s->uid[0] && uid < s->uid[0] + SLOT_ROLE_COUNT;
}

/* By what the process says: the owner of its folder in /proc is root while it must not be dumped. */
static bool runs_for_slot(const char *name, const struct slot *s, uid_t *ret)
{
        char path[300];
        struct buf text = BUF_INIT;
        struct stat st;
        unsigned id[3] = {0};
        const char *line = NULL;
        bool found = false;

        snprintf(path, sizeof(path), "/proc/%s/status", name);
        if (stat(path, &st) < 0 || (st.st_uid != 0 && !is_of_slot(s, st.st_uid)))
                return false;
        if (fs_read(path, 16384, &text, NULL) == 0 && buf_cstr(&text))
                line = strstr(buf_cstr(&text), "\nUid:");
        if (line && sscanf(line, " Uid: %u %u %u", &id[0], &id[1], &id[2]) == 3) {
                for (unsigned i = 0; i < 3 && !found; i++) {
                        found = is_of_slot(s, id[i]);
                        *ret = id[i];
                }
        }
        buf_done(&text);
        return found;
}

static int count_process(const char *name, void *user, struct err *e)
{
        struct census *c = user;
        uid_t uid = 0;

        (void)e;
        if (name[0] < '1' || name[0] > '9' || !runs_for_slot(name, c->slot, &uid))
                return 0;
        AUTO(auto_close) int pidfd = (int)syscall(SYS_pidfd_open, (pid_t)strtol(name, NULL, 10), 0);
        if (pidfd < 0 || has_ended(pidfd, 0))
                return 0;
        c->found++;
        fd_close(c->last_pidfd);
        c->last_pidfd = TAKE_FD(pidfd);
        c->last_uid = uid;
        return 0;
}

/* kill(-1) as that user reaches every process of it at once and no other. */
static int kill_all_of(uid_t uid, struct err *e)
{
        pid_t pid = fork();

        if (pid < 0)
                return err_errno(e, ERR_RESOURCES, errno, "fork");
        if (pid == 0) {
                if (setresgid(uid, uid, uid) == 0 && setresuid(uid, uid, uid) == 0)
                        kill(-1, SIGKILL);
                _exit(0);
        }
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                ;
        return 0;
}

/* Until nobody runs under the slot's ids: a process may just have been forked, or be on its way to die. */
static int kill_users(const struct slot *s, unsigned *killed, struct err *e)
{
        const uint64_t deadline = clock_mono_ms() + KILL_WAIT_MS;
        bool first = true;

        for (;;) {
                struct census c = {.slot = s, .last_pidfd = -1};
                int r = fs_list("/proc", count_process, &c, e);
                *killed += first ? c.found : 0;
                first = false;
                if (r == 0 && c.found)
                        r = kill_all_of(c.last_uid, e);
                uint64_t now = clock_mono_ms();
                if (r == 0 && c.found && now < deadline)
                        has_ended(c.last_pidfd, (int)(deadline - now));
                fd_close(c.last_pidfd);
                if (r < 0 || c.found == 0)
                        return r;
                if (clock_mono_ms() >= deadline)
                        return err_set(e, ERR_RESOURCES, "%u processes of slot %u (user %u) do not end", c.found,
                                       s->number, (unsigned)c.last_uid);
        }
}

/* ---- cleaning ---- */

struct removal {
        const struct slot *slot;
        bool found;
};

/* Whatever a process of the slot put there, not only what this file knows of. */
static int remove_entry(const char *name, void *user, struct err *e)
{
        struct removal *c = user;
        AUTO(auto_free) char *path = fs_join(c->slot->path, name);

        if (!path)
                return err_nomem(e);
        if (str_eq(name, "lock"))
                return 0;
        c->found = true;
        return fs_remove_tree(path, e);
}

static int clean(const struct slot *s, struct slot_reclaimed *count, struct err *e)
{
        AUTO(auto_free) char *notes = fs_join(s->path, "pids");
        struct noted n = {.folder = notes};
        struct removal c = {.slot = s};
        int r;

        if (!notes)
                return err_nomem(e);
        r = fs_list(notes, kill_noted, &n, e);
        if (r >= 0)
                r = slot_end_groups(s, &n.killed, e);
        if (r >= 0 && s->uid[0] != (uid_t)-1)
                r = kill_users(s, &n.killed, e);
        if (r < 0)
                return r;
        r = fs_list(s->path, remove_entry, &c, e);
        if (count && r == 0) {
                count->slots += c.found || n.killed;
                count->processes += n.killed;
        }
        return r;
}

static int fill(const struct slot *s, struct err *e)
{
        AUTO(auto_free) char *notes = fs_join(s->path, "pids");

        if (!notes)
                return err_nomem(e);
        if (mkdir(s->run, 0700) < 0 || mkdir(notes, 0700) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "make the folders of slot %u in %s", s->number, s->path);
        if (s->uid[SLOT_JOB] != (uid_t)-1 && chown(s->run, s->uid[SLOT_JOB], s->uid[SLOT_JOB]) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "give %s to user %u", s->run, (unsigned)s->uid[SLOT_JOB]);
        return 0;
}

/* What tells the slots of one state from those of all others, user ids and groups alike: a hash (splitmix64) of what
 * the folder is, by whatever path it is reached. */
static int hash_state(const char *state, uint64_t *ret, struct err *e)
{
        AUTO(auto_free) char *slots = fs_join(state, "slots");
        struct stat st;

        if (!slots)
                return err_nomem(e);
        if (stat(slots, &st) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "look at %s", slots);
        uint64_t x = (uint64_t)st.st_ino + ((uint64_t)st.st_dev << 32) + 0x9e3779b97f4a7c15u;
        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
        x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
        x ^= x >> 31;
        *ret = x;
        return 0;
}

static uid_t first_uid(uint64_t hash)
{
        return SLOT_UID_BASE + SLOT_UID_BLOCK * (uid_t)(1 + hash % SLOT_UID_BLOCKS);
}

int slot_store_uid(const char *state, uid_t *ret, struct err *e)
{
        AUTO(auto_free) char *slots = fs_join(state, "slots");
        uint64_t hash = 0;

        *ret = (uid_t)-1;
        if (geteuid() != 0)
                return 0;
        int r = slots ? fs_mkdirs(slots, 0711, e) : err_nomem(e);
        if (r == 0)
                r = hash_state(state, &hash, e);
        if (r == 0)
                *ret = first_uid(hash) + SLOT_UIDS_EACH - 1;
        return r;
}

static void name_slot(struct slot *s, uint64_t hash)
{
        uid_t first = first_uid(hash);

        for (unsigned i = 0; i < SLOT_ROLE_COUNT; i++)
                s->uid[i] = geteuid() == 0 ? first + s->number * SLOT_UIDS_EACH + i : (uid_t)-1;
        snprintf(s->group, sizeof(s->group), "%016llx-%u", (unsigned long long)hash, s->number);
}

/* A slot's names and ids, without its lock. */
static int describe(const char *state, unsigned number, struct slot **ret, struct err *e)
{
        AUTO(slot_freep) struct slot *s = calloc(1, sizeof(*s));
        uint64_t hash = 0;
        int r;

        if (!s)
                return err_nomem(e);
        s->lock_fd = -1;
        s->number = number;
        s->path = str_printf("%s/slots/%u", state, number);
        s->run = s->path ? fs_join(s->path, "run") : NULL;
        if (!s->run)
                return err_nomem(e);
        /* The job's user passes through on its way to its run directory. */
        r = fs_mkdirs(s->path, 0711, e);
        if (r == 0)
                r = hash_state(state, &hash, e);
        name_slot(s, hash);
        if (r == 0)
                *ret = TAKE_PTR(s);
        return r;
}

/* SLOT_E_TAKEN: somebody else holds it. */
#define SLOT_E_TAKEN 1
static int lock(const char *state, unsigned number, struct slot **ret, struct err *e)
{
        AUTO(slot_freep) struct slot *s = NULL;
        AUTO(auto_free) char *path = NULL;
        int r = describe(state, number, &s, e);

        if (r < 0)
                return r;
        path = fs_join(s->path, "lock");
        if (!path)
                return err_nomem(e);
        r = fs_lock(path, false, &s->lock_fd, e);
        if (r == FS_E_LOCKED)
                return SLOT_E_TAKEN;
        if (r == 0)
                *ret = TAKE_PTR(s);
        return r;
}

int slot_adopt(const char *state, unsigned number, int lock_fd, struct slot **ret, struct err *e)
{
        AUTO(slot_freep) struct slot *s = NULL;
        AUTO(auto_free) char *path = NULL;
        struct stat there, given;
        int r;

        if (number >= SLOT_MAX)
                return err_set(e, ERR_PROTOCOL, "slot %u: expected less than %u", number, SLOT_MAX);
        r = describe(state, number, &s, e);
        if (r < 0)
                return r;
        path = fs_join(s->path, "lock");
        if (!path)
                return err_nomem(e);
        /* flock() belongs to the open file: it succeeds for every copy of the holder's descriptor and for no other. */
        if (lstat(path, &there) < 0 || fstat(lock_fd, &given) < 0 || there.st_dev != given.st_dev ||
            there.st_ino != given.st_ino || flock(lock_fd, LOCK_EX | LOCK_NB) < 0)
                return err_set(e, ERR_PROTOCOL, "the descriptor that was passed does not hold the lock of slot %u",
                               number);
        s->lock_fd = lock_fd;
        *ret = TAKE_PTR(s);
        return 0;
}

struct slot *slot_forget(struct slot *s)
{
        slot_free(s);
        return NULL;
}

bool slot_is_held(const char *state, unsigned number)
{
        AUTO(auto_free) char *path = str_printf("%s/slots/%u/lock", state, number);
        AUTO(auto_close) int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;

        return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

int slot_take(const char *state, struct slot **ret, struct err *e)
{
        struct err why = ERR_INIT;

        for (unsigned i = 0; i < SLOT_MAX; i++) {
                AUTO(slot_freep) struct slot *s = NULL;
                int r = lock(state, i, &s, e);
                if (r == SLOT_E_TAKEN || (r == 0 && clean(s, NULL, &why) < 0))
                        continue;
                if (r == 0)
                        r = fill(s, e);
                if (r < 0)
                        return r;
                *ret = TAKE_PTR(s);
                return 0;
        }
        return err_set(e, ERR_RESOURCES, "all %u slots in %s/slots are taken%s%s", SLOT_MAX, state,
                       why.code ? " or cannot be cleaned: " : "", why.msg);
}

struct slot *slot_release(struct slot *s)
{
        if (s)
                clean(s, NULL, NULL);
        slot_free(s);
        return NULL;
}

struct reclaim {
        const char *state;
        struct slot_reclaimed *count;
};

static int reclaim_one(const char *name, void *user, struct err *e)
{
        struct reclaim *c = user;
        AUTO(slot_freep) struct slot *s = NULL;
        uint64_t number;
        int r;

        if (num_u64(name, 0, SLOT_MAX - 1, name, &number, NULL) < 0)
                return 0;
        r = lock(c->state, (unsigned)number, &s, e);
        if (r == SLOT_E_TAKEN)
                return 0;
        return r < 0 ? r : clean(s, c->count, e);
}

int slot_reclaim(const char *state, struct slot_reclaimed *ret, struct err *e)
{
        struct slot_reclaimed unused = {0};
        struct reclaim c = {.state = state, .count = ret ? ret : &unused};
        AUTO(auto_free) char *folder = fs_join(state, "slots");
        int r;

        if (!folder)
                return err_nomem(e);
        *c.count = (struct slot_reclaimed){0};
        r = fs_list(folder, reclaim_one, &c, e);
        return r < 0 ? r : 0;
}
