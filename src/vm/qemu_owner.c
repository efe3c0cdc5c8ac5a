/* The owner's side of a QEMU: one control connection on the loop. Its states are in qemu_priv.h. */
#include "vm/qemu.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "loop/loop.h"
#include "vm/qemu_args.h"
#include "vm/qemu_priv.h"
#include "vm/qmp.h"

int qemu_tell(struct vm *vm, enum vm_event_type type, const char *text, struct err *e)
{
        const struct vm_event ev = {.type = type, .text = text};

        return vm->freed ? 0 : vm->fn(vm, &ev, vm->user, e);
}

int qemu_answer_console(struct vm *vm, const uint8_t *data, size_t len, struct err *e)
{
        vm_console_fn *fn = vm->console_fn;

        vm->console_fn = NULL;
        vm->console_id = 0;
        return fn && !vm->freed ? fn(vm, data, len, vm->console_user, e) : 0;
}

int qemu_gone(struct vm *vm, const char *why, struct err *e)
{
        int r;

        if (vm->state == QEMU_GONE)
                return 0;
        vm->state = QEMU_GONE;
        vm->io = loop_io_free(vm->io);
        vm->lifeline_fd = fd_close(vm->lifeline_fd);
        r = qemu_answer_console(vm, NULL, 0, e);
        return r < 0 ? r : qemu_tell(vm, VM_EVENT_GONE, why, e);
}

/* The VMM ended by itself: the last line of its log may say why. */
static int ended(struct vm *vm, const char *why, struct err *e)
{
        const struct vm_handle h = {.log_fd = vm->log_fd};
        char words[VM_LAST_WORDS], text[VM_LAST_WORDS + 64];

        vm_last_words(&h, words, sizeof(words));
        snprintf(text, sizeof(text), "%.50s%s%s", why, words[0] ? ": " : "", words);
        return qemu_gone(vm, text, e);
}

/* Write what the socket takes; the rest waits for LOOP_WRITE. */
static int flush(struct vm *vm, struct err *e)
{
        while (vm->out.len) {
                ssize_t n = send(vm->control_fd, vm->out.data, vm->out.len, MSG_NOSIGNAL);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno != EAGAIN)
                        return qemu_gone(vm, strerror(errno), e);
                if (n < 0)
                        break;
                buf_consume(&vm->out, (size_t)n);
        }
        return loop_io_set(vm->io, LOOP_READ | (vm->out.len ? LOOP_WRITE : 0), e);
}

int qemu_command(struct vm *vm, const char *name, const char *arguments, uint64_t *ret_id, struct err *e)
{
        if (vm->state == QEMU_GONE)
                return 0; /* VM_EVENT_GONE said so */
        int r = qmp_command(vm->qmp, name, arguments, &vm->out, ret_id, e);

        return r < 0 ? r : flush(vm, e);
}

static int take(const struct qmp_message *m, void *user, struct err *e)
{
        struct vm *vm = user;
        int r = qemu_take(vm, m, e);

        vm->callback_failed = r < 0;
        return r;
}

/* A callback's own error goes to the loop; QEMU's breach of its protocol is an event. */
static int feed(struct vm *vm, const uint8_t *data, size_t len, struct err *e)
{
        struct err why = ERR_INIT;

        if (qmp_feed(vm->qmp, data, len, take, vm, &why) == 0)
                return 0;
        if (!vm->callback_failed)
                return qemu_gone(vm, why.msg, e);
        if (e)
                *e = why;
        return -1;
}

static void vm_destroy(struct vm *vm)
{
        loop_io_free(vm->io);
        fd_close(vm->control_fd);
        fd_close(vm->lifeline_fd);
        qmp_free(vm->qmp);
        buf_done(&vm->out);
        free(vm);
}

static int read_some(struct vm *vm, struct err *e)
{
        uint8_t data[16384];
        ssize_t n = read(vm->control_fd, data, sizeof(data));

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        /* Reset: it ended without having read all that we wrote. */
        if (n <= 0)
                return ended(vm, n == 0 || errno == ECONNRESET ? "the VMM ended" : strerror(errno), e);
        return feed(vm, data, (size_t)n, e);
}

