#include "job/job.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/num.h"
#include "base/secret.h"
#include "base/str.h"
#include "blob/client.h"
#include "job/context.h"
#include "job/egress.h"
#include "job/job_priv.h"
#include "job/journal.h"
#include "job/mask.h"
#include "job/ops.h"
#include "job/problems.h"
#include "job/scope.h"
#include "job/secrets.h"
#include "job/seed.h"
#include "job/spec.h"
#include "job/turn.h"
#include "loop/loop.h"
#include "source/client.h"
#include "vm/vm.h"

static const char *const conclusions[] = {"success", "failure", "cancelled", "timed_out"};

/* ---- what ends a job ---- */

void job_fail(struct job *j, const struct err *why)
{
        if (j->verdict.code == ERR_SUCCESS && j->state < JOB_HELD) {
                j->verdict = *why;
                if (why->code < ERR_VM_BOOT_FAILED)
                        j->verdict.code = ERR_RESOURCES;
        }
        journal_use_reserve(j->journal);
        job_post(j, JOB_EV_FAIL);
}

void job_violate(struct job *j, const struct err *why)
{
        if (j->verdict.code == ERR_SUCCESS && !j->held)
                j->verdict = *why;
        job_fail(j, why);
}

void job_fail_step(struct job *j, const struct err *why)
{
        scope_fail(j->scope);
        if (j->failed)
                return;
        j->failed = true;
        j->result = *why;
}

void job_refuse(struct job *j, const struct err *why)
{
        if (j->verdict.code == ERR_SUCCESS && j->state < JOB_STEPS) {
                j->verdict = *why;
                job_post(j, JOB_EV_END);
        }
}

void job_cancel(struct job *j)
{
        if (j->cancelled || j->state >= JOB_CONSOLE)
                return;
        j->cancelled = true;
        if (j->state <= JOB_SEED || j->state == JOB_HELD ||
            (j->state == JOB_PREPARE && job_secrets_are_awaited(j->secrets))) {
                job_post(j, JOB_EV_END);
                return;
        }
        loop_timer_in(j->limit, JOB_CANCEL_MS);
        context_set_status(j->context, CONTEXT_CANCELLED);
        steps_cancel(j);
}

void job_kill(struct job *j)
{
        if (j->state >= JOB_STOP)
                return;
        j->killed = true;
        job_post(j, JOB_EV_END);
}

int job_release(struct job *j, struct err *e)
{
        if (j->state != JOB_HELD)
                return err_set(e, ERR_USAGE, "the job is not held");
        job_post(j, JOB_EV_END);
        return 0;
}

int job_rotate(struct job *j, struct err *e)
{
        return job_secrets_rotate(j->secrets, e);
}

/* The job's own limit cancels it; the second one, and that of a held job, ends the VM. */
static int on_limit(struct loop_timer *t, void *user, struct err *e)
{
        struct job *j = user;
        (void)t;
        (void)e;
        if (j->state == JOB_HELD || j->cancelled) {
                job_post(j, JOB_EV_END);
        } else {
                j->timed_out = true;
                job_cancel(j);
        }
        return 0;
}

/* ---- what the session and the VMM tell ---- */

/* The seed tells the time, so it is sent when the guest can take it: a clone's processor stands until its state is
 * loaded. */
static void begin_seed(struct job *j)
{
        if (j->guest_ready && j->running)
                job_post(j, JOB_EV_READY);
}

static int on_ready(struct session *s, void *user, struct err *e)
{
        struct job *j = user;
        (void)s;
        journal_begin(j->journal, "vm_ready");
        journal_i64(j->journal, "ms", (int64_t)(clock_mono_ms() - j->started_ms));
        int r = journal_end(j->journal, e);
        j->guest_ready = true;
        begin_seed(j);
        return r;
}

/* The guest's clock is behind by at most what the seed and its answer took together. What a clone is the first to do
 * takes it long, and a second time milliseconds: so one that answered late is seeded again. */
static int send_seed(struct job *j, const char *rootfs, struct err *e)
{
        /* Jobs of one run are different machines. */
        uint32_t which;
        char hostname[64];
        secret_random(&which, sizeof(which));
        snprintf(hostname, sizeof(hostname), "devdep-%.16s-%08" PRIx32, j->spec->run, which);
        for (char *p = hostname; *p; p++)
                if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-", *p))
                        *p = '-';
        j->n_seeds++;
        j->seed_ms = clock_mono_ms();
        const struct seed_wish wish = {hostname, rootfs, j->spec->pids};
        return session_seed(j->session, &wish, e);
}

