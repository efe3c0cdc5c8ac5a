#include "workflow/event.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"

/* The text at a path of members, or NULL. */
static const char *text_at(const struct value *v, const char *const *path)
{
        for (; v && *path; path++)
                v = value_get(v, *path);
        return v && value_kind(v) == VALUE_STRING ? value_text(v, NULL) : NULL;
}

#define TEXT_AT(v, ...) text_at((v), (const char *const[]){__VA_ARGS__, NULL})

static bool is_pull_request(const char *name)
{
        return str_starts(name, "pull_request");
}

static int set_ref(char **to, char *ref, struct err *e)
{
        *to = ref;
        return ref ? 0 : err_nomem(e);
}

/* A pull request: filters look at the base branch; the tree is the merge of the head into it. */
static int read_pull_request(const struct value *payload, struct event *ev, struct err *e)
{
        const struct value *pull = value_get(payload, "pull_request"), *number = value_get(pull, "number");
        const char *merged = TEXT_AT(pull, "merge_commit_sha");
        bool target = str_eq(ev->name, "pull_request_target");
        int r = 0;
        ev->base_ref = TEXT_AT(pull, "base", "ref");
        ev->head_ref = TEXT_AT(pull, "head", "ref");
        ev->head = TEXT_AT(pull, "head", "sha");
        ev->base = TEXT_AT(pull, "base", "sha");
        if (!ev->base)
                ev->base = ev->base_ref;
        ev->base_is = EVENT_BASE_BRANCH;
        ev->sha = target ? TEXT_AT(pull, "base", "sha") : merged ? merged : ev->head;
        if (!number)
                number = value_get(payload, "number");
        if (ev->base_ref)
                r = set_ref(&ev->filter_ref, str_printf("refs/heads/%s", ev->base_ref), e);
        if (r == 0 && target && ev->base_ref)
                r = set_ref(&ev->ref, str_dup(ev->filter_ref), e);
        else if (r == 0 && !target && number && value_kind(number) == VALUE_NUMBER)
                r = set_ref(&ev->ref, str_printf("refs/pull/%.0f/merge", value_double(number)), e);
        return r;
}

static int read_plain_ref(const struct value *payload, struct event *ev, struct err *e)
{
        const char *ref = TEXT_AT(payload, "ref"), *tag = TEXT_AT(payload, "release", "tag_name");
        const char *type = TEXT_AT(payload, "ref_type"), *branch = TEXT_AT(payload, "repository", "default_branch");
        bool full = ref && str_starts(ref, "refs/");
        int r = 0;
        ev->sha = TEXT_AT(payload, "after");
        if (ref)
                r = set_ref(&ev->ref,
                            full ? str_dup(ref) : str_printf("refs/%s/%s", str_eq(type, "tag") ? "tags" : "heads", ref),
                            e);
        else if (tag)
                r = set_ref(&ev->ref, str_printf("refs/tags/%s", tag), e);
        else if (branch)
                r = set_ref(&ev->ref, str_printf("refs/heads/%s", branch), e);
        if (r == 0 && ev->ref)
                r = set_ref(&ev->filter_ref, str_dup(ev->ref), e);
        return r;
}

static int add_paths(const struct value *list, struct event *ev, struct err *e)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < value_count(list) && ev->paths.n < EVENT_MAX_PATHS; i++) {
                const struct value *path = value_at(list, i);
                if (value_kind(path) != VALUE_STRING)
                        continue;
                ev->paths_known = true;
                r = strv_add(&ev->paths, value_text(path, NULL), e);
        }
        return r;
}

/* The commits to compare. A new branch that brings no commit has changed no file. */
static void read_range(const struct value *payload, struct event *ev)
{
        const struct value *commits = value_get(payload, "commits");
        const char *before = TEXT_AT(payload, "before");
        bool listed = commits && value_kind(commits) == VALUE_ARRAY;
        ev->head = TEXT_AT(payload, "after");
        ev->base_is = EVENT_BASE_COMMIT;
        ev->base = before;
        if (!before || before[strspn(before, "0")] != '\0')
                return;
        ev->base_is = EVENT_BASE_FIRST;
        ev->base = listed && value_count(commits) > 0 ? TEXT_AT(value_at(commits, 0), "id") : NULL;
        ev->paths_known = listed && value_count(commits) == 0;
}

/* A push lists the files of its commits. */
static int read_paths(const struct value *payload, struct event *ev, struct err *e)
{
        static const char *const lists[] = {"added", "modified", "removed"};
        const struct value *commits = value_get(payload, "commits");
        int r = 0;
        for (size_t i = 0; r == 0 && i < value_count(commits); i++)
                for (size_t k = 0; r == 0 && k < sizeof(lists) / sizeof(lists[0]); k++) {
                        const struct value *list = value_get(value_at(commits, i), lists[k]);
                        if (list && value_kind(list) == VALUE_ARRAY)
                                r = add_paths(list, ev, e);
                }
        return r;
}

/* An id is a number in payloads, and a text in contexts. */
static int read_id(const struct value *of, char **ret, struct err *e)
{
        const struct value *id = value_get(of, "id");
        if (!id || (value_kind(id) != VALUE_NUMBER && value_kind(id) != VALUE_STRING))
                return 0;
        *ret = value_to_str(id);
        return *ret ? 0 : err_nomem(e);
}

static int read_ids(const struct value *payload, struct event *ev, struct err *e)
{
        const struct value *repository = value_get(payload, "repository");
        int r = read_id(repository, &ev->repository_id, e);
        if (r == 0)
                r = read_id(value_get(repository, "owner"), &ev->repository_owner_id, e);
        return r < 0 ? r : read_id(value_get(payload, "sender"), &ev->actor_id, e);
}

