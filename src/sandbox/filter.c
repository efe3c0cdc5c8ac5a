/* System call filters, by name through libseccomp. The sets of names are in filter_sets.c.
 *
 * Allow-lists end in SECCOMP_RET_KILL_PROCESS: what we did not expect is an attack or a bug of ours, and both should be
 * loud. A few calls get an errno in every allow-list, because libraries try them and then do without. Arguments that
 * cannot be checked (clone3's flags are behind a pointer) are refused with ENOSYS, upon which the C library falls back
 * to clone(). */
#include "sandbox/filter.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "sandbox/sandbox.h"

#define LAST_CALL_OF_A_VMM 450u /* set_mempolicy_home_node, Linux 5.17; from 424 on all architectures count alike */
#define NEW_NAMESPACES                                                                                                 \
        (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

static const char *const names[] = {
        [SANDBOX_FILTER_NONE] = "none",
        [SANDBOX_FILTER_VMM] = "vmm",
        [SANDBOX_FILTER_JOB] = "job",
        [SANDBOX_FILTER_GIT] = "git",
        [SANDBOX_FILTER_TOOL] = "tool",
        [SANDBOX_FILTER_PLANNER] = "planner",
        [SANDBOX_FILTER_INIT] = "init",
        [SANDBOX_FILTER_STORE_START] = "store-start",
        [SANDBOX_FILTER_SERVICE_START] = "service-start",
        [SANDBOX_FILTER_SERVICE] = "service",
        [SANDBOX_FILTER_STORE] = "store",
        [SANDBOX_FILTER_BROKER] = "broker",
        [SANDBOX_FILTER_SECRETS] = "secrets",
        [SANDBOX_FILTER_SECRETS_START] = "secrets-start",
        [SANDBOX_FILTER_SERVER] = "server",
};

const char *sandbox_filter_name(enum sandbox_filter f)
{
        return names[f];
}

static void release(scmp_filter_ctx *c)
{
        if (*c)
                seccomp_release(*c);
}

static int rule_failed(const char *name, int r, struct err *e)
{
        return err_errno(e, ERR_RESOURCES, -r, "add %s to a system call filter", name);
}

/* A name that this architecture or this libseccomp does not know is left out: it cannot be called either. */
static int add_names(scmp_filter_ctx c, uint32_t action, const char *const *set, struct err *e)
{
        for (; *set; set++) {
                int nr = seccomp_syscall_resolve_name(*set), r;
                if (nr == __NR_SCMP_ERROR)
                        continue;
                r = seccomp_rule_add(c, action, nr, 0);
                if (r < 0)
                        return rule_failed(*set, r, e);
        }
        return 0;
}

static int add_cmp(scmp_filter_ctx c, uint32_t action, const char *name, struct scmp_arg_cmp cmp, struct err *e)
{
        int r = seccomp_rule_add_array(c, action, seccomp_syscall_resolve_name(name), 1, &cmp);

        return r < 0 ? rule_failed(name, r, e) : 0;
}

/* Memory that is executable or becomes so: never in a process that loads no code any more. */
static int add_no_exec_memory(scmp_filter_ctx c, struct err *e)
{
        int r = add_cmp(c, SCMP_ACT_ALLOW, "mmap", SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0), e);

        return r < 0 ? r : add_cmp(c, SCMP_ACT_ALLOW, "mprotect", SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0), e);
}

static int add_all(scmp_filter_ctx c, uint32_t action, const char *const *const *sets, struct err *e)
{
        for (; *sets; sets++) {
                int r = add_names(c, action, *sets, e);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Threads and children yes, namespaces no. */
static int add_processes(scmp_filter_ctx c, struct err *e)
{
        return add_cmp(c, SCMP_ACT_ALLOW, "clone", SCMP_A0(SCMP_CMP_MASKED_EQ, NEW_NAMESPACES, 0), e);
}

/* Only what asks: terminals and bytes waiting. Others get ENOTTY, as from a file that knows no such request. */
static int add_ioctls(scmp_filter_ctx c, const unsigned long *requests, struct err *e)
{
        for (; *requests; requests++) {
                int r = add_cmp(c, SCMP_ACT_ALLOW, "ioctl", SCMP_A1(SCMP_CMP_EQ, *requests), e);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* A process that shares a pid namespace with others of its user signals itself only. */
static int add_own_signals(scmp_filter_ctx c, struct err *e)
{
        static const int commands[] = {F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD,     F_SETFD,
                                       F_GETFL, F_SETFL,         F_ADD_SEALS, F_GET_SEALS};
        int r = add_cmp(c, SCMP_ACT_ALLOW, "tgkill", SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()), e);

        for (size_t i = 0; i < ARRAY_SIZE(commands) && r == 0; i++)
                r = add_cmp(c, SCMP_ACT_ALLOW, "fcntl", SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)commands[i]), e);
        return r;
}

/* connect() cannot be checked, its address is behind a pointer: what there is no socket for cannot be reached. */
static int add_sockets(scmp_filter_ctx c, struct err *e)
{
        static const int families[] = {AF_INET, AF_INET6, AF_NETLINK};
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(families) && r == 0; i++)
                r = add_cmp(c, SCMP_ACT_ALLOW, "socket", SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i]), e);
        return r;
}

