/* What the pool decides, with a maker that makes nothing: its VMs are processes that sleep. */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/str.h"
#include "loop/loop.h"
#include "pool/limits.h"
#include "pool/pool_priv.h"
#include "pool/server.h"
#include "vm/slot.h"
#include "vm/vm.h"

#define ME 1000u
#define OTHER 1001u

/* ---- a maker ---- */

struct maker {
        made_fn *fn;
        void *user;
        char image[POOL_MAX_IMAGE + 1];
        bool had_template;
        bool held;
        struct loop_timer *end; /* of one that was killed */
};

static struct maker *making; /* the one preparation under way */
static unsigned made_count, killed_count;
static const char *unkept = ""; /* why the next template is not on disk */
static char state_folder[64], image_folder[100];
static struct loop *loop;

static int fake_start(struct loop *l, const struct make_order *o, made_fn *fn, void *user, struct maker **ret,
                      struct err *e)
{
        struct maker *m = calloc(1, sizeof(*m));

        (void)l;
        (void)e;
        assert_null(making);
        m->fn = fn;
        m->user = user;
        m->had_template = o->key != NULL;
        str_copy(m->image, sizeof(m->image), o->image);
        making = *ret = m;
        return 0;
}

static void fake_hold(struct maker *m, bool hold)
{
        m->held = hold;
}

static int on_killed(struct loop_timer *t, void *user, struct err *e)
{
        struct made m = {.magic = MADE_MAGIC, .failed = true, .code = ERR_RESOURCES};
        struct maker *now = user;
        int fds[MADE_FD_COUNT];

        (void)t;
        for (int i = 0; i < MADE_FD_COUNT; i++)
                fds[i] = -1;
        return now->fn(&m, fds, now->user, e);
}

static void fake_kill(struct maker *m)
{
        making = m == making ? NULL : making;
        killed_count++;
        assert_int_equal(loop_timer_new(loop, on_killed, m, &m->end, NULL), 0);
        loop_timer_in(m->end, 0);
}

static struct maker *fake_free(struct maker *m)
{
        if (!m)
                return NULL;
        making = m == making ? NULL : making;
        loop_timer_free(m->end);
        free(m);
        return NULL;
}

struct burial {
        buried_fn *fn;
        void *user;
        struct slot *slot;
        struct loop_timer *done;
};

static struct burial *burying; /* the last one that did not end yet */
static bool slow_burials;      /* they end when the test says so */

static int on_grave(struct loop_timer *t, void *user, struct err *e)
{
        struct burial *b = user;

        (void)t;
        b->slot = slot_release(b->slot);
        burying = NULL;
        return b->fn(b->user, e);
}

static int fake_bury(struct loop *l, const char *state, struct slot *slot, buried_fn *fn, void *user,
                     struct burial **ret, struct err *e)
{
        struct burial *b = calloc(1, sizeof(*b));

        (void)state;
        (void)e;
        *b = (struct burial){.fn = fn, .user = user, .slot = slot};
        assert_int_equal(loop_timer_new(l, on_grave, b, &b->done, NULL), 0);
        if (!slow_burials)
                loop_timer_in(b->done, 0);
        burying = *ret = b;
        return 0;
}

static struct burial *fake_burial_free(struct burial *b, uint64_t deadline_ms)
{
        (void)deadline_ms;
        if (!b)
                return NULL;
        slot_release(b->slot);
        loop_timer_free(b->done);
        free(b);
        return NULL;
}

static const struct maker_ops fake = {.start = fake_start,
                                      .hold = fake_hold,
                                      .kill = fake_kill,
                                      .free = fake_free,
                                      .bury = fake_bury,
                                      .burial_free = fake_burial_free};

/* A VM that lives until its lifeline closes, as devdep-jail's does. */
static pid_t start_jail(int lifeline_read)
{
        pid_t pid = fork();

        if (pid == 0) {
                struct pollfd p = {.fd = lifeline_read};
                fd_close_from(3, &lifeline_read, 1, NULL);
                poll(&p, 1, 30000);
                _exit(0);
        }
        return pid;
}

