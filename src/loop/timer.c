#include "loop/loop.h"

#include "base/clock.h"
#include "base/err.h"
#include "loop/internal.h"

#include <limits.h>
#include <stdlib.h>

#define NOT_ARMED SIZE_MAX

struct loop_timer {
        struct timers *timers;
        struct list link;
        loop_timer_fn *fn;
        void *user;
        uint64_t deadline_ms, serial, armed_in_turn;
        size_t index; /* in the heap, or NOT_ARMED */
};

void timers_init(struct timers *t)
{
        *t = (struct timers){.turn = 1};
        list_init(&t->all);
}

void timers_done(struct timers *t)
{
        list_for_safe (pos, next, &t->all)
                free(list_entry(pos, struct loop_timer, link));
        free(t->heap);
}

static bool is_before(const struct loop_timer *a, const struct loop_timer *b)
{
        return a->deadline_ms != b->deadline_ms ? a->deadline_ms < b->deadline_ms : a->serial < b->serial;
}

static void put_at(struct timers *t, size_t i, struct loop_timer *timer)
{
        t->heap[i] = timer;
        timer->index = i;
}

static void sift_up(struct timers *t, size_t i, struct loop_timer *timer)
{
        for (; i && is_before(timer, t->heap[(i - 1) / 2]); i = (i - 1) / 2)
                put_at(t, i, t->heap[(i - 1) / 2]);
        put_at(t, i, timer);
}

static void sift_down(struct timers *t, size_t i, struct loop_timer *timer)
{
        for (;;) {
                size_t child = 2 * i + 1;
                if (child + 1 < t->n && is_before(t->heap[child + 1], t->heap[child]))
                        child++;
                if (child >= t->n || !is_before(t->heap[child], timer))
                        break;
                put_at(t, i, t->heap[child]);
                i = child;
        }
        put_at(t, i, timer);
}

int loop_timer_new(struct loop *l, loop_timer_fn *fn, void *user, struct loop_timer **ret, struct err *e)
{
        struct timers *t = loop_timers(l);
        /* Room is made here, so that arming cannot fail. */
        if (t->n_all == t->cap) {
                size_t cap = t->cap ? t->cap * 2 : 8;
                struct loop_timer **heap = reallocarray(t->heap, cap, sizeof(struct loop_timer *));
                if (!heap)
                        return err_nomem(e);
                t->heap = heap;
                t->cap = cap;
        }
        struct loop_timer *timer = calloc(1, sizeof(*timer));
        if (!timer)
                return err_nomem(e);
        timer->timers = t;
        timer->fn = fn;
        timer->user = user;
        timer->index = NOT_ARMED;
        list_append(&t->all, &timer->link);
        t->n_all++;
        *ret = timer;
        return 0;
}

void loop_timer_at(struct loop_timer *timer, uint64_t deadline_ms)
{
        struct timers *t = timer->timers;
        loop_timer_off(timer);
        timer->deadline_ms = deadline_ms;
        timer->serial = t->serial++;
        timer->armed_in_turn = t->turn;
        sift_up(t, t->n++, timer);
}

void loop_timer_in(struct loop_timer *timer, uint64_t delay_ms)
{
        uint64_t deadline;
        if (__builtin_add_overflow(clock_mono_ms(), delay_ms, &deadline))
                deadline = UINT64_MAX;
        loop_timer_at(timer, deadline);
}

void loop_timer_off(struct loop_timer *timer)
{
        struct timers *t = timer->timers;
        size_t i = timer->index;
        if (i == NOT_ARMED)
                return;
        timer->index = NOT_ARMED;
        struct loop_timer *last = t->heap[--t->n];
        if (last == timer)
                return;
        if (i && is_before(last, t->heap[(i - 1) / 2]))
                sift_up(t, i, last);
        else
                sift_down(t, i, last);
}

bool loop_timer_is_armed(const struct loop_timer *timer)
{
        return timer->index != NOT_ARMED;
}

struct loop_timer *loop_timer_free(struct loop_timer *timer)
{
        if (timer) {
                loop_timer_off(timer);
                timer->timers->n_all--;
                list_remove(&timer->link);
                free(timer);
        }
        return NULL;
}

int timers_timeout(const struct timers *t)
{
        if (!t->n)
                return -1;
        uint64_t deadline = t->heap[0]->deadline_ms, now = clock_mono_ms();
        if (deadline <= now)
                return 0;
        return deadline - now >= INT_MAX ? INT_MAX : (int)(deadline - now);
}

int timers_fire(struct timers *t, const bool *stop, struct err *e)
{
        uint64_t now = clock_mono_ms();
        int r = 0;
        while (r == 0 && !*stop && t->n && t->heap[0]->deadline_ms <= now && t->heap[0]->armed_in_turn != t->turn) {
                struct loop_timer *timer = t->heap[0];
                loop_timer_off(timer);
                r = timer->fn(timer, timer->user, e);
        }
        return r < 0 ? r : 0;
}
