/* One job of a session: its image, its specification, its processes, its events, its end. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "cli/claim.h"
#include "cli/egress.h"
#include "cli/process.h"
#include "cli/render.h"
#include "cli/rundir.h"
#include "cli/secrets.h"
#include "cli/session_internal.h"
#include "cli/shell.h"
#include "codec/json.h"
#include "codec/uses.h"
#include "sandbox/sandbox.h"
#include "source/names.h"
#include "workflow/value.h"

#define BOOT_TIMEOUT_MS 60000u
#define BOOT_TIMEOUT_MS_TCG 120000u

struct session_job *session_job_free(struct session_job *j)
{
        if (!j)
                return NULL;
        process_free(j->process);
        json_decref(j->protections);
        egress_log_free(j->egress);
        json_decref(j->egress_summary);
        json_decref(j->secrets);
        free(j->key);
        free(j->message);
        free(j->environment_url);
        json_decref(j->actions);
        free(j);
        return NULL;
}

/* "build", or "ci.build" where several files run: GitHub's runs are one per file. */
static char *job_key(const struct session_workflow *w, const struct run_job *j)
{
        const char *file = strrchr(w->launched->file->file, '/');
        char stem[64];

        if (w->session->launch.selection.n == 1)
                return str_dup(j->key);
        str_copy(stem, sizeof(stem), file ? file + 1 : w->launched->file->file);
        stem[strcspn(stem, ".")] = '\0';
        for (char *c = stem; *c; c++)
                if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-", *c))
                        *c = '-';
        return str_printf("%zu-%s.%s", (size_t)(w - w->session->workflows) + 1, stem, j->key);
}

static char *job_title(const struct session_workflow *w, const struct run_job *j)
{
        if (w->session->launch.selection.n == 1)
                return str_dup(j->name);
        return str_printf("%s / %s", workflow_title(w->launched->file->workflow), j->name);
}

/* The session's entry of a job, made on first use. */
static int find_job(struct session_workflow *w, struct run_job *job, struct session_job **ret, struct err *e)
{
        struct session *s = w->session;

        if (job->user) {
                *ret = job->user;
                return 0;
        }
        AUTO(auto_free) char *title = job_title(w, job);
        struct session_job **jobs = reallocarray(s->jobs, s->n_jobs + 1, sizeof(struct session_job *));
        struct session_job *j = calloc(1, sizeof(*j));
        if (jobs)
                s->jobs = jobs;
        if (!title || !jobs || !j) {
                free(j);
                return err_nomem(e);
        }
        s->jobs[s->n_jobs++] = j;
        j->workflow = w;
        j->job = job;
        j->key = job_key(w, job);
        j->message = str_dup("");
        if (!j->key || !j->message)
                return err_nomem(e);
        job->user = j;
        *ret = j;
        return render_job_new(s->render, title, &j->render, e);
}

static json_t *image_object(const struct session_image *x)
{
        char measurement[IMAGE_REF_SIZE], verity[IMAGE_HEX_SHA256];

        num_to_hex(x->image->manifest.verity_root, IMAGE_SHA256, verity);
        image_measurement(x->image, x->probe.accel, measurement);
        return json_pack("{s:s,s:s,s:s,s:s}", "name", x->image->name, "digest", x->image->digest, "measurement",
                         measurement, "verity", verity);
}

/* One entry per protection: {"vmm own-user": "ok", "git own-user": ...}. */
static int add_protections(json_t *all, const char *who, const struct sandbox_report *report)
{
        for (int i = 0; report && i < SANDBOX_PROTECTION_COUNT; i++) {
                char name[64];

                if (report->held[i].state == SANDBOX_UNUSED)
                        continue;
                snprintf(name, sizeof(name), "%s.%s", who, sandbox_protection_name((enum sandbox_protection)i));
                if (json_object_set_new(all, name, json_string(sandbox_state_name(report->held[i].state))) < 0)
                        return -1;
        }
        return 0;
}

/* What the run knows, and the variables of the job's environment. */
static int job_contexts(const struct session_job *j, struct value **ret, struct err *e)
{
        AUTO(value_unrefp) struct value *vars = NULL;
        int r = run_contexts(j->workflow->run, j->job, ret, e);

        if (r == 0)
                r = vars_of(&j->workflow->session->launch.vars, j->job->instance->environment, &vars, e);
        return r < 0 ? r : value_set(*ret, "vars", vars, e);
}

