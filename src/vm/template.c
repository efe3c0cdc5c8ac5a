/* Templates on disk: docs/template-format.md. */
#include "vm/template.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/secret.h"
#include "base/str.h"
#include "codec/json.h"
#include "vm/image.h"
#include "vm/template_priv.h"
#include "vm/tsc.h"

static const char *const parts[] = {"memory", "state", "manifest.json"};

void template_done(struct template *t)
{
        if (t->copier_fd >= 0) {
                kill(t->copier, SIGKILL);
                while (waitpid(t->copier, NULL, 0) < 0 && errno == EINTR)
                        ;
        }
        t->copier_fd = fd_close(t->copier_fd);
        t->memory_fd = fd_close(t->memory_fd);
        t->state_fd = fd_close(t->state_fd);
}

int template_supported(const struct vm_driver *driver, struct err *e)
{
        if (driver->caps & VM_CAP_TEMPLATE)
                return 0;
        return err_set(e, ERR_RESOURCES, "the driver %s has no templates", driver->name);
}

/* ---- the folder ---- */

void template_folder_done(struct template_folder *f)
{
        f->lock_fd = fd_close(f->lock_fd);
        f->fd = fd_close(f->fd);
        free(f->path);
        free(f->lock_path);
        json_decref(f->ingredients);
        *f = (struct template_folder)TEMPLATE_FOLDER_INIT;
}

int template_folder_init(struct template_folder *f, const struct template_want *w, struct err *e)
{
        int r = template_key(w, f->key, &f->ingredients, e);

        if (r < 0)
                return r;
        f->path = str_printf("%s/templates/%s", w->state, f->key);
        f->lock_path = f->path ? fs_join(f->path, "lock") : NULL;
        return f->lock_path ? 0 : err_nomem(e);
}

static int missing(struct err *why, const char *text)
{
        err_set(why, ERR_RESOURCES, "%s", text);
        return TEMPLATE_E_MISSING;
}

/* Whoever can write here chooses what our guests are. */
static bool is_ours(const struct stat *st)
{
        return st->st_uid == geteuid() && (st->st_mode & 0077) == 0;
}

int template_folder_open(struct template_folder *f, struct err *why, struct err *e)
{
        struct stat st;

        f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (f->fd < 0 && errno == ENOENT)
                return missing(why, "there is none yet");
        if (f->fd < 0 && (errno == ENOTDIR || errno == ELOOP || errno == EACCES))
                return missing(why, "what has its name is no folder of ours");
        if (f->fd < 0 || fstat(f->fd, &st) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "open the template %s", f->path);
        return is_ours(&st) ? 0 : missing(why, "its folder belongs to another user or is open to others");
}

/* ---- reading ---- */

struct manifest {
        int64_t memory_size, memory_data, state_size, tsc_khz;
        uint8_t state_sha256[HASH_SIZE];
};

/* A file of the folder that is ours alone; *ret_size may be NULL. TEMPLATE_E_MISSING with *why. */
static int open_part(const struct template_folder *f, const char *name, int *ret, uint64_t *ret_size, struct err *why)
{
        AUTO(auto_close) int fd = openat(f->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0) {
                err_errno(why, ERR_RESOURCES, errno, "its %s", name);
                return TEMPLATE_E_MISSING;
        }
        if (!S_ISREG(st.st_mode) || !is_ours(&st)) {
                err_set(why, ERR_RESOURCES, "its %s belongs to another user, is open to others or is no file", name);
                return TEMPLATE_E_MISSING;
        }
        *ret = TAKE_FD(fd);
        *ret_size = (uint64_t)st.st_size;
        return 0;
}

static int get_object(const json_t *o, const char *key, json_t **ret, struct err *e)
{
        *ret = json_object_get(o, key);
        return json_is_object(*ret) ? 0 : err_set(e, ERR_USAGE, "%s: expected an object", key);
}

