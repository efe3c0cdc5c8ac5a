/* devdep-cli vm: the VMs of this state folder, and the pool that keeps some parked. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "cli/claim.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/render.h"
#include "cli/shape.h"
#include "cli/state.h"
#include "codec/json.h"
#include "pool/client.h"
#include "vm/image.h"
#include "vm/probe.h"
#include "vm/slot.h"
#include "vm/slot_info.h"

#define LOOK_MS 100u      /* between questions to the pool while VMs are made ready */
#define PROGRESS_MS 1500u /* between lines meanwhile */
#define ANSWER_DEADLINE_S 5

/* ---- the pool ---- */

/* The pool of this state folder, else the host's; CLIENT_E_NONE: there is none. *ret_own: it is that of the folder. */
static int connect_pool(const char *state, int *ret, bool *ret_own, struct err *e)
{
        int r = client_connect(state, ret, e);

        *ret_own = r == 0;
        if (r == CLIENT_E_NONE && strcmp(state, CLAIM_SYSTEM_STATE) != 0)
                r = client_connect(CLAIM_SYSTEM_STATE, ret, e);
        return r;
}

static int no_pool(const char *state, struct err *e)
{
        return err_set(
                e, ERR_USAGE,
                "no devdep-pool listens at %s/pool/socket; start one: 'devdep-pool --warm default', or as a service: "
                "'systemctl start devdep-pool'",
                state);
}

static int ask_pool(const char *state, const struct pool_request *q, struct pool_answer *ret, struct err *e)
{
        AUTO(auto_close) int fd = -1;
        bool own;
        int r = connect_pool(state, &fd, &own, e);

        *ret = (struct pool_answer){0};
        if (r == CLIENT_E_NONE)
                return no_pool(state, e);
        return r == 0 ? client_ask(fd, q, ret, NULL, e) : r;
}

/* ---- vm ls ---- */

struct row {
        unsigned slot;
        bool pooled; /* of another state's pool: the slot's number is that pool's */
        char state[16], image[POOL_MAX_IMAGE + 1], accel[8], job[128];
        uint32_t vcpus;
        uint64_t memory, age_ms, private_bytes;
};

struct rows {
        struct row *v;
        size_t n;
};

static struct row *add_row(struct rows *rows, struct err *e)
{
        struct row *v = reallocarray(rows->v, rows->n + 1, sizeof(*v));

        if (!v) {
                err_nomem(e);
                return NULL;
        }
        rows->v = v;
        v[rows->n] = (struct row){0};
        return &v[rows->n++];
}

static int on_slot(const struct slot_entry *entry, void *user, struct err *e)
{
        struct row *row = add_row(user, e);
        uint64_t now = clock_real_ms();

        if (!row)
                return -1;
        row->slot = entry->number;
        str_copy(row->state, sizeof(row->state), *entry->info.state ? entry->info.state : "busy");
        str_copy(row->image, sizeof(row->image), entry->info.image);
        str_copy(row->accel, sizeof(row->accel), entry->info.accel);
        str_copy(row->job, sizeof(row->job), entry->info.job);
        row->vcpus = entry->info.vcpus;
        row->memory = entry->info.memory;
        row->age_ms = entry->info.since_ms && now > entry->info.since_ms ? now - entry->info.since_ms : 0;
        row->private_bytes = entry->private_bytes;
        return 0;
}

/* What another state's pool holds for us. */
static int add_pooled(const struct pool_answer *a, struct rows *rows, struct err *e)
{
        for (size_t i = 0; i < a->n_vms; i++) {
                const struct pool_vm *v = &a->vms[i];
                struct row *row = add_row(rows, e);

                if (!row)
                        return -1;
                row->slot = v->slot;
                row->pooled = true;
                str_copy(row->state, sizeof(row->state), v->state);
                str_copy(row->image, sizeof(row->image), v->image);
                str_copy(row->accel, sizeof(row->accel), v->accel);
                row->vcpus = v->class.vcpus;
                row->memory = v->class.memory;
                row->age_ms = v->age_ms;
                row->private_bytes = v->private_bytes;
        }
        return 0;
}