static int make_spec(const struct process_reports *reports, void *user, struct json_t **ret, struct err *e)
{
        struct session_job *j = user;
        const struct session *s = j->workflow->session;
        AUTO(json_decrefp) json_t *image = image_object(j->image);
        AUTO(json_decrefp) json_t *protections = json_object();
        AUTO(value_unrefp) struct value *contexts = NULL;

        if (!image || !protections || add_protections(protections, "vmm", reports->vmm) < 0 ||
            add_protections(protections, "source", reports->source) < 0 ||
            add_protections(protections, "broker", reports->broker) < 0 ||
            add_protections(protections, "store", reports->store) < 0 ||
            add_protections(protections, "service", reports->service) < 0 ||
            add_protections(protections, "secrets", reports->secrets) < 0 ||
            add_protections(protections, "job", reports->job) < 0)
                return err_nomem(e);
        json_decref(j->protections);
        j->protections = json_incref(protections);
        int r = job_contexts(j, &contexts, e);
        if (r < 0)
                return r;
        struct plan_parts parts = {
                .run = s->run_name,
                .attempt = "1",
                .contexts = contexts,
                .image = image,
                .protections = protections,
                .accelerator = vm_accel_name(j->image->probe.accel),
                .rootfs = "overlay",
                .workspace = s->launch.facts.workspace,
                .boot_timeout_ms = j->image->probe.accel == VM_ACCEL_KVM ? BOOT_TIMEOUT_MS : BOOT_TIMEOUT_MS_TCG,
                .hold_on_failure = s->o.shell_on_failure,
                .source_commit = s->launch.facts.git.commit,
                .source_tree = s->launch.facts.git.bare ? "commit" : "working",
        };
        session_profile_parts(s, &parts);
        r = plan_job_spec(j->job->plan, j->job->job, j->job->instance, &parts, ret, e);
        if (r == 0 && j->secrets && json_object_set(*ret, "secrets", j->secrets) < 0)
                return err_nomem(e);
        return r == 0 && json_object_set(*ret, "egress", s->policy) < 0 ? err_nomem(e) : r;
}

static int print_line(json_t *line, struct err *e)
{
        /* ASCII: the terminal's own controls among U+0080 to U+009F would pass as they are. */
        if (!line || json_dumpf(line, stdout, JSON_COMPACT | JSON_ENSURE_ASCII) < 0 || putchar('\n') == EOF ||
            fflush(stdout) != 0)
                return err_set(e, ERR_RESOURCES, "cannot write to standard output");
        return 0;
}

static int print_json_event(const struct session_job *j, const struct json_t *event, struct err *e)
{
        AUTO(json_decrefp)
        json_t *line = json_pack("{s:s,s:s,s:O}", "run", j->workflow->session->run_name, "job", j->key, "event", event);

        return print_line(line, e);
}

/* What ran on the host around the guest, and in it, and how long: no event of the job's journal. */
static int print_segment(const struct session_job *j, const char *segment, uint64_t ms, struct err *e)
{
        if (!j->workflow->session->o.json)
                return 0;
        AUTO(json_decrefp)
        json_t *line = json_pack("{s:s,s:s,s:s,s:s,s:I}", "run", j->workflow->session->run_name, "job", j->key, "type",
                                 "segment", "segment", segment, "ms", (json_int_t)ms);
        return print_line(line, e);
}

static int print_end_segments(const struct session_job *j, struct err *e)
{
        int r = print_segment(j, "run_command", j->segments.command_ms, e);

        return r < 0 ? r : print_segment(j, "post_teardown", j->segments.teardown_ms, e);
}

/* What devdep-job says of itself: the names that are its own, and words that are a state. */
static int take_protections(struct session_job *j, const json_t *event, struct err *e)
{
        json_t *said = json_object_get(event, "protections");

        for (int i = 0; i < SANDBOX_PROTECTION_COUNT; i++) {
                char name[64];
                snprintf(name, sizeof(name), "job.%s", sandbox_protection_name((enum sandbox_protection)i));
                const char *state = json_string_value(json_object_get(said, name));
                for (int k = SANDBOX_OK; state && k <= SANDBOX_MISSING; k++)
                        if (str_eq(state, sandbox_state_name((enum sandbox_state)k)) &&
                            json_object_set_new(j->protections, name, json_string(state)) < 0)
                                return err_nomem(e);
        }
        return 0;
}

