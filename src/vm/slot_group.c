/* The control groups of a slot. STATE/slots/N/groups/ROLE has the folders of a group, so that whoever cleans the slot
 * ends it, wherever on this host it was made. */
#include <errno.h>
#include <fcntl.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/str.h"
#include "sandbox/cgroup.h"
#include "vm/slot.h"
#include "vm/slot_priv.h"

#define MAX_NOTE 4096

CLEANUP_DEFINE(struct cgroup, cgroup_free)

static char *note_path(const struct slot *s, const char *role)
{
        return str_printf("%s/groups/%s", s->path, role);
}

static int write_note(const struct slot *s, const char *role, const struct cgroup *g, struct err *e)
{
        AUTO(auto_free) char *folder = fs_join(s->path, "groups"), *path = note_path(s, role);
        AUTO(auto_close) int fd = -1;
        struct buf text = BUF_INIT;
        int r = folder && path ? fs_mkdirs(folder, 0700, e) : err_nomem(e);

        if (r == 0)
                r = cgroup_places(g, &text, e);
        /* Not synced: the host's crash ends the group, too. */
        if (r == 0 && (fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600)) < 0)
                r = err_errno(e, ERR_RESOURCES, errno, "make %s", path);
        if (r == 0)
                r = fd_write_all(fd, text.data, text.len, path, e);
        buf_done(&text);
        return r;
}

int slot_group(const struct slot *s, const char *role, const struct cgroup_limits *l, struct cgroup **ret,
               struct sandbox_held *ret_held, struct err *e)
{
        AUTO(auto_free) char *name = str_printf("%s-%s", s->group, role);
        AUTO(cgroup_freep) struct cgroup *g = NULL;
        int r = name ? cgroup_new(name, l, &g, ret_held, e) : err_nomem(e);

        if (r == 0 && g)
                r = write_note(s, role, g, e);
        if (r == 0)
                *ret = TAKE_PTR(g);
        return r;
}

static int read_note(const struct slot *s, const char *role, struct buf *ret, struct err *e)
{
        AUTO(auto_free) char *path = note_path(s, role);
        int r = path ? fs_read(path, MAX_NOTE, ret, e) : err_nomem(e);

        return r == 0 && !buf_cstr(ret) ? err_nomem(e) : r;
}

bool slot_ran_out_of_memory(const struct slot *s, const char *role)
{
        struct buf places = BUF_INIT;
        bool out = read_note(s, role, &places, NULL) == 0 && cgroup_ran_out_of_memory(buf_cstr(&places));

        buf_done(&places);
        return out;
}

bool slot_bars_swap(const struct slot *s, const char *role)
{
        AUTO(buf_done) struct buf places = BUF_INIT;

        return read_note(s, role, &places, NULL) == 0 && cgroup_bars_swap(buf_cstr(&places));
}

struct ending {
        const struct slot *slot;
        unsigned killed;
};

static int end_one(const char *role, void *user, struct err *e)
{
        struct ending *c = user;
        AUTO(auto_free) char *name = str_printf("%s-%s", c->slot->group, role);
        struct buf places = BUF_INIT;
        unsigned killed = 0;
        int r = name ? read_note(c->slot, role, &places, e) : err_nomem(e);

        if (r == 0)
                r = cgroup_end(buf_cstr(&places), name, &killed, e);
        c->killed += killed;
        buf_done(&places);
        return r < 0 ? r : 0;
}

int slot_end_groups(const struct slot *s, unsigned *killed, struct err *e)
{
        AUTO(auto_free) char *folder = fs_join(s->path, "groups");
        struct ending c = {.slot = s};
        int r = folder ? fs_list(folder, end_one, &c, e) : err_nomem(e);

        *killed += c.killed;
        return r < 0 ? r : 0;
}