/* Answer for the preparation under way; the lifeline's read end stays with the sleeping process alone. */
static pid_t answer(uint64_t private_bytes)
{
        struct made m = {.magic = MADE_MAGIC,
                         .accel = "tcg",
                         .key = "k1",
                         .private_bytes = private_bytes,
                         .template_bytes = 1 << 20};
        struct maker *now = making;
        struct buf text = BUF_INIT;
        struct slot *slot = NULL;

        str_copy(m.unkept, sizeof(m.unkept), unkept);
        int fds[MADE_FD_COUNT], pair[2], pipe_fds[2];

        assert_non_null(now);
        making = NULL;
        snprintf(m.image, sizeof(m.image), "%.99s@sha256:00", now->image);
        str_copy(m.image_path, sizeof(m.image_path), image_folder);
        make_stamp(image_folder, &m.stamp);
        assert_int_equal(vm_driver_qemu.describe(&text, m.vmm, NULL), 0);
        buf_done(&text);
        assert_int_equal(slot_take(state_folder, &slot, NULL), 0);
        m.slot = slot->number;
        assert_int_equal(fd_socketpair(SOCK_STREAM, pair, NULL), 0);
        fds[POOL_FD_CONTROL] = pair[0];
        fds[POOL_FD_CHANNEL] = pair[1];
        assert_int_equal(fd_pipe(pipe_fds, NULL), 0);
        m.jail = start_jail(pipe_fds[0]);
        close(pipe_fds[0]);
        fds[POOL_FD_LIFELINE] = pipe_fds[1];
        fds[POOL_FD_LEASH] = fcntl(pipe_fds[1], F_DUPFD_CLOEXEC, 3); /* the fake jail looks at one pipe */
        assert_int_equal(fd_memfd("log", &fds[POOL_FD_LOG], NULL), 0);
        fds[POOL_FD_JAIL] = (int)syscall(SYS_pidfd_open, m.jail, 0);
        fds[POOL_FD_LOCK] = dup(slot->lock_fd);
        slot_forget(slot);
        for (int i = MADE_FD_MEMORY; i < MADE_FD_COUNT; i++)
                fds[i] = -1;
        if (!now->had_template) {
                fd_memfd("memory", &fds[MADE_FD_MEMORY], NULL);
                fd_memfd("state", &fds[MADE_FD_STATE], NULL);
        }
        made_count++;
        assert_int_equal(now->fn(&m, fds, now->user, NULL), 0);
        return m.jail;
}

static void fail_preparation(const char *why, bool built)
{
        struct made m = {.magic = MADE_MAGIC, .failed = true, .code = ERR_RESOURCES, .built = built};
        struct maker *now = making;
        int fds[MADE_FD_COUNT];

        making = NULL;
        for (int i = 0; i < MADE_FD_COUNT; i++)
                fds[i] = -1;
        str_copy(m.message, sizeof(m.message), why);
        assert_int_equal(now->fn(&m, fds, now->user, NULL), 0);
}

/* ---- the stage ---- */

static int on_stop(struct loop_timer *t, void *user, struct err *e)
{
        (void)t;
        (void)user;
        (void)e;
        loop_quit(loop);
        return 0;
}

/* Let the loop do what is due, and what follows within these milliseconds. */
static void turn(uint64_t ms)
{
        struct loop_timer *t = NULL;

        assert_int_equal(loop_timer_new(loop, on_stop, NULL, &t, NULL), 0);
        loop_timer_in(t, ms);
        assert_int_equal(loop_run(loop, NULL), 0);
        loop_timer_free(t);
}

static struct pool *new_pool(uint64_t budget, uint64_t age_ms)
{
        struct pool_options o = {.state = state_folder, .self = ME, .budget = budget, .age_ms = age_ms, .maker = &fake};
        struct pool *p = NULL;

        making = NULL;
        burying = NULL;
        slow_burials = false;
        made_count = killed_count = 0;
        assert_int_equal(loop_new(&loop, NULL), 0);
        assert_int_equal(pool_new(loop, &o, &p, NULL), 0);
        return p;
}

static void end_pool(struct pool *p)
{
        pool_free(p);
        loop_free(loop);
        while (waitpid(-1, NULL, 0) > 0)
                ;
        for (unsigned i = 0; i < 10; i++)
                assert_false(slot_is_held(state_folder, i));
}

