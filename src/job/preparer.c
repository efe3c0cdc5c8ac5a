#include "job/preparer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "job/ops.h"
#include "job/seed.h"
#include "job/session.h"
#include "loop/loop.h"
#include "vm/vm.h"

enum state { BOOTING, SAVING, LOOKING, WARMING, RESEEDING, PARKING, PAUSING, DONE, FAILED };

static const char *const doings[] = {
        [BOOTING] = "boot",           [SAVING] = "save its state",        [LOOKING] = "look for its shells",
        [WARMING] = "run its shells", [RESEEDING] = "take a second seed", [PARKING] = "come to rest",
        [PAUSING] = "pause"};

/* What runs once in a guest before it is parked: what a step does first, its output included. */
static const struct {
        const char *program;
        const char *const *args; /* NULL-terminated */
} warmers[] = {
        {"sh", (const char *const[]){"-c", "echo", NULL}},
        {"bash", (const char *const[]){"--noprofile", "--norc", "-eo", "pipefail", "-c", "echo", NULL}},
};

static const struct seed_wish wish = {.hostname = PREPARER_HOSTNAME, .rootfs = "overlay"};

struct preparer {
        struct loop *loop;
        enum preparer_mode mode;
        const struct vm_driver *driver;
        struct vm_handle *handle;
        struct vm *vm;
        struct session *session;
        struct ops *ops;
        struct loop_timer *deadline;
        enum state state;
        bool running;                    /* the VMM greeted us and said so: it takes commands */
        bool ready;                      /* a template's guest */
        char *path[ARRAY_SIZE(warmers)]; /* in the guest; NULL or empty: it has none */
        size_t warmed;
        struct err why;
};

static void end(struct preparer *p, enum state state)
{
        p->state = state;
        loop_timer_off(p->deadline);
        loop_quit(p->loop);
}

/* The first failure counts. */
static void fail(struct preparer *p, const struct err *why)
{
        char words[VM_LAST_WORDS];
        if (p->state >= DONE)
                return;
        p->why = *why;
        vm_last_words(p->handle, words, sizeof(words));
        if (words[0] && !strstr(p->why.msg, words))
                err_set(&p->why, why->code, "%s; the VMM said: %s", why->msg, words);
        end(p, FAILED);
}

/* From a callback whose error would only end the loop. */
static int check(struct preparer *p, int r, const struct err *why)
{
        if (r < 0)
                fail(p, why);
        return 0;
}

static int on_deadline(struct loop_timer *t, void *user, struct err *e)
{
        struct preparer *p = user;
        struct err why = ERR_INIT;
        (void)t;
        (void)e;
        err_set(&why, ERR_GUEST_LOST, "the virtual machine did not %s within %u ms", doings[p->state],
                PREPARER_WORK_MS);
        fail(p, &why);
        return 0;
}

/* ---- warming ---- */

static int warm_next(struct preparer *p, struct err *e);

static int on_output(bool is_err, const uint8_t *data, size_t len, void *user, struct err *e)
{
        (void)is_err;
        (void)data;
        (void)len;
        (void)user;
        (void)e;
        return 0;
}

static int on_exited(const struct exec_exit *x, const char *refusal, void *user, struct err *e)
{
        struct preparer *p = user;
        const char *program = p->path[p->warmed];
        if (refusal)
                return err_set(e, ERR_VM_BOOT_FAILED, "run %s in the guest: %s", program, refusal);
        if (x->kind != EXEC_EXITED || x->code != 0)
                return err_set(e, ERR_VM_BOOT_FAILED, "`echo` by %s ended with %s %u in the guest", program,
                               x->kind == EXEC_EXITED ? "code" : "signal", x->code);
        p->warmed++;
        return warm_next(p, e);
}

static int run(struct preparer *p, const char *path, const char *const *args, struct err *e)
{
        static const struct exec_fns fns = {.output = on_output, .done = on_exited};
        static const char *const env[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                          "HOME=/home/runner", "CI=true", NULL};
        struct strv argv = STRV_INIT, environment = STRV_INIT;
        struct op *unused;
        int r = strv_add(&argv, path, e);
        for (; r == 0 && *args; args++)
                r = strv_add(&argv, *args, e);
        for (size_t i = 0; r == 0 && env[i]; i++)
                r = strv_add(&environment, env[i], e);
        if (r == 0)
                r = op_exec(p->ops, &(struct exec){.argv = &argv, .env = &environment, .cwd = "/", .step = "warming"},
                            &fns, p, &unused, e);
        strv_done(&argv);
        strv_done(&environment);
        return r;
}

