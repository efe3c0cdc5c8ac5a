/* A file: YAML, then its keys by the table, then the rules between them; once for the profile, and once for each of its
 * environments over a copy of it. */
#include "profile/profile.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "codec/arena.h"
#include "codec/diag.h"
#include "profile/patterns.h"
#include "profile/read.h"
#include "profile/rules.h"

/* Of what the readers make; the largest list, in each of the most environments through an alias, takes a third. */
#define MAX_MEMORY ((size_t)32 << 20)

struct holder {
        struct profile profile; /* first: profile_free() casts back */
        struct yaml_doc *doc;
        struct arena *arena;
};

struct profile *profile_free(struct profile *p)
{
        struct holder *h = (struct holder *)(void *)p;

        if (!h)
                return NULL;
        yaml_doc_free(h->doc);
        arena_free(h->arena);
        free(h);
        return NULL;
}

/* A file that is no YAML has one problem. */
static int read_yaml(struct holder *h, const void *data, size_t len, struct diag_list *problems, struct err *e)
{
        struct yaml_fault fault;
        struct err local = ERR_INIT;

        if (yaml_parse(data, len, PROFILE_MAX_SIZE, "PROFILE_MAX_SIZE", &h->doc, &fault, &local) == 0)
                return 0;
        if (local.code != ERR_USAGE) {
                if (e)
                        *e = local;
                return -1;
        }
        int r = diag_add(problems, DIAG_ERROR, fault.pos.line, fault.pos.column, 1, NULL, e, "%s", fault.message);
        return r < 0 ? r : PROFILE_E_INVALID;
}

/* Over a copy: lists that are not given stay those of the profile, which nobody changes. */
static int read_environment(struct reader *r, const struct profile *base, const struct profile_environment *x,
                            struct profile *ret)
{
        *ret = *base;
        ret->environment = x->name.text;
        int k = profile_read(r, x->node, &field_environment, ret);
        return k < 0 ? k : rules_check(r, ret);
}

static int unknown_environment(const struct profile *p, const char *name, struct err *e)
{
        const char *known[PROFILE_MAX_ENVIRONMENTS] = {NULL};
        const struct profile_environment *v = p->environments.v;
        struct buf list = BUF_INIT_MAX(600);

        for (size_t i = 0; i < p->environments.n; i++) {
                known[i] = v[i].name.text;
                buf_printf(&list, NULL, "%s%s", i ? ", " : "", known[i]); /* past the limit the list is cut */
        }
        const char *near = str_nearest(name, known, p->environments.n), *all = buf_cstr(&list);
        int r = near ? err_set(e, ERR_USAGE, "there is no environment '%s'; did you mean '%s'?", name, near)
                     : err_set(e, ERR_USAGE, "there is no environment '%s'; %s%s", name,
                               p->environments.n ? "the environments are: " : "none is defined", all ? all : "");
        buf_done(&list);
        return r;
}

/* Every environment is checked, whichever is asked for. */
static int read_all(struct reader *r, const struct yaml_node *root, const char *environment, struct profile *ret)
{
        struct profile base = {.pos = root->pos}, merged;
        bool found = false;
        int k = profile_read(r, root, &field_root, &base);

        if (k == 0)
                k = rules_check(r, &base);
        *ret = base;
        const struct profile_environment *v = base.environments.v;
        for (size_t i = 0; k == 0 && i < base.environments.n; i++) {
                k = read_environment(r, &base, &v[i], &merged);
                if (k == 0 && str_eq(v[i].name.text, environment)) {
                        found = true;
                        *ret = merged;
                }
        }
        if (k < 0 || diag_errors(r->problems) > 0)
                return k < 0 ? k : PROFILE_E_INVALID;
        return environment && !found ? unknown_environment(&base, environment, r->e) : 0;
}

static int read_root(struct reader *r, const struct yaml_node *root, const char *environment, struct profile *ret)
{
        if (root->kind == YAML_KIND_MAP)
                return read_all(r, root, environment, ret);
        int k = profile_complain(r, DIAG_ERROR, root->pos, 1, "devdep-cli init writes one to begin with",
                                 "expected a mapping with the keys 'entity' and 'domain'");
        return k < 0 ? k : PROFILE_E_INVALID;
}

static int parse(struct holder *h, const void *data, size_t len, const char *environment, struct diag_list *problems,
                 struct err *e)
{
        AUTO(patterns_freep) struct patterns *patterns = NULL;
        struct reader r = {.problems = problems, .e = e};
        int k = read_yaml(h, data, len, problems, e);

        if (k == 0)
                k = arena_new(MAX_MEMORY, &h->arena, e);
        if (k == 0)
                k = patterns_new(&patterns, e);
        if (k)
                return k;
        r.arena = h->arena;
        r.patterns = patterns;
        k = read_root(&r, yaml_root(h->doc), environment, &h->profile);
        diag_sort(problems);
        return k;
}

int profile_parse(const void *data, size_t len, const char *environment, struct diag_list *problems,
                  struct profile **ret, struct err *e)
{
        struct holder *h = calloc(1, sizeof(*h));

        if (!h)
                return err_nomem(e);
        int r = parse(h, data, len, environment, problems, e);
        if (r)
                profile_free(&h->profile);
        else
                *ret = &h->profile;
        return r;
}

bool profile_is_one(const void *data, size_t len)
{
        AUTO(yaml_doc_freep) struct yaml_doc *doc = NULL;

        if (yaml_parse(data, len, PROFILE_MAX_SIZE, "PROFILE_MAX_SIZE", &doc, NULL, NULL) < 0)
                return false;
        const struct yaml_node *root = yaml_root(doc);
        return (yaml_get(root, "entity") || yaml_get(root, "domain")) && !yaml_get(root, "on") &&
               !yaml_get(root, "jobs");
}
