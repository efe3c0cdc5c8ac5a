#include "cli/secrets.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/num.h"
#include "cli/private_file.h"
#include "cli/profile_file.h"
#include "cli/repofile.h"
#include "cli/vault.h"
#include "secrets/credentials.h"
#include "secrets/limits.h"
#include "secrets/ref.h"
#include "workflow/library.h"

/* One that the person gave. */
struct given {
        char *name, *where;
        char *value; /* locked memory, one byte more than len */
        size_t len;
};

struct secret_store {
        struct given *v;
        size_t n;
        const struct profile_file *profile; /* or NULL: no further secrets */
        const struct vault_account *account;
        char *ca;     /* the certificates of the profile's vault, PEM; "" for none */
        char **where; /* the place of each of the profile's secrets */
        size_t n_where;
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
        for (size_t i = 0; i < s->n_where; i++)
                free(s->where[i]);
        free(s->where);
        free(s->ca);
        free(s);
        return NULL;
}

static bool is_wanted(const struct strv *names, bool all, const char *name)
{
        return all || str_iin(name, (const char *const *)names->v, names->n);
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
        if (!len)
                log_warning("%s: its value is empty", g->where);
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
                return err_set(e, ERR_USAGE,
                               "%s: its value comes from standard input, which is a terminal: pipe it in, or name a "
                               "descriptor, NAME@3 3<FILE",
                               g->where);
        *stdin_is_taken |= fd == STDIN_FILENO;
        return read_value((int)fd, g, e);
}

/* ---- --secrets ---- */

static int take_pair(struct secret_store *s, const char *path, const struct filecmd_pair *p, struct err *e)
{
        struct given *g;
        int r = add(s, p->name, strlen(p->name), str_printf("%s: %s", path, p->name), &g, e);
        return r < 0 ? r : keep(g, p->value, p->len, e);
}