static int parse_manifest(const json_t *o, const struct template_folder *f, struct manifest *m, struct err *e)
{
        static const char *const known[] = {"format", "key", "image", "created", "tsc_khz", "memory", "state"};
        json_t *key = NULL, *memory = NULL, *state = NULL;
        const char *sha256 = NULL;
        int64_t format;
        int r = json_check_keys(o, "", known, ARRAY_SIZE(known), e);

        if (r == 0)
                r = json_get_int(o, "", "format", TEMPLATE_FORMAT, TEMPLATE_FORMAT, &format, e);
        if (r == 0)
                r = get_object(o, "key", &key, e);
        if (r == 0 && !json_equal(key, f->ingredients))
                r = err_set(e, ERR_USAGE, "key: it is another key's");
        if (r == 0)
                r = json_get_int(o, "", "tsc_khz", 0, UINT32_MAX, &m->tsc_khz, e);
        if (r == 0)
                r = get_object(o, "memory", &memory, e);
        if (r == 0)
                r = json_get_int(memory, "memory", "size", 1, INT64_MAX, &m->memory_size, e);
        if (r == 0)
                r = json_get_int(memory, "memory", "data", 1, m->memory_size, &m->memory_data, e);
        if (r == 0)
                r = get_object(o, "state", &state, e);
        if (r == 0)
                r = json_get_int(state, "state", "size", 1, TEMPLATE_MAX_STATE, &m->state_size, e);
        if (r == 0)
                r = json_get_string(state, "state", "sha256", 2 * HASH_SIZE, &sha256, e);
        return r == 0 ? num_hex(sha256, m->state_sha256, HASH_SIZE, "state.sha256", e) : r;
}

static int read_manifest(const struct template_folder *f, struct manifest *ret, struct err *why)
{
        AUTO(json_decrefp) json_t *o = NULL;
        AUTO(auto_close) int fd = -1;
        struct buf text = BUF_INIT;
        uint64_t size;
        int r = open_part(f, "manifest.json", &fd, &size, why);

        if (r == 0)
                r = fd_read_all(fd, TEMPLATE_MAX_MANIFEST, "manifest.json", &text, why);
        if (r == 0)
                r = json_parse(text.data, text.len, TEMPLATE_MAX_MANIFEST, "manifest.json", &o, why);
        if (r == 0)
                r = parse_manifest(o, f, ret, why);
        buf_done(&text);
        return r < 0 ? TEMPLATE_E_MISSING : r;
}

static int read_state(const struct template_folder *f, const struct manifest *m, int *ret, struct err *why,
                      struct err *e)
{
        AUTO(auto_close) int from = -1;
        struct buf data = BUF_INIT;
        uint8_t digest[HASH_SIZE];
        uint64_t size;
        int r = open_part(f, "state", &from, &size, why);

        if (r == 0 && fd_read_all(from, TEMPLATE_MAX_STATE, "state", &data, why) < 0)
                r = TEMPLATE_E_MISSING;
        if (r == 0)
                r = hash_bytes(data.data, data.len, digest, e);
        if (r == 0 && (data.len != (size_t)m->state_size || !secret_equal(digest, m->state_sha256, HASH_SIZE)))
                r = missing(why, "its state is not the one that was saved");
        if (r == 0)
                r = fd_memfd_sealed("template-state", data.data, data.len, ret, e);
        buf_done(&data);
        return r;
}

/* The copy's status: 0, or an errno; ESTALE when the file has lost data since t->data_bytes were counted. */
static int copy_memory(int from, int to, uint64_t size, const struct template *t)
{
        struct err e = ERR_INIT;
        uint64_t data = 0;

        if (template_copy_data(from, to, size, &data, &e) < 0)
                return e.errnum ? e.errnum : EIO;
        return data < t->data_bytes ? ESTALE : 0;
}

/* The copier has our lock with our other descriptors, and ends with us. */
static int start_copier(int from, int to, uint64_t size, struct template *t, struct err *e)
{
        pid_t us = getpid();

        t->copier = fork();
        if (t->copier == 0) {
                if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != us)
                        _exit(ECANCELED);
                _exit(copy_memory(from, to, size, t));
        }
        t->copier_fd = t->copier < 0 ? -1 : (int)syscall(SYS_pidfd_open, t->copier, 0);
        if (t->copier_fd >= 0)
                return 0;
        err_errno(e, ERR_RESOURCES, errno, "start the copying of a template's memory");
        if (t->copier > 0) {
                kill(t->copier, SIGKILL);
                waitpid(t->copier, NULL, 0);
        }
        return -1;
}