static json_t *row_json(const struct row *row)
{
        return json_pack("{s:i,s:s,s:s,s:s,s:s,s:i,s:I,s:I,s:I,s:b}", "slot", (int)row->slot, "state", row->state,
                         "job", row->job, "image", row->image, "accel", row->accel, "vcpus", (int)row->vcpus, "memory",
                         (json_int_t)row->memory, "age_ms", (json_int_t)row->age_ms, "private_bytes",
                         (json_int_t)row->private_bytes, "host_pool", row->pooled);
}

static json_t *keep_json(const struct pool_keep *k)
{
        return json_pack("{s:s,s:s,s:i,s:I,s:i,s:i,s:s}", "image", k->image, "accel", k->accel, "vcpus",
                         (int)k->class.vcpus, "memory", (json_int_t)k->class.memory, "count", (int)k->count, "parked",
                         (int)k->parked, "problem", k->problem);
}

static int print_json(const struct rows *rows, const struct pool_answer *a, bool pool, struct err *e)
{
        json_t *vms = json_array(), *keeps = json_array(), *all = json_object();

        for (size_t i = 0; i < rows->n; i++)
                json_array_append_new(vms, row_json(&rows->v[i]));
        for (size_t i = 0; i < a->n_keeps; i++)
                json_array_append_new(keeps, keep_json(&a->keeps[i]));
        json_object_set_new(all, "vms", vms);
        json_object_set_new(all, "kept", keeps);
        json_object_set_new(all, "pool",
                            pool ? json_pack("{s:I,s:I}", "budget", (json_int_t)a->budget, "used", (json_int_t)a->used)
                                 : json_null());
        return output_json(all, e);
}

/* "default@e9848f84" of the name and its whole digest. */
static int add_image(const char *image, struct buf *text, struct err *e)
{
        const char *at = strchr(image, '@'), *colon = at ? strchr(at, ':') : NULL;
        char shown[128];

        if (colon)
                snprintf(shown, sizeof(shown), "%.*s@%.8s", (int)MIN(at - image, 64), image, colon + 1);
        else
                str_copy(shown, sizeof(shown), image);
        return render_plain(shown, text, e);
}

static int print_row(const struct row *row, struct err *e)
{
        struct buf image = BUF_INIT_MAX(4096), job = BUF_INIT_MAX(4096), state = BUF_INIT_MAX(4096);
        char age[CLOCK_DURATION_SIZE], size[32] = "-", memory[32] = "-";

        int r = add_image(*row->image ? row->image : "-", &image, e);
        if (r == 0)
                r = render_plain(*row->job ? row->job : "-", &job, e);
        if (r == 0)
                r = render_plain(row->state, &state, e);
        clock_duration(row->age_ms, age);
        if (row->vcpus)
                snprintf(size, sizeof(size), "%ux%lluM", row->vcpus, (unsigned long long)row->memory >> 20);
        if (row->private_bytes)
                snprintf(memory, sizeof(memory), "%llu MiB", (unsigned long long)row->private_bytes >> 20);
        if (r == 0)
                printf("%4u  %-9s  %-24s  %-16s  %8s  %8s  %s\n", row->slot, buf_cstr(&state), buf_cstr(&image),
                       buf_cstr(&job), size, memory, *row->state && row->age_ms ? age : "-");
        buf_done(&image);
        buf_done(&job);
        buf_done(&state);
        return r;
}

static int print_keep(const struct pool_keep *k, struct err *e)
{
        struct buf text = BUF_INIT_MAX(8192);
        int r = add_image(k->image, &text, e);

        if (r == 0)
                r = buf_printf(&text, e, " %ux%lluM: %u of %u parked%s", k->class.vcpus,
                               (unsigned long long)k->class.memory >> 20, k->parked, k->count, *k->problem ? "; " : "");
        if (r == 0)
                r = render_plain(k->problem, &text, e);
        if (r == 0)
                printf("kept: %s\n", buf_cstr(&text));
        buf_done(&text);
        return r;
}

