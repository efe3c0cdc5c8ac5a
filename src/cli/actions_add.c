/* The order on disk: a pack, its index, where history is cut, a reference that keeps git from collecting it, the pin.
 * What a crash leaves of the first four is of no effect, and is overwritten by the next time. One at a time:
 * MIRROR/lock is held. */
#include "cli/actions_add.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"
#include "cli/actions.h"
#include "codec/tar.h"
#include "codec/uses.h"
#include "source/ask.h"
#include "source/limits.h"
#include "source/names.h"
#include "source/pins.h"
#include "vm/slot.h"

#define OID_HEX 40u       /* GitHub's repositories have no other ids */
#define MAX_ENTRIES 1000u /* of the stream of one commit: a git folder without a work tree */

struct adding {
        const struct actions_add *x;
        char *folder;     /* the mirror, without links */
        char *repository; /* MIRROR/OWNER/REPO.git */
        char *clone;      /* MIRROR/OWNER/REPO, which somebody may keep */
        struct slot *slot;
        struct source_asker *from;
        struct source_asker *mirror; /* what is there of it already; NULL: nothing */
};

static void adding_done(struct adding *a)
{
        source_asker_free(a->from);
        source_asker_free(a->mirror);
        slot_release(a->slot);
        free(a->folder);
        free(a->repository);
        free(a->clone);
}

/* ---- a commit's pack ---- */

struct unpacking {
        const char *folder; /* objects/pack of the repository */
        int fd;             /* of the file that is being written; -1: this entry is not kept */
        struct buf *text;   /* of the entry that is kept in memory, or NULL */
        char *pack, *idx;   /* names, once seen */
        struct buf shallow;
};

/* ".git/objects/pack/pack-ID.pack" */
static const char *pack_name(const char *entry, const char *ending)
{
        static const char prefix[] = ".git/objects/pack/pack-";
        char id[OID_HEX + 1];
        if (!str_starts(entry, prefix) || strlen(entry) != sizeof(prefix) - 1 + OID_HEX + strlen(ending) ||
            !str_ends(entry, ending))
                return NULL;
        memcpy(id, entry + sizeof(prefix) - 1, OID_HEX);
        id[OID_HEX] = '\0';
        return oid_is_valid(id, OID_HEX) ? entry + sizeof(prefix) - 1 - strlen("pack-") : NULL;
}

static int open_part(struct unpacking *u, const char *part, char **keep, const char *name, struct err *e)
{
        AUTO(auto_free) char *path = fs_join(u->folder, part);
        *keep = *keep ? *keep : str_dup(name);
        if (!path || !*keep)
                return err_nomem(e);
        u->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
        return u->fd < 0 ? err_errno(e, ERR_RESOURCES, errno, "write %s", path) : 0;
}

static int on_entry(const struct tar_entry *entry, void *user, struct err *e)
{
        struct unpacking *u = user;
        const char *pack = entry->type == TAR_FILE ? pack_name(entry->name, ".pack") : NULL;
        const char *idx = entry->type == TAR_FILE ? pack_name(entry->name, ".idx") : NULL;
        u->text = entry->type == TAR_FILE && str_eq(entry->name, ".git/shallow") ? &u->shallow : NULL;
        if (pack)
                return open_part(u, "devdep.pack.new", &u->pack, pack, e);
        return idx ? open_part(u, "devdep.idx.new", &u->idx, idx, e) : 0;
}

static int on_bytes(const void *data, size_t len, void *user, struct err *e)
{
        struct unpacking *u = user;
        if (u->text)
                return buf_append(u->text, data, len, e);
        return u->fd < 0 ? 0 : fd_write_all(u->fd, data, len, "a pack", e);
}

static int on_entry_end(void *user, struct err *e)
{
        struct unpacking *u = user;
        if (u->fd < 0)
                return 0;
        int r = fsync(u->fd) < 0 ? err_errno(e, ERR_RESOURCES, errno, "write a pack") : 0;
        u->fd = fd_close(u->fd);
        return r;
}

static int feed(const void *data, size_t len, void *user, struct err *e)
{
        return tar_reader_feed(user, data, len, e);
}

static int unpack(struct adding *a, const char *commit, struct unpacking *u, struct err *e)
{
        static const struct tar_sink sink = {on_entry, on_bytes, on_entry_end};
        const struct tar_limits limits = {.types = TAR_ORDINARY,
                                          .max_name = TAR_MAX_NAME,
                                          .max_entries = MAX_ENTRIES,
                                          .max_size = SOURCE_MAX_SCRATCH,
                                          .max_total = 2 * SOURCE_MAX_SCRATCH};
        const struct source_checkout want = {.repository = "", .commit = commit, .depth = 1, .refs = SOURCE_REFS_NONE};
        struct tar_reader *tar = NULL;
        int r = tar_reader_new(&limits, &sink, u, "the commit's stream", &tar, e);
        if (r == 0)
                r = source_asker_checkout(a->from, &want, feed, tar, e);
        if (r == 0)
                r = tar_reader_finish(tar, e);
        tar_reader_free(tar);
        u->fd = fd_close(u->fd);
        if (r == 0 && (!u->pack || !u->idx))
                r = err_set(e, ERR_PROTOCOL, "devdep-source sent no pack of commit %s", commit);
        return r;
}

