/* What QEMU says to its owner: events and answers become the states of qemu_priv.h. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "codec/base64.h"
#include "vm/qemu.h"
#include "vm/qemu_args.h"
#include "vm/qemu_priv.h"
#include "vm/qmp.h"

static int guest_down(struct vm *vm, const char *why, struct err *e)
{
        if (vm->state != QEMU_SETUP && vm->state != QEMU_LOADING && vm->state != QEMU_UP)
                return 0;
        vm->state = QEMU_DOWN;
        return qemu_tell(vm, VM_EVENT_GUEST_DOWN, why, e);
}

static const char *text_of(const json_t *object, const char *key)
{
        const char *s = json_string_value(json_object_get(object, key));

        return s ? s : "";
}

/* With werror=report QEMU leaves "nospace" out and gives strerror() as the reason. */
static int disk_error(struct vm *vm, const json_t *data, struct err *e)
{
        bool full = json_is_true(json_object_get(data, "nospace")) || str_eq(text_of(data, "reason"), strerror(ENOSPC));
        bool *told = full ? &vm->full_told : &vm->io_error_told;

        if (*told)
                return 0;
        *told = true;
        return qemu_tell(vm, full ? VM_EVENT_HOST_FULL : VM_EVENT_IO_ERROR, text_of(data, "node-name"), e);
}

/* The words of QEMU's MIGRATION event; others are steps on the way. */
static int save_went_on(struct vm *vm, const char *status, struct err *e)
{
        if (!vm->saving)
                return 0;
        if (str_eq(status, "completed")) {
                vm->saving = false;
                return qemu_tell(vm, VM_EVENT_SAVED, NULL, e);
        }
        if (str_eq(status, "failed") || str_eq(status, "cancelled"))
                return qemu_gone(vm, "the VMM could not save the guest's state", e);
        return 0;
}

/* Its answer to `cont`, its RESUME event and its status say the same thing: it is told once. */
static int runs(struct vm *vm, struct err *e)
{
        if (vm->running || (vm->state != QEMU_SETUP && vm->state != QEMU_LOADING && vm->state != QEMU_UP))
                return 0;
        vm->running = true;
        vm->state = QEMU_UP;
        return qemu_tell(vm, VM_EVENT_RUNNING, NULL, e);
}

static int take_event(struct vm *vm, const char *name, const json_t *data, struct err *e)
{
        if (str_eq(name, "SHUTDOWN"))
                return guest_down(vm, text_of(data, "reason"), e);
        if (str_eq(name, "GUEST_PANICKED"))
                return guest_down(vm, "guest-panic", e);
        if (str_eq(name, "BLOCK_IO_ERROR"))
                return disk_error(vm, data, e);
        if (str_eq(name, "MIGRATION"))
                return save_went_on(vm, text_of(data, "status"), e);
        return str_eq(name, "RESUME") ? runs(vm, e) : 0;
}

static int take_status(struct vm *vm, const json_t *value, struct err *e)
{
        const char *status = text_of(value, "status");

        if (vm->state != QEMU_SETUP)
                return 0;
        if (str_eq(status, "running"))
                return runs(vm, e);
        /* A clone is paused for a moment between the end of its loading and its start. */
        if (str_eq(status, "inmigrate") || str_eq(status, "paused") || str_eq(status, "prelaunch")) {
                vm->state = QEMU_LOADING;
                return 0;
        }
        return guest_down(vm, status, e);
}

static int take_console(struct vm *vm, const json_t *value, struct err *e)
{
        const char *text = json_string_value(value);
        struct buf data = BUF_INIT_MAX(QEMU_CONSOLE_SIZE);
        int r;

        if (!text || base64_decode(BASE64_STANDARD, text, strlen(text), "console", &data, NULL) < 0)
                buf_clear(&data);
        r = qemu_answer_console(vm, data.data, data.len, e);
        buf_done(&data);
        return r;
}

static int save_refused(struct vm *vm, const char *why, struct err *e)
{
        char text[256];

        snprintf(text, sizeof(text), "the VMM did not save the guest's state: %s", why);
        return qemu_gone(vm, text, e);
}

static int take_return(struct vm *vm, const struct qmp_message *m, struct err *e)
{
        const json_t *value = m->type == QMP_RETURN ? m->value : NULL;

        if (m->id == vm->status_id)
                return take_status(vm, value, e);
        if (m->id == vm->console_id)
                return take_console(vm, value, e);
        if (m->type == QMP_ERROR && (m->id == vm->save_stop_id || m->id == vm->save_id))
                return save_refused(vm, m->name, e);
        if (m->type == QMP_ERROR && (m->id == vm->pause_id || m->id == vm->resume_id))
                return qemu_gone(vm, m->name, e);
        if (m->id == vm->pause_id) {
                vm->running = false;
                return qemu_tell(vm, VM_EVENT_PAUSED, NULL, e);
        }
        return m->id == vm->resume_id ? runs(vm, e) : 0;
}

static int greeted(struct vm *vm, struct err *e)
{
        uint64_t unused;
        int r;

        vm->state = QEMU_SETUP;
        r = qemu_command(vm, "qmp_capabilities", NULL, &unused, e);
        return r < 0 ? r : qemu_command(vm, "query-status", NULL, &vm->status_id, e);
}

int qemu_take(struct vm *vm, const struct qmp_message *m, struct err *e)
{
        if (vm->state == QEMU_GONE || vm->freed)
                return 0;
        if (m->type == QMP_EVENT)
                return take_event(vm, m->name, m->value, e);
        return m->type == QMP_GREETING ? greeted(vm, e) : take_return(vm, m, e);
}