/* The programs one after another; on_idle() goes on when the last one's stream has ended. */
static int warm_next(struct preparer *p, struct err *e)
{
        while (p->warmed < ARRAY_SIZE(warmers) && !(p->path[p->warmed] && *p->path[p->warmed]))
                p->warmed++;
        return p->warmed < ARRAY_SIZE(warmers) ? run(p, p->path[p->warmed], warmers[p->warmed].args, e) : 0;
}

static int on_path(unsigned i, const struct fields *list, void *user, struct err *e)
{
        struct preparer *p = user;
        size_t n = 0;
        (void)i;
        for (size_t k = 0; k < fields_count(list); k++) {
                const struct field *f = fields_at(list, k);
                if (strcmp(f->key, "path") != 0)
                        continue;
                if (n == ARRAY_SIZE(p->path) || f->len > PREPARER_MAX_PATH || memchr(f->value, 0, f->len))
                        return err_set(e, ERR_PROTOCOL, "the guest's answer to `which`: not what was asked for");
                p->path[n] = str_ndup((const char *)f->value, f->len);
                if (!p->path[n++])
                        return err_nomem(e);
        }
        return n == ARRAY_SIZE(p->path) ? 0
                                        : err_set(e, ERR_PROTOCOL, "the guest's answer to `which`: paths are missing");
}

static int on_found(const char *refusal, void *user, struct err *e)
{
        struct preparer *p = user;
        if (refusal)
                return err_set(e, ERR_VM_BOOT_FAILED, "look for shells in the guest: %s", refusal);
        p->state = WARMING;
        return warm_next(p, e);
}

/* on_idle() pauses the VM once the stream has ended. */
static int on_parked(const char *refusal, void *user, struct err *e)
{
        (void)user;
        return refusal ? err_set(e, ERR_VM_BOOT_FAILED, "the guest cannot be parked: %s", refusal) : 0;
}

/* ---- what session and VMM tell ---- */

/* The guest may be quicker than its VMM's greeting. */
static int go_on(struct preparer *p, struct err *e)
{
        if (!p->running)
                return 0;
        if (p->state == BOOTING && p->ready) {
                p->state = SAVING;
                return p->driver->save(p->vm, e);
        }
        if (p->state == WARMING && p->warmed == ARRAY_SIZE(warmers) && session_is_idle(p->session)) {
                p->state = RESEEDING;
                return session_seed(p->session, &wish, e);
        }
        if (p->state == RESEEDING && session_is_idle(p->session)) {
                p->state = PARKING;
                return op_park(p->ops, on_parked, p, e);
        }
        if (p->state == PARKING && session_is_idle(p->session)) {
                p->state = PAUSING;
                return p->driver->pause(p->vm, e);
        }
        return 0;
}

static int on_idle(struct session *s, void *user, struct err *e)
{
        (void)s;
        return go_on(user, e);
}

static int on_ready(struct session *s, void *user, struct err *e)
{
        struct preparer *p = user;
        if (p->mode == PREPARER_PARK)
                return session_seed(s, &wish, e);
        session_unseeded(s);
        p->ready = true;
        loop_timer_in(p->deadline, PREPARER_WORK_MS);
        return go_on(p, e);
}

static int on_seeded(struct session *s, const struct fields *answer, void *user, struct err *e)
{
        struct preparer *p = user;
        const char *names[ARRAY_SIZE(warmers)];
        (void)s;
        (void)answer;
        if (p->state == RESEEDING)
                return 0; /* on_idle() goes on */
        for (size_t i = 0; i < ARRAY_SIZE(warmers); i++)
                names[i] = warmers[i].program;
        p->state = LOOKING;
        loop_timer_in(p->deadline, PREPARER_WORK_MS);
        return op_which(p->ops, names, ARRAY_SIZE(names), on_path, on_found, p, e);
}