/* An agent that is older than `pids` takes its seed and leaves it out. */
static int check_pids(const struct job *j, uint64_t holds, struct err *e)
{
        if (!j->spec->pids || holds == j->spec->pids)
                return 0;
        return err_set(e, ERR_VM_BOOT_FAILED,
                       "the guest does not bound the job to %u processes: its image was made by an older devdep; "
                       "'devdep-cli image build' makes it anew",
                       j->spec->pids);
}

#define GUEST_MAX_FACT                                                                                                 \
        ((uint64_t)1 << 53) /* of a number that the guest tells about itself; every JSON reader keeps it */

static int on_seeded(struct session *s, const struct fields *answer, void *user, struct err *e)
{
        struct job *j = user;
        const char *kernel = NULL;
        uint64_t cpus = 0, memory = 0, pids = 0;
        (void)s;
        if (j->config.vm->origin != VM_BOOTED && clock_mono_ms() - j->seed_ms > JOB_SEED_FRESH_MS &&
            j->n_seeds < JOB_MAX_SEEDS)
                return send_seed(j, "overlay", e);
        if (fields_str_opt(answer, "kernel", "", &kernel, e) < 0 ||
            fields_u64_opt(answer, "cpus", 0, GUEST_MAX_FACT, &cpus, e) < 0 ||
            fields_u64_opt(answer, "memory", 0, GUEST_MAX_FACT, &memory, e) < 0 ||
            fields_u64_opt(answer, "pids", 0, GUEST_MAX_FACT, &pids, e) < 0 || check_pids(j, pids, e) < 0)
                return -1;
        journal_begin(j->journal, "vm_seeded");
        journal_i64(j->journal, "ms", (int64_t)(clock_mono_ms() - j->started_ms));
        journal_text(j->journal, "kernel", kernel, strnlen(kernel, 256));
        journal_i64(j->journal, "cpus", (int64_t)cpus);
        journal_i64(j->journal, "memory", (int64_t)memory);
        journal_i64(j->journal, "pids", (int64_t)pids);
        int r = journal_end(j->journal, e);
        if (r == 0)
                job_post(j, JOB_EV_SEEDED);
        return r;
}

static int on_request(struct door_stream *stream, const char *op, const struct fields *header, void *user,
                      struct err *e)
{
        return egress_request(((struct job *)user)->egress, stream, op, header, e);
}

static int on_session_failed(struct session *s, const struct err *why, void *user, struct err *e)
{
        (void)s;
        (void)e;
        job_fail(user, why);
        return 0;
}

static enum err_code code_of_loss(const struct job *j)
{
        return j->state <= JOB_SEED ? ERR_VM_BOOT_FAILED : ERR_GUEST_LOST;
}

static int on_all_gone(struct job *j, struct err *e)
{
        (void)e;
        job_post(j, JOB_EV_GONE);
        return 0;
}

/* The last event of a job waits for what it was lent to be given back. */
static void vm_is_gone(struct job *j)
{
        struct err why = ERR_INIT;
        if (j->vm_gone)
                return;
        j->vm_gone = true;
        if (job_secrets_release(j->secrets, false, on_all_gone, &why) < 0) {
                log_error("%s", why.msg);
                job_post(j, JOB_EV_GONE);
        }
}

static int on_vm(struct vm *vm, const struct vm_event *ev, void *user, struct err *e)
{
        struct job *j = user;
        struct err why = ERR_INIT;
        const char *text = ev->text ? ev->text : "no reason given";
        (void)vm;
        (void)e;
        switch (ev->type) {
        case VM_EVENT_RUNNING:
                if (!j->running) {
                        j->running = true;
                        begin_seed(j);
                }
                return 0;
        case VM_EVENT_PAUSED:
        case VM_EVENT_SAVED:
                return 0;
        case VM_EVENT_GUEST_DOWN:
                err_set(&why, code_of_loss(j), "the guest went down (%s)", text);
                break;
        case VM_EVENT_HOST_FULL:
                err_set(&why, ERR_RESOURCES, "the host has no space left for the disks of the virtual machine");
                break;
        case VM_EVENT_IO_ERROR:
                err_set(&why, ERR_RESOURCES, "a disk of the virtual machine failed on the host (%s)", text);
                break;
        case VM_EVENT_GONE:
                if (j->state < JOB_HELD && j->verdict.code == ERR_SUCCESS)
                        err_set(&j->verdict, code_of_loss(j), "the virtual machine ended (%s)", text);
                vm_is_gone(j);
                return 0;
        }
        job_fail(j, &why);
        return 0;
}

/* ---- the end ---- */