static int add_file(struct secret_store *s, const char *path, struct err *e)
{
        AUTO(private_pairs_done) struct filecmd_pairs pairs = {0};
        int r = private_file_read(path, SECRETS_MAX_FILE, &pairs, e);
        for (size_t i = 0; r == 0 && i < pairs.n; i++)
                r = take_pair(s, path, &pairs.v[i], e);
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

/* ---- the profile's ---- */

static int read_ca(struct secret_store *s, const char *top, struct err *e)
{
        const struct profile_str *ca = &s->profile->profile->vault.ca;
        AUTO(auto_free) char *found = NULL;
        AUTO(buf_done) struct buf text = BUF_INIT;
        int r = ca->text && !top ? repofile_top(s->profile->path, &found, e) : 0;
        if (r == 0 && ca->text)
                r = repofile_read(top ? top : found, ca->text, &text, e);
        if (r == LIBRARY_E_MISSING)
                r = err_set(e, ERR_USAGE, "there is no file '%s' in the repository", ca->text);
        if (r == 0 && text.len > SECRETS_MAX_CA)
                r = err_set(e, ERR_USAGE, "more than %zu KiB of certificates", SECRETS_MAX_CA >> 10);
        if (r == 0 && text.len && memchr(text.data, 0, text.len))
                r = err_set(e, ERR_USAGE, "'%s' holds a NUL byte: expected certificates as PEM", ca->text);
        if (r < 0)
                return profile_file_blame(s->profile, &ca->pos, "ca", r, e);
        s->ca = text.len ? buf_take_str(&text) : str_dup("");
        return s->ca ? 0 : err_nomem(e);
}

int secret_store_profile(struct secret_store *s, const struct profile_file *f, const struct vault_account *account,
                         const char *top, struct err *e)
{
        const struct rlimit none = {0, 0};
        if (!f->profile || !f->profile->secrets.n)
                return 0;
        const struct profile_secret *v = f->profile->secrets.v;
        s->profile = f;
        s->account = account;
        s->where = calloc(f->profile->secrets.n, sizeof(*s->where));
        if (!s->where)
                return err_nomem(e);
        for (; s->n_where < f->profile->secrets.n; s->n_where++) {
                const struct yaml_pos *at = &v[s->n_where].ref.pos;
                s->where[s->n_where] = str_printf("%s:%u:%u", f->path, at->line, at->column);
                if (!s->where[s->n_where])
                        return err_nomem(e);
        }
        if (account && setrlimit(RLIMIT_CORE, &none) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "set the core dump limit to 0");
        return read_ca(s, top, e);
}

int secret_store_refuse(const struct secret_store *s, const char *why, struct err *e)
{
        const struct profile_secret *v = s->n_where ? s->profile->profile->secrets.v : NULL;

        if (s->n)
                return err_set(e, ERR_USAGE, "%s: %s", s->v[0].where, why);
        return v ? err_set(e, ERR_USAGE, "%s: secret %s: %s", s->where[0], v[0].name.text, why) : 0;
}

/* Those of the profile that the command line does not give. */
static int order_profile(const struct secret_store *s, const struct strv *names, bool all, struct order *o,
                         struct err *e)
{
        const struct profile_secret *v = s->profile->profile->secrets.v;
        int r = 0;
        for (size_t i = 0; r == 0 && i < s->n_where; i++) {
                if (!is_wanted(names, all, v[i].name.text) || find(s, v[i].name.text))
                        continue;
                if (!*o->vault.address)
                        r = vault_server(s->account, s->profile, s->ca, &o->vault, e);
                if (r < 0)
                        return err_wrap(e, r, "%s: secret %s", s->where[i], v[i].name.text);
                o->secrets[o->n++] = (struct order_secret){.name = v[i].name.text,
                                                           .provider = "vault",
                                                           .reference = v[i].ref.text,
                                                           .version = (uint32_t)v[i].version.value,
                                                           .where = s->where[i],
                                                           .rotate = v[i].rotation.value == PROFILE_ROTATION_AUTOMATIC};
        }
        return r;
}

/* ---- the order ---- */

/* `n` of them are local; what opens Vault follows. */
static int fill(const struct secret_store *s, size_t n, struct job_order *o, struct err *e)
{
        AUTO(auto_free) char *name = NULL;
        bool vault = n < o->order.n;
        size_t size = vault ? vault_account_size(s->account) : 0, used = 0;
        int r = 0;
        for (size_t i = 0; i < n; i++)
                size += credentials_size(CREDENTIALS_LOCAL, 0) + strlen(o->order.secrets[i].name) +
                        find(s, o->order.secrets[i].name)->len;
        if (size > SECRETS_MAX_CREDENTIALS)
                return err_set(e, ERR_USAGE, "the secrets of a job are larger than %zu KiB", SECRETS_MAX_TOTAL >> 10);
        /* An area of none ends at once. */
        r = secret_area_new("credentials", MAX(size, sizeof(uint32_t)), &o->credentials, e);
        for (size_t i = 0; r == 0 && i < n; i++) {
                const struct given *g = find(s, o->order.secrets[i].name);
                free(name);
                name = str_printf(CREDENTIALS_LOCAL "%s", g->name);
                r = name ? credentials_add(o->credentials.data, size, &used, name, g->value, g->len, e) : err_nomem(e);
        }
        if (r == 0 && vault)
                r = vault_account_add(s->account, o->credentials.data, size, &used, e);
        return r;
}

int secret_store_order(const struct secret_store *s, const struct strv *names, bool all, struct job_order *ret,
                       struct err *e)
{
        struct order *o = &ret->order;
        o->vault.address = "";
        o->secrets = calloc(s->n + s->n_where + 1, sizeof(*o->secrets));
        if (!o->secrets)
                return err_nomem(e);
        for (size_t i = 0; i < s->n; i++)
                if (is_wanted(names, all, s->v[i].name))
                        o->secrets[o->n++] = (struct order_secret){
                                .name = s->v[i].name, .provider = "local", .reference = "", .where = s->v[i].where};
        size_t n = o->n;
        int r = s->profile ? order_profile(s, names, all, o, e) : 0;
        if (r == 0 && o->n > SECRETS_MAX_COUNT)
                r = err_set(e, ERR_USAGE, "more than %u secrets", SECRETS_MAX_COUNT);
        return r == 0 && o->n ? fill(s, n, ret, e) : r;
}

void job_order_done(struct job_order *o)
{
        free(o->order.secrets);
        free(o->order.vault.networks);
        secret_area_done(&o->credentials);
        *o = (struct job_order)JOB_ORDER_INIT;
}
