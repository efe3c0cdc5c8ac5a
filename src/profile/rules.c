#include "profile/rules.h"

#include <string.h>

#include "base/num.h"
#include "base/str.h"
#include "profile/profile.h"
#include "profile/read.h"

/* What a run that holds a secret may reach has to be named beforehand. */
static int check_audit(struct reader *r, const struct profile *p)
{
        if (p->egress.reach.value != PROFILE_AUDIT || p->secrets.n == 0)
                return 0;
        return profile_complain(
                r, DIAG_ERROR, p->egress.reach.pos, (unsigned)strlen("audit"),
                "list what the run needs with the profile 'brokered', or run without secrets to find it out",
                "a run with secrets cannot have the egress profile 'audit', which lets them go anywhere");
}

static int check_egress(struct reader *r, const struct profile *p)
{
        const struct profile_egress *x = &p->egress;
        const struct profile_str *v = x->allow.v;

        if (diag_errors(r->problems) > 0)
                return 0;
        if (x->reach.value == PROFILE_SEALED && x->allow.n > 0)
                return profile_complain(r, DIAG_WARNING, v[0].pos, (unsigned)strlen(v[0].text),
                                        "write 'profile: brokered' for what is listed to be reached",
                                        "the list has no effect: the egress profile is 'sealed'");
        if (x->reach.value == PROFILE_BROKERED && x->allow.n == 0)
                return profile_complain(r, DIAG_WARNING, x->reach.pos, (unsigned)strlen("brokered"), NULL,
                                        "nothing can be reached: `allow` lists nothing");
        return 0;
}

static int check_vault(struct reader *r, const struct profile *p)
{
        const struct profile_vault *v = &p->vault;
        bool token = v->auth.value == PROFILE_AUTH_TOKEN;

        if (v->pos.line && !token && !v->role.pos.line)
                return profile_complain(r, DIAG_ERROR, v->auth.pos.line ? v->auth.pos : v->pos, 1, NULL,
                                        "vault: the key 'role' is missing, which jwt and approle need");
        if (token && v->role.text)
                return profile_complain(r, DIAG_WARNING, v->role.pos, (unsigned)strlen(v->role.text), NULL,
                                        "vault: the role has no effect: a token has its own");
        if (!v->pos.line && p->secrets.n > 0)
                return profile_complain(r, DIAG_WARNING, p->secrets.pos, 1, NULL,
                                        "there is no `vault` that these secrets could come from");
        return 0;
}

/* Names of secrets are those of variables, which workflows read without regard to case. */
static int check_name(struct reader *r, const struct profile_secret *v, size_t i)
{
        const struct profile_str *name = &v[i].name;

        for (size_t k = 0; k < i; k++)
                if (str_ieq(v[k].name.text, name->text))
                        return profile_complain(r, DIAG_ERROR, name->pos, (unsigned)strlen(name->text),
                                                "names that differ only in case are one name",
                                                "the secret '%s' is already defined at line %u, column %u", name->text,
                                                v[k].name.pos.line, v[k].name.pos.column);
        return 0;
}

static int check_version(struct reader *r, const struct profile_secret *s)
{
        if (!s->version.value || s->rotation.value != PROFILE_ROTATION_AUTOMATIC)
                return 0;
        return profile_complain(r, DIAG_ERROR, s->version.pos, 1, "leave one of them out",
                                "%s: one version cannot be rotated automatically", s->name.text);
}

int rules_check(struct reader *r, struct profile *p)
{
        const struct profile_secret *v = p->secrets.v;
        int k = check_audit(r, p);

        if (k == 0)
                k = check_egress(r, p);
        if (k == 0)
                k = check_vault(r, p);
        for (size_t i = 0; k == 0 && i < p->secrets.n; i++) {
                k = check_name(r, v, i);
                if (k == 0)
                        k = check_version(r, &v[i]);
        }
        return k;
}
