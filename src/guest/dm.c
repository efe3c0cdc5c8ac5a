#include "guest/dm.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/secret.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/types.h>

/* One ioctl's argument: the head, one target, its text. */
struct dm_request {
        struct dm_ioctl head;
        struct dm_target_spec spec;
        char params[DM_MAX_PARAMS];
};

static int request(int control, unsigned long op, const char *what, struct dm_request *q, const char *name,
                   struct err *e)
{
        q->head.version[0] = 4;
        q->head.data_size = sizeof(*q);
        q->head.data_start = offsetof(struct dm_request, spec);
        str_copy(q->head.name, sizeof(q->head.name), name);
        if (ioctl(control, op, q) < 0)
                return err_errno(e, ERR_VM_BOOT_FAILED, errno, "device-mapper: %s %s", what, name);
        return 0;
}

static int load_table(int control, const char *name, const struct dm_target *t, struct err *e)
{
        struct dm_request q = {0};
        q.head.target_count = 1;
        q.head.flags = (t->read_only ? DM_READONLY_FLAG : 0u) | (t->secret ? DM_SECURE_DATA_FLAG : 0u);
        q.spec.length = t->sectors;
        str_copy(q.spec.target_type, sizeof(q.spec.target_type), t->type);
        int r = str_copy(q.params, sizeof(q.params), t->params)
                        ? request(control, DM_TABLE_LOAD, "load the table of", &q, name, e)
                        : err_set(e, ERR_VM_BOOT_FAILED, "device-mapper: the table of %s is too long", name);
        secret_wipe(&q, sizeof(q));
        return r;
}

static int open_control(int *ret, struct err *e)
{
        *ret = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
        return *ret < 0 ? err_errno(e, ERR_VM_BOOT_FAILED, errno, "open /dev/mapper/control") : 0;
}

int dm_create(const char *name, const struct dm_target *t, uint32_t *ret_minor, struct err *e)
{
        AUTO(auto_close) int control = -1;
        int r = open_control(&control, e);
        struct dm_request q = {0};
        r = r < 0 ? r : request(control, DM_DEV_CREATE, "create", &q, name, e);
        if (r < 0)
                return r;
        *ret_minor = minor((dev_t)q.head.dev);
        r = load_table(control, name, t, e);
        if (r < 0)
                return r;
        q = (struct dm_request){.head.flags = t->read_only ? DM_READONLY_FLAG : 0u};
        return request(control, DM_DEV_SUSPEND, "activate", &q, name, e); /* without DM_SUSPEND_FLAG: resume */
}

static int set_suspended(const char *name, uint32_t flag, const char *what, struct err *e)
{
        AUTO(auto_close) int control = -1;
        struct dm_request q = {.head.flags = flag};
        int r = open_control(&control, e);
        return r < 0 ? r : request(control, DM_DEV_SUSPEND, what, &q, name, e);
}

int dm_suspend(const char *name, struct err *e)
{
        return set_suspended(name, DM_SUSPEND_FLAG, "suspend", e);
}

int dm_resume(const char *name, struct err *e)
{
        return set_suspended(name, 0, "resume", e);
}

int dm_message(const char *name, const char *text, struct err *e)
{
        /* In place of a target and its parameters: the sector that names the target, then the text. */
        struct dm_request q = {.head.flags = DM_SECURE_DATA_FLAG};
        struct dm_target_msg *msg = (struct dm_target_msg *)(void *)&q.spec;
        AUTO(auto_close) int control = -1;
        int r = open_control(&control, e);
        if (r == 0 && !str_copy(msg->message, sizeof(q) - offsetof(struct dm_request, spec) - sizeof(*msg), text))
                r = err_set(e, ERR_VM_BOOT_FAILED, "device-mapper: the message for %s is too long", name);
        r = r < 0 ? r : request(control, DM_TARGET_MSG, "send a message to", &q, name, e);
        secret_wipe(&q, sizeof(q));
        return r;
}