int template_finish(struct template *t, struct err *why, struct err *e)
{
        int status = 0;

        if (t->copier_fd < 0)
                return 0;
        while (waitpid(t->copier, &status, 0) < 0 && errno == EINTR)
                ;
        t->copier_fd = fd_close(t->copier_fd);
        if (WIFSIGNALED(status))
                return err_set(e, ERR_RESOURCES, "the copying of a template's memory was ended by signal %d",
                               WTERMSIG(status));
        if (WEXITSTATUS(status) == ESTALE) {
                template_done(t);
                return missing(why, "its memory lost data while it was read");
        }
        if (WEXITSTATUS(status) != 0)
                return err_errno(e, ERR_RESOURCES, WEXITSTATUS(status), "copy the memory of a template");
        return fd_seal(t->memory_fd, e);
}

/* Its bytes are not hashed: each command would pay for it (docs/template-format.md). What guards them is that nobody
 * else can write here; what is found is a file that lost bytes. */
static int read_memory(const struct template_folder *f, const struct manifest *m, struct template *t, struct err *why,
                       struct err *e)
{
        AUTO(auto_close) int from = -1, fd = -1;
        uint64_t size;
        int r = open_part(f, "memory", &from, &size, why);

        if (r == 0 && size != (uint64_t)m->memory_size)
                r = missing(why, "its memory has another size than the one that was saved");
        if (r == 0)
                r = fd_memfd("template-memory", &fd, e);
        if (r == 0 && ftruncate(fd, (off_t)size) < 0)
                r = err_errno(e, ERR_RESOURCES, errno, "make the memory of a clone");
        if (r == 0 && (t->data_bytes = template_count_data(from, size)) < (uint64_t)m->memory_data)
                r = missing(why, "its memory lost data");
        if (r == 0)
                r = start_copier(from, fd, size, t, e);
        if (r == 0)
                t->memory_fd = TAKE_FD(fd);
        return r;
}

int template_read(const struct template_folder *f, const struct template_want *w, struct template *ret, struct err *why,
                  struct err *e)
{
        AUTO(template_done) struct template t = TEMPLATE_INIT;
        struct manifest m = {0};
        int r = read_manifest(f, &m, why);

        if (r == 0 && (uint64_t)m.memory_size != w->shape.memory)
                r = missing(why, "its memory is not of this class");
        if (r == 0 && w->accel == VM_ACCEL_TCG && !tsc_is((uint32_t)m.tsc_khz))
                r = missing(why, "it was made for another frequency of the processor's counter");
        if (r == 0)
                r = read_state(f, &m, &t.state_fd, why, e);
        if (r == 0)
                r = read_memory(f, &m, &t, why, e);
        if (r != 0)
                return r;
        t.tsc_khz = (uint32_t)m.tsc_khz;
        str_copy(t.key, sizeof(t.key), f->key);
        *ret = t;
        t = (struct template)TEMPLATE_INIT;
        return 0;
}

int template_begin(const struct template_want *w, struct template *ret, struct err *why, struct err *e)
{
        AUTO(template_folder_done) struct template_folder f = TEMPLATE_FOLDER_INIT;
        int r = template_supported(w->driver, e);

        if (r == 0)
                r = template_folder_init(&f, w, e);
        if (r == 0)
                r = template_folder_open(&f, why, e);
        if (r == 0)
                r = fs_lock_shared(f.lock_path, &f.lock_fd, e);
        if (r == FS_E_LOCKED)
                return missing(why, "it is being made");
        if (r == 0)
                r = template_read(&f, w, ret, why, e);
        /* When it was asked for: the collection goes by it. */
        if (r == 0)
                futimens(f.lock_fd, NULL);
        return r;
}

int template_open(const struct template_want *w, struct template *ret, struct err *why, struct err *e)
{
        struct template t = TEMPLATE_INIT;
        int r = template_begin(w, &t, why, e);

        if (r != 0)
                return r;
        r = template_finish(&t, why, e);
        if (r != 0)
                template_done(&t);
        else
                *ret = t;
        return r;
}

