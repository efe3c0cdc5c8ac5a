/* Which secrets a job names: what it does not name, it does not get. */
#include <jansson.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "codec/json.h"
#include "workflow/plan_priv.h"

#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"

struct named {
        struct strv *names;
        bool all;
};

/* GitHub's names know no case. */
static int add(struct named *s, const char *name, size_t len, struct err *e)
{
        for (size_t i = 0; i < s->names->n; i++)
                if (strlen(s->names->v[i]) == len && strncasecmp(s->names->v[i], name, len) == 0)
                        return 0;
        return len ? strv_addf(s->names, e, "%.*s", (int)len, name) : 0;
}

static int on_note(void *user, const struct expr_note *note, struct err *e)
{
        struct named *s = user;
        if (!note->n || strcasecmp(note->path[0], "secrets") != 0)
                return 0;
        if (note->n > 1 && strcmp(note->path[1], "*") != 0)
                return add(s, note->path[1], strlen(note->path[1]), e);
        s->all = true;
        return 0;
}

static int find_paths(struct named *s, const char *text, struct err *e)
{
        int r = 0;
        while (r == 0 && (text = strstr(text, PLAN_SECRETS_FOLDER))) {
                text += strlen(PLAN_SECRETS_FOLDER);
                r = add(s, text, strspn(text, NAME_CHARACTERS), e);
        }
        return r;
}

static int visit(struct named *s, const char *key, json_t *v, struct err *e)
{
        const char *text = json_string_value(v), *member;
        json_t *item;
        size_t i;
        int r = 0;
        if (text) {
                r = expr_template_notes(text, strlen(text), strcmp(key, "if") == 0, on_note, s, e);
                return r < 0 ? r : find_paths(s, text, e);
        }
        json_object_foreach(v, member, item)
        {
                r = r < 0 ? r : visit(s, member, item, e);
        }
        json_array_foreach(v, i, item)
        {
                r = r < 0 ? r : visit(s, key, item, e);
        }
        return r;
}

int plan_job_secrets(const struct plan *p, const struct plan_job *j, struct strv *ret, bool *ret_all, struct err *e)
{
        struct named s = {.names = ret};
        json_t *texts = NULL;
        int r = plan_job_texts(p, j, &texts, e);
        if (r == 0)
                r = visit(&s, "", texts, e);
        json_decref(texts);
        *ret_all = s.all;
        return r;
}

static bool lets_through(const struct strv *names, bool all, const char *name)
{
        return all || str_iin(name, (const char *const *)names->v, names->n);
}

int plan_call_secrets(const struct plan_job *caller, const struct strv *names, bool all, struct strv *ret,
                      bool *ret_all, struct err *e)
{
        const struct wf_job *j = caller->job;
        struct named s = {.names = ret, .all = all && j->secrets_inherit};
        int r = 0;
        for (size_t i = 0; r == 0 && j->secrets_inherit && i < names->n; i++)
                r = add(&s, names->v[i], strlen(names->v[i]), e);
        for (size_t i = 0; r == 0 && i < j->secrets.n; i++) {
                const struct wf_pair *p = &j->secrets.v[i];
                if (lets_through(names, all, p->name.text))
                        r = expr_template_notes(p->value.text, strlen(p->value.text), false, on_note, &s, e);
        }
        *ret_all = s.all;
        return r;
}

int plan_call_passes(const struct plan *p, const struct plan_job *caller, const struct strv *names, bool all,
                     struct value *contexts, struct json_t **ret, struct err *e)
{
        static const char *const own[] = {"needs", "strategy", "matrix", "inputs"};
        const struct wf_job *j = caller->job;
        AUTO(json_decrefp) json_t *passes = json_array(), *members = json_object();
        *ret = NULL;
        if (j->secrets_inherit)
                return 0;
        for (size_t i = 0; i < j->secrets.n; i++) {
                const struct wf_pair *s = &j->secrets.v[i];
                if (lets_through(names, all, s->name.text) &&
                    json_array_append_new(passes, json_pack("{s:s,s:s,s:i,s:i}", "name", s->name.text, "value",
                                                            s->value.text, "line", (int)s->value.pos.line, "column",
                                                            (int)s->value.pos.column)) < 0)
                        return err_nomem(e);
        }
        for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
                const struct value *v = value_get(contexts, own[i]);
                json_t *json = NULL;
                if (v && (value_to_json(v, &json, e) < 0 || json_object_set_new(members, own[i], json) < 0))
                        return err_nomem(e);
        }
        *ret = json_pack("{s:s,s:O,s:O}", "file", p->workflow->file, "contexts", members, "pass", passes);
        return *ret ? 0 : err_nomem(e);
}