static int print_rows(const struct rows *rows, const struct pool_answer *a, struct err *e)
{
        int r = 0;

        if (rows->n > 0)
                printf("%4s  %-9s  %-24s  %-16s  %8s  %8s  %s\n", "SLOT", "STATE", "IMAGE", "JOB", "SIZE", "MEMORY",
                       "AGE");
        for (size_t i = 0; i < rows->n && r == 0; i++)
                r = print_row(&rows->v[i], e);
        for (size_t i = 0; i < a->n_keeps && r == 0; i++)
                r = print_keep(&a->keeps[i], e);
        if (rows->n == 0 && a->n_keeps == 0)
                puts("no VMs; 'devdep-cli run' starts some, 'devdep-cli vm warm IMAGE' has a pool keep some parked");
        return r;
}

/* A pool that does not answer, or not to us, hides nothing of what is here. */
static bool list_pool(const char *state, struct pool_answer *ret, bool *ret_own)
{
        AUTO(auto_close) int fd = -1;
        const struct pool_request q = {.verb = POOL_LS};
        struct err why = ERR_INIT;

        int r = connect_pool(state, &fd, ret_own, &why);
        if (r == 0)
                r = client_ask(fd, &q, ret, NULL, &why);
        if (r < 0) {
                log_warning("what a pool keeps is not shown: %s", why.msg);
                pool_answer_done(ret);
                *ret = (struct pool_answer){0};
        }
        return r == 0;
}

static int run_ls(const struct args *args, struct err *e)
{
        AUTO(auto_free) char *state = NULL;
        struct pool_answer a = {0};
        struct rows rows = {0};
        bool pool = false, own = false;

        int r = state_path(&state, e);
        if (r == 0)
                r = slot_info_list(state, on_slot, &rows, e);
        if (r == 0)
                pool = list_pool(state, &a, &own);
        if (r == 0 && !own)
                r = add_pooled(&a, &rows, e);
        if (r == 0)
                r = args_has(args, "json") ? print_json(&rows, &a, pool, e) : print_rows(&rows, &a, e);
        pool_answer_done(&a);
        free(rows.v);
        return r;
}

/* ---- vm stop ---- */

/* Ask the devdep-job of a slot to end its guest at once (docs/control.md). */
static int kill_job(const char *state, unsigned slot, struct err *e)
{
        static const char request[] = "{\"op\":\"kill\"}\n";
        AUTO(auto_free) char *path = str_printf("%s/slots/%u/run/control", state, slot);
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        const struct timeval deadline = {.tv_sec = ANSWER_DEADLINE_S};
        AUTO(auto_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (!path || !str_copy(address.sun_path, sizeof(address.sun_path), path))
                return err_set(e, ERR_USAGE, "the path of the state folder is too long for a socket");
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof(deadline)) < 0 ||
            connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                return err_set(e, ERR_USAGE,
                               "slot %u has no job that can be stopped; 'devdep-cli vm ls' lists what there is", slot);
        return fd_write_all(fd, request, strlen(request), "devdep-job's control socket", e);
}

static int stop_one(const char *state, unsigned slot, struct err *e)
{
        const struct pool_request q = {.verb = POOL_STOP, .slot = slot};
        struct pool_answer a;
        struct err why = ERR_INIT;

        int r = ask_pool(state, &q, &a, &why);
        pool_answer_done(&a);
        if (r == 0) {
                printf("stopped: the parked VM in slot %u\n", slot);
                return 0;
        }
        if (!slot_is_held(state, slot))
                return err_set(e, ERR_USAGE, "there is no VM in slot %u; 'devdep-cli vm ls' lists them", slot);
        r = kill_job(state, slot, e);
        if (r == 0)
                printf("stopped: the job in slot %u\n", slot);
        return r;
}

static int stop_parked(const char *state, struct err *e)
{
        const struct pool_request q = {.verb = POOL_STOP, .all = true};
        struct pool_answer a;

        int r = ask_pool(state, &q, &a, e);
        if (r == 0)
                printf("stopped: %u parked VMs; none are kept any more\n", a.stopped);
        pool_answer_done(&a);
        return r;
}

