/* `on:`: events, their filters, inputs, schedules. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "workflow/expr.h"
#include "workflow/workflow_priv.h"

#define MAX_DISPATCH_INPUTS 25

/* GitHub's parser takes both filters and its service refuses the file then: a warning here, and plan_new() refuses. */
static int warn_of_both(struct reader *r, const struct yaml_node *ignore, const char *name, struct wf_event *ret)
{
        if (!ret->both.line)
                ret->both = ignore->pos;
        return diag_add(r->problems, DIAG_WARNING, ignore->pos.line, ignore->pos.column, 1,
                        "use a pattern that begins with '!' to exclude", r->e,
                        "you may only define one of `%s` and `%s-ignore` for a single event", name, name);
}

static int read_filter(struct reader *r, const struct yaml_node *event, const char *name, struct wf_strs *ret,
                       bool *ret_ignore, struct wf_event *ret_event)
{
        char ignore_name[32];
        str_copy(ignore_name, sizeof(ignore_name), name);
        memcpy(ignore_name + strlen(name), "-ignore", sizeof("-ignore"));
        const struct yaml_node *plain = yaml_get(event, name), *ignore = yaml_get(event, ignore_name);
        *ret_ignore = ignore && !plain;
        int k = plain && ignore ? warn_of_both(r, ignore, name, ret_event) : 0;
        if (k == 0)
                k = read_strs(r, plain ? plain : ignore, ret);
        for (size_t i = 0; k == 0 && i < ret->n; i++) {
                const char *reason, *pattern = ret->v[i].text;
                if (!workflow_glob_check(*pattern == '!' ? pattern + 1 : pattern, &reason))
                        k = complain(r, ret->v[i].pos, strlen(pattern), NULL, "'%.200s' is no pattern: %s", pattern,
                                     reason);
        }
        return k;
}

/* GitHub judges the default of a boolean; what else does not fit is a warning of workflow_lint(). */
static int check_default(struct reader *r, const struct wf_input *in)
{
        const struct yaml_node *d = in->default_value;
        bool expression = d && d->kind == YAML_KIND_STRING && expr_template_has_parts(d->text, d->len);
        if (!d || expression || d->kind == YAML_KIND_BOOL || !str_eq(in->type.text, "boolean"))
                return 0;
        return complain(r, d->pos, d->len, NULL, "the default of a boolean input must be true or false, found '%.100s'",
                        d->text);
}

static int check_input(struct reader *r, const struct yaml_node *n, const struct wf_input *in)
{
        bool choice = str_eq(in->type.text, "choice");
        if (choice && !in->options.n)
                return complain(r, n->pos, 1, NULL, "Missing 'options' for choice input");
        if (!choice && yaml_get(n, "options"))
                return complain(r, n->pos, 1, NULL, "Input type is not 'choice', but 'options' is defined");
        return 0;
}

static int read_input(struct reader *r, const struct yaml_node *key, const struct yaml_node *n, struct wf_input *ret)
{
        int k = read_text(r, key, &ret->name);
        if (k == 0)
                k = read_member(r, n, "description", &ret->description);
        if (k == 0)
                k = read_member(r, n, "type", &ret->type);
        if (k == 0)
                k = read_strs(r, yaml_get(n, "options"), &ret->options);
        if (k < 0)
                return k;
        if (!ret->type.text)
                ret->type = (struct wf_str){"string", key->pos};
        const struct yaml_node *required = yaml_get(n, "required");
        ret->required = required && required->kind == YAML_KIND_BOOL && required->boolean;
        ret->default_value = yaml_get(n, "default");
        return 0;
}