static struct pool_request request(enum pool_verb verb, const char *image, uint32_t count)
{
        struct pool_request q = {.verb = verb, .class = {2, 1 << 20, 1 << 20}, .count = count, .accel = "tcg"};

        str_copy(q.image, sizeof(q.image), image);
        return q;
}

static void warm(struct pool *p, uid_t user, const char *image, uint32_t count)
{
        struct pool_request q = request(POOL_WARM, image, count);

        assert_int_equal(pool_warm(p, user, &q, NULL), 0);
        turn(1);
}

static struct vm_entry *claim(struct pool *p, uid_t user, const char *image)
{
        struct pool_request q = request(POOL_CLAIM, image, 0);

        return pool_claim(p, user, &q);
}

static unsigned count(struct pool *p, uid_t user, const char *state)
{
        struct pool_answer a = {0};
        unsigned n = 0;

        assert_int_equal(pool_list(p, user, &a, NULL), 0);
        for (size_t i = 0; i < a.n_vms; i++)
                n += str_eq(a.vms[i].state, state);
        pool_answer_done(&a);
        return n;
}

static bool is_gone(pid_t pid, int ms)
{
        int fd = (int)syscall(SYS_pidfd_open, pid, 0);
        struct pollfd p = {.fd = fd, .events = POLLIN};
        bool gone = fd < 0 || poll(&p, 1, ms) == 1;

        fd_close(fd);
        return gone;
}

#define MUCH ((uint64_t)1 << 40)
#define LONG (3600u * 1000u)

static int make_state(void **state)
{
        char path[150];

        (void)state;
        snprintf(state_folder, sizeof(state_folder), "/tmp/test-pool.XXXXXX");
        if (!mkdtemp(state_folder) || chmod(state_folder, 0711) < 0)
                return -1;
        snprintf(image_folder, sizeof(image_folder), "%s/image", state_folder);
        snprintf(path, sizeof(path), "%s/manifest.json", image_folder);
        return mkdir(image_folder, 0755) == 0 ? fs_write_atomic(path, "{}", 2, 0644, NULL) : -1;
}

static int remove_state(void **state)
{
        (void)state;
        return fs_remove_tree(state_folder, NULL);
}

/* ---- tests ---- */

/* The table of src/pool/pool.h, row by row. */
static void every_state_meets_everything_that_happens(void **state)
{
        static const char *const rows[] = {
                [ENTRY_PREPARING] = "parked cleaning - - - ending - -",
                [ENTRY_PARKED] = "- - claimed - - ending cleaning -",
                [ENTRY_CLAIMED] = "- - - running ending - ending -",
                [ENTRY_HANDED] = "- - - - - running cleaning -",
                [ENTRY_ENDING] = "ending cleaning - - - ending cleaning -",
                [ENTRY_CLEANING] = "- - - - - cleaning - none",
                [ENTRY_NONE] = "- - - - - - - -",
        };

        (void)state;
        for (enum entry_state s = ENTRY_PREPARING; s < ENTRY_STATES; s++) {
                char row[200] = "";

                for (enum entry_happens h = ENTRY_MADE; h < ENTRY_HAPPENINGS; h++) {
                        enum entry_state next = entry_state_next(s, h);
                        size_t len = strlen(row);
                        snprintf(row + len, sizeof(row) - len, "%s%s", len ? " " : "",
                                 next == ENTRY_STATES ? "-" : entry_state_name(next));
                }
                assert_string_equal(row, rows[s]);
        }
}

static void an_order_is_filled_one_after_the_other_from_one_template(void **state)
{
        struct pool *p = new_pool(MUCH, LONG);

        (void)state;
        warm(p, ME, "a", 2);
        assert_false(making->had_template);
        assert_int_equal(count(p, ME, "preparing"), 1);
        answer(5);
        turn(1);
        assert_true(making->had_template);
        answer(5);
        turn(1);
        assert_null(making);
        assert_int_equal(count(p, ME, "parked"), 2);
        warm(p, ME, "a", 1);
        turn(50);
        assert_int_equal(count(p, ME, "parked"), 1);
        warm(p, ME, "a", 0);
        turn(50);
        assert_int_equal(count(p, ME, "parked"), 0);
        assert_null(making);
        end_pool(p);
}

