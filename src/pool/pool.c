#include "pool/pool.h"

#include <assert.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "loop/loop.h"
#include "pool/limits.h"
#include "pool/pool_priv.h"
#include "vm/slot.h"
#include "vm/vm.h"

/* ---- one VM ---- */

static void happen(struct vm_entry *v, enum entry_happens h)
{
        enum entry_state next = entry_state_next(v->state, h);

        assert(next != ENTRY_STATES);
        v->state = next;
}

/* Everything by which a VM is owned. The lock and the jail's pidfd are not among them. */
static void drop_ownership(struct vm_entry *v)
{
        static const int owned[] = {POOL_FD_CONTROL, POOL_FD_CHANNEL, POOL_FD_LIFELINE, POOL_FD_LEASH, POOL_FD_LOG};

        for (size_t i = 0; i < ARRAY_SIZE(owned); i++)
                v->fds[owned[i]] = fd_close(v->fds[owned[i]]);
}

static struct vm_entry *vm_free(struct vm_entry *v)
{
        list_remove(&v->item);
        v->pool->o.maker->free(v->maker);
        v->pool->o.maker->burial_free(v->burial, 0);
        loop_io_free(v->jail_io);
        loop_timer_free(v->deadline);
        drop_ownership(v);
        fd_close(v->fds[POOL_FD_JAIL]);
        free(v);
        return NULL;
}

static int on_buried(void *user, struct err *e)
{
        struct vm_entry *v = user;
        struct pool *p = v->pool;

        (void)e;
        happen(v, ENTRY_BURIED);
        vm_free(v);
        refill_soon(p);
        return 0;
}

/* A VM that nobody has any more: the slot, if it is ours, is cleaned and given back. */
static int vm_bury(struct vm_entry *v, struct err *e)
{
        struct pool *p = v->pool;
        struct err why = ERR_INIT;

        v->jail_io = loop_io_free(v->jail_io);
        loop_timer_off(v->deadline);
        if (!v->slot)
                return on_buried(v, e);
        if (p->o.maker->bury(p->loop, p->o.state, TAKE_PTR(v->slot), on_buried, v, &v->burial, &why) == 0)
                return 0;
        log_warning("slot %u stays as it is until it is taken again: %s", v->made.slot, why.msg);
        return on_buried(v, e);
}

static void kill_jail(const struct vm_entry *v)
{
        if (v->fds[POOL_FD_JAIL] >= 0)
                syscall(SYS_pidfd_send_signal, v->fds[POOL_FD_JAIL], SIGKILL, NULL, 0);
}

static int on_jail_gone(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        struct vm_entry *v = user;

        (void)io;
        (void)fd;
        (void)events;
        if (v->state == ENTRY_PARKED)
                log_warning("slot %u: the parked VM ended by itself", v->made.slot);
        happen(v, ENTRY_GONE);
        return vm_bury(v, e);
}

static int on_deadline(struct loop_timer *t, void *user, struct err *e)
{
        struct vm_entry *v = user;

        (void)t;
        (void)e;
        if (v->state == ENTRY_PREPARING) {
                refill_failed(v, "a VM was not prepared in time");
                vm_end(v);
        } else {
                kill_jail(v);
        }
        return 0;
}

static void end_jail(struct vm_entry *v)
{
        drop_ownership(v);
        loop_timer_in(v->deadline, POOL_END_MS);
}

void vm_end(struct vm_entry *v)
{
        happen(v, ENTRY_STOP);
        end_jail(v);
        /* With the maker go all copies of the lifeline; its slot is cleaned by whoever takes it next. */
        if (v->maker)
                v->pool->o.maker->kill(v->maker);
}

