/* A workflow file: YAML, then GitHub's schema, then our reading of it. What the reading of an action file shares
 * (action.c) stands here, too. */
#include "workflow/workflow.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "workflow/expr.h"
#include "workflow/number.h"
#include "workflow/schema.h"
#include "workflow/workflow_priv.h"

#define MAX_MEMORY ((size_t)64 << 20) /* of what the readers make */

struct holder {
        struct workflow workflow; /* first: workflow_free() casts back */
        struct document document;
};

const struct yaml_node *workflow_root(const struct workflow *w)
{
        return yaml_root(((const struct holder *)(const void *)w)->document.doc);
}

struct workflow *workflow_free(struct workflow *w)
{
        struct holder *h = (struct holder *)(void *)w;
        if (!h)
                return NULL;
        document_done(&h->document);
        free(h);
        return NULL;
}

int complain(struct reader *r, struct yaml_pos pos, size_t width, const char *hint, const char *fmt, ...)
{
        char message[600];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(message, sizeof(message), fmt, ap);
        va_end(ap);
        return diag_add(r->problems, DIAG_ERROR, pos.line, pos.column, (unsigned)width, hint, r->e, "%s", message);
}

int read_text(struct reader *r, const struct yaml_node *n, struct wf_str *ret)
{
        char number[NUMBER_TEXT_SIZE];
        *ret = (struct wf_str){.text = NULL};
        if (!n || n->kind == YAML_KIND_SEQ || n->kind == YAML_KIND_MAP)
                return 0;
        ret->pos = n->pos;
        switch (n->kind) {
        case YAML_KIND_NULL:
                ret->text = "";
                return 0;
        case YAML_KIND_BOOL:
                ret->text = n->boolean ? "true" : "false";
                return 0;
        case YAML_KIND_NUMBER:
                number_to_text(n->number, number);
                ret->text = arena_str(r->arena, number, strlen(number), r->e);
                return ret->text ? 0 : -1;
        default:
                ret->text = n->text;
                return 0;
        }
}

int read_str(struct reader *r, const struct yaml_node *n, struct wf_str *ret)
{
        *ret = (struct wf_str){.text = NULL};
        return n && n->kind != YAML_KIND_NULL ? read_text(r, n, ret) : 0;
}

int read_member(struct reader *r, const struct yaml_node *map, const char *key, struct wf_str *ret)
{
        return read_str(r, yaml_get(map, key), ret);
}

int read_strs(struct reader *r, const struct yaml_node *n, struct wf_strs *ret)
{
        *ret = (struct wf_strs){.n = 0};
        if (!n || n->kind == YAML_KIND_MAP || n->kind == YAML_KIND_NULL)
                return 0;
        bool list = n->kind == YAML_KIND_SEQ;
        ret->v = arena_array(r->arena, list ? n->n : 1, sizeof(*ret->v), r->e);
        if (!ret->v)
                return -1;
        for (size_t i = 0; i < (list ? n->n : 1); i++) {
                int k = read_text(r, list ? n->items[i] : n, &ret->v[ret->n]);
                if (k < 0)
                        return k;
                ret->n += ret->v[ret->n].text != NULL;
        }
        return 0;
}

int read_pairs(struct reader *r, const struct yaml_node *n, struct wf_pairs *ret)
{
        *ret = (struct wf_pairs){.n = 0};
        if (!n || n->kind == YAML_KIND_NULL)
                return 0;
        if (n->kind != YAML_KIND_MAP)
                return read_str(r, n, &ret->expression);
        ret->v = arena_array(r->arena, n->n, sizeof(*ret->v), r->e);
        if (!ret->v)
                return -1;
        for (size_t i = 0; i < n->n; i++) {
                struct wf_pair *p = &ret->v[ret->n];
                int k = read_text(r, n->keys[i], &p->name);
                if (k == 0)
                        k = read_text(r, n->items[i], &p->value);
                if (k < 0)
                        return k;
                p->node = n->items[i];
                p->name.text = n->keys[i]->text; /* a name is taken as written: 1.20 stays 1.20 */
                if (!ret->expression.text && expr_template_has_parts(p->name.text, strlen(p->name.text)))
                        ret->expression = p->name; /* what the keys are is only known later */
                ret->n += p->value.text != NULL;
        }
        return 0;
}

int read_defaults(struct reader *r, const struct yaml_node *n, struct wf_defaults *ret)
{
        const struct yaml_node *run = yaml_get(n, "run");
        int k = read_member(r, run, "shell", &ret->shell);
        return k < 0 ? k : read_member(r, run, "working-directory", &ret->working_directory);
}

int read_permissions(struct reader *r, const struct yaml_node *n, struct wf_permissions *ret)
{
        *ret = (struct wf_permissions){.given = n != NULL};
        if (n && n->kind == YAML_KIND_MAP)
                return read_pairs(r, n, &ret->scopes);
        return read_str(r, n, &ret->all);
}

int read_concurrency(struct reader *r, const struct yaml_node *n, struct wf_concurrency *ret)
{
        *ret = (struct wf_concurrency){0};
        if (!n || n->kind != YAML_KIND_MAP)
                return read_str(r, n, &ret->group);
        int k = read_member(r, n, "group", &ret->group);
        if (k == 0)
                k = read_member(r, n, "cancel-in-progress", &ret->cancel_in_progress);
        return k < 0 ? k : read_member(r, n, "queue", &ret->queue);
}