static void a_vm_is_claimed_once_and_then_nobodys_here(void **state)
{
        struct pool *p = new_pool(MUCH, LONG);
        struct pool_answer a;
        int fds[POOL_FD_COUNT], lifeline;

        (void)state;
        warm(p, ME, "a", 1);
        pid_t jail = answer(5);
        struct vm_entry *v = claim(p, ME, "a");
        assert_non_null(v);
        assert_null(claim(p, ME, "a"));
        assert_int_equal(pool_claim_answer(p, v, ME, &a, fds), POOL_FD_COUNT);
        assert_true(a.adopt);
        int lock = dup(fds[POOL_FD_LOCK]);
        lifeline = dup(fds[POOL_FD_LIFELINE]);
        unsigned number = a.vm.slot;
        pool_claim_sent(p, v, true, true);
        assert_int_equal(fcntl(fds[POOL_FD_LIFELINE], F_GETFD), -1);
        assert_int_equal(fcntl(fds[POOL_FD_LEASH], F_GETFD), -1);
        assert_int_equal(count(p, 0, "running"), 0);
        assert_false(is_gone(jail, 0));
        assert_true(slot_is_held(state_folder, number));
        close(lifeline);
        assert_true(is_gone(jail, 5000));
        close(lock);
        end_pool(p);
}

static void a_claim_that_is_not_sent_ends_the_vm(void **state)
{
        struct pool *p = new_pool(MUCH, LONG);

        (void)state;
        warm(p, ME, "a", 1);
        pid_t jail = answer(5);
        struct vm_entry *v = claim(p, ME, "a");
        pool_claim_sent(p, v, false, false);
        assert_true(is_gone(jail, 5000));
        turn(50);
        assert_null(claim(p, ME, "a"));
        assert_int_equal(count(p, ME, "ending"), 0);
        end_pool(p);
}

static void another_user_neither_sees_nor_claims_nor_stops(void **state)
{
        struct pool *p = new_pool(MUCH, LONG);
        struct pool_request stop = request(POOL_STOP, "", 0);
        uint32_t stopped;
        struct err err = ERR_INIT;

        (void)state;
        warm(p, OTHER, "a", 1);
        answer(5);
        assert_int_equal(count(p, ME, "parked"), 0);
        assert_null(claim(p, ME, "a"));
        assert_int_equal(pool_stop(p, ME, &stop, &stopped, &err), -1);
        stop.all = true;
        assert_int_equal(pool_stop(p, ME, &stop, &stopped, NULL), 0);
        assert_int_equal(stopped, 0);
        assert_int_equal(count(p, OTHER, "parked"), 1);
        assert_int_equal(count(p, 0, "parked"), 1);
        end_pool(p);
}

static void the_slot_of_another_users_vm_stays_the_pools_until_its_end(void **state)
{
        struct pool *p = new_pool(MUCH, LONG);
        struct pool_answer a;
        int fds[POOL_FD_COUNT];

        (void)state;
        warm(p, OTHER, "a", 1);
        answer(5);
        struct vm_entry *v = claim(p, OTHER, "a");
        assert_int_equal(pool_claim_answer(p, v, OTHER, &a, fds), POOL_FD_LOCK);
        assert_false(a.adopt);
        int lifeline = dup(fds[POOL_FD_LIFELINE]);
        pool_claim_sent(p, v, true, false);
        assert_int_equal(count(p, OTHER, "running"), 1);
        assert_null(claim(p, OTHER, "a"));
        close(lifeline);
        turn(200);
        assert_int_equal(count(p, OTHER, "running"), 0);
        assert_false(slot_is_held(state_folder, a.vm.slot));
        end_pool(p);
}