static int read_inputs(struct reader *r, const struct yaml_node *n, struct wf_event *ret)
{
        int k = 0;
        if (!n || n->kind != YAML_KIND_MAP)
                return 0;
        bool dispatch = str_eq(ret->name.text, "workflow_dispatch");
        if (dispatch && n->n > MAX_DISPATCH_INPUTS)
                return complain(r, n->keys[MAX_DISPATCH_INPUTS]->pos, 1, NULL, "a workflow may have at most %d inputs",
                                MAX_DISPATCH_INPUTS);
        ret->inputs = arena_array(r->arena, n->n, sizeof(*ret->inputs), r->e);
        if (!ret->inputs)
                return -1;
        for (size_t i = 0; k == 0 && i < n->n; i++)
                if ((k = read_input(r, n->keys[i], n->items[i], &ret->inputs[ret->n_inputs++])) == 0 &&
                    (k = check_default(r, &ret->inputs[i])) == 0 && dispatch && n->items[i]->kind == YAML_KIND_MAP)
                        k = check_input(r, n->items[i], &ret->inputs[i]);
        return k;
}

/* One field of five: *, lists, ranges and steps of numbers or names within bounds. */
static bool is_cron_item(const char *s, size_t len, long low, long high, const char *const *names)
{
        char item[32];
        char *p = item;
        if (!len || len >= sizeof(item))
                return false;
        memcpy(item, s, len);
        item[len] = '\0';
        long values[2] = {low, high};
        int n = 0;
        if (*p == '*') {
                p++;
        } else {
                do {
                        char *end;
                        p += n ? 1 : 0;
                        values[n] = strtol(p, &end, 10);
                        for (long i = 0; end == p && names && names[i]; i++)
                                if (strncasecmp(p, names[i], 3) == 0) {
                                        values[n] = i + (low == 1 ? 1 : 0);
                                        end = p + 3;
                                }
                        if (end == p || *p == '-' || *p == '+' || values[n] < low || values[n] > high)
                                return false;
                        p = end;
                } while (*p == '-' && ++n < 2);
                if (n == 1 && values[1] < values[0])
                        return false;
        }
        if (*p == '/') {
                char *end;
                long step = strtol(p + 1, &end, 10);
                return end != p + 1 && !*end && step > 0 && step <= high && p[1] != '+';
        }
        return *p == '\0';
}

static bool is_cron_field(const char *s, size_t len, long low, long high, const char *const *names)
{
        for (size_t start = 0; start <= len;) {
                const char *comma = memchr(s + start, ',', len - start);
                size_t end = comma ? (size_t)(comma - s) : len;
                if (!is_cron_item(s + start, end - start, low, high, names))
                        return false;
                start = end + 1;
        }
        return true;
}

static bool is_cron(const char *s)
{
        static const char *const months[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
                                             "aug", "sep", "oct", "nov", "dec", NULL};
        static const char *const days[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};
        static const struct {
                long low, high;
                const char *const *names;
        } fields[] = {{0, 59, NULL}, {0, 23, NULL}, {1, 31, NULL}, {1, 12, months}, {0, 6, days}};
        size_t n = 0;
        s += strspn(s, " ");
        for (; *s; n++) {
                size_t len = strcspn(s, " ");
                if (n == 5 || !is_cron_field(s, len, fields[n].low, fields[n].high, fields[n].names))
                        return false;
                s += len;
                s += strspn(s, " ");
        }
        return n == 5;
}

static int read_schedule(struct reader *r, const struct yaml_node *n, struct wf_event *ret)
{
        int k = 0;
        ret->crons.v = arena_array(r->arena, n->n, sizeof(struct wf_str), r->e);
        ret->timezones.v = arena_array(r->arena, n->n, sizeof(struct wf_str), r->e);
        if (!ret->crons.v || !ret->timezones.v)
                return -1;
        for (size_t i = 0; k == 0 && i < n->n; i++) {
                struct wf_str *cron = &ret->crons.v[ret->crons.n];
                if ((k = read_member(r, n->items[i], "cron", cron)) < 0 || !cron->text)
                        continue;
                if (!is_cron(cron->text) &&
                    (k = complain(
                             r, cron->pos, strlen(cron->text), NULL,
                             "Invalid cron expression. Expected format: '* * * * *' (minute hour day month weekday)")) <
                            0)
                        return k;
                ret->crons.n++;
                k = read_member(r, n->items[i], "timezone", &ret->timezones.v[ret->timezones.n++]);
        }
        return k;
}