static int take_made(struct vm_entry *v, int fds[MADE_FD_COUNT], struct err *e)
{
        struct pool *p = v->pool;

        for (int i = 0; i < POOL_FD_LOCK; i++)
                v->fds[i] = TAKE_FD(fds[i]);
        int r = slot_adopt(p->o.state, v->made.slot, fds[POOL_FD_LOCK], &v->slot, e);
        if (r == 0)
                fds[POOL_FD_LOCK] = -1;
        if (r == 0)
                r = refill_made(v, fds, e);
        if (r == 0)
                r = loop_io_new(p->loop, v->fds[POOL_FD_JAIL], LOOP_READ, on_jail_gone, v, &v->jail_io, e);
        return r;
}

static int on_made(const struct made *m, int fds[MADE_FD_COUNT], void *user, struct err *e)
{
        struct vm_entry *v = user;
        struct pool *p = v->pool;
        struct err why = ERR_INIT;

        v->made = *m;
        v->maker = p->o.maker->free(v->maker);
        loop_timer_off(v->deadline);
        if (!m->failed && take_made(v, fds, &why) == 0) {
                str_copy(v->image, sizeof(v->image), m->image);
                str_copy(v->accel, sizeof(v->accel), m->accel);
                happen(v, ENTRY_MADE);
                /* It was faster than the order to end. */
                if (v->state == ENTRY_ENDING)
                        end_jail(v);
                refill_soon(p);
                return 0;
        }
        for (int i = 0; i < MADE_FD_COUNT; i++)
                fds[i] = fd_close(fds[i]);
        if (v->state == ENTRY_PREPARING)
                refill_failed(v, m->failed ? m->message : why.msg);
        happen(v, ENTRY_FAILED);
        kill_jail(v);
        return vm_bury(v, e);
}

int vm_make(struct pool *p, struct order *o, struct err *e)
{
        struct vm_entry *v = calloc(1, sizeof(*v));
        const struct held_template *t = o->template;
        struct make_order order = {.state = p->o.state,
                                   .image = o->image,
                                   .accel = o->accel,
                                   .class = o->class,
                                   .key = t ? t->key : NULL,
                                   .tsc_khz = t ? t->tsc_khz : 0,
                                   .memory_fd = t ? t->memory_fd : -1,
                                   .state_fd = t ? t->state_fd : -1};

        if (!v)
                return err_nomem(e);
        v->pool = p;
        v->order = o;
        v->user = o->user;
        v->class = o->class;
        v->born_ms = clock_mono_ms();
        for (int i = 0; i < POOL_FD_COUNT; i++)
                v->fds[i] = -1;
        str_copy(v->image, sizeof(v->image), o->image);
        str_copy(v->accel, sizeof(v->accel), o->accel);
        list_append(&p->vms, &v->item);
        int r = loop_timer_new(p->loop, on_deadline, v, &v->deadline, e);
        if (r == 0)
                r = p->o.maker->start(p->loop, &order, on_made, v, &v->maker, e);
        if (r < 0) {
                vm_free(v);
                return r;
        }
        loop_timer_in(v->deadline, POOL_MAKE_MS);
        return 0;
}

/* ---- the pool ---- */

int pool_new(struct loop *l, const struct pool_options *o, struct pool **ret, struct err *e)
{
        struct pool *p = calloc(1, sizeof(*p));

        if (!p)
                return err_nomem(e);
        p->loop = l;
        p->o = *o;
        list_init(&p->vms);
        list_init(&p->orders);
        list_init(&p->templates);
        int r = refill_init(p, e);
        if (r < 0)
                p = pool_free(p);
        *ret = p;
        return r;
}

/* Blocking: the pool is going. */
static void wait_for_jail(struct vm_entry *v, uint64_t deadline_ms)
{
        struct pollfd p = {.fd = v->fds[POOL_FD_JAIL], .events = POLLIN};
        uint64_t now = clock_mono_ms();

        if (p.fd >= 0 && poll(&p, 1, now < deadline_ms ? (int)(deadline_ms - now) : 0) == 0) {
                kill_jail(v);
                poll(&p, 1, (int)POOL_END_MS);
        }
}

