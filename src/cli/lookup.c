#include "cli/lookup.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "cli/profile_file.h"
#include "cli/secrets.h"
#include "cli/vault.h"
#include "codec/diag.h"
#include "secrets/check.h"
#include "secrets/order.h"
#include "secrets/start.h"
#include "vm/slot.h"

struct lookup {
        const struct profile_file *file;
        const struct vault_account *account;
        const char *top;
        struct diag_list *problems;
};

static const struct profile_secret *find(const struct profile *p, const char *name)
{
        const struct profile_secret *v = p->secrets.v;

        for (size_t i = 0; i < p->secrets.n; i++)
                if (str_eq(v[i].name.text, name))
                        return &v[i];
        return NULL;
}

/* The same secret may be one of several environments. */
static bool is_told(const struct diag_list *l, struct yaml_pos at, const char *message)
{
        for (size_t i = 0; i < diag_count(l); i++) {
                const struct diag *d = diag_at(l, i);
                if (d->line == at.line && d->column == at.column && str_eq(d->message, message))
                        return true;
        }
        return false;
}

/* The message begins with the place, which a problem has anyway. */
static int on_missing(const char *name, const char *message, void *user, struct err *e)
{
        const struct lookup *l = user;
        const struct profile_secret *s = find(l->file->profile, name);

        if (!s)
                return err_set(e, ERR_PROTOCOL, "devdep-secrets misses a secret that it was not asked for");
        AUTO(auto_free) char *place = str_printf("%s:%u:%u: ", l->file->path, s->ref.pos.line, s->ref.pos.column);
        if (!place)
                return err_nomem(e);
        if (str_starts(message, place))
                message += strlen(place);
        if (is_told(l->problems, s->ref.pos, message))
                return 0;
        return diag_add(l->problems, DIAG_ERROR, s->ref.pos.line, s->ref.pos.column, (unsigned)strlen(s->ref.text),
                        NULL, e, "%s", message);
}

static int ask(struct lookup *l, const struct job_order *o, struct err *e)
{
        struct secrets_process p = SECRETS_PROCESS_INIT;
        struct secrets_start s = SECRETS_START_INIT;

        s.order = &o->order;
        s.credentials_fd = o->credentials.fd;
        s.uid = s.gid = geteuid() == 0 ? SLOT_UID_BASE : (uid_t)-1;
        s.check = true;
        int r = secrets_start(&s, &p, e);
        if (r < 0)
                return r;
        r = secrets_check(p.socket_fd, on_missing, l, e);
        secrets_process_close(&p);
        while (waitpid(p.pid, NULL, 0) < 0 && errno == EINTR)
                ;
        return r;
}

/* The server can be asked for none of them: told of the first. */
static int refuse_first(struct lookup *l, struct err *e)
{
        const struct profile_secret *first = l->file->profile->secrets.v;
        struct err why = *e;

        return on_missing(first->name.text, why.msg, l, e);
}

static int warn_nobody_asked(struct lookup *l, struct err *e)
{
        static const char message[] = "nobody was asked whether the secrets are there: this host signs in to no Vault";
        const struct profile_secret *first = l->file->profile->secrets.v;

        if (!l->file->profile->secrets.n || is_told(l->problems, first->name.pos, message))
                return 0;
        return diag_add(l->problems, DIAG_WARNING, first->name.pos.line, first->name.pos.column,
                        (unsigned)strlen(first->name.text),
                        "STATE/" VAULT_ACCOUNT_FILE " or --vault FILE says how; --offline asks nobody", e, "%s",
                        message);
}

static int look_up(struct lookup *l, struct err *e)
{
        static const struct secret_options nothing;
        static const struct strv no_names = STRV_INIT;
        AUTO(secret_store_freep) struct secret_store *store = NULL;
        AUTO(job_order_done) struct job_order order = JOB_ORDER_INIT;

        if (!l->account)
                return warn_nobody_asked(l, e);
        int r = secret_store_new(&nothing, &store, e);
        if (r == 0)
                r = secret_store_profile(store, l->file, l->account, l->top, e);
        if (r < 0)
                return r;
        r = secret_store_order(store, &no_names, true, &order, e);
        if (r < 0 && e->code == ERR_VAULT_MISMATCH)
                return refuse_first(l, e);
        return r == 0 && order.order.n ? ask(l, &order, e) : r;
}

/* One environment, merged over the profile; it has no errors, they were all looked at. */
static int look_up_environment(struct lookup *l, const char *name, struct err *e)
{
        AUTO(diag_freep) struct diag_list *unused = NULL;
        struct profile_file merged = *l->file;
        struct lookup inner = *l;
        int r = diag_new(l->file->path, &unused, e);

        if (r == 0)
                r = profile_parse(merged.text, merged.len, name, unused, &merged.profile, e);
        if (r != 0)
                return r < 0 ? r : 0;
        inner.file = &merged;
        r = look_up(&inner, e);
        profile_free(merged.profile);
        return r;
}

int lookup_secrets(struct profile_file *f, const struct vault_account *account, const char *top,
                   struct diag_list *problems, struct err *e)
{
        struct lookup l = {.file = f, .account = account, .top = top, .problems = problems};
        const struct profile_environment *v = f->profile->environments.v;
        int r = look_up(&l, e);

        for (size_t i = 0; r == 0 && i < f->profile->environments.n; i++)
                r = look_up_environment(&l, v[i].name.text, e);
        return r;
}