static int build_allow(scmp_filter_ctx c, enum sandbox_filter f, struct err *e)
{
        const struct filter_set *s = &filter_sets[f];
        int r = add_all(c, SCMP_ACT_ALLOW, s->allow, e);

        if (r == 0)
                r = add_names(c, SCMP_ACT_ERRNO(ENOSYS), filter_try_enosys, e);
        if (r == 0 && !s->code)
                r = add_no_exec_memory(c, e);
        if (r == 0 && s->processes)
                r = add_processes(c, e);
        if (r == 0 && s->outside)
                r = add_sockets(c, e);
        if (r == 0 && s->alone)
                r = add_own_signals(c, e);
        if (r == 0 && s->unix_errno)
                r = add_names(c, SCMP_ACT_ERRNO(EACCES), filter_try_sockets, e);
        if (r == 0 && s->ioctls)
                r = add_ioctls(c, s->ioctls, e);
        /* Reading a limit is harmless, setting one (of any process) is not needed. */
        if (r == 0)
                r = add_cmp(c, SCMP_ACT_ALLOW, "prlimit64", SCMP_A2(SCMP_CMP_EQ, 0), e);
        return r;
}

/* Signals and limits for the process itself alone; threads but no processes; nothing typed into a terminal. */
static int deny_others(scmp_filter_ctx c, struct err *e)
{
        static const char *const signals[] = {"kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"};
        static const unsigned long requests[] = {TIOCSTI, TIOCLINUX};
        int r = add_cmp(c, SCMP_ACT_KILL_PROCESS, "clone", SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0), e);

        for (size_t i = 0; i < ARRAY_SIZE(signals) && r == 0; i++)
                r = add_cmp(c, SCMP_ACT_KILL_PROCESS, signals[i], SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)getpid()), e);
        for (size_t i = 0; i < ARRAY_SIZE(requests) && r == 0; i++)
                r = add_cmp(c, SCMP_ACT_KILL_PROCESS, "ioctl", SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, requests[i]), e);
        return r < 0 ? r : add_cmp(c, SCMP_ACT_KILL_PROCESS, "prlimit64", SCMP_A0(SCMP_CMP_NE, 0), e);
}

static int build_deny(scmp_filter_ctx c, struct err *e)
{
        int r = add_names(c, SCMP_ACT_KILL_PROCESS, filter_vmm_deny, e);

        if (r == 0)
                r = deny_others(c, e);

        if (r == 0)
                r = add_names(c, SCMP_ACT_ERRNO(EPERM), filter_vmm_refuse, e);
        if (r == 0)
                r = add_names(c, SCMP_ACT_ERRNO(ENOSYS), filter_vmm_enosys, e);
        for (unsigned bit = 0; bit < 32 && r == 0; bit++) {
                if (NEW_NAMESPACES & (1ul << bit))
                        r = add_cmp(c, SCMP_ACT_KILL_PROCESS, "clone",
                                    SCMP_A0(SCMP_CMP_MASKED_EQ, 1ul << bit, 1ul << bit), e);
        }
        return r;
}

/* Local sockets and no others: what a unit's PrivateNetwork= is for a pool that no unit confines. */
static int build_server(scmp_filter_ctx c, struct err *e)
{
        int r = add_names(c, SCMP_ACT_KILL_PROCESS, filter_server_deny, e);

        return r < 0 ? r : add_cmp(c, SCMP_ACT_ERRNO(EAFNOSUPPORT), "socket", SCMP_A0(SCMP_CMP_NE, AF_UNIX), e);
}

/* A list of what is denied cannot name calls that are newer than the library: for a VMM they do not exist. */
static int refuse_newer_calls(struct err *e)
{
        struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, LAST_CALL_OF_A_VMM, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        const struct sock_fprog program = {.len = ARRAY_SIZE(code), .filter = code};

        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "load the second system call filter of a VMM");
        return 0;
}