struct pool *pool_free(struct pool *p)
{
        uint64_t deadline = clock_mono_ms() + POOL_END_MS;

        if (!p)
                return NULL;
        p->closing = true;
        list_for_safe (item, next, &p->vms) {
                struct vm_entry *v = list_entry(item, struct vm_entry, item);

                if (v->state == ENTRY_HANDED) {
                        v->slot = slot_forget(v->slot);
                        vm_free(v);
                } else {
                        vm_end(v);
                }
        }
        list_for_safe (item, next, &p->vms) {
                struct vm_entry *v = list_entry(item, struct vm_entry, item);

                v->maker = p->o.maker->free(v->maker);
                wait_for_jail(v, deadline);
                v->burial = p->o.maker->burial_free(v->burial, deadline);
                v->slot = slot_release(v->slot);
                vm_free(v);
        }
        list_for_safe (item, next, &p->orders)
                order_free(p, list_entry(item, struct order, item));
        refill_done(p);
        free(p);
        return NULL;
}

/* ---- verbs ---- */

static bool may(uid_t user, const struct vm_entry *v)
{
        return user == 0 || user == v->user;
}

/* "default" means any digest of that name. */
static bool is_image(const char *asked, const struct vm_entry *v)
{
        size_t n = strcspn(v->image, "@");

        return strcmp(asked, v->image) == 0 || (strlen(asked) == n && strncmp(asked, v->image, n) == 0);
}

/* What is claimed is no parked VM any more, but takes one of our slots and our descriptors until it has ended and its
 * slot is clean. */
static bool has_its_share(const struct pool *p, uid_t user)
{
        unsigned n = 0;

        if (user == p->o.self || user == 0)
                return false;
        list_for (item, &p->vms) {
                const struct vm_entry *v = list_entry(item, struct vm_entry, item);

                n += v->user == user &&
                     (v->state == ENTRY_HANDED || v->state == ENTRY_ENDING || v->state == ENTRY_CLEANING);
        }
        return n >= POOL_MAX_USER_RUNNING;
}

struct vm_entry *pool_claim(struct pool *p, uid_t user, const struct pool_request *q)
{
        if (has_its_share(p, user))
                return NULL;
        list_for (item, &p->vms) {
                struct vm_entry *v = list_entry(item, struct vm_entry, item);

                if (v->state != ENTRY_PARKED || !may(user, v) || !is_image(q->image, v) ||
                    !pool_class_is(&v->class, &q->class) ||
                    (strcmp(q->accel, "auto") != 0 && strcmp(q->accel, v->accel) != 0))
                        continue;
                /* A VMM that has just died is not handed out; its end is in the loop's queue. */
                struct pollfd dead = {.fd = v->fds[POOL_FD_JAIL], .events = POLLIN};
                if (poll(&dead, 1, 0) != 0)
                        continue;
                happen(v, ENTRY_TAKEN);
                refill_quiet(p);
                return v;
        }
        return NULL;
}

static void describe(const struct vm_entry *v, struct pool_vm *ret)
{
        *ret = (struct pool_vm){.slot = v->made.slot,
                                .uid = v->user,
                                .pid = v->made.jail,
                                .class = v->class,
                                .age_ms = clock_mono_ms() - v->born_ms,
                                .private_bytes = v->made.private_bytes};
        str_copy(ret->state, sizeof(ret->state), entry_state_name(v->state));
        str_copy(ret->image, sizeof(ret->image), v->image);
        str_copy(ret->accel, sizeof(ret->accel), v->accel);
}