static bool is_id(const char *s)
{
        size_t len = strlen(s);
        if (!len || len >= WORKFLOW_MAX_ID || (*s >= '0' && *s <= '9') || *s == '-')
                return false;
        return s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")] == '\0';
}

int check_id(struct reader *r, const struct wf_str *id, bool *ret_valid)
{
        *ret_valid = is_id(id->text) && !str_starts(id->text, "__");
        if (*ret_valid)
                return 0;
        if (is_id(id->text))
                return complain(r, id->pos, strlen(id->text), NULL,
                                "The identifier '%s' is invalid. IDs starting with '__' are reserved.", id->text);
        return complain(r, id->pos, strlen(id->text), NULL,
                        "The identifier '%.120s' is invalid. IDs may only contain alphanumeric characters, '_', and "
                        "'-'. IDs must start "
                        "with a letter or '_' and must be less than %d characters.",
                        id->text, WORKFLOW_MAX_ID);
}

int check_condition(struct reader *r, const struct wf_str *c)
{
        if (!expr_condition_is_text(c->text))
                return 0;
        return diag_add(r->problems, DIAG_WARNING, c->pos.line, c->pos.column, 1,
                        "put the whole condition into one ${{ }}, or leave ${{ }} out", r->e,
                        "this condition is always true: text around ${{ }} makes it a string");
}

static int read_root(struct reader *r, const struct yaml_node *root, struct workflow *ret)
{
        int k = read_member(r, root, "name", &ret->name);
        if (k == 0)
                k = read_member(r, root, "run-name", &ret->run_name);
        if (k == 0)
                k = read_member(r, root, "description", &ret->description);
        if (k == 0)
                k = read_pairs(r, yaml_get(root, "env"), &ret->env);
        if (k == 0)
                k = read_defaults(r, yaml_get(root, "defaults"), &ret->defaults);
        if (k == 0)
                k = read_permissions(r, yaml_get(root, "permissions"), &ret->permissions);
        if (k == 0)
                k = read_concurrency(r, yaml_get(root, "concurrency"), &ret->concurrency);
        if (k == 0)
                k = read_events(r, yaml_get(root, "on"), ret);
        return k < 0 ? k : read_jobs(r, yaml_get(root, "jobs"), ret);
}

/* A file that is no YAML has one problem. */
static int read_yaml(struct reader *r, const struct document_kind *kind, struct yaml_doc **ret)
{
        struct yaml_fault fault;
        struct err local = ERR_INIT;
        if (yaml_parse(r->source, r->len, kind->max_size, kind->limit, ret, &fault, &local) == 0)
                return 0;
        if (local.code != ERR_USAGE) {
                if (r->e)
                        *r->e = local;
                return -1;
        }
        int k = diag_add(r->problems, DIAG_ERROR, fault.pos.line, fault.pos.column, 1, NULL, r->e, "%s", fault.message);
        return k < 0 ? k : WORKFLOW_E_INVALID;
}

int document_open(struct document *d, struct reader *r, const struct document_kind *kind)
{
        int k = read_yaml(r, kind, &d->doc);
        if (k || (k = schema_check(yaml_root(d->doc), *kind->schema, r->source, r->len, r->problems, r->e)) < 0 ||
            (k = arena_new(MAX_MEMORY, &d->arena, r->e)) < 0)
                return k;
        r->arena = d->arena;
        return 0;
}

void document_done(struct document *d)
{
        yaml_doc_free(d->doc);
        arena_free(d->arena);
}

static int parse(struct holder *h, const char *file, struct reader *r)
{
        static const struct document_kind kind = {WORKFLOW_MAX_SIZE, "WORKFLOW_MAX_SIZE", &schema_workflow};
        const size_t before = diag_errors(r->problems); /* of other files */
        int k = document_open(&h->document, r, &kind);
        if (k)
                return k;
        h->workflow.file = arena_str(r->arena, file, strlen(file), r->e);
        k = h->workflow.file ? read_root(r, yaml_root(h->document.doc), &h->workflow) : -1;
        diag_sort(r->problems);
        return k < 0 ? k : diag_errors(r->problems) > before ? WORKFLOW_E_INVALID : 0;
}

int workflow_parse(const char *file, const void *data, size_t len, struct diag_list *problems, struct workflow **ret,
                   struct err *e)
{
        struct reader reader = {.source = data ? data : "", .len = len, .problems = problems, .e = e};
        struct holder *h = calloc(1, sizeof(*h));
        if (!h)
                return err_nomem(e);
        int r = parse(h, file, &reader);
        if (r)
                workflow_free(&h->workflow);
        else
                *ret = &h->workflow;
        return r;
}

const char *workflow_title(const struct workflow *w)
{
        const char *slash = strrchr(w->file, '/');
        if (w->name.text && *w->name.text)
                return w->name.text;
        return slash ? slash + 1 : w->file;
}

const struct wf_job *workflow_job(const struct workflow *w, const char *id)
{
        for (size_t i = 0; i < w->n_jobs; i++)
                if (str_ieq(w->jobs[i].id.text, id))
                        return &w->jobs[i];
        return NULL;
}

const struct wf_event *workflow_event(const struct workflow *w, const char *name)
{
        for (size_t i = 0; i < w->n_events; i++)
                if (str_eq(w->events[i].name.text, name))
                        return &w->events[i];
        return NULL;
}