static const uint8_t *tail(const uint8_t *data, size_t *len, size_t max)
{
        const uint8_t *from = *len > max ? data + (*len - max) : data;
        size_t n = MIN(*len, max);
        const uint8_t *nl = *len > max ? memchr(from, '\n', n) : NULL;
        if (nl) {
                n -= (size_t)(nl + 1 - from);
                from = nl + 1;
        }
        *len = n;
        return from;
}

static int write_console(struct job *j, const uint8_t *data, size_t len, struct err *e)
{
        struct buf log = BUF_INIT;
        const uint8_t *text = tail(data, &len, JOB_MAX_CONSOLE);
        if (j->config.vm->log_fd >= 0 && vm_log(j->config.vm, &log, e) < 0)
                log_warning("%s", e->msg);
        journal_begin(j->journal, "console");
        journal_text(j->journal, "text", text, len);
        if (log.len)
                journal_text(j->journal, "vmm", log.data, MIN(log.len, JOB_MAX_CONSOLE));
        buf_done(&log);
        return journal_end(j->journal, e);
}

static int on_console(struct vm *vm, const uint8_t *data, size_t len, void *user, struct err *e)
{
        struct job *j = user;
        (void)vm;
        (void)e;
        struct err why = ERR_INIT;
        if (j->state != JOB_CONSOLE)
                return 0;
        if (write_console(j, data, len, &why) < 0)
                log_error("%s", why.msg);
        job_post(j, JOB_EV_CONSOLE);
        return 0;
}

static int enter_console(struct job *j, struct err *e)
{
        if (steps_abandon(j, e) < 0)
                log_error("%s", e->msg);
        loop_timer_in(j->ending, JOB_CONSOLE_MS);
        if (!(j->config.driver->caps & VM_CAP_CONSOLE) || j->config.driver->console(j->vm, on_console, j, e) < 0)
                job_post(j, JOB_EV_CONSOLE);
        return 0;
}

static int enter_stop(struct job *j, struct err *e)
{
        if (steps_abandon(j, e) < 0)
                log_error("%s", e->msg);
        if (job_secrets_release(j->secrets, false, NULL, e) < 0)
                log_error("%s", e->msg);
        loop_timer_in(j->ending, JOB_STOP_MS);
        if (j->config.driver->stop(j->vm, e) < 0) {
                log_error("%s", e->msg);
                vm_is_gone(j);
        }
        return 0;
}

static int on_ending(struct loop_timer *t, void *user, struct err *e)
{
        struct job *j = user;
        (void)t;
        (void)e;
        if (j->state == JOB_CONSOLE)
                job_post(j, JOB_EV_CONSOLE);
        else
                vm_is_gone(j);
        return 0;
}

static unsigned conclude(struct job *j)
{
        if (j->killed) {
                err_set(&j->result, ERR_CANCELLED, "the job was ended");
                return 2;
        }
        if (j->verdict.code != ERR_SUCCESS) {
                j->result = j->verdict;
                return 1;
        }
        if (j->timed_out) {
                char limit[CLOCK_DURATION_SIZE];
                clock_duration(j->spec->timeout_ms, limit);
                err_set(&j->result, ERR_RUN_FAILED, "the job ran into its time limit of %s", limit);
                return 3;
        }
        if (j->cancelled) {
                err_set(&j->result, ERR_CANCELLED, "the job was cancelled");
                return 2;
        }
        if (j->failed) {
                if (j->result.code == ERR_SUCCESS)
                        err_set(&j->result, ERR_RUN_FAILED, "a step failed");
                return 1;
        }
        return 0;
}

static void put_outputs(struct job *j)
{
        journal_open(j->journal, "outputs");
        for (size_t i = 0; j->outputs && i < map_count(j->outputs); i++)
                journal_member(j->journal, map_key_at(j->outputs, i), map_value_at(j->outputs, i));
        journal_close(j->journal);
}

static void put_environment(struct job *j)
{
        if (!j->spec->environment)
                return;
        journal_open(j->journal, "job_environment");
        journal_member(j->journal, "name", j->spec->environment);
        if (j->environment_url)
                journal_member(j->journal, "url", j->environment_url);
        journal_close(j->journal);
}

