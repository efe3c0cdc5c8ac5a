#include "job/spec.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "codec/json.h"
#include "net/policy.h"

/* What a member of an object may be. */
enum kind { TEXT, NAME, PATH, FLAG, COUNT, MILLISECONDS, PAIRS, ENV, OBJECT, LIST };

/* One known member. `at` is where its value goes in the struct of its object; OBJECT and LIST are read by code. */
struct member {
        const char *key;
        enum kind kind;
        bool required;
        size_t at;
};

static const char *const kind_names[] = {
        [TEXT] = "a string",
        [NAME] = "a string of 1 to 1024 bytes",
        [PATH] = "an absolute path",
        [FLAG] = "true or false",
        [COUNT] = "a number from 0 to 1000000000",
        [MILLISECONDS] = "milliseconds, at most 30 days",
        [PAIRS] = "an object of strings, or an expression",
        [ENV] = "a list of {name, value}, or an expression",
        [OBJECT] = "an object",
        [LIST] = "a list",
};

static int wrong(struct err *e, const char *path, const char *key, enum kind kind)
{
        return err_set(e, ERR_USAGE, "job specification: %s%s: expected %s", path, key, kind_names[kind]);
}

static const struct member *find_member(const struct member *members, size_t n, const char *key)
{
        for (size_t i = 0; i < n; i++)
                if (strcmp(members[i].key, key) == 0)
                        return &members[i];
        return NULL;
}

/* No "." or ".." component, no empty one, no trailing slash: what we join to it stays below it. */
static bool is_clean_path(const char *s)
{
        if (s[0] != '/' || !s[1] || strlen(s) > SPEC_MAX_PATH)
                return false;
        for (const char *p = s; *p;) {
                const char *end = strchrnul(p + 1, '/');
                size_t n = (size_t)(end - p - 1);
                if (!n || (n == 1 && p[1] == '.') || (n == 2 && p[1] == '.' && p[2] == '.'))
                        return false;
                p = end;
        }
        return true;
}

static int read_pairs(json_t *v, const char *path, const char *key, struct spec_pairs *ret, struct err *e)
{
        const char *name;
        json_t *item;
        if ((ret->expression = json_string_value(v)))
                return 0;
        if (!json_is_object(v) || json_object_size(v) > SPEC_MAX_ENTRIES)
                return wrong(e, path, key, PAIRS);
        ret->v = calloc(json_object_size(v) + 1, sizeof(*ret->v));
        if (!ret->v)
                return err_nomem(e);
        json_object_foreach(v, name, item)
        {
                if (!json_is_string(item))
                        return err_set(e, ERR_USAGE, "job specification: %s%s.%s: expected a string", path, key, name);
                ret->v[ret->n++] = (struct spec_pair){.name = name, .value = json_string_value(item)};
        }
        return 0;
}

static int read_text(json_t *v, const char *path, const struct member *m, const char **ret, struct err *e)
{
        const char *s = json_string_value(v);
        if (!s || (m->kind == NAME && (!*s || strlen(s) > SPEC_MAX_NAME)) || (m->kind == PATH && !is_clean_path(s)))
                return wrong(e, path, m->key, m->kind);
        *ret = s;
        return 0;
}

static int read_number(json_t *v, const char *path, const struct member *m, uint64_t max, uint64_t *ret, struct err *e)
{
        if (!json_is_integer(v) || json_integer_value(v) < 0 || (uint64_t)json_integer_value(v) > max)
                return wrong(e, path, m->key, m->kind);
        *ret = (uint64_t)json_integer_value(v);
        return 0;
}

static int read_env(json_t *list, const char *path, const char *key, struct spec_pairs *ret, struct err *e);

