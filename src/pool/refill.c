/* Orders and what is done about them: one preparation at a time, while memory lasts, never in the first second of a job
 * that was claimed. What is too old, or was made of another image or VMM than is there now, goes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
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
#include "vm/vm.h"

/* ---- templates ---- */

static bool template_is_used(const struct pool *p, const struct held_template *t)
{
        list_for (item, &p->orders) {
                if (list_entry(item, struct order, item)->template == t)
                        return true;
        }
        return false;
}

static void free_unused_templates(struct pool *p)
{
        list_for_safe (item, next, &p->templates) {
                struct held_template *t = list_entry(item, struct held_template, item);

                if (template_is_used(p, t))
                        continue;
                list_remove(&t->item);
                fd_close(t->memory_fd);
                fd_close(t->state_fd);
                free(t);
        }
}

static struct held_template *find_template(const struct pool *p, const char *key)
{
        list_for (item, &p->templates) {
                struct held_template *t = list_entry(item, struct held_template, item);

                if (strcmp(t->key, key) == 0)
                        return t;
        }
        return NULL;
}

/* The one that the maker used: known already, or in its answer. */
static int hold_template(struct pool *p, const struct made *m, int fds[MADE_FD_COUNT], struct held_template **ret,
                         struct err *e)
{
        *ret = find_template(p, m->key);
        if (*ret || fds[MADE_FD_MEMORY] < 0)
                return 0;
        struct held_template *t = calloc(1, sizeof(*t));
        if (!t)
                return err_nomem(e);
        str_copy(t->key, sizeof(t->key), m->key);
        t->tsc_khz = m->tsc_khz;
        t->bytes = m->template_bytes;
        str_copy(t->unkept, sizeof(t->unkept), m->unkept);
        t->memory_fd = TAKE_FD(fds[MADE_FD_MEMORY]);
        t->state_fd = TAKE_FD(fds[MADE_FD_STATE]);
        list_append(&p->templates, &t->item);
        *ret = t;
        return 0;
}

/* ---- orders ---- */

struct order *order_find(const struct pool *p, uid_t user, const struct pool_request *q)
{
        list_for (item, &p->orders) {
                struct order *o = list_entry(item, struct order, item);

                if (o->user == user && strcmp(o->image, q->image) == 0 && strcmp(o->accel, q->accel) == 0 &&
                    pool_class_is(&o->class, &q->class))
                        return o;
        }
        return NULL;
}

void order_free(struct pool *p, struct order *o)
{
        list_remove(&o->item);
        list_for (item, &p->vms) {
                struct vm_entry *v = list_entry(item, struct vm_entry, item);

                v->order = v->order == o ? NULL : v->order;
        }
        free(o);
        free_unused_templates(p);
}

static unsigned count_vms(const struct pool *p, const struct order *o, bool preparing)
{
        unsigned n = 0;

        list_for (item, &p->vms) {
                const struct vm_entry *v = list_entry(item, struct vm_entry, item);

                n += v->order == o && (v->state == ENTRY_PARKED || (preparing && v->state == ENTRY_PREPARING));
        }
        return n;
}

unsigned order_parked(const struct pool *p, const struct order *o)
{
        return count_vms(p, o, false);
}

/* The oldest go first. */
static void end_surplus(struct pool *p, const struct order *o, uint32_t keep)
{
        unsigned n = count_vms(p, o, true);

        list_for_safe (item, next, &p->vms) {
                struct vm_entry *v = list_entry(item, struct vm_entry, item);

                if (n <= keep)
                        return;
                if (v->order != o || (v->state != ENTRY_PARKED && v->state != ENTRY_PREPARING))
                        continue;
                vm_end(v);
                n--;
        }
}

static int check_order(const struct pool *p, uid_t user, const struct pool_request *q, struct err *e)
{
        unsigned orders = 0;
        uint32_t kept = 0;

        list_for (item, &p->orders) {
                const struct order *o = list_entry(item, struct order, item);

                orders += o->user == user;
                kept += o->user == user ? o->count : 0;
        }
        const struct order *same = order_find(p, user, q);
        kept -= same ? same->count : 0;
        if (!same && orders >= POOL_MAX_USER_ORDERS)
                return err_set(e, ERR_USAGE,
                               "%u kinds of VMs are kept already, which is the most for one user: end one with "
                               "'devdep-cli vm warm IMAGE --count 0'",
                               orders);
        if (kept + q->count > POOL_MAX_USER_PARKED)
                return err_set(e, ERR_USAGE,
                               "%u VMs would be kept, the most for one user is %u: ask for fewer with --count",
                               kept + q->count, POOL_MAX_USER_PARKED);
        return 0;
}