static int finish_journal(struct job *j, struct err *e)
{
        unsigned conclusion = conclude(j);
        journal_use_reserve(j->journal);
        journal_begin(j->journal, "job_finished");
        journal_word(j->journal, "conclusion", conclusions[conclusion]);
        journal_i64(j->journal, "code", j->result.code);
        journal_str(j->journal, "message", j->result.msg);
        put_outputs(j);
        put_environment(j);
        journal_i64(j->journal, "ms", (int64_t)(clock_mono_ms() - j->started_ms));
        journal_open(j->journal, "vm");
        journal_i64(j->journal, "bytes_in", (int64_t)session_bytes_in(j->session));
        journal_i64(j->journal, "bytes_out", (int64_t)session_bytes_out(j->session));
        journal_close(j->journal);
        return journal_end(j->journal, e);
}

static int enter_done(struct job *j, struct err *e)
{
        if (steps_abandon(j, e) < 0)
                log_error("%s", e->msg);
        j->finished = true;
        if (egress_finish(j->egress, e) < 0)
                log_error("%s", e->msg);
        int r = finish_journal(j, e);
        if (r < 0) {
                log_error("%s", e->msg);
                j->result = *e;
        }
        loop_quit(j->config.loop);
        return 0;
}

static int enter_held(struct job *j, struct err *e)
{
        j->held = true;
        loop_timer_in(j->limit, JOB_HOLD_MS);
        journal_begin(j->journal, "held");
        return journal_end(j->journal, e);
}

/* ---- states ---- */

static int enter_seed(struct job *j, struct err *e)
{
        return send_seed(j, j->spec->rootfs ? j->spec->rootfs : "overlay", e);
}

static int enter_prepare(struct job *j, struct err *e)
{
        if (j->spec->timeout_ms)
                loop_timer_in(j->limit, j->spec->timeout_ms);
        return prepare_start(j, e);
}

static int enter(struct job *j, struct err *e)
{
        switch (j->state) {
        case JOB_SEED:
                return enter_seed(j, e);
        case JOB_PREPARE:
                return enter_prepare(j, e);
        case JOB_STEPS:
                return steps_begin(j, e);
        case JOB_HELD:
                return enter_held(j, e);
        case JOB_CONSOLE:
                return enter_console(j, e);
        case JOB_STOP:
                return enter_stop(j, e);
        case JOB_DONE:
                return enter_done(j, e);
        default:
                return 0;
        }
}

/* The one place where the state changes. A failure ends the session too: nothing of the guest is heard any more. */
static void change_state(struct job *j, enum job_event event)
{
        struct err e = ERR_INIT;
        int next = job_state_next(j->state, event);
        if (next == JOB_STATE_IGNORED)
                return;
        if (next == JOB_STATE_INVALID)
                log_error("state %s cannot take %s", job_state_name(j->state), job_event_name(event));
        assert(next >= 0);
        j->state = (enum job_state)next;
        if (j->state >= JOB_CONSOLE) {
                struct err over = ERR_INIT;
                err_set(&over, ERR_GUEST_LOST, "the job is over");
                session_fail(j->session, &over);
        }
        if (enter(j, &e) < 0)
                job_fail(j, &e);
}

void job_post(struct job *j, enum job_event event)
{
        assert(j->n_queued < JOB_MAX_QUEUED);
        j->queue[j->n_queued++] = event;
        if (j->dispatching)
                return;
        j->dispatching = true;
        while (j->n_queued) {
                enum job_event next = j->queue[0];
                memmove(j->queue, j->queue + 1, --j->n_queued * sizeof(j->queue[0]));
                change_state(j, next);
        }
        j->dispatching = false;
}

/* ---- life ---- */

bool job_is_done(const struct job *j)
{
        return j->finished;
}

const struct err *job_verdict(const struct job *j)
{
        return &j->result;
}

struct session *job_session(struct job *j)
{
        return j->state > JOB_SEED && j->state < JOB_CONSOLE ? j->session : NULL;
}

struct context *job_context(struct job *j)
{
        return j->context;
}

/* Those of the other processes are in the specification. */
static void put_own_protections(struct job *j)
{
        const struct sandbox_report *r = j->config.report;
        for (int p = 0; r && p < SANDBOX_PROTECTION_COUNT; p++) {
                char name[64];
                if (r->held[p].state == SANDBOX_UNUSED)
                        continue;
                snprintf(name, sizeof(name), "job.%s", sandbox_protection_name((enum sandbox_protection)p));
                journal_word(j->journal, name, sandbox_state_name(r->held[p].state));
        }
}