static int open_shell(struct session_job *j, struct err *e);

static bool is_known(const json_t *actions, const char *uses)
{
        for (size_t i = 0; i < json_array_size(actions); i++)
                if (strcmp(json_string_value(json_object_get(json_array_get(actions, i), "uses")), uses) == 0)
                        return true;
        return false;
}

/* For the record. A journal's writer may have been taken over: what names no action is left out. */
static int note_action(struct session_job *j, const struct json_t *event, struct err *e)
{
        const char *uses = json_string_value(json_object_get(event, "uses"));
        const char *commit = json_string_value(json_object_get(event, "commit"));
        struct uses u;
        struct err ignored = ERR_INIT;

        if (!uses || !commit || (!oid_is_valid(commit, 40) && !oid_is_valid(commit, 64)) ||
            json_array_size(j->actions) >= SESSION_MAX_ACTIONS || is_known(j->actions, uses))
                return 0;
        if (uses_parse(uses, &u, &ignored) < 0)
                return ignored.code == ERR_USAGE ? 0 : err_nomem(e);
        bool remote = u.kind == USES_REMOTE;
        uses_done(&u);
        if (!remote)
                return 0;
        if (!j->actions)
                j->actions = json_array();
        return json_array_append_new(j->actions, json_pack("{s:s,s:s}", "uses", uses, "commit", commit)) < 0
                       ? err_nomem(e)
                       : 0;
}

static int on_event(struct process *p, const char *type, const struct json_t *event, void *user, struct err *e)
{
        struct session_job *j = user;
        const struct session *s = j->workflow->session;

        (void)p;
        if (s->o.json && print_json_event(j, event, e) < 0)
                return -1;
        int r = render_event(j->render, type, event, e);
        if (r == 0 && strcmp(type, "job_started") == 0)
                r = take_protections(j, event, e);
        if (r == 0 && strcmp(type, "egress") == 0)
                r = egress_log_add(j->egress, s->egress, s->run_name, j->key, event, e);
        if (r == 0 && strcmp(type, "action") == 0)
                r = note_action(j, event, e);
        if (r == 0 && strcmp(type, "held") == 0) {
                j->held = true;
                r = open_shell(j, e);
        }
        return r;
}

/* Every journal waits while a person is in a shell; the jobs go on. */
static void hold_all(struct session *s, bool hold)
{
        for (size_t i = 0; i < s->n_jobs; i++)
                if (s->jobs[i]->process)
                        process_hold_events(s->jobs[i]->process, hold);
}

static int on_shell_end(void *user, struct err *e)
{
        struct session_job *j = user;
        struct session *s = j->workflow->session;

        s->shell = shell_free(s->shell);
        s->shell_job = NULL;
        hold_all(s, false);
        if (j->process)
                process_ask(j->process, "release");
        for (size_t i = 0; i < s->n_jobs && !s->shell; i++)
                if (s->jobs[i]->held && s->jobs[i] != j && open_shell(s->jobs[i], e) < 0)
                        return -1;
        return 0;
}

static int open_shell(struct session_job *j, struct err *e)
{
        struct session *s = j->workflow->session;
        int fd = -1;

        if (s->shell || !j->process)
                return 0;
        if (s->interrupts > 0) {
                process_ask(j->process, "release");
                return 0;
        }
        j->held = false;
        int r = render_note(j->render, e,
                            "a shell in the failed job's guest; it ends, and the guest with it, at 'exit'");
        if (r == 0)
                r = process_connect(j->process, &fd, e);
        if (r == 0)
                r = shell_start(s->loop, fd, on_shell_end, j, &s->shell, e);
        if (r < 0)
                return r;
        s->shell_job = j;
        hold_all(s, true);
        return 0;
}