static int read_call_outputs(struct reader *r, const struct yaml_node *n, struct wf_event *ret)
{
        if (!n || n->kind != YAML_KIND_MAP)
                return 0;
        ret->outputs.v = arena_array(r->arena, n->n, sizeof(struct wf_pair), r->e);
        if (!ret->outputs.v)
                return -1;
        for (size_t i = 0; i < n->n; i++) {
                struct wf_pair *p = &ret->outputs.v[ret->outputs.n++];
                p->node = yaml_get(n->items[i], "value");
                int k = read_text(r, n->keys[i], &p->name);
                if (k < 0 || (k = read_str(r, p->node, &p->value)) < 0)
                        return k;
        }
        return 0;
}

static int read_call_secrets(struct reader *r, const struct yaml_node *n, struct wf_event *ret)
{
        if (!n || n->kind != YAML_KIND_MAP)
                return 0;
        ret->secrets.v = arena_array(r->arena, n->n, sizeof(struct wf_str), r->e);
        ret->secrets_required = arena_array(r->arena, n->n, sizeof(bool), r->e);
        if (!ret->secrets.v || !ret->secrets_required)
                return -1;
        for (size_t i = 0; i < n->n; i++) {
                const struct yaml_node *required = yaml_get(n->items[i], "required");
                ret->secrets_required[i] = required && required->kind == YAML_KIND_BOOL && required->boolean;
                int k = read_text(r, n->keys[i], &ret->secrets.v[ret->secrets.n++]);
                if (k < 0)
                        return k;
        }
        return 0;
}

static int read_event(struct reader *r, const struct yaml_node *key, const struct yaml_node *n, struct wf_event *ret)
{
        int k = read_text(r, key, &ret->name);
        if (k < 0 || !n)
                return k;
        if (n->kind == YAML_KIND_SEQ)
                return str_eq(ret->name.text, "schedule") ? read_schedule(r, n, ret) : 0;
        if (n->kind != YAML_KIND_MAP)
                return 0;
        if ((k = read_strs(r, yaml_get(n, "types"), &ret->types)) < 0 ||
            (k = read_strs(r, yaml_get(n, "workflows"), &ret->workflows)) < 0 ||
            (k = read_filter(r, n, "branches", &ret->branches, &ret->branches_ignore, ret)) < 0 ||
            (k = read_filter(r, n, "tags", &ret->tags, &ret->tags_ignore, ret)) < 0 ||
            (k = read_filter(r, n, "paths", &ret->paths, &ret->paths_ignore, ret)) < 0 ||
            (k = read_inputs(r, yaml_get(n, "inputs"), ret)) < 0)
                return k;
        if (!str_eq(ret->name.text, "workflow_call"))
                return 0;
        k = read_call_outputs(r, yaml_get(n, "outputs"), ret);
        return k < 0 ? k : read_call_secrets(r, yaml_get(n, "secrets"), ret);
}

int read_events(struct reader *r, const struct yaml_node *n, struct workflow *ret)
{
        int k = 0;
        if (!n || n->kind == YAML_KIND_NULL)
                return 0;
        size_t count = n->kind == YAML_KIND_SEQ || n->kind == YAML_KIND_MAP ? n->n : 1;
        ret->events = arena_array(r->arena, count, sizeof(*ret->events), r->e);
        if (!ret->events)
                return -1;
        for (size_t i = 0; k == 0 && i < count; i++) {
                const struct yaml_node *key = n->kind == YAML_KIND_MAP   ? n->keys[i]
                                              : n->kind == YAML_KIND_SEQ ? n->items[i]
                                                                         : n;
                k = read_event(r, key, n->kind == YAML_KIND_MAP ? n->items[i] : NULL, &ret->events[ret->n_events++]);
        }
        return k;
}