static int write_started(struct job *j, struct err *e)
{
        const struct spec *s = j->spec;
        journal_begin(j->journal, "job_started");
        journal_str(j->journal, "run", s->run);
        journal_i64(j->journal, "attempt", s->attempt);
        journal_str(j->journal, "job", s->job_id);
        journal_str(j->journal, "name", s->job_name ? s->job_name : s->job_id);
        journal_str(j->journal, "spec_digest", j->config.spec_digest);
        journal_str(j->journal, "profile", s->profile_digest);
        journal_str(j->journal, "environment", s->profile_environment);
        put_environment(j);
        journal_str(j->journal, "commit", s->source_commit);
        journal_str(j->journal, "image", s->image_digest);
        journal_str(j->journal, "measurement", s->measurement);
        journal_str(j->journal, "accelerator", s->accelerator);
        journal_str(j->journal, "origin", vm_origin_name(j->config.vm->origin));
        journal_open(j->journal, "protections");
        for (size_t i = 0; i < s->protections.n; i++)
                journal_member(j->journal, s->protections.v[i].name, s->protections.v[i].value);
        put_own_protections(j);
        journal_close(j->journal);
        return journal_end(j->journal, e);
}

static int add_masks(struct job *j, struct err *e)
{
        for (size_t i = 0; i < j->spec->n_mask; i++) {
                int r = masks_add(j->config.masks, j->spec->mask[i], strlen(j->spec->mask[i]), e);
                if (r == MASK_E_FULL)
                        r = err_set(e, ERR_RESOURCES, "job specification: mask: more values than can be masked");
                if (r < 0)
                        return r;
        }
        return 0;
}

static int start(struct job *j, struct err *e)
{
        static const struct session_callbacks callbacks = {
                .ready = on_ready, .seeded = on_seeded, .request = on_request, .failed = on_session_failed};
        const struct session_times times = SESSION_TIMES_DEFAULT(j->spec->boot_timeout_ms);
        const struct job_config *c = &j->config;
        int r = steps_init(j, e);
        if (r == 0)
                r = turns_init(j, e);
        if (r == 0)
                r = add_masks(j, e);
        if (r == 0)
                r = write_started(j, e);
        if (r == 0)
                r = context_new(j->spec, &j->context, e);
        if (r == 0)
                r = scope_new(j->context, &j->scope, e);
        if (r == 0)
                r = problems_new(j, &j->problems, e);
        if (r == 0)
                r = loop_timer_new(c->loop, on_limit, j, &j->limit, e);
        if (r == 0)
                r = loop_timer_new(c->loop, on_ending, j, &j->ending, e);
        if (r == 0)
                r = session_new(c->loop, c->vm->channel_fd, c->vm->origin, c->times ? c->times : &times, &callbacks, j,
                                &j->session, e);
        if (r == 0)
                r = ops_new(c->loop, j->session, &j->ops, e);
        if (r == 0)
                r = egress_new(j, c->broker_fd, c->service_fd, &j->egress, e);
        if (r == 0 && c->source_fd >= 0)
                r = source_new(c->loop, c->source_fd, &j->source, e);
        if (r == 0 && c->store_fd >= 0)
                r = store_client_new(c->loop, c->store_fd, &j->store, e);
        if (r == 0)
                r = job_secrets_new(j, c->secrets_fd, c->values_fd, &j->secrets, e);
        return r < 0 ? r : c->driver->attach(c->loop, c->vm, on_vm, j, &j->vm, e);
}

CLEANUP_DEFINE(struct job, job_free)

int job_new(const struct job_config *config, struct job **ret, struct err *e)
{
        AUTO(job_freep) struct job *j = calloc(1, sizeof(*j));
        if (!j)
                return err_nomem(e);
        j->config = *config;
        j->spec = config->spec;
        j->journal = config->journal;
        j->running = config->vm->origin != VM_CLONED;
        j->started_ms = clock_mono_ms();
        list_init(&j->store_turns);
        int r = start(j, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(j);
        return 0;
}

struct job *job_free(struct job *j)
{
        if (!j)
                return NULL;
        struct loop_timer *timers[] = {j->limit, j->ending};
        for (size_t i = 0; i < ARRAY_SIZE(timers); i++)
                if (timers[i])
                        loop_timer_free(timers[i]);
        steps_done(j);
        turns_done(j);
        ops_free(j->ops);
        egress_free(j->egress);
        session_free(j->session);
        source_free(j->source);
        store_client_free(j->store);
        job_secrets_free(j->secrets);
        if (j->vm)
                j->config.driver->free(j->vm);
        problems_free(j->problems);
        scope_unref(j->scope);
        context_free(j->context);
        map_free(j->outputs);
        free(j->environment_url);
        map_free(j->actions);
        free(j->programs.bash);
        free(j->programs.sh);
        free(j->programs.python);
        free(j->programs.python3);
        free(j->programs.pwsh);
        free(j->programs.node);
        free(j);
        return NULL;
}