/* Record an end, whatever led to it, and tell the run's state. */
static int end_job(struct session_job *j, enum run_conclusion conclusion, enum err_code code, const char *message,
                   struct value *outputs, struct err *e)
{
        struct session *s = j->workflow->session;

        free(j->message);
        j->message = str_dup(message);
        if (!j->message)
                return err_nomem(e);
        int r = run_finished(j->workflow->run, j->job, conclusion, code, outputs, e);
        if (r == 0)
                r = render_job_end(j->render, run_conclusion_name(conclusion), j->ms, message, e);
        if (r == 0)
                r = session_record(s, NULL, ERR_SUCCESS, e);
        return r;
}

static int on_ended(struct process *p, const struct process_verdict *v, void *user, struct err *e)
{
        struct session_job *j = user;
        struct session *s = j->workflow->session;
        AUTO(value_unrefp) struct value *outputs = NULL;
        enum run_conclusion conclusion = run_conclusion_parse(v->conclusion);

        j->ms = v->ms;
        j->segments = v->segments;
        j->egress_summary = egress_log_summary(j->egress, s->policy);
        j->workflow->active--;
        if (s->shell_job == j) {
                s->shell = shell_free(s->shell);
                s->shell_job = NULL;
                hold_all(s, false);
        }
        if (v->environment_url && !(j->environment_url = str_dup(v->environment_url)))
                return err_nomem(e);
        if (v->outputs && value_from_json(v->outputs, &outputs, e) < 0)
                return -1;
        if (conclusion == RUN_NONE || conclusion == RUN_SKIPPED)
                conclusion = RUN_FAILURE;
        int r = print_end_segments(j, e);
        if (r == 0)
                r = end_job(j, conclusion, (enum err_code)v->code, v->message, outputs, e);
        j->process = process_free(p);
        return r == 0 ? session_advance(s, e) : r;
}

static const struct process_callbacks callbacks = {on_event, on_ended};

/* A parked VM of a pool, where one listens; its root can be written. What is wrong with it is said, and the job has
 * another guest. */
static bool try_claim(const struct session *s, const struct session_image *x, struct claim *ret)
{
        struct err why = ERR_INIT;

        if (s->launch.profile.profile && s->launch.profile.profile->rootfs.value == PROFILE_ROOTFS_READ_ONLY)
                return false;
        if (s->o.no_pool || s->o.cold || x->door.vsock || s->o.driver != &vm_driver_qemu)
                return false;
        int r = claim_vm(s->launch.store.state, x->image, x->probe.accel, &s->o.shape, ret, &why);
        if (r < 0)
                log_warning("no parked guest from devdep-pool: %s", why.msg);
        return r == 0;
}

/* One call around the job: it goes in front of `calls`, and the names become those that the caller knows. */
static int pass_secrets(const struct session_job *j, const struct run_job *caller, json_t *calls, struct strv *names,
                        bool *all, struct err *e)
{
        AUTO(strv_done) struct strv outer = STRV_INIT;
        AUTO(value_unrefp) struct value *contexts = NULL;
        json_t *call = NULL;

        int r = run_contexts(j->workflow->run, caller, &contexts, e);
        if (r == 0)
                r = plan_call_passes(caller->plan, caller->job, names, *all, contexts, &call, e);
        if (r == 0 && call && json_array_insert_new(calls, 0, call) < 0)
                r = err_nomem(e);
        if (r == 0)
                r = plan_call_secrets(caller->job, names, *all, &outer, all, e);
        strv_done(names);
        *names = outer;
        outer = (struct strv)STRV_INIT;
        return r;
}

static json_t *names_json(const struct strv *names)
{
        json_t *list = json_array();

        for (size_t i = 0; list && i < names->n; i++)
                json_array_append_new(list, json_string(names->v[i]));
        return list;
}

/* What the job does not name it does not get, nor what a call around it does not let through. */
static int order_secrets(struct session_job *j, struct job_order *ret, struct err *e)
{
        const struct session *s = j->workflow->session;
        AUTO(strv_done) struct strv names = STRV_INIT;
        AUTO(json_decrefp) json_t *calls = json_array(), *only = NULL;
        bool all = false;

        int r = plan_job_secrets(j->job->plan, j->job->job, &names, &all, e);
        if (r == 0 && !all)
                only = names_json(&names);
        for (const struct run_job *c = run_job_caller(j->job); r == 0 && c; c = run_job_caller(c))
                r = pass_secrets(j, c, calls, &names, &all, e);
        if (r == 0 && json_array_size(calls) > 0 && !j->secrets &&
            !(j->secrets = json_pack("{s:O,s:O*}", "calls", calls, "only", only)))
                r = err_nomem(e);
        return r < 0 ? r : secret_store_order(s->secrets, &names, all, ret, e);
}