size_t pool_claim_answer(struct pool *p, const struct vm_entry *v, uid_t user, struct pool_answer *ret,
                         int ret_fds[POOL_FD_COUNT])
{
        *ret = (struct pool_answer){.status = POOL_OK, .adopt = user == p->o.self};
        describe(v, &ret->vm);
        for (int i = 0; i < SANDBOX_PROTECTION_COUNT; i++) {
                const struct sandbox_held *from = &v->made.report.held[i];
                struct pool_held *to = &ret->held[ret->n_held];

                if (from->state == SANDBOX_UNUSED)
                        continue;
                str_copy(to->name, sizeof(to->name), sandbox_protection_name((enum sandbox_protection)i));
                str_copy(to->state, sizeof(to->state), sandbox_state_name(from->state));
                str_copy(to->why, sizeof(to->why), from->why);
                ret->n_held++;
        }
        memcpy(ret_fds, v->fds, sizeof(v->fds));
        ret_fds[POOL_FD_LOCK] = v->slot->lock_fd;
        return ret->adopt ? POOL_FD_COUNT : POOL_FD_LOCK;
}

void pool_claim_sent(struct pool *p, struct vm_entry *v, bool sent, bool adopted)
{
        happen(v, sent ? ENTRY_SENT : ENTRY_BROKEN);
        drop_ownership(v);
        if (!sent) {
                kill_jail(v);
                loop_timer_in(v->deadline, POOL_END_MS);
        } else if (adopted) {
                /* The claimer has the lock, and with it the slot. */
                v->slot = slot_forget(v->slot);
                vm_free(v);
        }
        refill_soon(p);
}

int pool_stop(struct pool *p, uid_t user, const struct pool_request *q, uint32_t *ret_stopped, struct err *e)
{
        *ret_stopped = 0;
        if (q->all) {
                list_for_safe (item, next, &p->orders) {
                        struct order *o = list_entry(item, struct order, item);

                        if (user == 0 || user == o->user)
                                order_free(p, o);
                }
        }
        list_for_safe (item, next, &p->vms) {
                struct vm_entry *v = list_entry(item, struct vm_entry, item);

                if (!may(user, v) || (v->state != ENTRY_PARKED && !(q->all && v->state == ENTRY_PREPARING)) ||
                    (!q->all && v->made.slot != q->slot))
                        continue;
                vm_end(v);
                ++*ret_stopped;
        }
        if (!q->all && *ret_stopped == 0)
                return err_set(e, ERR_USAGE, "no parked VM of yours is in slot %u; 'devdep-cli vm ls' lists them",
                               q->slot);
        return 0;
}

static size_t list_count(const struct list *head)
{
        size_t n = 0;

        list_for (item, head)
                n++;
        return n;
}

int pool_list(const struct pool *p, uid_t user, struct pool_answer *ret, struct err *e)
{
        ret->vms = calloc(list_count(&p->vms) + 1, sizeof(*ret->vms));
        ret->keeps = calloc(list_count(&p->orders) + 1, sizeof(*ret->keeps));
        if (!ret->vms || !ret->keeps)
                return err_nomem(e);
        list_for (item, &p->vms) {
                const struct vm_entry *v = list_entry(item, struct vm_entry, item);

                if (may(user, v))
                        describe(v, &ret->vms[ret->n_vms++]);
        }
        list_for (item, &p->orders) {
                const struct order *o = list_entry(item, struct order, item);

                if (user != 0 && user != o->user)
                        continue;
                struct pool_keep *k = &ret->keeps[ret->n_keeps++];
                *k = (struct pool_keep){
                        .uid = o->user, .count = o->count, .parked = order_parked(p, o), .class = o->class};
                str_copy(k->image, sizeof(k->image), o->image);
                str_copy(k->accel, sizeof(k->accel), o->accel);
                str_copy(k->problem, sizeof(k->problem), o->problem);
                /* Nothing that keeps this pool from its work, so said of an order that is filled. */
                if (!*o->problem && k->parked >= k->count && o->template && *o->template->unkept)
                        snprintf(k->problem, sizeof(k->problem), "its template is not kept: %.900s",
                                 o->template->unkept);
        }
        ret->budget = p->o.budget;
        ret->used = refill_used(p);
        return 0;
}
