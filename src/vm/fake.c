#include "vm/fake.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"
#include "vm/qemu.h"
#include "vm/qmp.h"
#include "wire/guest.h"

#define GREETING                                                                                                       \
        "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 0, \"major\": 0}}, \"capabilities\": []}}\r\n"

struct fake {
        int control, channel, lifeline;
        const char *how; /* after "fake=", or "" */
        enum vm_start start;
        char line[4096];
        size_t len;
};

static void say(const struct fake *f, const char *text)
{
        fd_write_all(f->control, text, strlen(text), "control", NULL);
}

static void event(const struct fake *f, const char *name, const char *data)
{
        char text[512];

        snprintf(text, sizeof(text),
                 "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 1}, \"event\": \"%s\", \"data\": {%s}}\r\n", name,
                 data);
        say(f, text);
}

static void ready(const struct fake *f)
{
        uint8_t record[GUEST_READY_SIZE];

        if (str_eq(f->how, "ends"))
                _exit(1);
        if (str_eq(f->how, "no-boot") || f->start == VM_START_CLONE)
                return;
        guest_ready_write(record);
        fd_write_all(f->channel, record, sizeof(record), "channel", NULL);
}

static void say_endless(const struct fake *f)
{
        char junk[4096];

        memset(junk, 'x', sizeof(junk));
        while (fd_write_all(f->control, junk, sizeof(junk), "control", NULL) == 0)
                ;
}

static void greet(struct fake *f)
{
        if (str_eq(f->how, "silent"))
                return;
        say(f, GREETING);
        if (f->start != VM_START_BOOT) /* as to the starter's commands */
                say(f, "{\"return\": {}, \"id\": \"" QMP_START_ID "\"}\r\n");
        if (str_eq(f->how, "greets-twice"))
                say(f, GREETING);
        else if (str_eq(f->how, "garbage"))
                say(f, "this is no JSON\n");
        else if (str_eq(f->how, "wrong-id"))
                say(f, "{\"return\": {}, \"id\": 77}\n");
        else if (str_eq(f->how, "endless"))
                say_endless(f);
        else if (str_eq(f->how, "hangs-up"))
                shutdown(f->control, SHUT_RDWR);
        else if (str_eq(f->how, "deep")) {
                char nested[1001];
                memset(nested, '[', sizeof(nested));
                nested[1000] = '\n';
                fd_write_all(f->control, nested, sizeof(nested), "control", NULL);
        }
}

/* What QEMU tells behind the answer to these. */
static void follow(struct fake *f, const char *line)
{
        bool saves = strstr(line, "\"migrate\"");

        if (strstr(line, "\"query-status\"") && f->start == VM_START_CLONE) {
                if (str_eq(f->how, "load-fails"))
                        _exit(1);
                event(f, "RESUME", "");
        }
        if (saves)
                event(f, "MIGRATION", "\"status\": \"active\"");
        if (saves)
                event(f, "MIGRATION",
                      str_eq(f->how, "save-fails") ? "\"status\": \"failed\"" : "\"status\": \"completed\"");
}

static int id_of(const char *id)
{
        int n = 0;

        return sscanf(id, "\"id\":%d", &n) == 1 ? n : 0;
}

static void answer(struct fake *f, const char *line)
{
        static const char full[] =
                "\"node-name\": \"scratch\", \"reason\": \"No space left on device\", \"operation\": \"write\"";
        const char *id = strstr(line, "\"id\":");
        char text[512];

        if (!id)
                return;
        if (strstr(line, "\"query-status\""))
                snprintf(text, sizeof(text), "{\"return\": {\"status\": \"%s\", \"running\": true}, \"id\": %d}\r\n",
                         f->start != VM_START_CLONE     ? "running"
                         : str_eq(f->how, "loads-late") ? "paused"
                                                        : "inmigrate",
                         id_of(id));
        else if (strstr(line, "\"migrate\"") && str_eq(f->how, "save-refused"))
                snprintf(text, sizeof(text), "{\"error\": {\"class\": \"x\", \"desc\": \"no state\"}, \"id\": %d}\r\n",
                         id_of(id));
        else if (strstr(line, "\"ringbuf-read\""))
                snprintf(text, sizeof(text), "{\"return\": \"dGVzdCBndWVzdDogdXAK\", \"id\": %d}\r\n", id_of(id));
        else
                snprintf(text, sizeof(text), "{\"return\": {}, \"id\": %d}\r\n", id_of(id));
        say(f, text);
        follow(f, line);
        if (strstr(line, "\"query-status\"") && str_eq(f->how, "full")) {
                event(f, "BLOCK_IO_ERROR", full);
                event(f, "BLOCK_IO_ERROR", full);
        }
}