static int on_template_lost(const struct err *why, void *user, struct err *e)
{
        const struct session_job *j = user;

        return session_template_again(j->workflow->session, j->image, why, e);
}

static int start_process(struct session_job *j, struct err *e)
{
        struct session *s = j->workflow->session;
        const struct profile *p = s->launch.profile.profile;
        char job[128];

        AUTO(claim_done) struct claim claim = CLAIM_INIT;
        AUTO(strv_done) struct strv scopes = STRV_INIT;
        AUTO(job_order_done) struct job_order secrets = JOB_ORDER_INIT;
        struct store_start store;

        int r = session_image_for(s, &j->job->instance->labels, &j->image, e);
        if (r == 0)
                r = egress_log_new(&j->egress, e);
        if (r == 0)
                r = session_store_start(j, &scopes, &store, e);
        if (r == 0)
                r = order_secrets(j, &secrets, e);
        if (r < 0)
                return r;
        bool claimed = try_claim(s, j->image, &claim);
        if (!claimed)
                r = session_template(s, j->image, e);
        if (r < 0)
                return r;
        snprintf(job, sizeof(job), "%s/%s", s->run_name, j->key);
        struct process_config c = {
                .loop = s->loop,
                .state = s->launch.store.state,
                .driver = s->o.driver,
                .accel = j->image->probe.accel,
                .vsock = j->image->door.vsock,
                .shape = s->o.shape,
                .image = j->image->image,
                .template = &j->image->template,
                .template_lost = on_template_lost,
                .claim = claimed ? &claim : NULL,
                .job = job,
                .place = &s->launch.place,
                .actions = &s->launch.actions,
                .store = &store,
                .secrets = &secrets,
                .rundir = s->rundir,
                .key = j->key,
                .swap_allowed = p && p->swap.value == PROFILE_SWAP_ALLOW,
                .egress = s->policy,
                .authorities = s->authorities,
                .spec = make_spec,
                .callbacks = &callbacks,
                .user = j,
        };
        r = process_start(&c, &j->process, e);
        if (r < 0)
                return r;
        j->origin = vm_origin_name(process_origin(j->process));
        str_copy(j->spec_digest, sizeof(j->spec_digest), process_spec_digest(j->process));
        j->segments.bootstrap_ms = process_bootstrap_ms(j->process);
        return print_segment(j, "pre_bootstrap", j->segments.bootstrap_ms, e);
}

int session_job_start(struct session_workflow *w, struct run_job *job, struct err *e)
{
        struct session_job *j = NULL;
        struct err why = ERR_INIT;

        int r = find_job(w, job, &j, e);
        if (r < 0)
                return r;
        r = start_process(j, &why);
        if (r < 0 && why.code == ERR_CANCELLED)
                session_cancel(w->session);
        if (r < 0)
                return end_job(j, why.code == ERR_CANCELLED ? RUN_CANCELLED : RUN_FAILURE, why.code, why.msg, NULL, e);
        w->active++;
        r = run_started(w->run, job, e);
        if (r == 0)
                r = render_job_start(j->render, j->image->image->name, j->origin, e);
        return r == 0 ? session_record(w->session, NULL, ERR_SUCCESS, e) : r;
}

int session_job_report(struct session_workflow *w, struct run_job *job, struct err *e)
{
        struct session_job *j = NULL;

        int r = find_job(w, job, &j, e);
        if (r < 0)
                return r;
        free(j->message);
        j->message = str_dup(job->reason ? job->reason : "");
        if (!j->message)
                return err_nomem(e);
        r = render_job_end(j->render, run_conclusion_name(job->conclusion), 0, job->reason, e);
        return r == 0 ? session_record(w->session, NULL, ERR_SUCCESS, e) : r;
}
