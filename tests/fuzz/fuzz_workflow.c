/* Workflow files: parsed, rendered when refused; planned, written as specifications and run through when accepted. What
 * follows a line "#### called" is the file that .github/workflows/a.yml names, what follows a second one b.yml, and the
 * action files a/action.yml and b/action.yml. */
#include <assert.h>
#include <jansson.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "codec/diag.h"
#include "run/run.h"
#include "workflow/library.h"
#include "workflow/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SEPARATOR "#### called\n"
#define MAX_PARTS 3

struct parts {
        const uint8_t *data[MAX_PARTS];
        size_t size[MAX_PARTS];
        size_t n;
};

static void split(const uint8_t *data, size_t size, struct parts *ret)
{
        *ret = (struct parts){.n = 1, .data = {data}};
        for (;;) {
                const uint8_t *at = memmem(data, size, SEPARATOR, strlen(SEPARATOR));
                if (!at || ret->n == MAX_PARTS)
                        break;
                ret->size[ret->n - 1] = (size_t)(at - data);
                size -= (size_t)(at - data) + strlen(SEPARATOR);
                data = at + strlen(SEPARATOR);
                ret->data[ret->n++] = data;
        }
        ret->size[ret->n - 1] = size;
}

static int read_part(void *user, const char *path, struct buf *ret, struct err *e)
{
        const struct parts *parts = user;
        for (size_t i = 1; i < parts->n; i++)
                if (strcmp(path, i == 1 ? ".github/workflows/a.yml" : ".github/workflows/b.yml") == 0 ||
                    strcmp(path, i == 1 ? "a/action.yml" : "b/action.yml") == 0)
                        return buf_append(ret, parts->data[i], parts->size[i], e);
        return LIBRARY_E_MISSING;
}

static void write_specs(const struct plan *p, struct value *contexts, struct err *e)
{
        json_t *image = json_object();
        const struct plan_parts parts = {.run = "1",
                                         .attempt = "1",
                                         .contexts = contexts,
                                         .image = image,
                                         .accelerator = "tcg",
                                         .rootfs = "overlay",
                                         .workspace = "/w"};
        for (size_t i = 0; i < p->n_jobs; i++)
                for (size_t k = 0; k < p->jobs[i].expansion.n && k < 4; k++) {
                        const struct plan_instance *x = p->jobs[i].expansion.v[k];
                        json_t *spec = NULL;
                        if (x->called)
                                write_specs(x->called, contexts, e);
                        else
                                assert(plan_job_spec(p, &p->jobs[i], x, &parts, &spec, e) == 0);
                        json_decref(spec);
                }
        json_decref(image);
}

/* Every job ends at once, in turn well and badly: the run must end. */
static void run_through(const struct plan *p, struct value *contexts, struct err *e)
{
        AUTO(run_freep) struct run *run = NULL;
        struct run_options o = {.capacity = 3, .contexts = contexts};
        struct run_decision d = {0};
        assert(run_new(p, &o, &run, e) == 0);
        for (unsigned i = 0; d.action != RUN_DONE; i++) {
                assert(run_next(run, &d, e) == 0 && d.action != RUN_WAIT);
                if (d.action == RUN_START)
                        assert(run_finished(run, d.job, i % 5 == 4 ? RUN_FAILURE : RUN_SUCCESS, ERR_SUCCESS, NULL, e) ==
                               0);
        }
}

static void plan_it(const struct workflow *w, struct library *library, struct diag_list *problems, struct err *e)
{
        AUTO(plan_freep) struct plan *p = NULL;
        AUTO(value_unrefp) struct value *contexts = NULL, *github = NULL;
        const struct plan_github facts = {.ref = "refs/heads/main", .repository = "a/b", .event_name = "push"};
        assert(plan_github_context(&facts, &github, e) == 0 && value_object(&contexts, e) == 0 &&
               value_set(contexts, "github", github, e) == 0);
        const struct plan_options o = {.contexts = contexts, .library = library};
        if (plan_new(w, &o, problems, &p, e))
                return;
        write_specs(p, contexts, e);
        run_through(p, contexts, e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        AUTO(diag_freep) struct diag_list *problems = NULL;
        AUTO(workflow_freep) struct workflow *w = NULL;
        AUTO(buf_done) struct buf out = BUF_INIT;
        AUTO(library_freep) struct library *library = NULL;
        struct parts parts;
        struct err e = ERR_INIT;
        split(data, size, &parts);
        size = parts.size[0];
        assert(library_new(&(struct library_source){read_part, &parts}, &library, &e) == 0);
        assert(diag_new("ci.yml", &problems, &e) == 0);
        int r = workflow_parse("ci.yml", data, size, problems, &w, &e);
        assert(r == 0 || (r == WORKFLOW_E_INVALID && diag_errors(problems) > 0));
        if (r == 0) {
                static const char *const paths[] = {"src/a.c"};
                const struct workflow_trigger t = {
                        .event = "push", .ref = "refs/heads/main", .paths = paths, .n_paths = 1};
                (void)workflow_selects(w, &t, NULL);
                assert(workflow_lint(w, (const char *)data, size, problems, &e) == 0);
                const struct plan_options o = {.library = library, .source = (const char *)data, .len = size};
                assert(plan_warn(w, &o, problems, &e) == 0);
                plan_it(w, library, problems, &e);
        }
        assert(diag_render(problems, (const char *)data, size, &out, &e) == 0);
        assert(!memchr(out.data ? out.data : data, '\x1b', out.len));
        return 0;
}