static int run_stop(const struct args *args, struct err *e)
{
        AUTO(auto_free) char *state = NULL;
        bool all = args_has(args, "all-parked");
        int r = state_path(&state, e);

        if (r == 0 && all == (args->n_positional > 0))
                return err_set(e, ERR_USAGE, "%s: name slots, or give --all-parked; see '%s --help'", args->path,
                               args->path);
        if (r == 0 && all)
                return stop_parked(state, e);
        for (size_t i = 0; i < args->n_positional && r == 0; i++) {
                uint64_t slot = 0;

                r = num_u64(args->positional[i], 0, POOL_MAX_SLOT, "slot", &slot, e);
                if (r == 0)
                        r = stop_one(state, (unsigned)slot, e);
        }
        return r;
}

/* ---- vm warm ---- */

static const struct pool_keep *find_keep(const struct pool_answer *a, const struct pool_request *q)
{
        for (size_t i = 0; i < a->n_keeps; i++) {
                const struct pool_keep *k = &a->keeps[i];

                if (strcmp(k->image, q->image) == 0 && strcmp(k->accel, q->accel) == 0 &&
                    pool_class_is(&k->class, &q->class) && k->uid == geteuid())
                        return k;
        }
        return NULL;
}

static void tell_progress(const struct pool_keep *k, uint64_t started_ms, uint64_t *told_ms)
{
        char took[CLOCK_DURATION_SIZE];
        uint64_t now = clock_mono_ms();

        if (now - *told_ms < PROGRESS_MS)
                return;
        *told_ms = now;
        clock_duration(now - started_ms, took);
        fprintf(stderr, "devdep-cli: %u of %u parked, the next is prepared (%s)\n", k->parked, k->count, took);
}

/* Until they are parked, or the pool says why not. */
static int wait_for_parked(int fd, const struct pool_request *order, struct err *e)
{
        const struct pool_request q = {.verb = POOL_LS};
        const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
        uint64_t started = clock_mono_ms(), told = started;

        for (;;) {
                struct pool_answer a;
                int r = client_ask(fd, &q, &a, NULL, e);
                const struct pool_keep *k = r == 0 ? find_keep(&a, order) : NULL;
                bool done = k && k->parked >= k->count;

                if (r == 0 && !k)
                        r = err_set(e, ERR_CANCELLED, "somebody else has told the pool to keep none of image %s",
                                    order->image);
                if (r == 0 && !done && *k->problem)
                        r = err_set(e, ERR_RESOURCES, "%u of %u VMs are parked, and the pool goes on trying: %s",
                                    k->parked, k->count, k->problem);
                if (r == 0 && !done)
                        tell_progress(k, started, &told);
                pool_answer_done(&a);
                if (r < 0)
                        return r;
                if (done) {
                        printf("parked: %u of image %s\n", order->count, order->image);
                        return 0;
                }
                nanosleep(&pause, NULL);
        }
}

static int parse_order(const struct args *args, struct pool_request *q, struct err *e)
{
        const char *count = args_get(args, "count"), *accel = args_get(args, "accel");
        struct vm_shape shape = VM_SHAPE_DEFAULT;
        enum vm_accel a;
        uint64_t n = 1;

        if (count && num_u64(count, 0, POOL_MAX_KEEP, "--count", &n, e) < 0)
                return -1;
        if (shape_parse(args, &shape, e) < 0 || vm_accel_parse(accel ? accel : "auto", &a, e) < 0)
                return -1;
        *q = (struct pool_request){
                .verb = POOL_WARM, .count = (uint32_t)n, .class = {shape.vcpus, shape.memory, shape.scratch}};
        str_copy(q->accel, sizeof(q->accel), vm_accel_name(a));
        if (!str_copy(q->image, sizeof(q->image), args->positional[0]))
                return err_set(e, ERR_USAGE, "the name of the image is longer than %u bytes", POOL_MAX_IMAGE);
        return 0;
}