static int on_session_failed(struct session *s, const struct err *why, void *user, struct err *e)
{
        (void)s;
        (void)e;
        fail(user, why);
        return 0;
}

/* The processor stands. What the guest said before has to be whole, and nothing may be owed to it. */
static int stands(struct preparer *p, struct err *e)
{
        struct err why = ERR_INIT;
        if (p->state >= DONE)
                return 0; /* it failed in this very turn */
        int r = session_drain(p->session, e);
        if (r < 0 || session_is_over(p->session))
                return r; /* `failed` follows */
        err_set(&why, ERR_PROTOCOL, "the guest was stopped in the middle of a message");
        if (p->mode == PREPARER_PARK && !session_is_idle(p->session))
                fail(p, &why);
        else
                end(p, DONE);
        return 0;
}

static int on_vm(struct vm *vm, const struct vm_event *ev, void *user, struct err *e)
{
        struct preparer *p = user;
        enum err_code code = p->state == BOOTING ? ERR_VM_BOOT_FAILED : ERR_GUEST_LOST;
        const char *text = ev->text ? ev->text : "no reason given";
        struct err why = ERR_INIT;
        (void)vm;
        switch (ev->type) {
        case VM_EVENT_RUNNING:
                p->running = true;
                return check(p, go_on(p, &why), &why);
        case VM_EVENT_PAUSED:
        case VM_EVENT_SAVED:
                return stands(p, e);
        case VM_EVENT_GUEST_DOWN:
                err_set(&why, code, "the guest went down (%s)", text);
                break;
        case VM_EVENT_HOST_FULL:
                err_set(&why, ERR_RESOURCES, "the host has no space left for the disks of the virtual machine");
                break;
        case VM_EVENT_IO_ERROR:
                err_set(&why, ERR_RESOURCES, "a disk of the virtual machine failed on the host (%s)", text);
                break;
        case VM_EVENT_GONE:
                err_set(&why, code, "the virtual machine ended (%s)", text);
                break;
        }
        fail(p, &why);
        return 0;
}

/* ---- life ---- */

CLEANUP_DEFINE(struct preparer, preparer_free)

int preparer_new(struct loop *l, enum preparer_mode mode, const struct vm_driver *driver, struct vm_handle *vm,
                 const struct session_times *times, struct preparer **ret, struct err *e)
{
        static const struct session_callbacks callbacks = {
                .ready = on_ready, .seeded = on_seeded, .failed = on_session_failed, .idle = on_idle};
        /* No ping: its answer could be under way when the guest is paused. */
        static const struct session_times defaults = {.boot_ms = PREPARER_BOOT_MS,
                                                      .midway_ms = SESSION_MIDWAY_MS,
                                                      .stall_ms = SESSION_STALL_MS,
                                                      .pong_ms = SESSION_PONG_MS};
        AUTO(preparer_freep) struct preparer *p = calloc(1, sizeof(*p));
        if (!p)
                return err_nomem(e);
        *p = (struct preparer){.loop = l, .mode = mode, .driver = driver, .handle = vm};
        vm->origin = mode == PREPARER_PARK ? VM_CLONED : VM_BOOTED;
        int r = loop_timer_new(l, on_deadline, p, &p->deadline, e);
        if (r == 0)
                r = session_new(l, vm->channel_fd, vm->origin, times ? times : &defaults, &callbacks, p, &p->session,
                                e);
        if (r == 0)
                r = ops_new(l, p->session, &p->ops, e);
        if (r == 0)
                r = driver->attach(l, vm, on_vm, p, &p->vm, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(p);
        return 0;
}

struct preparer *preparer_free(struct preparer *p)
{
        if (!p)
                return NULL;
        if (p->deadline)
                loop_timer_free(p->deadline);
        ops_free(p->ops);
        session_free(p->session);
        if (p->vm)
                p->driver->free(p->vm);
        for (size_t i = 0; i < ARRAY_SIZE(p->path); i++)
                free(p->path[i]);
        free(p);
        return NULL;
}

int preparer_result(const struct preparer *p, struct err *e)
{
        if (p->state == DONE)
                return 0;
        if (p->state != FAILED)
                return err_set(e, ERR_RESOURCES, "the virtual machine was not prepared");
        *e = p->why;
        return -1;
}
