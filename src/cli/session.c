#include "cli/session.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/num.h"
#include "cli/egress.h"
#include "cli/process.h"
#include "cli/records.h"
#include "cli/render.h"
#include "cli/rundir.h"
#include "cli/session_internal.h"
#include "cli/shell.h"
#include "cli/vault.h"
#include "codec/json.h"
#include "loop/loop.h"
#include "workflow/value.h"

static void session_done(struct session *s)
{
        shell_free(s->shell);
        for (size_t i = 0; i < s->n_jobs; i++)
                session_job_free(s->jobs[i]);
        free(s->jobs);
        for (size_t i = 0; s->workflows && i < s->launch.selection.n; i++)
                run_free(s->workflows[i].run);
        free(s->workflows);
        for (size_t i = 0; i < s->n_images; i++) {
                image_free(s->images[i]->image);
                template_done(&s->images[i]->template);
                free(s->images[i]->ref);
                free(s->images[i]);
        }
        free(s->images);
        session_store_done(s);
        session_profile_done(s);
        secret_store_free(s->secrets);
        vault_account_free(s->vault);
        render_free(s->render);
        json_decref(s->policy);
        json_decref(s->authorities);
        egress_sink_free(s->egress);
        rundir_free(s->rundir);
        launch_done(&s->launch);
        loop_free(s->loop);
}

static size_t session_active(const struct session *s)
{
        size_t active = 0;

        for (size_t i = 0; i < s->launch.selection.n; i++)
                active += s->workflows[i].active;
        return active;
}

/* Do what one run decides until it waits. */
static int advance_workflow(struct session_workflow *w, struct err *e)
{
        struct session *s = w->session;

        for (;;) {
                struct run_decision d;
                size_t active = session_active(s);

                run_set_capacity(w->run, s->capacity - MIN(active, (size_t)s->capacity) + w->active);
                int r = run_next(w->run, &d, e);
                if (r < 0 || d.action == RUN_WAIT || d.action == RUN_DONE)
                        return r;
                if (d.action == RUN_START)
                        r = session_job_start(w, d.job, e);
                else if (d.action == RUN_REPORT)
                        r = session_job_report(w, d.job, e);
                else if (d.job->user && ((struct session_job *)d.job->user)->process)
                        process_ask(((struct session_job *)d.job->user)->process, "cancel");
                if (r < 0)
                        return r;
        }
}

static bool session_is_done(const struct session *s)
{
        for (size_t i = 0; i < s->launch.selection.n; i++)
                if (!run_is_done(s->workflows[i].run))
                        return false;
        return true;
}

int session_advance(struct session *s, struct err *e)
{
        for (size_t i = 0; i < s->launch.selection.n; i++) {
                int r = advance_workflow(&s->workflows[i], e);
                if (r < 0)
                        return r;
        }
        if (session_is_done(s) && session_active(s) == 0)
                loop_quit(s->loop);
        return 0;
}

void session_cancel(struct session *s)
{
        for (size_t i = 0; i < s->launch.selection.n; i++)
                run_cancel(s->workflows[i].run);
}

/* The first interrupt cancels: steps that want it still run. The second ends every guest at once. */
static int on_interrupt(int signo, void *user, struct err *e)
{
        struct session *s = user;

        (void)signo;
        if (++s->interrupts == 1) {
                fputs("devdep-cli: cancelling; press Ctrl-C again to end the guests at once\n", stderr);
                session_cancel(s);
                return session_advance(s, e);
        }
        for (size_t i = 0; i < s->n_jobs; i++)
                if (s->jobs[i]->process)
                        process_kill(s->jobs[i]->process);
        return 0;
}

static int watch_signals(struct session *s, struct err *e)
{
        static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
        struct loop_signal *source; /* freed with the loop */

        for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
                int r = loop_signal_new(s->loop, signals[i], on_interrupt, s, &source, e);
                if (r < 0)
                        return r;
        }
        return 0;
}

#define TICK_MS 250u

/* Silence is filled, except while a person is in a shell. */
static int on_tick(struct loop_timer *t, void *user, struct err *e)
{
        struct session *s = user;

        loop_timer_in(t, TICK_MS);
        return s->shell ? 0 : render_tick(s->render, e);
}

static int start_ticker(struct session *s, struct err *e)
{
        int r = loop_timer_new(s->loop, on_tick, s, &s->ticker, e);

        if (r == 0)
                loop_timer_in(s->ticker, TICK_MS);
        return r;
}

/* Of the jobs that are known, those of called workflows as well. */
static size_t longest_in(const struct plan *plan)
{
        size_t longest = 0;

        for (size_t j = 0; j < plan->n_jobs; j++) {
                const struct plan_expansion *x = &plan->jobs[j].expansion;

                longest = MAX(longest, strlen(plan->jobs[j].name));
                for (size_t k = 0; k < x->n; k++) {
                        size_t inner = x->v[k]->called ? longest_in(x->v[k]->called) : strlen(x->v[k]->name);
                        longest = MAX(longest, inner);
                }
        }
        return longest;
}

static size_t longest_name(const struct session *s)
{
        size_t longest = 0;

        for (size_t i = 0; i < s->launch.selection.n; i++) {
                const struct launch_workflow *w = &s->launch.workflows[i];
                size_t title = s->launch.selection.n > 1 ? strlen(workflow_title(w->file->workflow)) + 3 : 0;
                size_t name = longest_in(w->plan);
                longest = MAX(longest, title + name);
        }
        return longest;
}

