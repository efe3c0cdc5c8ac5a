#include "cli/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "secrets/credentials.h"
#include "secrets/limits.h"
#include "secrets/ref.h"
#include "workflow/filecmd.h"

/* One that the person gave. */
struct given {
        char *name, *where;
        char *value; /* locked memory, one byte more than len */
        size_t len;
};

struct secret_store {
        struct given *v;
        size_t n;
};

struct secret_store *secret_store_free(struct secret_store *s)
{
        if (!s)
                return NULL;
        for (size_t i = 0; i < s->n; i++) {
                secret_free(s->v[i].value, s->v[i].len + 1);
                free(s->v[i].name);
                free(s->v[i].where);
        }
        free(s->v);
        free(s);
        return NULL;
}

static bool is_wanted(const struct strv *names, bool all, const char *name)
{
        for (size_t i = 0; !all && i < names->n; i++)
                if (strcasecmp(names->v[i], name) == 0)
                        return true;
        return all;
}

static struct given *find(const struct secret_store *s, const char *name)
{
        for (size_t i = 0; i < s->n; i++)
                if (strcasecmp(s->v[i].name, name) == 0)
                        return &s->v[i];
        return NULL;
}

/* Room for one more of this name. `where` is taken. */
static int add(struct secret_store *s, const char *name, size_t len, char *where, struct given **ret, struct err *e)
{
        struct given *v = reallocarray(s->v, s->n + 1, sizeof(*v));
        struct given g = {.name = str_ndup(name, len), .where = where};
        if (v)
                s->v = v;
        if (!v || !g.name || !where) {
                free(g.name);
                free(where);
                return err_nomem(e);
        }
        s->v[s->n++] = g;
        *ret = &s->v[s->n - 1];
        if (!secret_name_is_valid(g.name))
                return err_set(e, ERR_USAGE,
                               "%s: the name of a secret: expected letters, digits and '_', not beginning with a "
                               "digit or GITHUB_, at most %u",
                               where, SECRETS_MAX_NAME);
        if (find(s, g.name) != *ret)
                return err_set(e, ERR_USAGE, "%s: this secret was given before", where);
        return s->n > SECRETS_MAX_COUNT ? err_set(e, ERR_USAGE, "more than %u secrets", SECRETS_MAX_COUNT) : 0;
}

/* ---- --secret ---- */

static int keep(struct given *g, const void *value, size_t len, struct err *e)
{
        void *room = NULL;
        int r = secret_alloc(len + 1, &room, e);
        if (r < 0)
                return r;
        memcpy(room, value, len);
        g->value = room;
        g->len = len;
        return 0;
}

#define READ_ROOM (SECRETS_MAX_VALUE + 2) /* a byte that is too much, and a newline */

static int read_all(int fd, char *room, size_t *ret_len, const char *where, struct err *e)
{
        *ret_len = 0;
        while (*ret_len < READ_ROOM) {
                ssize_t n = read(fd, room + *ret_len, READ_ROOM - *ret_len);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return err_errno(e, ERR_USAGE, errno, "%s: read its value", where);
                if (n == 0)
                        break;
                *ret_len += (size_t)n;
        }
        return 0;
}

/* One newline at the end is that of `echo`. */
static int read_value(int fd, struct given *g, struct err *e)
{
        void *room = NULL;
        size_t len = 0;
        int r = secret_alloc(READ_ROOM, &room, e);
        if (r == 0)
                r = read_all(fd, room, &len, g->where, e);
        if (r == 0 && len && ((char *)room)[len - 1] == '\n')
                len--;
        if (r == 0 && len > SECRETS_MAX_VALUE)
                r = err_set(e, ERR_USAGE, "%s: its value has more than %zu bytes", g->where, SECRETS_MAX_VALUE);
        if (r == 0 && memchr(room, 0, len))
                r = err_set(e, ERR_USAGE, "%s: its value holds a NUL byte: expected text", g->where);
        if (r == 0)
                r = keep(g, room, len, e);
        secret_free(room, READ_ROOM);
        return r;
}

/* "NAME" or "NAME@N". What looks like a value is not repeated in the message. */
static int add_named(struct secret_store *s, const char *text, bool *stdin_is_taken, struct err *e)
{
        size_t len = strcspn(text, "=@");
        uint64_t fd = STDIN_FILENO;
        struct given *g;
        if (text[len] == '=')
                return err_set(e, ERR_USAGE,
                               "--secret: a value never comes from the command line, which others can read: give the "
                               "name alone, and the value on standard input");
        if (text[len] == '@' && num_u64(text + len + 1, 0, 1023, "--secret NAME@DESCRIPTOR", &fd, e) < 0)
                return -1;
        int r = add(s, text, len, str_printf("--secret %.*s", (int)MIN(len, (size_t)SECRETS_MAX_NAME), text), &g, e);
        if (r < 0)
                return r;
        if (fd == STDIN_FILENO && *stdin_is_taken)
                return err_set(e, ERR_USAGE, "%s: standard input has one value: name a descriptor, NAME@3", g->where);
        if (fd == STDIN_FILENO && isatty(STDIN_FILENO))
                return err_set(e, ERR_USAGE, "%s: its value comes from standard input, which is a terminal", g->where);
        *stdin_is_taken |= fd == STDIN_FILENO;
        return read_value((int)fd, g, e);
}