/* Each takes a slot of the pool's state folder, where there are SLOT_MAX for everybody. */
static void a_user_who_was_allowed_has_only_so_many_that_run(void **state)
{
        struct pool *p = new_pool(MUCH, LONG);
        int lifelines[POOL_MAX_USER_RUNNING];
        struct pool_answer a;
        int fds[POOL_FD_COUNT];

        (void)state;
        warm(p, OTHER, "a", POOL_MAX_USER_RUNNING);
        for (unsigned i = 0; i < POOL_MAX_USER_RUNNING; i++) {
                answer(5);
                turn(1);
        }
        for (unsigned i = 0; i < POOL_MAX_USER_RUNNING; i++) {
                struct vm_entry *v = claim(p, OTHER, "a");
                assert_non_null(v);
                pool_claim_answer(p, v, OTHER, &a, fds);
                lifelines[i] = fcntl(fds[POOL_FD_LIFELINE], F_DUPFD_CLOEXEC, 3);
                pool_claim_sent(p, v, true, false);
        }
        turn(POOL_QUIET_MS + 100);
        answer(5);
        assert_null(claim(p, OTHER, "a"));
        assert_int_equal(count(p, OTHER, "parked"), 1);
        slow_burials = true;
        close(lifelines[0]);
        turn(200);
        assert_null(claim(p, OTHER, "a"));
        slow_burials = false;
        loop_timer_in(burying->done, 0);
        turn(200);
        struct vm_entry *v = claim(p, OTHER, "a");
        assert_non_null(v);
        pool_claim_sent(p, v, false, false);
        for (unsigned i = 1; i < POOL_MAX_USER_RUNNING; i++)
                close(lifelines[i]);
        turn(200);
        end_pool(p);
}

static void only_the_same_kind_is_claimed(void **state)
{
        struct pool *p = new_pool(MUCH, LONG);
        struct pool_request q;

        (void)state;
        warm(p, ME, "a", 1);
        answer(5);
        assert_null(claim(p, ME, "b"));
        assert_null(claim(p, ME, "a@sha256:01"));
        assert_null(claim(p, ME, "a@"));
        q = request(POOL_CLAIM, "a", 0);
        q.class.memory++;
        assert_null(pool_claim(p, ME, &q));
        q = request(POOL_CLAIM, "a", 0);
        str_copy(q.accel, sizeof(q.accel), "kvm");
        assert_null(pool_claim(p, ME, &q));
        struct vm_entry *v = claim(p, ME, "a@sha256:00");
        assert_non_null(v);
        pool_claim_sent(p, v, false, false);
        end_pool(p);
}

static void a_vm_that_died_is_not_handed_out_but_replaced(void **state)
{
        struct pool *p = new_pool(MUCH, LONG);

        (void)state;
        warm(p, ME, "a", 1);
        pid_t jail = answer(5);
        kill(jail, SIGKILL);
        assert_true(is_gone(jail, 5000));
        assert_null(claim(p, ME, "a"));
        turn(50);
        assert_non_null(making);
        assert_int_equal(count(p, ME, "parked"), 0);
        end_pool(p);
}

static void what_is_old_is_replaced(void **state)
{
        struct pool *p = new_pool(MUCH, 1);

        (void)state;
        warm(p, ME, "a", 1);
        pid_t jail = answer(5);
        turn(5);
        assert_int_equal(pool_look(p, NULL), 0);
        assert_true(is_gone(jail, 5000));
        turn(50);
        assert_non_null(making);
        end_pool(p);
}

static void what_was_made_of_another_image_is_replaced(void **state)
{
        struct pool *p = new_pool(MUCH, LONG);
        char path[150];

        (void)state;
        warm(p, ME, "a", 1);
        pid_t jail = answer(5);
        assert_int_equal(pool_look(p, NULL), 0);
        assert_int_equal(count(p, ME, "parked"), 1);
        snprintf(path, sizeof(path), "%s/manifest.json", image_folder);
        assert_int_equal(fs_write_atomic(path, "{ }", 3, 0644, NULL), 0);
        assert_int_equal(pool_look(p, NULL), 0);
        assert_int_equal(count(p, ME, "parked"), 0);
        assert_true(is_gone(jail, 5000));
        end_pool(p);
}

static void memory_past_the_budget_is_not_used(void **state)
{
        struct pool *p = new_pool((100u << 20) + (1u << 20), LONG);
        struct pool_answer a = {0};

        (void)state;
        warm(p, ME, "a", 4);
        answer(40u << 20);
        turn(1);
        answer(40u << 20);
        turn(1);
        assert_null(making);
        assert_int_equal(pool_list(p, ME, &a, NULL), 0);
        assert_int_equal(a.n_vms, 2);
        assert_true(a.used == (81u << 20));
        assert_non_null(strstr(a.keeps[0].problem, "--memory"));
        pool_answer_done(&a);
        end_pool(p);
}