int pool_warm(struct pool *p, uid_t user, const struct pool_request *q, struct err *e)
{
        struct order *o = order_find(p, user, q);

        if (q->count > 0 && check_order(p, user, q, e) < 0)
                return -1;
        if (!o && q->count == 0)
                return 0;
        if (!o) {
                o = calloc(1, sizeof(*o));
                if (!o)
                        return err_nomem(e);
                o->user = user;
                o->class = q->class;
                /* A guest's kernel describes each page of its memory in 64 bytes; as much again is its own. */
                o->last_private = MAX(POOL_GUESS, q->class.memory / 32);
                str_copy(o->image, sizeof(o->image), q->image);
                str_copy(o->accel, sizeof(o->accel), q->accel);
                list_append(&p->orders, &o->item);
        }
        o->count = q->count;
        o->retry_ms = o->retry_at = 0;
        o->problem[0] = '\0';
        end_surplus(p, o, o->count);
        if (o->count == 0)
                order_free(p, o);
        refill_soon(p);
        return 0;
}

/* ---- memory ---- */

uint64_t refill_used(const struct pool *p)
{
        uint64_t used = 0;

        list_for (item, &p->templates)
                used += list_entry(item, struct held_template, item)->bytes;
        list_for (item, &p->vms) {
                const struct vm_entry *v = list_entry(item, struct vm_entry, item);

                used += v->state == ENTRY_PARKED ? v->made.private_bytes : 0;
        }
        return used;
}

static bool has_room(const struct pool *p, struct order *o)
{
        uint64_t used = refill_used(p);

        if (used + o->last_private <= p->o.budget)
                return true;
        snprintf(o->problem, sizeof(o->problem),
                 "parked VMs and templates take %llu MiB of the %llu MiB that they may, one more of this kind needs "
                 "about "
                 "%llu: start devdep-pool with a larger --memory, or keep fewer",
                 (unsigned long long)used >> 20, (unsigned long long)p->o.budget >> 20,
                 (unsigned long long)o->last_private >> 20);
        return false;
}

/* ---- refilling ---- */

static struct vm_entry *in_preparation(const struct pool *p)
{
        list_for (item, &p->vms) {
                struct vm_entry *v = list_entry(item, struct vm_entry, item);

                if (v->maker)
                        return v;
        }
        return NULL;
}

/* What goes on failing for the same reason is said once. */
static void order_failed(struct pool *p, struct order *o, const char *why, bool built)
{
        const uint64_t first = built ? POOL_BUILD_RETRY_MS : POOL_RETRY_MS;
        const uint64_t most = built ? POOL_BUILD_RETRY_MOST_MS : POOL_RETRY_MOST_MS;

        if (strcmp(o->problem, why) != 0)
                log_warning("cannot prepare a VM of image %s: %s", o->image, why);
        str_copy(o->problem, sizeof(o->problem), why);
        o->retry_ms = MIN(MAX(o->retry_ms * 2, first), most);
        o->retry_at = clock_mono_ms() + o->retry_ms;
        refill_soon(p);
}

void refill_failed(struct vm_entry *v, const char *why)
{
        if (v->order)
                order_failed(v->pool, v->order, why, v->made.built);
}

int refill_made(struct vm_entry *v, int fds[MADE_FD_COUNT], struct err *e)
{
        struct order *o = v->order;

        if (!o)
                return err_set(e, ERR_CANCELLED, "nobody wants it any more");
        int r = hold_template(v->pool, &v->made, fds, &o->template, e);
        for (int i = MADE_FD_MEMORY; i < MADE_FD_COUNT; i++)
                fds[i] = fd_close(fds[i]);
        if (r < 0)
                return r;
        free_unused_templates(v->pool);
        o->last_private = v->made.private_bytes;
        o->retry_ms = o->retry_at = 0;
        o->problem[0] = '\0';
        return 0;
}

/* The first order that lacks one and may be served now; *ret_at is when the earliest of the others may. */
static struct order *most_wanting(struct pool *p, uint64_t now, uint64_t *ret_at)
{
        struct order *found = NULL;