int sandbox_filter_apply(enum sandbox_filter f, struct err *e)
{
        AUTO(release) scmp_filter_ctx c = NULL;
        int r;

        if (f == SANDBOX_FILTER_NONE)
                return 0;
        bool denies = f == SANDBOX_FILTER_VMM || f == SANDBOX_FILTER_SERVER;
        c = seccomp_init(denies ? SCMP_ACT_ALLOW : SCMP_ACT_KILL_PROCESS);
        if (!c)
                return err_nomem(e);
        /* Calls of another architecture end the process, too, not the thread alone. */
        r = seccomp_attr_set(c, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
        if (r < 0)
                return err_errno(e, ERR_RESOURCES, -r, "make a system call filter");
        r = f == SANDBOX_FILTER_VMM ? build_deny(c, e) : denies ? build_server(c, e) : build_allow(c, f, e);
        if (r < 0)
                return r;
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "PR_SET_NO_NEW_PRIVS");
        r = seccomp_load(c);
        if (r < 0)
                return err_errno(e, ERR_RESOURCES, -r, "load the system call filter '%s'", names[f]);
        return f == SANDBOX_FILTER_VMM ? refuse_newer_calls(e) : 0;
}

/* A copy of `data` on pages of its own, at an address that nobody can guess: 35 random bits of page number. */
static int hide(const void *data, size_t len, void **ret, struct err *e)
{
        const size_t page = 4096;
        uintptr_t address = 0;
        void *p = MAP_FAILED;

        for (unsigned round = 0; round < 64 && p == MAP_FAILED; round++) {
                if (getrandom(&address, sizeof(address), 0) != (ssize_t)sizeof(address))
                        return err_errno(e, ERR_RESOURCES, errno, "getrandom");
                address &= ((uintptr_t)1 << 47) - page;
                p = mmap((void *)address, len + page, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        }
        if (p == MAP_FAILED)
                return err_errno(e, ERR_RESOURCES, errno, "map a page");
        memcpy(p, data, len);
        *ret = p;
        return 0;
}

static size_t vector_size(char *const *v)
{
        size_t n = 0;

        while (v[n])
                n++;
        return (n + 1) * sizeof(*v);
}

/* Only with these three addresses is execve allowed: they mean something in this address space alone, which is gone
 * when the program runs. */
static int allow_one_exec(const void *path, const void *argv, const void *envp, struct err *e)
{
        const struct scmp_arg_cmp same[] = {SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)path),
                                            SCMP_A1(SCMP_CMP_NE, (scmp_datum_t)argv),
                                            SCMP_A2(SCMP_CMP_NE, (scmp_datum_t)envp)};
        AUTO(release) scmp_filter_ctx c = seccomp_init(SCMP_ACT_ALLOW);
        int r = c ? 0 : err_nomem(e);

        for (size_t i = 0; i < ARRAY_SIZE(same) && r == 0; i++)
                r = add_cmp(c, SCMP_ACT_KILL_PROCESS, "execve", same[i], e);
        if (r == 0 && (r = seccomp_load(c)) < 0)
                r = err_errno(e, ERR_RESOURCES, -r, "load the system call filter of an execution");
        return r;
}

int sandbox_exec_vmm(const char *path, char *const *argv, char *const *envp, struct err *e)
{
        void *at[3];
        int r = hide(path, strlen(path) + 1, &at[0], e);

        if (r == 0)
                r = hide(argv, vector_size(argv), &at[1], e);
        if (r == 0)
                r = hide(envp, vector_size(envp), &at[2], e);
        if (r == 0)
                r = sandbox_filter_apply(SANDBOX_FILTER_VMM, e);
        if (r == 0)
                r = allow_one_exec(at[0], at[1], at[2], e);
        if (r < 0)
                return r;
        syscall(SYS_execve, at[0], at[1], at[2]);
        return err_errno(e, ERR_RESOURCES, errno, "execute %s under its system call filter", path);
}

void sandbox_explain_exit(const char *name, int status, char *ret, size_t size)
{
        if (status == 128 + SIGSYS)
                snprintf(ret, size,
                         "%s was killed by its system call filter (SIGSYS); 'journalctl -k -g type=1326' or dmesg "
                         "names the call",
                         name);
        else if (status > 128)
                snprintf(ret, size, "%s was killed by signal %d (%s)", name, status - 128, strsignal(status - 128));
        else
                snprintf(ret, size, "%s exited with status %d", name, status);
}