static void a_vm_that_cannot_fit_into_the_budget_is_not_tried(void **state)
{
        struct pool *p = new_pool((uint64_t)1 << 30, LONG);
        struct pool_answer a = {0};
        struct pool_request q = request(POOL_WARM, "a", 1);

        (void)state;
        q.class.memory = (uint64_t)1 << 40;
        assert_int_equal(pool_warm(p, ME, &q, NULL), 0);
        turn(50);
        assert_null(making);
        assert_int_equal(pool_list(p, ME, &a, NULL), 0);
        assert_non_null(strstr(a.keeps[0].problem, "--memory"));
        pool_answer_done(&a);
        end_pool(p);
}

static void a_preparation_that_fails_is_tried_again_later(void **state)
{
        struct pool *p = new_pool(MUCH, LONG);
        struct pool_answer a = {0};

        (void)state;
        warm(p, ME, "a", 1);
        fail_preparation("no such image", false);
        turn(10);
        assert_null(making);
        assert_int_equal(pool_list(p, ME, &a, NULL), 0);
        assert_string_equal(a.keeps[0].problem, "no such image");
        pool_answer_done(&a);
        turn(POOL_RETRY_MS + 200);
        assert_non_null(making);
        answer(5);
        assert_int_equal(pool_list(p, ME, &a, NULL), 0);
        assert_string_equal(a.keeps[0].problem, "");
        pool_answer_done(&a);
        end_pool(p);
}

static uint64_t waits(const struct pool *p)
{
        return list_entry(p->orders.next, struct order, item)->retry_ms;
}

/* As if the time had passed. */
static void fail_again(struct pool *p, bool built)
{
        list_entry(p->orders.next, struct order, item)->retry_at = 0;
        refill_soon(p);
        turn(1);
        fail_preparation("the disk is full", built);
}

static void what_fails_again_waits_twice_as_long_up_to_a_limit(void **state)
{
        struct pool *p = new_pool(MUCH, LONG);

        (void)state;
        warm(p, ME, "a", 1);
        for (uint64_t ms = POOL_RETRY_MS; ms < POOL_RETRY_MOST_MS; ms *= 2) {
                fail_again(p, false);
                assert_int_equal(waits(p), ms);
        }
        fail_again(p, false);
        fail_again(p, false);
        assert_int_equal(waits(p), POOL_RETRY_MOST_MS);
        warm(p, ME, "a", 2); /* asked for anew: at once */
        for (uint64_t ms = POOL_BUILD_RETRY_MS; ms < POOL_BUILD_RETRY_MOST_MS; ms *= 2) {
                fail_again(p, true);
                assert_int_equal(waits(p), ms);
        }
        fail_again(p, true);
        fail_again(p, true);
        assert_int_equal(waits(p), POOL_BUILD_RETRY_MOST_MS);
        end_pool(p);
}

static void a_template_that_is_not_kept_is_said_and_used(void **state)
{
        struct pool *p = new_pool(MUCH, LONG);
        struct pool_answer a = {0};

        (void)state;
        warm(p, ME, "a", 2);
        unkept = "no space";
        answer(5);
        unkept = "";
        turn(1);
        assert_true(making->had_template);
        assert_int_equal(pool_list(p, ME, &a, NULL), 0);
        assert_string_equal(a.keeps[0].problem, ""); /* it is being filled */
        pool_answer_done(&a);
        answer(5);
        a = (struct pool_answer){0};
        assert_int_equal(pool_list(p, ME, &a, NULL), 0);
        assert_string_equal(a.keeps[0].problem, "its template is not kept: no space");
        pool_answer_done(&a);
        end_pool(p);
}

static void nothing_is_prepared_in_a_claimed_jobs_first_second(void **state)
{
        struct pool *p = new_pool(MUCH, LONG);

        (void)state;
        warm(p, ME, "a", 2);
        answer(5);
        turn(1);
        assert_non_null(making);
        pool_claim_sent(p, claim(p, ME, "a"), true, true);
        assert_true(making->held);
        turn(POOL_QUIET_MS + 200);
        assert_false(making->held);
        answer(5);
        end_pool(p);
}