static int make_runs(struct session *s, struct err *e)
{
        for (size_t i = 0; i < s->launch.selection.n; i++) {
                struct session_workflow *w = &s->workflows[i];
                struct run_options options = {
                        .capacity = s->capacity, .keep_going = s->o.keep_going, .contexts = w->launched->contexts};
                int r = run_new(w->launched->plan, &options, &w->run, e);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int open_output(struct session *s, struct err *e)
{
        struct render_options o = {.out = stdout, .prefix = true, .quiet = s->o.json, .width = longest_name(s)};

        int r = render_use_color(s->o.color, stdout, &o.color, e);
        if (r == 0)
                r = render_use_progress(s->o.progress, stdout, &o.progress, e);
        if (r == 0)
                r = render_new(&o, &s->render, e);
        if (r < 0 || s->o.json)
                return r;
        for (size_t i = 0; i < s->launch.selection.n && r == 0; i++) {
                struct buf title = BUF_INIT;

                r = render_plain(s->launch.selection.v[i].file, &title, e);
                const char *file = r == 0 ? buf_cstr(&title) : "";
                if (r == 0)
                        r = render_line(s->render, e, "run %s: %s, commit %.12s%s", s->run_name, file ? file : "",
                                        s->launch.facts.git.commit,
                                        s->launch.facts.git.dirty ? " with uncommitted changes" : "");
                buf_done(&title);
        }
        if (r == 0 && s->n_images > 0 && s->images[0]->probe.accel == VM_ACCEL_TCG)
                r = render_line(s->render, e, "guests run under software emulation (%s)", s->images[0]->probe.why);
        return r;
}

static void print_result(const struct session *s, const char *conclusion, enum err_code code)
{
        AUTO(json_decrefp)
        json_t *line = json_pack("{s:s,s:s,s:s,s:i,s:s,s:b}", "run", s->run_name, "type", "run_finished", "conclusion",
                                 conclusion, "code", (int)code, "name", err_info(code)->name, "retryable",
                                 err_info(code)->retryable);

        if (line) {
                json_dumpf(line, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
                putchar('\n');
        }
}

/* The verdict over all files: the first that failed gives the code, and its first failed job the message. */
static int conclude(struct session *s, struct err *e)
{
        enum err_code code = ERR_SUCCESS;
        enum run_conclusion conclusion = RUN_SUCCESS;
        const struct session_job *failed = NULL;

        for (size_t i = 0; i < s->launch.selection.n && code == ERR_SUCCESS; i++) {
                enum run_conclusion c = run_result(s->workflows[i].run, &code);

                if (code != ERR_SUCCESS)
                        conclusion = c;
        }
        for (size_t i = 0; i < s->n_jobs && !failed; i++)
                if (code != ERR_SUCCESS && s->jobs[i]->job->code == code && s->jobs[i]->job->conclusion != RUN_SUCCESS)
                        failed = s->jobs[i];
        int r = session_seal(s, run_conclusion_name(conclusion), code, e);
        if (r == 0 && s->o.json)
                print_result(s, run_conclusion_name(conclusion), code);
        else if (r == 0)
                r = render_summary(s->render, e);
        if (r == 0 && !s->o.json)
                r = session_store_summary(s, e);
        if (r < 0 || code == ERR_SUCCESS)
                return r;
        if (code == ERR_CANCELLED || !failed)
                return err_set(e, code, "run %s: %s", s->run_name, run_conclusion_name(conclusion));
        return err_set(e, code, "run %s: job %s: %s%s%s (devdep-cli logs %s/%s)", s->run_name, failed->job->name,
                       run_conclusion_name(failed->job->conclusion), *failed->message ? ": " : "", failed->message,
                       s->run_name, failed->key);
}

static int run_all(struct session *s, struct err *e)
{
        int r = open_output(s, e);

        if (r == 0)
                r = make_runs(s, e);
        if (r == 0)
                r = watch_signals(s, e);
        if (r == 0)
                r = start_ticker(s, e);
        if (r == 0)
                r = session_record(s, NULL, ERR_SUCCESS, e);
        if (r == 0)
                r = records_recover(s->launch.store.state, e);
        if (r == 0)
                r = session_advance(s, e);
        if (r == 0 && !(session_is_done(s) && session_active(s) == 0))
                r = loop_run(s->loop, e);
        return r;
}

int session_run(const struct session_options *o, struct err *e)
{
        struct session s = {.o = *o,
                            .launch = {.actions = ACTIONS_INIT},
                            .started_ms = clock_mono_ms(),
                            .started_real_ms = clock_real_ms(),
                            .shelves = {.caches_lock = -1}};
        struct err end = ERR_INIT;

        /* A reader of our output, or a devdep-job, that goes away is an error like others, and cleaned up after. */
        signal(SIGPIPE, SIG_IGN);
        int r = loop_new(&s.loop, e);
        if (r == 0)
                r = session_prepare(&s, e);
        if (r == 0)
                r = egress_sink_new(o->egress_report, o->egress_syslog, &s.egress, e);
        if (r < 0) {
                s.rundir = rundir_discard(s.rundir);
        } else {
                r = run_all(&s, e);
                if (r == 0)
                        r = egress_sink_close(s.egress, e);
                if (r == 0)
                        r = conclude(&s, e);
                else if (session_seal(&s, "failure", e->code, &end) < 0)
                        fprintf(stderr, "devdep-cli: %s\n", end.msg);
                if (rundir_prune(s.launch.store.state, &end) < 0 || session_store_prune(&s, &end) < 0)
                        fprintf(stderr, "devdep-cli: %s\n", end.msg);
        }
        session_done(&s);
        return r;
}