static int put_part(const struct unpacking *u, const char *part, const char *name, struct err *e)
{
        AUTO(auto_free) char *from = fs_join(u->folder, part), *to = fs_join(u->folder, name);
        if (!from || !to)
                return err_nomem(e);
        return rename(from, to) < 0 ? err_errno(e, ERR_RESOURCES, errno, "put %s in its place", to) : 0;
}

/* ---- its repository ---- */

static int write_file(const char *folder, const char *name, const void *data, size_t len, struct err *e)
{
        AUTO(auto_free) char *path = fs_join(folder, name);
        return path ? fs_write_atomic(path, data, len, 0644, e) : err_nomem(e);
}

static int make_repository(const char *path, struct err *e)
{
        static const char config[] = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n";
        static const char head[] = "ref: refs/heads/none\n";
        static const char *const folders[] = {"objects/pack", "objects/info", "refs/devdep"};
        for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
                AUTO(auto_free) char *folder = fs_join(path, folders[i]);
                int r = folder ? fs_mkdirs(folder, 0755, e) : err_nomem(e);
                if (r < 0)
                        return r;
        }
        AUTO(auto_free) char *known = fs_join(path, "HEAD");
        if (!known)
                return err_nomem(e);
        if (fs_exists(known))
                return 0;
        int r = write_file(path, "config", config, strlen(config), e);
        return r < 0 ? r : write_file(path, "HEAD", head, strlen(head), e);
}

/* A commit whose parents are not here is a root. */
static int add_shallow(const char *path, const struct buf *lines, struct err *e)
{
        AUTO(auto_free) char *file = fs_join(path, "shallow");
        AUTO(buf_done) struct buf all = BUF_INIT;
        if (!file)
                return err_nomem(e);
        int r = lines->len ? fs_read(file, SOURCE_MAX_SHALLOW, &all, e) : 0;
        if (r < 0 || !lines->len)
                return r;
        r = buf_append(&all, lines->data, lines->len, e);
        return r < 0 ? r : fs_write_atomic(file, all.data, all.len, 0644, e);
}

static int keep_commit(const char *path, const char *commit, struct err *e)
{
        AUTO(auto_free) char *name = str_printf("refs/devdep/%s", commit), *line = str_printf("%s\n", commit);
        return name && line ? write_file(path, name, line, strlen(line), e) : err_nomem(e);
}

static int fetch(struct adding *a, const char *commit, struct err *e)
{
        AUTO(auto_free) char *folder = fs_join(a->repository, "objects/pack");
        struct unpacking u = {.folder = folder, .fd = -1, .shallow = BUF_INIT};
        int r = folder ? make_repository(a->repository, e) : err_nomem(e);
        if (r == 0)
                r = unpack(a, commit, &u, e);
        if (r == 0)
                r = put_part(&u, "devdep.pack.new", u.pack, e);
        if (r == 0)
                r = put_part(&u, "devdep.idx.new", u.idx, e);
        if (r == 0)
                r = add_shallow(a->repository, &u.shallow, e);
        if (r == 0)
                r = keep_commit(a->repository, commit, e);
        free(u.pack);
        free(u.idx);
        buf_done(&u.shallow);
        return r;
}

/* ---- what is there ---- */

static int ask_about(struct adding *a, const char *folder, bool exactly, struct source_asker **ret, struct err *e)
{
        AUTO(source_place_done) struct source_place place = {0};
        struct source_start start = SOURCE_START_INIT;
        int r = source_place_find(folder, &place, e);
        if (r == 0 && exactly && !str_eq(place.top ? place.top : place.gitdir, folder))
                r = err_set(e, ERR_USAGE, "%s is no git repository; remove it, or make it one", folder);
        if (r < 0)
                return r;
        start.place = &place;
        start.uid = start.gid = a->slot->uid[SLOT_SOURCE];
        start.scratch = a->slot->path; /* a pack may be large */
        return source_asker_new(&start, ret, e);
}

static int open_mirror(struct adding *a, struct err *e)
{
        if (fs_exists(a->repository))
                return ask_about(a, a->repository, true, &a->mirror, e);
        return fs_exists(a->clone) ? ask_about(a, a->clone, true, &a->mirror, e) : 0;
}

static int need_commit(struct adding *a, const char *commit, struct err *e)
{
        AUTO(auto_free) char *there = NULL;
        struct err why = ERR_INIT;
        if (a->mirror && source_asker_resolve(a->mirror, commit, &there, &why) == 0)
                return 0;
        if (a->mirror && why.code != ERR_USAGE) {
                *e = why;
                return -1;
        }
        if (a->mirror && !fs_exists(a->repository))
                return err_set(
                        e, ERR_USAGE,
                        "%s is a clone that somebody keeps, and it lacks commit %s; fetch into it with git first",
                        a->clone, commit);
        int r = fetch(a, commit, e);
        return r == 0 && !a->mirror ? open_mirror(a, e) : r;
}

/* ---- pins ---- */

