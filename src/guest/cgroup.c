#include "guest/cgroup.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define JOB CGROUP_JOB
#define AGENT CGROUP_ROOT "/agent"
#define CONTROLLERS "+cpu +memory +pids +io"

bool cgroup_name_is_valid(const char *step)
{
        size_t len = strspn(step, "abcdefghijklmnopqrstuvwxyz0123456789-");
        return len > 0 && len <= CGROUP_MAX_STEP && !step[len];
}

/* A control group file's text, cut to size; empty when it cannot be read. */
static void read_file(int dir, const char *path, char *ret, size_t size)
{
        AUTO(auto_close) int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, ret, size - 1);
        ret[n > 0 ? n : 0] = 0;
}

/* The number after "key " at the start of a line. */
static uint64_t flat_value(const char *text, const char *key)
{
        size_t len = strlen(key);
        for (const char *p = text; p; p = strchr(p, '\n')) {
                p += *p == '\n';
                if (strncmp(p, key, len) == 0 && (p[len] == ' ' || p[len] == ':'))
                        return strtoull(p + len + 1, NULL, 10);
        }
        return 0;
}

int cgroup_init(struct err *e)
{
        mkdir(AGENT, 0755);
        mkdir(JOB, 0755);
        int r = fs_put(AT_FDCWD, AGENT "/cgroup.procs", "1", e);
        r = r < 0 ? r : fs_put(AT_FDCWD, CGROUP_ROOT "/cgroup.subtree_control", CONTROLLERS, e);
        r = r < 0 ? r : fs_put(AT_FDCWD, AGENT "/cpu.weight", "10000", e);
        r = r < 0 ? r : fs_put(AT_FDCWD, JOB "/cpu.weight", "50", e);
        char text[32];
        snprintf(text, sizeof(text), "%" PRIu64, CGROUP_AGENT_MIN);
        return r < 0 ? r : fs_put(AT_FDCWD, AGENT "/memory.min", text, e);
}

int cgroup_limit_job(struct err *e)
{
        char meminfo[4096], text[32];
        read_file(AT_FDCWD, "/proc/meminfo", meminfo, sizeof(meminfo));
        uint64_t available = flat_value(meminfo, "MemAvailable") << 10, total = flat_value(meminfo, "MemTotal") << 10;
        uint64_t reserve = CGROUP_AGENT_RESERVE + total / 32;
        if (available < 2 * reserve)
                return err_set(e, ERR_RESOURCES,
                               "the machine has %" PRIu64 " MiB of free memory, expected at least %" PRIu64,
                               available >> 20, reserve >> 19);
        snprintf(text, sizeof(text), "%" PRIu64, available - reserve);
        int r = fs_put(AT_FDCWD, JOB "/memory.max", text, e);
        return r < 0 ? r : fs_put(AT_FDCWD, JOB "/cgroup.subtree_control", CONTROLLERS, e);
}

static uint64_t pids_of_memory(void)
{
        char meminfo[4096];
        read_file(AT_FDCWD, "/proc/meminfo", meminfo, sizeof(meminfo));
        uint64_t pids = (flat_value(meminfo, "MemTotal") >> 10) * CGROUP_PIDS_PER_MIB;
        return MIN(MAX(pids, CGROUP_MIN_PIDS), CGROUP_MAX_PIDS);
}

int cgroup_limit_pids(uint64_t pids, struct err *e)
{
        char text[32];
        snprintf(text, sizeof(text), "%" PRIu64, pids ? pids : pids_of_memory());
        return fs_put(AT_FDCWD, JOB "/pids.max", text, e);
}

uint64_t cgroup_job_pids(void)
{
        char text[32];
        read_file(AT_FDCWD, JOB "/pids.max", text, sizeof(text));
        return strtoull(text, NULL, 10);
}

int cgroup_step_open(const char *step, int *ret, struct err *e)
{
        char path[sizeof(JOB) + CGROUP_MAX_STEP + 2];
        snprintf(path, sizeof(path), JOB "/%.*s", CGROUP_MAX_STEP, step);
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
                return err_errno(e, ERR_RESOURCES, errno, "make the control group of step %s", step);
        *ret = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return *ret < 0 ? err_errno(e, ERR_RESOURCES, errno, "open the control group of step %s", step) : 0;
}