static void a_preparation_is_late_and_never_lost(void **state)
{
        const unsigned most = POOL_QUIET_MOST_MS / POOL_QUIET_MS;
        struct pool *p = new_pool(MUCH, LONG);

        (void)state;
        warm(p, ME, "a", most + 2);
        for (unsigned i = 0; i < most + 1; i++) {
                answer(5);
                turn(1);
        }
        assert_non_null(making);
        /* One claim before the quiet time of the one before it has ended. */
        for (unsigned i = 0; i < most; i++) {
                pool_claim_sent(p, claim(p, ME, "a"), true, true);
                assert_true(making->held);
        }
        pool_claim_sent(p, claim(p, ME, "a"), true, true);
        assert_false(making->held);
        answer(5);
        end_pool(p);
}

static void stopping_all_ends_preparations_too(void **state)
{
        struct pool *p = new_pool(MUCH, LONG);
        struct pool_request stop = {.verb = POOL_STOP, .all = true};
        uint32_t stopped = 0;

        (void)state;
        warm(p, ME, "a", 2);
        pid_t jail = answer(5);
        turn(1);
        assert_non_null(making);
        assert_int_equal(pool_stop(p, ME, &stop, &stopped, NULL), 0);
        assert_int_equal(stopped, 2);
        assert_int_equal(killed_count, 1);
        assert_true(is_gone(jail, 5000));
        turn(50);
        assert_null(making);
        assert_int_equal(count(p, 0, "parked") + count(p, 0, "preparing") + count(p, 0, "ending"), 0);
        end_pool(p);
}

static void a_preparation_that_is_faster_than_its_end_ends_all_the_same(void **state)
{
        const struct pool_request none = request(POOL_WARM, "a", 0);
        struct pool *p = new_pool(MUCH, LONG);

        (void)state;
        warm(p, ME, "a", 1);
        struct maker *now = making;
        assert_int_equal(pool_warm(p, ME, &none, NULL), 0);
        assert_int_equal(count(p, ME, "ending"), 1);
        making = now;
        now->end = loop_timer_free(now->end);
        pid_t jail = answer(5);
        assert_true(is_gone(jail, 5000));
        turn(50);
        assert_int_equal(count(p, ME, "ending") + count(p, ME, "parked"), 0);
        end_pool(p);
}

static void a_claim_is_answered_while_the_slot_of_another_vm_is_cleaned(void **state)
{
        struct pool *p = new_pool(MUCH, LONG);

        (void)state;
        warm(p, OTHER, "a", 2);
        pid_t jail = answer(5);
        turn(1);
        answer(5);
        slow_burials = true;
        kill(jail, SIGKILL);
        turn(50);
        assert_non_null(burying);
        assert_int_equal(count(p, OTHER, "cleaning"), 1);
        struct vm_entry *v = claim(p, OTHER, "a");
        assert_non_null(v);
        pool_claim_sent(p, v, true, false);
        assert_non_null(burying);
        loop_timer_in(burying->done, 0);
        turn(50);
        assert_int_equal(count(p, OTHER, "cleaning"), 1); /* the one that was claimed, and ended with the claim */
        end_pool(p);
}