static int run_warm(const struct args *args, struct err *e)
{
        AUTO(auto_free) char *state = NULL;
        AUTO(auto_close) int fd = -1;
        struct pool_request q;
        struct pool_answer a = {0};
        bool own;

        int r = parse_order(args, &q, e);
        if (r == 0)
                r = state_path(&state, e);
        if (r == 0)
                r = connect_pool(state, &fd, &own, e);
        if (r == CLIENT_E_NONE)
                return no_pool(state, e);
        if (r == 0)
                r = client_ask(fd, &q, &a, NULL, e);
        pool_answer_done(&a);
        if (r == 0 && q.count == 0)
                printf("no VM of image %s is kept parked any more\n", q.image);
        return r == 0 && q.count > 0 && !args_has(args, "no-wait") ? wait_for_parked(fd, &q, e) : r;
}

/* ---- table ---- */

static const struct command_option ls_options[] = {{"json", 0, NULL, "print the list as JSON", false}};
static const struct command command_vm_ls = {
        .name = "ls",
        .summary = "List the VMs: slot, state, image, job, size, memory of its own, age",
        .options = ls_options,
        .n_options = ARRAY_SIZE(ls_options),
        .details = "Every VM of this state folder, with or without a pool, and what a pool keeps for you.\n"
                   "MEMORY is what the machine has for itself, beside what it shares with its template.",
        .examples = "  devdep-cli vm ls\n  devdep-cli vm ls --json | jq '.vms[] | select(.state == \"parked\").slot'\n",
        .run = run_ls,
};

static const struct command_option stop_options[] = {
        {"all-parked", 0, NULL, "every parked VM of yours, and keep none any more", false},
};
static const struct command command_vm_stop = {
        .name = "stop",
        .summary = "End a parked VM, or the job in a slot",
        .positional = "SLOT...",
        .max_args = SLOT_MAX,
        .options = stop_options,
        .n_options = ARRAY_SIZE(stop_options),
        .details =
                "A job that is stopped ends as cancelled. A parked VM that is stopped is replaced if the pool keeps\n"
                "its kind; 'devdep-cli vm warm IMAGE --count 0' ends that.",
        .examples = "  devdep-cli vm stop 3\n  devdep-cli vm stop --all-parked\n",
        .run = run_stop,
};

static const struct command_option warm_options[] = {
        {"count", 'n', "N", "how many (default: 1); 0: none any more", false},
        {"cpus", 0, "N", "virtual processors of each guest (default: 2)", false},
        {"memory", 0, "SIZE", "memory of each guest (default: 2G)", false},
        {"scratch", 0, "SIZE", "disk of each guest (default: 16G)", false},
        {"accel", 0, "NAME", "auto (default), kvm or tcg", false},
        {"no-wait", 0, NULL, "do not wait until they are parked", false},
};
static const struct command command_vm_warm = {
        .name = "warm",
        .summary = "Have the pool keep VMs of an image parked",
        .positional = "IMAGE",
        .min_args = 1,
        .max_args = 1,
        .options = warm_options,
        .n_options = ARRAY_SIZE(warm_options),
        .details = "A job whose image and size are those of a parked VM takes it and starts in milliseconds;\n"
                   "the pool prepares another one. The pool remembers this until it ends.",
        .examples = "  devdep-cli vm warm default\n  devdep-cli vm warm default --count 4 --memory 4G\n"
                    "  devdep-cli vm warm default --count 0\n",
        .run = run_warm,
};

static const struct command *const vm_commands[] = {&command_vm_ls, &command_vm_stop, &command_vm_warm, NULL};

const struct command command_vm = {
        .name = "vm",
        .summary = "Show and stop VMs, and keep some parked",
        .sub = vm_commands,
        .examples = "  devdep-cli vm ls               what runs, and what is parked\n"
                    "  devdep-cli vm warm default     keep one VM of this image parked\n"
                    "  devdep-cli vm stop 3           end what is in slot 3\n",
};