int cgroup_step_find(const char *step, int *ret, struct err *e)
{
        AUTO(auto_close) int job = open(JOB, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (job < 0)
                return err_errno(e, ERR_RESOURCES, errno, "open the job's control group");
        *ret = cgroup_name_is_valid(step) ? openat(job, step, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW) : -1;
        return *ret < 0 ? CGROUP_E_UNKNOWN : 0;
}

int cgroup_delegate(int group, uid_t uid, gid_t gid, struct err *e)
{
        static const char *const files[] = {"cgroup.procs", "cgroup.threads", "cgroup.subtree_control"};
        if (fchown(group, uid, gid) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "delegate the step's control group");
        for (size_t i = 0; i < ARRAY_SIZE(files); i++)
                if (fchownat(group, files[i], uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
                        return err_errno(e, ERR_RESOURCES, errno, "delegate %s of the step's control group", files[i]);
        return 0;
}

int cgroup_kill(int group, struct err *e)
{
        return fs_put(group, "cgroup.kill", "1", e);
}

int cgroup_kill_job(bool *ret_left, struct err *e)
{
        AUTO(auto_close) int job = open(JOB, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (job < 0)
                return err_errno(e, ERR_RESOURCES, errno, "open the job's control group");
        int r = cgroup_kill(job, e);
        *ret_left = cgroup_is_populated(job);
        return r;
}

static void signal_members(int group, int signo)
{
        AUTO(auto_close) int fd = openat(group, "cgroup.procs", O_RDONLY | O_CLOEXEC);
        FILE *f = fd < 0 ? NULL : fdopen(dup(fd), "re");
        if (!f)
                return;
        char line[32];
        while (fgets(line, sizeof(line), f)) {
                long pid = strtol(line, NULL, 10);
                if (pid > 1)
                        kill((pid_t)pid, signo);
        }
        fclose(f);
}

/* Call fn for the group and each below it, deepest first. */
static void walk(int group, unsigned depth, void (*fn)(int group, const char *child, int signo), int signo)
{
        AUTO(auto_closedir) DIR *d = depth ? fdopendir(openat(group, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) : NULL;
        for (struct dirent *entry; d && (entry = readdir(d));) {
                if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
                        continue;
                AUTO(auto_close)
                int child = openat(group, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
                if (child >= 0)
                        walk(child, depth - 1, fn, signo);
                fn(group, entry->d_name, signo);
        }
}

static void signal_child(int group, const char *name, int signo)
{
        AUTO(auto_close) int child = openat(group, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (child >= 0)
                signal_members(child, signo);
}

int cgroup_signal(int group, int signo, struct err *e)
{
        if (signo == SIGKILL)
                return cgroup_kill(group, e);
        walk(group, CGROUP_MAX_DEPTH, signal_child, signo);
        signal_members(group, signo);
        return 0;
}

bool cgroup_is_populated(int group)
{
        char text[128];
        read_file(group, "cgroup.events", text, sizeof(text));
        return flat_value(text, "populated") != 0;
}

bool cgroup_job_is_populated(void)
{
        AUTO(auto_close) int job = open(JOB, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return job < 0 || cgroup_is_populated(job);
}

uint64_t cgroup_oom_kills(int group)
{
        char text[256];
        read_file(group, "memory.events", text, sizeof(text));
        return flat_value(text, "oom_kill");
}

static void remove_child(int group, const char *name, int unused)
{
        (void)unused;
        unlinkat(group, name, AT_REMOVEDIR);
}

void cgroup_step_remove(const char *step)
{
        AUTO(auto_close) int job = open(JOB, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        AUTO(auto_close) int group = job < 0 ? -1 : openat(job, step, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (group < 0)
                return;
        walk(group, CGROUP_MAX_DEPTH, remove_child, 0);
        unlinkat(job, step, AT_REMOVEDIR);
}