static int read_member(json_t *v, const char *path, const struct member *m, void *into, struct err *e)
{
        uint64_t number = 0;
        void *at = (char *)into + m->at;
        int r = 0;
        switch (m->kind) {
        case TEXT:
        case NAME:
        case PATH:
                return read_text(v, path, m, at, e);
        case FLAG:
                if (!json_is_boolean(v))
                        return wrong(e, path, m->key, FLAG);
                *(bool *)at = json_is_true(v);
                return 0;
        case COUNT:
                r = read_number(v, path, m, 1000000000, &number, e);
                *(unsigned *)at = (unsigned)number;
                return r;
        case MILLISECONDS:
                return read_number(v, path, m, SPEC_MAX_TIMEOUT_MS, at, e);
        case PAIRS:
                return read_pairs(v, path, m->key, at, e);
        case ENV:
                return read_env(v, path, m->key, at, e);
        case OBJECT:
                return json_is_object(v) ? 0 : wrong(e, path, m->key, OBJECT);
        case LIST:
                return json_is_array(v) && json_array_size(v) <= SPEC_MAX_ENTRIES ? 0 : wrong(e, path, m->key, LIST);
        }
        return 0;
}

/* Every member of an object by its table. `path` ends with a dot, or is empty. */
static int read_object(json_t *object, const char *path, const struct member *members, size_t n, void *into,
                       struct err *e)
{
        const char *key;
        json_t *v;
        json_object_foreach(object, key, v)
        {
                const struct member *m = find_member(members, n, key);
                if (!m)
                        return err_set(e, ERR_USAGE, "job specification: %s%s: unknown key", path, key);
                int r = read_member(v, path, m, into, e);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < n; i++)
                if (members[i].required && !json_object_get(object, members[i].key))
                        return err_set(e, ERR_USAGE, "job specification: %s%s: missing, expected %s", path,
                                       members[i].key, kind_names[members[i].kind]);
        return 0;
}

#define AT(type, field) offsetof(struct type, field)

