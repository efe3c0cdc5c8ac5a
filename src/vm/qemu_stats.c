/* What a VMM has used, read from the host's /proc by its starter: devdep-jail's child is pid 1 of the jail, its child
 * is QEMU. */
#include "vm/qemu.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"

static int read_proc(pid_t pid, const char *name, struct buf *ret, struct err *e)
{
        char path[96];
        int r;

        snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
        r = fs_read(path, 8192, ret, e);
        return r == FS_E_MISSING ? err_set(e, ERR_GUEST_LOST, "the VMM has ended") : r;
}

static int only_child(pid_t pid, pid_t *ret, struct err *e)
{
        struct buf text = BUF_INIT;
        char name[64];
        int child = 0, r;

        snprintf(name, sizeof(name), "task/%d/children", (int)pid);
        r = read_proc(pid, name, &text, e);
        if (r == 0 && (!buf_cstr(&text) || sscanf(buf_cstr(&text), "%d", &child) != 1 || child <= 1))
                r = err_set(e, ERR_GUEST_LOST, "the VMM has ended");
        buf_done(&text);
        *ret = child;
        return r;
}

/* utime and stime are the 12th and 13th field after the name in parentheses, in clock ticks. */
static int cpu_of(pid_t pid, uint64_t *ret, struct err *e)
{
        struct buf text = BUF_INIT;
        unsigned long long user = 0, system = 0;
        const char *p;
        int r = read_proc(pid, "stat", &text, e);

        if (r == 0) {
                p = buf_cstr(&text) ? strrchr(buf_cstr(&text), ')') : NULL;
                if (!p || sscanf(p, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) != 2)
                        r = err_set(e, ERR_RESOURCES, "/proc/%d/stat: expected the kernel's format", (int)pid);
        }
        *ret = (user + system) * 1000 / (unsigned long long)sysconf(_SC_CLK_TCK);
        buf_done(&text);
        return r;
}

struct threads {
        pid_t pid;
        bool runs;
};

static int look_at_thread(const char *tid, void *user, struct err *e)
{
        struct threads *t = user;
        struct buf text = BUF_INIT;
        char name[64];

        (void)e;
        snprintf(name, sizeof(name), "task/%s/stat", tid);
        /* One that has ended runs no more. */
        const char *p =
                read_proc(t->pid, name, &text, NULL) == 0 && buf_cstr(&text) ? strrchr(buf_cstr(&text), ')') : NULL;
        t->runs |= p && (p[1] == ' ' && (p[2] == 'R' || p[2] == 'D'));
        buf_done(&text);
        return 0;
}

static int runs_of(pid_t pid, bool *ret, struct err *e)
{
        struct threads t = {.pid = pid};
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
        int r = fs_list(path, look_at_thread, &t, e);
        *ret = t.runs;
        return r == FS_E_MISSING ? err_set(e, ERR_GUEST_LOST, "the VMM has ended") : r;
}

static int rss_of(pid_t pid, uint64_t *ret, struct err *e)
{
        struct buf text = BUF_INIT;
        unsigned long long pages = 0;
        int r = read_proc(pid, "statm", &text, e);

        if (r == 0 && (!buf_cstr(&text) || sscanf(buf_cstr(&text), "%*u %llu", &pages) != 1))
                r = err_set(e, ERR_RESOURCES, "/proc/%d/statm: expected the kernel's format", (int)pid);
        *ret = pages * (unsigned long long)sysconf(_SC_PAGESIZE);
        buf_done(&text);
        return r;
}

int qemu_vmm(pid_t jail, pid_t *ret_init, pid_t *ret_vmm, struct err *e)
{
        int r = only_child(jail, ret_init, e);

        return r == 0 ? only_child(*ret_init, ret_vmm, e) : r;
}

/* Anonymous memory: what was copied on write, the heap, the translated code. "Private" would also count pages of the
 * template that no other clone happens to have mapped. */
int qemu_private_memory(pid_t jail, uint64_t *ret, struct err *e)
{
        static const char name[] = "\nAnonymous:";
        struct buf text = BUF_INIT;
        pid_t init = 0, vmm = 0;
        unsigned long long kib = 0;
        int r = qemu_vmm(jail, &init, &vmm, e);

        if (r == 0)
                r = read_proc(vmm, "smaps_rollup", &text, e);
        const char *s = r == 0 ? buf_cstr(&text) : NULL;
        const char *line = s ? strstr(s, name) : NULL;
        if (r == 0 && (!line || sscanf(line + strlen(name), "%llu", &kib) != 1))
                r = err_set(e, ERR_RESOURCES, "/proc/%d/smaps_rollup: expected the kernel's format", (int)vmm);
        *ret = (uint64_t)kib << 10;
        buf_done(&text);
        return r;
}

int qemu_stats(const struct vm_handle *h, struct vm_stats *ret, struct err *e)
{
        pid_t init = 0, vmm = 0;
        int r = qemu_vmm(h->jail_pid, &init, &vmm, e);

        if (r == 0)
                r = cpu_of(vmm, &ret->cpu_ms, e);
        if (r == 0)
                r = rss_of(vmm, &ret->rss_bytes, e);
        if (r == 0)
                r = runs_of(vmm, &ret->runs, e);
        return r;
}