int event_read(const char *name, const struct value *payload, struct event *ret, struct err *e)
{
        *ret = (struct event){.name = name,
                              .type = TEXT_AT(payload, "action"),
                              .repository = TEXT_AT(payload, "repository", "full_name"),
                              .repository_url = TEXT_AT(payload, "repository", "git_url"),
                              .actor = TEXT_AT(payload, "sender", "login")};
        int r = is_pull_request(name) ? read_pull_request(payload, ret, e) : read_plain_ref(payload, ret, e);
        if (r == 0)
                r = read_ids(payload, ret, e);
        if (r == 0 && str_eq(name, "push")) {
                read_range(payload, ret);
                r = read_paths(payload, ret, e);
        }
        if (r < 0)
                event_done(ret);
        return r;
}

void event_done(struct event *ev)
{
        free(ev->ref);
        free(ev->filter_ref);
        free(ev->repository_id);
        free(ev->repository_owner_id);
        free(ev->actor_id);
        strv_done(&ev->paths);
        *ev = (struct event){0};
}

void event_trigger(const struct event *ev, struct workflow_trigger *ret)
{
        static const char *const none[] = {NULL};
        const char *const *paths = ev->paths.n ? (const char *const *)ev->paths.v : none;
        *ret = (struct workflow_trigger){.event = ev->name,
                                         .type = ev->type,
                                         .ref = ev->filter_ref,
                                         .paths = ev->paths_known ? paths : NULL,
                                         .n_paths = ev->paths.n};
}

static int default_of(const struct wf_input *in, struct value **ret, struct err *e)
{
        const struct yaml_node *n = in->default_value;
        switch (n ? n->kind : YAML_KIND_NULL) {
        case YAML_KIND_BOOL:
                *ret = value_bool(n->boolean);
                return 0;
        case YAML_KIND_NUMBER:
                return value_number(n->number, ret, e);
        case YAML_KIND_STRING:
                return value_string(n->text, n->len, ret, e);
        default:
                *ret = str_eq(in->type.text, "boolean") ? value_bool(false) : NULL;
                return *ret ? 0 : value_str("", ret, e);
        }
}

static int wrong(const struct wf_input *in, const char *text, const char *expected, struct err *e)
{
        return err_set(e, ERR_USAGE, "the input '%.100s': expected %s, found '%.100s'", in->name.text, expected, text);
}

static int check_choice(const struct wf_input *in, const char *text, struct err *e)
{
        for (size_t i = 0; i < in->options.n; i++)
                if (str_eq(in->options.v[i].text, text))
                        return 0;
        return wrong(in, text, "one of its options", e);
}

/* A value as the input's type has it. Payloads carry texts whatever the type is. */
static int coerce(const struct wf_input *in, struct value *v, struct value **ret, struct err *e)
{
        AUTO(auto_free) char *text = value_to_str(v);
        if (!text)
                return err_nomem(e);
        if (str_eq(in->type.text, "boolean")) {
                *ret = value_bool(str_ieq(text, "true"));
                return str_ieq(text, "true") || str_ieq(text, "false") ? 0 : wrong(in, text, "true or false", e);
        }
        if (str_eq(in->type.text, "number") && *text) {
                double number = value_to_number(v);
                return isfinite(number) ? value_number(number, ret, e) : wrong(in, text, "a number", e);
        }
        if (str_eq(in->type.text, "choice") && *text && check_choice(in, text, e) < 0)
                return -1;
        return value_str(text, ret, e);
}

static int set_input(const struct wf_input *in, const struct value *given, struct value *to, struct err *e)
{
        AUTO(value_unrefp) struct value *raw = NULL, *v = NULL;
        struct value *own = given ? value_get(given, in->name.text) : NULL;
        bool absent = !own || value_kind(own) == VALUE_NULL;
        if (absent && in->required && !in->default_value)
                return err_set(e, ERR_USAGE, "the input '%.100s' is required and was not given", in->name.text);
        if (!absent)
                raw = value_ref(own);
        else if (default_of(in, &raw, e) < 0)
                return -1;
        int r = coerce(in, raw, &v, e);
        return r < 0 ? r : value_set(to, in->name.text, v, e);
}

static int check_known(const struct wf_event *declared, const struct value *given, struct err *e)
{
        for (size_t i = 0; i < value_count(given); i++) {
                bool known = false;
                for (size_t k = 0; k < declared->n_inputs; k++)
                        known |= str_ieq(declared->inputs[k].name.text, value_key_at(given, i));
                if (!known)
                        return err_set(e, ERR_USAGE, "the workflow has no input '%.100s'", value_key_at(given, i));
        }
        return 0;
}

int event_inputs(const struct wf_event *declared, const struct value *given, struct value **ret, struct err *e)
{
        AUTO(value_unrefp) struct value *inputs = NULL;
        if (given && value_kind(given) == VALUE_NULL)
                given = NULL;
        if (given && value_kind(given) != VALUE_OBJECT)
                return err_set(e, ERR_USAGE, "the event's `inputs` are no object");
        int r = given ? check_known(declared, given, e) : 0;
        if (r == 0)
                r = value_object(&inputs, e);
        for (size_t i = 0; r == 0 && i < declared->n_inputs; i++)
                r = set_input(&declared->inputs[i], given, inputs, e);
        if (r == 0)
                *ret = TAKE_PTR(inputs);
        return r;
}