static int read_env(json_t *list, const char *path, const char *key, struct spec_pairs *ret, struct err *e)
{
        static const struct member members[] = {
                {"name", NAME, false, AT(spec_pair, name)},      {"value", TEXT, false, AT(spec_pair, value)},
                {"all", TEXT, false, AT(spec_pair, value)},      {"line", COUNT, false, AT(spec_pair, line)},
                {"column", COUNT, false, AT(spec_pair, column)},
        };
        if ((ret->expression = json_string_value(list)))
                return 0;
        if (!json_is_array(list) || json_array_size(list) > SPEC_MAX_ENTRIES)
                return wrong(e, path, key, ENV);
        ret->v = calloc(json_array_size(list) + 1, sizeof(*ret->v));
        if (!ret->v)
                return err_nomem(e);
        for (size_t i = 0; i < json_array_size(list); i++) {
                char at[128];
                snprintf(at, sizeof(at), "%s%s[%zu].", path, key, i);
                json_t *item = json_array_get(list, i);
                if (!json_is_object(item))
                        return wrong(e, path, key, ENV);
                bool all = json_object_get(item, "all"), name = json_object_get(item, "name");
                int r = read_object(item, at, members, ARRAY_SIZE(members), &ret->v[ret->n++], e);
                if (r == 0 && (all == name || name != !!json_object_get(item, "value")))
                        r = err_set(e, ERR_USAGE, "job specification: %.*s: expected `name` and `value`, or `all`",
                                    (int)strlen(at) - 1, at);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* A list of strings. `what` names it, index included. */
static int read_texts(json_t *list, const char *what, const char ***ret, size_t *ret_n, struct err *e)
{
        *ret = calloc(json_array_size(list) + 1, sizeof(**ret));
        if (!*ret)
                return err_nomem(e);
        for (size_t i = 0; i < json_array_size(list); i++) {
                const char *v = json_string_value(json_array_get(list, i));
                if (!v)
                        return err_set(e, ERR_USAGE, "job specification: %s[%zu]: expected a string", what, i);
                (*ret)[(*ret_n)++] = v;
        }
        return 0;
}

static bool is_work(const struct spec_step *p)
{
        return p->run || p->uses;
}

/* A step is one thing. */
static int check_kind(const struct spec_step *p, const char *path, bool nested, struct err *e)
{
        int n = !!p->run + !!p->uses + (p->wait.n > 0) + p->wait_all + !!p->cancel + !!p->parallel;
        if (n != 1 || (nested && !is_work(p)))
                return err_set(e, ERR_USAGE, "job specification: %.*s: expected either %s", (int)strlen(path) - 1, path,
                               nested ? "`run` or `uses`"
                                      : "`run`, `uses`, `wait`, `wait_all`, `cancel` or `parallel`");
        if (p->background && (nested || !is_work(p)))
                return err_set(e, ERR_USAGE, "job specification: %sbackground: only of a `run` or `uses` step", path);
        return 0;
}

static int read_steps(json_t *list, const char *path, bool nested, struct spec *s, struct spec_step **ret,
                      size_t *ret_n, struct err *e);

/* path ends with a dot. */
static int read_step(json_t *v, const char *path, bool nested, struct spec *s, struct spec_step *ret, struct err *e)
{
        static const struct member members[] = {
                {"id", TEXT, false, AT(spec_step, id)},
                {"name", TEXT, false, AT(spec_step, name)},
                {"if", TEXT, false, AT(spec_step, condition)},
                {"run", TEXT, false, AT(spec_step, run)},
                {"uses", TEXT, false, AT(spec_step, uses)},
                {"with", PAIRS, false, AT(spec_step, with)},
                {"env", ENV, false, AT(spec_step, env)},
                {"shell", TEXT, false, AT(spec_step, shell)},
                {"working_directory", TEXT, false, AT(spec_step, working_directory)},
                {"timeout_minutes", TEXT, false, AT(spec_step, timeout_minutes)},
                {"continue_on_error", TEXT, false, AT(spec_step, continue_on_error)},
                {"background", FLAG, false, AT(spec_step, background)},
                {"wait", LIST, false, 0},
                {"wait_all", FLAG, false, AT(spec_step, wait_all)},
                {"cancel", TEXT, false, AT(spec_step, cancel)},
                {"parallel", LIST, false, 0},
                {"file", TEXT, false, AT(spec_step, file)},
                {"line", COUNT, false, AT(spec_step, line)},
                {"column", COUNT, false, AT(spec_step, column)},
        };
        char at[96];
        json_t *list;
        int r = json_is_object(v) ? read_object(v, path, members, ARRAY_SIZE(members), ret, e)
                                  : err_set(e, ERR_USAGE, "job specification: %.*s: expected an object",
                                            (int)strlen(path) - 1, path);
        if (r == 0 && (list = json_object_get(v, "wait"))) {
                snprintf(at, sizeof(at), "%swait", path);
                r = read_texts(list, at, &ret->wait.v, &ret->wait.n, e);
        }
        if (r == 0 && (list = json_object_get(v, "parallel"))) {
                snprintf(at, sizeof(at), "%sparallel", path);
                r = nested ? err_set(e, ERR_USAGE, "job specification: %s: not in a parallel step", at)
                           : read_steps(list, at, true, s, &ret->parallel, &ret->n_parallel, e);
        }
        return r < 0 ? r : check_kind(ret, path, nested, e);
}

static int read_steps(json_t *list, const char *path, bool nested, struct spec *s, struct spec_step **ret,
                      size_t *ret_n, struct err *e)
{
        s->n_all_steps += json_array_size(list);
        if (s->n_all_steps > SPEC_MAX_STEPS)
                return err_set(e, ERR_USAGE, "job specification: steps: at most %u steps, found %zu", SPEC_MAX_STEPS,
                               s->n_all_steps);
        *ret = calloc(json_array_size(list) + 1, sizeof(**ret));
        if (!*ret)
                return err_nomem(e);
        for (size_t i = 0; i < json_array_size(list); i++) {
                char at[64];
                snprintf(at, sizeof(at), "%s[%zu].", path, i);
                struct spec_step *step = &(*ret)[(*ret_n)++];
                int r = read_step(json_array_get(list, i), at, nested, s, step, e);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* `path` names it. */
static int check_contexts(json_t *v, const char *path, const char *const *known, size_t n, struct err *e)
{
        const char *key;
        json_t *item;
        json_object_foreach(v, key, item)
        {
                bool is_known = false;
                for (size_t i = 0; i < n; i++)
                        is_known |= strcmp(known[i], key) == 0;
                if (!is_known)
                        return err_set(e, ERR_USAGE, "job specification: %s.%s: unknown key", path, key);
                if (!json_is_object(item) && !json_is_null(item))
                        return err_set(e, ERR_USAGE, "job specification: %s.%s: expected an object", path, key);
        }
        return 0;
}

static int read_contexts(json_t *v, struct spec *s, struct err *e)
{
        static const char *const known[] = {"github", "needs", "strategy", "matrix", "inputs", "vars", "runner", "job"};
        s->contexts = v;
        return check_contexts(v, "contexts", known, ARRAY_SIZE(known), e);
}

static int read_call(json_t *v, const char *path, struct spec_call *ret, struct err *e)
{
        static const struct member members[] = {
                {"file", NAME, true, AT(spec_call, file)},
                {"contexts", OBJECT, true, 0},
                {"pass", ENV, true, AT(spec_call, pass)},
        };
        static const char *const known[] = {"needs", "strategy", "matrix", "inputs"};
        char at[64];
        if (!json_is_object(v))
                return err_set(e, ERR_USAGE, "job specification: %.*s: expected an object", (int)strlen(path) - 1,
                               path);
        int r = read_object(v, path, members, ARRAY_SIZE(members), ret, e);
        if (r < 0)
                return r;
        bool named = !ret->pass.expression;
        for (size_t i = 0; i < ret->pass.n; i++)
                named &= ret->pass.v[i].name != NULL;
        if (!named)
                return err_set(e, ERR_USAGE, "job specification: %spass: expected a list of {name, value}", path);
        ret->contexts = json_object_get(v, "contexts");
        snprintf(at, sizeof(at), "%scontexts", path);
        return check_contexts(json_object_get(v, "contexts"), at, known, ARRAY_SIZE(known), e);
}

static int read_secrets(json_t *v, struct spec *s, struct err *e)
{
        static const struct member members[] = {{"calls", LIST, true, 0}, {"only", LIST, false, 0}};
        json_t *calls = json_object_get(v, "calls"), *only = json_object_get(v, "only");
        int r = read_object(v, "secrets.", members, ARRAY_SIZE(members), s, e);
        if (r == 0 && json_array_size(calls) > SPEC_MAX_CALLS)
                return err_set(e, ERR_USAGE, "job specification: secrets.calls: at most %u, found %zu", SPEC_MAX_CALLS,
                               json_array_size(calls));
        if (r == 0 && !(s->calls = calloc(json_array_size(calls) + 1, sizeof(*s->calls))))
                return err_nomem(e);
        for (size_t i = 0; r == 0 && i < json_array_size(calls); i++) {
                char at[48];
                snprintf(at, sizeof(at), "secrets.calls[%zu].", i);
                r = read_call(json_array_get(calls, i), at, &s->calls[s->n_calls++], e);
        }
        return r < 0 || !only ? r : read_texts(only, "secrets.only", &s->secret_names, &s->n_secret_names, e);
}

static int read_profile(json_t *v, struct spec *s, struct err *e)
{
        static const struct member members[] = {
                {"digest", NAME, true, AT(spec, profile_digest)},
                {"environment", NAME, false, AT(spec, profile_environment)},
        };
        return read_object(v, "profile.", members, ARRAY_SIZE(members), s, e);
}

static int read_environment(json_t *v, struct spec *s, struct err *e)
{
        static const struct member members[] = {
                {"name", NAME, true, AT(spec, environment)},
                {"url", TEXT, false, AT(spec, environment_url)},
        };
        return read_object(v, "environment.", members, ARRAY_SIZE(members), s, e);
}

static int read_source(json_t *v, struct spec *s, struct err *e)
{
        struct source {
                const char *commit, *tree;
        } source = {0};
        static const struct member members[] = {
                {"commit", NAME, true, AT(source, commit)},
                {"tree", NAME, true, AT(source, tree)},
        };
        int r = read_object(v, "source.", members, ARRAY_SIZE(members), &source, e);
        if (r < 0)
                return r;
        s->source_working = strcmp(source.tree, "working") == 0;
        if (!s->source_working && strcmp(source.tree, "commit") != 0)
                return err_set(e, ERR_USAGE,
                               "job specification: source.tree: expected `working` or `commit`, found `%s`",
                               source.tree);
        if (strspn(source.commit, "0123456789abcdef") != strlen(source.commit) ||
            (strlen(source.commit) != 40 && strlen(source.commit) != 64))
                return err_set(e, ERR_USAGE, "job specification: source.commit: expected 40 or 64 hexadecimal digits");
        s->source_commit = source.commit;
        return 0;
}

/* Nothing said is an empty object: sealed. */
static int read_egress(json_t *v, struct spec *s, struct err *e)
{
        AUTO(json_decrefp) json_t *nothing = v ? NULL : json_object();
        int r = v || nothing ? policy_from_json(v ? v : nothing, &s->egress, e) : err_nomem(e);

        return r < 0 ? err_wrap(e, r, "job specification") : 0;
}

static int read_parts(json_t *root, struct spec *s, struct err *e)
{
        static const struct member job[] = {
                {"id", NAME, true, AT(spec, job_id)},
                {"name", TEXT, false, AT(spec, job_name)},
                {"timeout_ms", MILLISECONDS, true, AT(spec, timeout_ms)},
                {"continue_on_error", FLAG, false, AT(spec, continue_on_error)},
        };
        static const struct member image[] = {
                {"name", TEXT, true, AT(spec, image_name)},
                {"digest", TEXT, true, AT(spec, image_digest)},
                {"measurement", TEXT, false, AT(spec, measurement)},
                {"verity", TEXT, false, AT(spec, verity)},
        };
        static const struct member defaults[] = {
                {"shell", TEXT, false, AT(spec, default_shell)},
                {"working_directory", TEXT, false, AT(spec, default_working_directory)},
        };
        json_t *v;
        int r = read_object(json_object_get(root, "job"), "job.", job, ARRAY_SIZE(job), s, e);
        if (r == 0)
                r = read_object(json_object_get(root, "image"), "image.", image, ARRAY_SIZE(image), s, e);
        if (r == 0 && (v = json_object_get(root, "defaults")))
                r = read_object(v, "defaults.", defaults, ARRAY_SIZE(defaults), s, e);
        if (r == 0 && (v = json_object_get(root, "source")))
                r = read_source(v, s, e);
        if (r == 0 && (v = json_object_get(root, "profile")))
                r = read_profile(v, s, e);
        if (r == 0 && (v = json_object_get(root, "environment")))
                r = read_environment(v, s, e);
        if (r == 0 && (v = json_object_get(root, "secrets")))
                r = read_secrets(v, s, e);
        if (r == 0 && (v = json_object_get(root, "mask")))
                r = read_texts(v, "mask", &s->mask, &s->n_mask, e);
        if (r == 0)
                r = read_egress(json_object_get(root, "egress"), s, e);
        if (r == 0 && (v = json_object_get(root, "contexts")))
                r = read_contexts(v, s, e);
        return r < 0 ? r : read_steps(json_object_get(root, "steps"), "steps", false, s, &s->steps, &s->n_steps, e);
}

static int read_root(json_t *root, struct spec *s, struct err *e)
{
        static const struct member members[] = {
                {"run", NAME, true, AT(spec, run)},
                {"attempt", COUNT, true, AT(spec, attempt)},
                {"job", OBJECT, true, 0},
                {"image", OBJECT, true, 0},
                {"accelerator", NAME, true, AT(spec, accelerator)},
                {"rootfs", NAME, false, AT(spec, rootfs)},
                {"pids", COUNT, false, AT(spec, pids)},
                {"profile", OBJECT, false, 0},
                {"environment", OBJECT, false, 0},
                {"protections", PAIRS, false, AT(spec, protections)},
                {"boot_timeout_ms", MILLISECONDS, true, AT(spec, boot_timeout_ms)},
                {"hold_on_failure", FLAG, false, AT(spec, hold_on_failure)},
                {"workspace", PATH, true, AT(spec, workspace)},
                {"env", ENV, false, AT(spec, env)},
                {"defaults", OBJECT, false, 0},
                {"contexts", OBJECT, false, 0},
                {"outputs", PAIRS, false, AT(spec, outputs)},
                {"source", OBJECT, false, 0},
                {"secrets", OBJECT, false, 0},
                {"mask", LIST, false, 0},
                {"egress", OBJECT, false, 0},
                {"steps", LIST, true, 0},
        };
        int r = read_object(root, "", members, ARRAY_SIZE(members), s, e);
        if (r == 0 && s->rootfs && strcmp(s->rootfs, "overlay") != 0 && strcmp(s->rootfs, "read-only") != 0)
                return err_set(e, ERR_USAGE, "job specification: rootfs: expected `overlay` or `read-only`, found `%s`",
                               s->rootfs);
        if (r == 0 && s->pids > SPEC_MAX_PIDS)
                return err_set(e, ERR_USAGE, "job specification: pids: expected at most %u, found %u", SPEC_MAX_PIDS,
                               s->pids);
        return r < 0 ? r : read_parts(root, s, e);
}

int spec_parse(const void *data, size_t len, struct spec **ret, struct err *e)
{
        json_error_t where;
        AUTO(spec_freep) struct spec *s = NULL;
        if (len > SPEC_MAX_SIZE)
                return err_set(e, ERR_USAGE, "job specification: at most 8 MiB, found %zu bytes", len);
        s = calloc(1, sizeof(*s));
        if (!s)
                return err_nomem(e);
        s->document = json_loadb(data, len, JSON_REJECT_DUPLICATES, &where);
        if (!s->document)
                return err_set(e, ERR_USAGE, "job specification: line %d, column %d: %s", where.line, where.column,
                               where.text);
        if (!json_is_object(s->document))
                return err_set(e, ERR_USAGE, "job specification: expected an object");
        json_t *version = json_object_get(s->document, "version");
        if (!json_is_integer(version) || json_integer_value(version) != SPEC_VERSION)
                return err_set(e, ERR_USAGE, "job specification: version: expected %d", SPEC_VERSION);
        json_object_del(s->document, "version");
        int r = read_root(s->document, s, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

static void free_steps(struct spec_step *steps, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                free(steps[i].with.v);
                free(steps[i].env.v);
                free(steps[i].wait.v);
                free_steps(steps[i].parallel, steps[i].n_parallel);
        }
        free(steps);
}

struct spec *spec_free(struct spec *s)
{
        if (!s)
                return NULL;
        free_steps(s->steps, s->n_steps);
        for (size_t i = 0; i < s->n_calls; i++)
                free(s->calls[i].pass.v);
        free(s->calls);
        free(s->secret_names);
        free(s->mask);
        policy_free(s->egress);
        free(s->env.v);
        free(s->outputs.v);
        free(s->protections.v);
        json_decref(s->document);
        free(s);
        return NULL;
}