static void one_user_cannot_ask_for_more_than_its_share(void **state)
{
        struct pool *p = new_pool(1, LONG);
        struct err err = ERR_INIT;
        struct pool_request q = request(POOL_WARM, "a", POOL_MAX_KEEP);

        (void)state;
        assert_int_equal(pool_warm(p, ME, &q, &err), 0);
        q = request(POOL_WARM, "b", 1);
        assert_int_equal(pool_warm(p, ME, &q, &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
        assert_int_equal(pool_warm(p, OTHER, &q, &err), 0);
        q = request(POOL_WARM, "a", 1);
        assert_int_equal(pool_warm(p, ME, &q, &err), 0);
        for (unsigned i = 1; i < POOL_MAX_USER_ORDERS; i++) {
                char name[16];
                snprintf(name, sizeof(name), "x%u", i);
                q = request(POOL_WARM, name, 1);
                assert_int_equal(pool_warm(p, ME, &q, &err), 0);
        }
        q = request(POOL_WARM, "y", 1);
        assert_int_equal(pool_warm(p, ME, &q, &err), -1);
        end_pool(p);
}

/* A connection that has asked. */
static int asked(const char *path, enum pool_verb verb)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        struct pool_request q = {.verb = verb};
        struct buf text = BUF_INIT;
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        str_copy(address.sun_path, sizeof(address.sun_path), path);
        assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(pool_request_write(&q, &text, NULL), 0);
        assert_int_equal(send(fd, text.data, text.len, 0), text.len);
        buf_done(&text);
        return fd;
}

/* How many bytes came before anything else; 0: the end. */
static ssize_t answered(int fd)
{
        char data[64];
        ssize_t n = -1;

        for (unsigned i = 0; i < 1000 && n < 0; i++) {
                turn(5);
                n = recv(fd, data, sizeof(data), 0);
        }
        close(fd);
        return n;
}

static void an_answer_that_cannot_be_made_ends_its_connection_and_no_other(void **state)
{
        char path[100], image[POOL_MAX_IMAGE + 1];
        struct server_options o = {.path = path, .self = getuid()};
        struct server *s = NULL;

        (void)state;
        if (geteuid() != 0)
                skip(); /* nobody else may see what fills an answer */
        struct pool *p = new_pool(1, LONG);
        snprintf(path, sizeof(path), "%s/socket", state_folder);
        assert_int_equal(server_new(loop, p, &o, &s, NULL), 0);
        memset(image, 'a', sizeof(image) - 1);
        image[sizeof(image) - 1] = '\0';
        for (unsigned i = 0; i < 64 * POOL_MAX_USER_ORDERS; i++) {
                struct pool_request q = request(POOL_WARM, image, 1);
                q.class.memory += i;
                assert_int_equal(pool_warm(p, OTHER + i / POOL_MAX_USER_ORDERS, &q, NULL), 0);
        }
        assert_int_equal(answered(asked(path, POOL_LS)), 0);
        assert_true(answered(asked(path, POOL_HELLO)) > 0);
        server_free(s);
        end_pool(p);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_state_meets_everything_that_happens),
                cmocka_unit_test(an_order_is_filled_one_after_the_other_from_one_template),
                cmocka_unit_test(a_vm_is_claimed_once_and_then_nobodys_here),
                cmocka_unit_test(a_claim_that_is_not_sent_ends_the_vm),
                cmocka_unit_test(another_user_neither_sees_nor_claims_nor_stops),
                cmocka_unit_test(the_slot_of_another_users_vm_stays_the_pools_until_its_end),
                cmocka_unit_test(a_user_who_was_allowed_has_only_so_many_that_run),
                cmocka_unit_test(only_the_same_kind_is_claimed),
                cmocka_unit_test(a_vm_that_died_is_not_handed_out_but_replaced),
                cmocka_unit_test(what_is_old_is_replaced),
                cmocka_unit_test(what_was_made_of_another_image_is_replaced),
                cmocka_unit_test(memory_past_the_budget_is_not_used),
                cmocka_unit_test(a_vm_that_cannot_fit_into_the_budget_is_not_tried),
                cmocka_unit_test(a_preparation_that_fails_is_tried_again_later),
                cmocka_unit_test(what_fails_again_waits_twice_as_long_up_to_a_limit),
                cmocka_unit_test(a_template_that_is_not_kept_is_said_and_used),
                cmocka_unit_test(nothing_is_prepared_in_a_claimed_jobs_first_second),
                cmocka_unit_test(a_preparation_is_late_and_never_lost),
                cmocka_unit_test(stopping_all_ends_preparations_too),
                cmocka_unit_test(a_preparation_that_is_faster_than_its_end_ends_all_the_same),
                cmocka_unit_test(a_claim_is_answered_while_the_slot_of_another_vm_is_cleaned),
                cmocka_unit_test(one_user_cannot_ask_for_more_than_its_share),
                cmocka_unit_test(an_answer_that_cannot_be_made_ends_its_connection_and_no_other),
        };

        return cmocka_run_group_tests(tests, make_state, remove_state);
}