        list_for (item, &p->orders) {
                struct order *o = list_entry(item, struct order, item);

                if (count_vms(p, o, true) >= o->count)
                        continue;
                if (o->retry_at > now)
                        *ret_at = MIN(*ret_at, o->retry_at);
                else if (!has_room(p, o))
                        *ret_at = MIN(*ret_at, now + POOL_LOOK_MS);
                else if (!found || order_parked(p, o) < order_parked(p, found))
                        found = o;
        }
        return found;
}

static int on_refill(struct loop_timer *t, void *user, struct err *e)
{
        struct pool *p = user;
        uint64_t now = clock_mono_ms(), at = UINT64_MAX;
        struct err why = ERR_INIT;

        (void)e;
        if (p->closing || in_preparation(p) || loop_timer_is_armed(p->quiet))
                return 0;
        struct order *o = most_wanting(p, now, &at);
        if (o && vm_make(p, o, &why) < 0) {
                order_failed(p, o, why.msg, false);
        } else if (!o && at != UINT64_MAX) {
                loop_timer_at(t, at);
        }
        return 0;
}

void refill_soon(struct pool *p)
{
        if (!p->closing)
                loop_timer_in(p->refill, 0);
}

static int on_quiet_end(struct loop_timer *t, void *user, struct err *e)
{
        struct pool *p = user;
        struct vm_entry *v = in_preparation(p);

        (void)t;
        (void)e;
        if (v)
                p->o.maker->hold(v->maker, false);
        refill_soon(p);
        return 0;
}

/* A preparation that was held often goes on beside the job: it would never end otherwise. */
void refill_quiet(struct pool *p)
{
        struct vm_entry *v = in_preparation(p);

        loop_timer_in(p->quiet, POOL_QUIET_MS);
        if (!v)
                return;
        bool hold = v->held_ms < POOL_QUIET_MOST_MS;
        v->held_ms += hold ? POOL_QUIET_MS : 0;
        p->o.maker->hold(v->maker, hold);
}

/* ---- looking ---- */

/* What a VM was made of is still what one would be made of now. */
static bool is_current(const struct vm_entry *v, const uint8_t vmm[32])
{
        struct make_stamp now;

        return make_stamp(v->made.image_path, &now) && memcmp(&now, &v->made.stamp, sizeof(now)) == 0 &&
               memcmp(vmm, v->made.vmm, sizeof(v->made.vmm)) == 0;
}

static int describe_vmm(uint8_t ret[32], struct err *e)
{
        struct buf text = BUF_INIT;
        int r = vm_driver_qemu.describe(&text, ret, e);

        buf_done(&text);
        return r;
}

int pool_look(struct pool *p, struct err *e)
{
        uint64_t now = clock_mono_ms();
        uint8_t vmm[32];

        if (describe_vmm(vmm, e) < 0)
                return -1;
        list_for_safe (item, next, &p->vms) {
                struct vm_entry *v = list_entry(item, struct vm_entry, item);
                const char *why = NULL;

                if (v->state != ENTRY_PARKED)
                        continue;
                if (now - v->born_ms >= p->o.age_ms)
                        why = "is old";
                else if (!is_current(v, vmm))
                        why = "is of another image or VMM than is there now";
                if (!why)
                        continue;
                log_info("slot %u: the parked VM %s and is replaced", v->made.slot, why);
                vm_end(v);
        }
        return 0;
}

static int on_look(struct loop_timer *t, void *user, struct err *e)
{
        struct pool *p = user;
        struct err why = ERR_INIT;

        (void)e;
        if (pool_look(p, &why) < 0)
                log_warning("%s", why.msg);
        loop_timer_in(t, MIN((uint64_t)POOL_LOOK_MS, MAX(p->o.age_ms / 4, (uint64_t)100)));
        return 0;
}

int refill_init(struct pool *p, struct err *e)
{
        int r = loop_timer_new(p->loop, on_refill, p, &p->refill, e);

        if (r == 0)
                r = loop_timer_new(p->loop, on_quiet_end, p, &p->quiet, e);
        if (r == 0)
                r = loop_timer_new(p->loop, on_look, p, &p->look, e);
        if (r == 0)
                loop_timer_in(p->look, POOL_LOOK_MS);
        return r;
}

void refill_done(struct pool *p)
{
        loop_timer_free(p->refill);
        loop_timer_free(p->quiet);
        loop_timer_free(p->look);
        free_unused_templates(p);
}
