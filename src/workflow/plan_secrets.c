/* Which secrets a job names: what it does not name, it does not get. */
#include <jansson.h>
#include <string.h>
#include <strings.h>

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
