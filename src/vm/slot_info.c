#include "vm/slot_info.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"
#include "codec/json.h"
#include "vm/qemu.h"
#include "vm/slot.h"

/* A rename without a sync: after a crash of the host the slot is nobody's, and what its file says is not asked. */
static int replace(const char *path, const struct buf *text, struct err *e)
{
        AUTO(auto_free) char *temporary = str_printf("%s.new", path);
        AUTO(auto_close) int fd = -1;

        if (!temporary)
                return err_nomem(e);
        fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return err_errno(e, ERR_RESOURCES, errno, "make %s", temporary);
        int r = fd_write_all(fd, text->data, text->len, temporary, e);
        if (r == 0 && rename(temporary, path) < 0)
                r = err_errno(e, ERR_RESOURCES, errno, "rename %s", temporary);
        return r;
}

int slot_info_write(const struct slot *s, const struct slot_info *i, struct err *e)
{
        AUTO(auto_free) char *path = fs_join(s->path, "info");
        AUTO(json_decrefp)
        json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:i,s:I,s:I,s:i}", "state", i->state, "image", i->image, "accel",
                              i->accel, "job", i->job, "vcpus", (int)i->vcpus, "memory", (json_int_t)i->memory,
                              "since_ms", (json_int_t)i->since_ms, "jail", (int)i->jail);
        struct buf text = BUF_INIT_MAX(SLOT_INFO_MAX);

        if (!path || !o)
                return err_nomem(e);
        int r = json_write(o, 0, &text, e);
        if (r == 0)
                r = replace(path, &text, e);
        buf_done(&text);
        return r;
}

static void take_text(const json_t *o, const char *key, char *ret, size_t size)
{
        const char *text = json_string_value(json_object_get(o, key));

        str_copy(ret, size, text ? text : "");
}

static void read_info(const char *path, struct slot_info *ret)
{
        AUTO(json_decrefp) json_t *o = NULL;
        struct buf text = BUF_INIT;

        *ret = (struct slot_info){0};
        if (fs_read(path, SLOT_INFO_MAX, &text, NULL) == 0 &&
            json_parse(text.data, text.len, SLOT_INFO_MAX, path, &o, NULL) == 0) {
                take_text(o, "state", ret->state, sizeof(ret->state));
                take_text(o, "image", ret->image, sizeof(ret->image));
                take_text(o, "accel", ret->accel, sizeof(ret->accel));
                take_text(o, "job", ret->job, sizeof(ret->job));
                ret->vcpus = (uint32_t)json_integer_value(json_object_get(o, "vcpus"));
                ret->memory = (uint64_t)json_integer_value(json_object_get(o, "memory"));
                ret->since_ms = (uint64_t)json_integer_value(json_object_get(o, "since_ms"));
                ret->jail = (pid_t)json_integer_value(json_object_get(o, "jail"));
        }
        buf_done(&text);
}

int slot_info_list(const char *state, int (*fn)(const struct slot_entry *entry, void *user, struct err *e), void *user,
                   struct err *e)
{
        for (unsigned i = 0; i < SLOT_MAX; i++) {
                AUTO(auto_free) char *path = NULL;
                struct slot_entry entry = {.number = i};

                if (!slot_is_held(state, i))
                        continue;
                path = str_printf("%s/slots/%u/info", state, i);
                if (!path)
                        return err_nomem(e);
                read_info(path, &entry.info);
                if (entry.info.jail > 1 && qemu_private_memory(entry.info.jail, &entry.private_bytes, NULL) < 0)
                        entry.private_bytes = 0;
                int r = fn(&entry, user, e);
                if (r < 0)
                        return r;
        }
        return 0;
}