/* ---- writing ---- */

static int make_part(const struct template_folder *f, const char *name, int *ret, struct err *e)
{
        *ret = openat(f->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        return *ret < 0 ? err_errno(e, ERR_RESOURCES, errno, "make %s/%s", f->path, name) : 0;
}

static int sync_part(const struct template_folder *f, const char *name, int fd, struct err *e)
{
        return fsync(fd) < 0 ? err_errno(e, ERR_RESOURCES, errno, "write %s/%s", f->path, name) : 0;
}

static int write_memory(const struct template_folder *f, const struct template_want *w, const struct template *t,
                        uint64_t *ret_data, struct err *e)
{
        AUTO(auto_close) int fd = -1;
        int r = make_part(f, "memory", &fd, e);

        if (r == 0 && ftruncate(fd, (off_t)w->shape.memory) < 0)
                r = err_errno(e, ERR_RESOURCES, errno, "make %s/memory", f->path);
        if (r == 0)
                r = template_copy_pages(t->memory_fd, fd, w->shape.memory, ret_data, e);
        return r == 0 ? sync_part(f, "memory", fd, e) : r;
}

static int write_state(const struct template_folder *f, const struct template *t, uint64_t *ret_size,
                       uint8_t ret_digest[HASH_SIZE], struct err *e)
{
        AUTO(auto_close) int fd = -1;
        uint64_t data;
        int r = make_part(f, "state", &fd, e);

        if (r == 0)
                r = hash_fd(t->state_fd, "the state of a template", ret_digest, ret_size, e);
        if (r == 0)
                r = template_copy_data(t->state_fd, fd, *ret_size, &data, e);
        return r == 0 ? sync_part(f, "state", fd, e) : r;
}

static json_t *manifest_object(const struct template_folder *f, const struct template_want *w, const struct template *t,
                               uint64_t data, uint64_t state, const uint8_t digest[HASH_SIZE])
{
        char created[CLOCK_ISO_SIZE], hex[HASH_HEX_SIZE];

        clock_iso(clock_real_ms(), created);
        hash_hex(digest, hex);
        return json_pack("{s:i,s:O,s:s,s:s,s:I,s:{s:I,s:I},s:{s:I,s:s}}", "format", TEMPLATE_FORMAT, "key",
                         f->ingredients, "image", w->image->name, "created", created, "tsc_khz", (json_int_t)t->tsc_khz,
                         "memory", "size", (json_int_t)w->shape.memory, "data", (json_int_t)data, "state", "size",
                         (json_int_t)state, "sha256", hex);
}

static int write_manifest(const struct template_folder *f, json_t *o, struct err *e)
{
        AUTO(auto_free) char *path = fs_join(f->path, "manifest.json");
        struct buf text = BUF_INIT;
        int r = o && path ? json_write(o, JSON_WRITE_PRETTY, &text, e) : err_nomem(e);

        if (r == 0)
                r = buf_append_byte(&text, '\n', e);
        if (r == 0)
                r = fs_write_atomic(path, text.data, text.len, 0600, e);
        buf_done(&text);
        return r;
}

/* The manifest goes first and comes last: a folder without one holds no template, whatever else is in it. */
static void remove_parts(const struct template_folder *f)
{
        for (size_t i = ARRAY_SIZE(parts); i > 0; i--)
                unlinkat(f->fd, parts[i - 1], 0);
}

int template_write(const struct template_folder *f, const struct template_want *w, const struct template *t,
                   struct err *e)
{
        AUTO(json_decrefp) json_t *o = NULL;
        uint8_t digest[HASH_SIZE];
        uint64_t data = 0, state = 0;

        remove_parts(f);
        int r = write_memory(f, w, t, &data, e);
        if (r == 0)
                r = write_state(f, t, &state, digest, e);
        if (r == 0)
                o = manifest_object(f, w, t, data, state, digest);
        if (r == 0)
                r = write_manifest(f, o, e);
        if (r < 0)
                remove_parts(f);
        return r;
}