static int on_io(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        struct vm *vm = user;
        int r = 0;

        (void)io;
        (void)fd;
        vm->busy = true;
        if (events & LOOP_WRITE)
                r = flush(vm, e);
        if (r == 0 && (events & (LOOP_READ | LOOP_HANGUP)) && vm->state != QEMU_GONE)
                r = read_some(vm, e);
        vm->busy = false;
        if (vm->freed)
                vm_destroy(vm);
        return r;
}

/* A parked VM runs again with the first bytes that its owner writes: at once, and no answer is waited for. What the
 * socket does not take, or that its peer is gone, is the loop's to find. */
static int begin(struct vm *vm, enum vm_origin origin, struct err *e)
{
        ssize_t n;
        int r;

        if (origin != VM_PARKED)
                return 0;
        qmp_continue(vm->qmp);
        vm->state = QEMU_UP;
        r = qmp_command(vm->qmp, "cont", NULL, &vm->out, &vm->resume_id, e);
        if (r < 0)
                return r;
        n = send(vm->control_fd, vm->out.data, vm->out.len, MSG_NOSIGNAL);
        buf_consume(&vm->out, n > 0 ? (size_t)n : 0);
        return loop_io_set(vm->io, LOOP_READ | (vm->out.len ? LOOP_WRITE : 0), e);
}

int qemu_attach(struct loop *l, struct vm_handle *h, vm_event_fn *fn, void *user, struct vm **ret, struct err *e)
{
        struct vm *vm = calloc(1, sizeof(*vm));
        int r;

        if (!vm)
                return err_nomem(e);
        *vm = (struct vm){
                .loop = l, .control_fd = h->control_fd, .lifeline_fd = -1, .log_fd = h->log_fd, .fn = fn, .user = user};
        r = qmp_new(&vm->qmp, e);
        if (r == 0)
                r = fd_set_nonblock(h->control_fd, true, e);
        if (r == 0)
                r = loop_io_new(l, h->control_fd, LOOP_READ, on_io, vm, &vm->io, e);
        if (r == 0)
                r = begin(vm, h->origin, e);
        if (r < 0) {
                vm->control_fd = -1; /* the caller's still */
                vm_destroy(vm);
                return r;
        }
        h->control_fd = -1;
        vm->lifeline_fd = TAKE_FD(h->lifeline_fd);
        *ret = vm;
        return 0;
}

int qemu_pause(struct vm *vm, struct err *e)
{
        return qemu_command(vm, "stop", NULL, &vm->pause_id, e);
}

int qemu_resume(struct vm *vm, struct err *e)
{
        return qemu_command(vm, "cont", NULL, &vm->resume_id, e);
}

int qemu_save(struct vm *vm, struct err *e)
{
        int r = qemu_command(vm, "stop", NULL, &vm->save_stop_id, e);

        vm->saving = true;
        return r < 0 ? r : qemu_command(vm, "migrate", "{\"uri\":\"fd:" QEMU_STATE_NAME "\"}", &vm->save_id, e);
}

int qemu_console(struct vm *vm, vm_console_fn *fn, void *user, struct err *e)
{
        if (vm->state == QEMU_GONE || vm->state == QEMU_GREETING)
                return fn(vm, NULL, 0, user, e);
        if (vm->console_fn)
                return err_set(e, ERR_USAGE, "the console of this VM is being read already");
        vm->console_fn = fn;
        vm->console_user = user;
        return qemu_command(vm, "ringbuf-read", "{\"device\":\"console\",\"size\":65536,\"format\":\"base64\"}",
                            &vm->console_id, e);
}

/* devdep-jail does the rest: quitting is nothing to ask of a VMM that may be hostile. */
int qemu_stop(struct vm *vm, struct err *e)
{
        (void)e;
        vm->lifeline_fd = fd_close(vm->lifeline_fd);
        return 0;
}

struct vm *qemu_free(struct vm *vm)
{
        if (!vm)
                return NULL;
        vm->io = loop_io_free(vm->io);
        vm->lifeline_fd = fd_close(vm->lifeline_fd);
        vm->freed = true;
        if (!vm->busy)
                vm_destroy(vm);
        return NULL;
}