static void on_control(struct fake *f)
{
        ssize_t n = read(f->control, f->line + f->len, sizeof(f->line) - 1 - f->len);
        char *end;

        if (n <= 0)
                _exit(0);
        f->len += (size_t)n;
        f->line[f->len] = '\0';
        while ((end = strchr(f->line, '\n'))) {
                *end = '\0';
                answer(f, f->line);
                f->len -= (size_t)(end + 1 - f->line);
                memmove(f->line, end + 1, f->len + 1);
        }
}

static void on_channel(struct fake *f)
{
        char c;

        if (read(f->channel, &c, 1) != 1) {
                f->channel = -1;
                return;
        }
        if (c == 'p')
                event(f, "SHUTDOWN", "\"guest\": true, \"reason\": \"guest-shutdown\"");
        else if (c == 'r' || c == 'c')
                event(f, "SHUTDOWN", "\"guest\": true, \"reason\": \"guest-reset\"");
        else
                fd_write_all(f->channel, &c, 1, "channel", NULL);
}

static _Noreturn void behave(struct fake *f)
{
        signal(SIGPIPE, SIG_IGN);
        greet(f);
        ready(f);
        for (;;) {
                struct pollfd p[3] = {{.fd = f->control, .events = POLLIN},
                                      {.fd = f->channel, .events = POLLIN},
                                      {.fd = f->lifeline}};
                if (poll(p, 3, -1) < 0)
                        continue;
                if (p[2].revents)
                        _exit(128 + SIGKILL);
                if (p[0].revents)
                        on_control(f);
                if (p[1].revents)
                        on_channel(f);
        }
}

static int fake_describe(struct buf *ret_text, uint8_t ret_digest[32], struct err *e)
{
        memset(ret_digest, 0, 32);
        return buf_append_str(ret_text, "fake\n", e);
}

static int fake_start(const struct vm_config *c, struct vm_handle *ret, struct err *e)
{
        const char *how = c->cmdline ? strstr(c->cmdline, "fake=") : NULL;
        struct vm_handle h = VM_HANDLE_INIT;
        struct fake f = {.how = how ? how + 5 : "", .start = c->start};
        int control[2], channel[2], lifeline[2];

        if (fd_socketpair(SOCK_STREAM, control, e) < 0 || fd_socketpair(SOCK_STREAM, channel, e) < 0 ||
            fd_pipe(lifeline, e) < 0)
                return -1;
        f.control = control[1];
        f.channel = channel[1];
        f.lifeline = lifeline[0];
        h.jail_pid = fork();
        if (h.jail_pid == 0) {
                fd_close(control[0]);
                fd_close(channel[0]);
                fd_close(lifeline[1]);
                behave(&f);
        }
        h.origin = c->start == VM_START_CLONE ? VM_CLONED : VM_BOOTED;
        h.control_fd = control[0];
        h.channel_fd = channel[0];
        h.lifeline_fd = lifeline[1];
        fd_close(control[1]);
        fd_close(channel[1]);
        fd_close(lifeline[0]);
        if (h.jail_pid < 0)
                return err_errno(e, ERR_RESOURCES, errno, "fork");
        h.jail_pidfd = (int)syscall(SYS_pidfd_open, h.jail_pid, 0);
        *ret = h;
        return 0;
}

static int fake_stats(const struct vm_handle *h, struct vm_stats *ret, struct err *e)
{
        (void)h;
        (void)e;
        *ret = (struct vm_stats){.rss_bytes = 1, .cpu_ms = 1, .runs = true};
        return 0;
}

const struct vm_driver vm_driver_fake = {
        .name = "fake",
        .caps = VM_CAP_PAUSE | VM_CAP_TEMPLATE | VM_CAP_STATS | VM_CAP_CONSOLE,
        .describe = fake_describe,
        .start = fake_start,
        .stats = fake_stats,
        .attach = qemu_attach,
        .pause = qemu_pause,
        .resume = qemu_resume,
        .save = qemu_save,
        .console = qemu_console,
        .stop = qemu_stop,
        .free = qemu_free,
};