static int set_pin(const char *folder, const char *repository, const char *ref, const char *commit, struct err *e)
{
        AUTO(buf_done) struct buf old = BUF_INIT, new = BUF_INIT;
        AUTO(pins_freep) struct pins *before = NULL, *after = NULL;
        int r = actions_read_pins(folder, &old, &before, e);
        if (r == 0)
                r = pins_edit(old.data, old.len, repository, ref, commit, &new, e);
        if (r == 0)
                r = pins_parse(new.data, new.len, "pins", &after, e);
        return r < 0 ? r : write_file(folder, "pins", new.data, new.len, e);
}

static int check_pin(const char *ref, struct err *e)
{
        if (!uses_is_ref(ref) || oid_is_valid(ref, OID_HEX))
                return err_set(e, ERR_USAGE, "--pin: expected a tag or a branch, found '%.80s'", ref);
        return 0;
}

static int add_one(struct adding *a, const char *pin, const char *revision, actions_added_fn *fn, void *user,
                   struct err *e)
{
        AUTO(auto_free) char *commit = NULL;
        int r = *pin ? check_pin(pin, e) : 0;
        if (r == 0)
                r = source_asker_resolve(a->from, revision, &commit, e);
        if (r == 0 && strlen(commit) != OID_HEX)
                r = err_set(e, ERR_USAGE, "%s has ids of %zu digits; an action's repository has %u, as at GitHub",
                            a->x->from, strlen(commit), OID_HEX);
        if (r == 0)
                r = need_commit(a, commit, e);
        if (r == 0 && *pin)
                r = set_pin(a->folder, a->x->repository, pin, commit, e);
        return r < 0 ? r : fn(pin, commit, user, e);
}

/* ---- adding, removing ---- */

static int lock_mirror(const char *folder, int *ret, struct err *e)
{
        AUTO(auto_free) char *path = fs_join(folder, "lock");
        return path ? fs_lock(path, true, ret, e) : err_nomem(e);
}

static int open_all(struct adding *a, struct err *e)
{
        a->repository = str_printf("%s/%s.git", a->folder, a->x->repository);
        a->clone = fs_join(a->folder, a->x->repository);
        int r = a->repository && a->clone ? slot_take(a->x->state, &a->slot, e) : err_nomem(e);
        if (r == 0)
                r = ask_about(a, a->x->from, false, &a->from, e);
        return r < 0 ? r : open_mirror(a, e);
}

int actions_add(const struct actions_add *x, actions_added_fn *fn, void *user, struct err *e)
{
        struct adding a = {.x = x};
        AUTO(auto_close) int lock = -1;
        int r = fs_mkdirs(x->folder, 0755, e);
        if (r == 0 && !(a.folder = realpath(x->folder, NULL)))
                r = err_errno(e, ERR_USAGE, errno, "the mirror of actions %s", x->folder);
        if (r == 0)
                r = lock_mirror(a.folder, &lock, e);
        if (r == 0)
                r = open_all(&a, e);
        for (size_t i = 0; r == 0 && i < x->n_pins; i++)
                r = add_one(&a, x->pins[i], x->revision ? x->revision : x->pins[i], fn, user, e);
        if (r == 0 && !x->n_pins)
                r = add_one(&a, "", x->revision ? x->revision : "HEAD", fn, user, e);
        adding_done(&a);
        return r;
}

static int remove_pins(const char *folder, const char *repository, const char *ref, size_t *ret_n, struct err *e)
{
        AUTO(buf_done) struct buf text = BUF_INIT;
        AUTO(pins_freep) struct pins *p = NULL;
        int r = actions_read_pins(folder, &text, &p, e);
        for (size_t i = 0; r == 0 && i < pins_count(p); i++) {
                const struct pin *pin = pins_at(p, i);
                if (!str_eq(pin->repository, repository) || (ref && !str_eq(pin->ref, ref)))
                        continue;
                r = set_pin(folder, repository, pin->ref, NULL, e);
                ++*ret_n;
        }
        return r;
}

int actions_remove(const char *folder, const char *repository, const char *ref, struct err *e)
{
        AUTO(auto_free) char *path = str_printf("%s/%s.git", folder, repository), *clone = fs_join(folder, repository);
        AUTO(auto_close) int lock = -1;
        size_t n = 0;
        if (!path || !clone)
                return err_nomem(e);
        int r = fs_exists(folder) ? lock_mirror(folder, &lock, e)
                                  : err_set(e, ERR_USAGE, "there is no mirror of actions %s", folder);
        if (r == 0)
                r = remove_pins(folder, repository, ref, &n, e);
        if (r < 0)
                return r;
        if (ref)
                return n ? 0 : err_set(e, ERR_USAGE, "%s@%s is not pinned in %s", repository, ref, folder);
        if (fs_exists(path))
                return fs_remove_tree(path, e);
        if (fs_exists(clone))
                return err_set(e, ERR_USAGE, "%s is a clone that somebody keeps: its pins are removed, it is not",
                               clone);
        return n ? 0 : err_set(e, ERR_USAGE, "%s is not in the mirror %s", repository, folder);
}