/* ---- --secrets ---- */

/* Only its owner could read it until now. */
static int open_private(const char *path, int *ret, struct err *e)
{
        struct stat st;
        AUTO(auto_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0 || fstat(fd, &st) < 0)
                return err_errno(e, ERR_USAGE, errno, "%s", path);
        if (!S_ISREG(st.st_mode))
                return err_set(e, ERR_USAGE, "%s: expected a file", path);
        if (st.st_uid != geteuid() || (st.st_mode & 077))
                return err_set(e, ERR_USAGE,
                               "%s: a file of secrets must be yours and readable by nobody else: chmod 600", path);
        *ret = TAKE_FD(fd);
        return 0;
}

static int take_pair(struct secret_store *s, const char *path, const struct filecmd_pair *p, struct err *e)
{
        struct given *g;
        int r = add(s, p->name, strlen(p->name), str_printf("%s: %s", path, p->name), &g, e);
        return r < 0 ? r : keep(g, p->value, p->len, e);
}

/* The parser's copies are zeroed before they are freed. */
static void wipe_pairs(struct filecmd_pairs *p)
{
        for (size_t i = 0; i < p->n; i++)
                secret_wipe(p->v[i].value, p->v[i].len);
        filecmd_pairs_done(p);
}

static int add_file(struct secret_store *s, const char *path, struct err *e)
{
        AUTO(auto_close) int fd = -1;
        AUTO(buf_wipe) struct buf text = BUF_INIT;
        struct filecmd_pairs pairs = {0};
        int r = open_private(path, &fd, e);
        if (r == 0)
                r = fd_read_all(fd, SECRETS_MAX_FILE, path, &text, e);
        if (r == 0 && filecmd_parse(FILECMD_ENV, text.data, text.len, &pairs, e) < 0)
                r = err_set(e, ERR_USAGE, "%s: expected lines NAME=VALUE, or NAME<<END and lines up to END", path);
        for (size_t i = 0; r == 0 && i < pairs.n; i++)
                r = take_pair(s, path, &pairs.v[i], e);
        wipe_pairs(&pairs);
        return r;
}

/* ---- the store ---- */

int secret_store_new(const struct secret_options *o, struct secret_store **ret, struct err *e)
{
        AUTO(secret_store_freep) struct secret_store *s = calloc(1, sizeof(*s));
        const struct rlimit none = {0, 0};
        bool stdin_is_taken = false;
        int r = s ? 0 : err_nomem(e);
        for (size_t i = 0; r == 0 && i < o->n_named; i++)
                r = add_named(s, o->named[i], &stdin_is_taken, e);
        if (r == 0 && o->file)
                r = add_file(s, o->file, e);
        if (r == 0 && s->n && setrlimit(RLIMIT_CORE, &none) < 0)
                r = err_errno(e, ERR_RESOURCES, errno, "set the core dump limit to 0");
        if (r == 0)
                *ret = TAKE_PTR(s);
        return r;
}

static int fill(const struct secret_store *s, struct job_order *o, struct err *e)
{
        AUTO(auto_free) char *name = NULL;
        size_t size = 0, used = 0;
        int r = 0;
        for (size_t i = 0; i < o->order.n; i++)
                size += credentials_size(CREDENTIALS_LOCAL, 0) + strlen(o->order.secrets[i].name) +
                        find(s, o->order.secrets[i].name)->len;
        if (size > SECRETS_MAX_CREDENTIALS)
                return err_set(e, ERR_USAGE, "the secrets of a job are larger than %zu KiB", SECRETS_MAX_TOTAL >> 10);
        r = secret_area_new("credentials", size, &o->credentials, e);
        for (size_t i = 0; r == 0 && i < o->order.n; i++) {
                const struct given *g = find(s, o->order.secrets[i].name);
                free(name);
                name = str_printf(CREDENTIALS_LOCAL "%s", g->name);
                r = name ? credentials_add(o->credentials.data, size, &used, name, g->value, g->len, e) : err_nomem(e);
        }
        return r;
}

int secret_store_order(const struct secret_store *s, const struct strv *names, bool all, struct job_order *ret,
                       struct err *e)
{
        struct order *o = &ret->order;
        o->vault.address = "";
        o->secrets = calloc(s->n + 1, sizeof(*o->secrets));
        if (!o->secrets)
                return err_nomem(e);
        for (size_t i = 0; i < s->n; i++)
                if (is_wanted(names, all, s->v[i].name))
                        o->secrets[o->n++] = (struct order_secret){
                                .name = s->v[i].name, .provider = "local", .reference = "", .where = s->v[i].where};
        return o->n ? fill(s, ret, e) : 0;
}

void job_order_done(struct job_order *o)
{
        free(o->order.secrets);
        free(o->order.vault.networks);
        secret_area_done(&o->credentials);
        *o = (struct job_order)JOB_ORDER_INIT;
}
