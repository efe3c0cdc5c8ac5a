/* devdep-cli doctor: what holds on this host. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/secret.h"
#include "broker/start.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/render.h"
#include "codec/json.h"
#include "secrets/order.h"
#include "secrets/start.h"
#include "vm/doctor.h"
#include "vm/image.h"
#include "vm/slot.h"

static json_t *to_json(const struct doctor *d)
{
        json_t *checks = json_array();

        for (unsigned i = 0; i < d->n; i++) {
                const struct doctor_check *c = &d->checks[i];

                json_array_append_new(checks, json_pack("{s:s,s:s,s:s,s:b,s:s,s:s}", "name", c->name, "group", c->group,
                                                        "state", doctor_state_name(c->state), "required", c->required,
                                                        "why", c->why, "mend", c->mend));
        }
        return json_pack("{s:b,s:o}", "can_run", doctor_can_run(d), "checks", checks);
}

static void print_text(const struct doctor *d, bool color)
{
        static const char *const paint[] = {"\x1b[32m", "\x1b[33m", "\x1b[31m"};
        const char *group = "";

        for (unsigned i = 0; i < d->n; i++) {
                const struct doctor_check *c = &d->checks[i];

                if (strcmp(group, c->group) != 0)
                        printf("%s%s\n", i > 0 ? "\n" : "", c->group);
                group = c->group;
                printf("  %s%-8s%s  %-18s %s%s\n", color ? paint[c->state] : "", doctor_state_name(c->state),
                       color ? "\x1b[0m" : "", c->name, c->why,
                       c->required && c->state == DOCTOR_MISSING ? " (required)" : "");
                if (*c->mend)
                        printf("  %-8s  %-18s mend: %s\n", "", "", c->mend);
        }
}

/* Each as a run starts it; the ids are those below the first slot's, which nothing else has. */
static void check_broker(struct doctor *d)
{
        AUTO(json_decrefp) json_t *policy = json_pack("{s:s}", "profile", "brokered");
        const uid_t uid = geteuid() == 0 ? SLOT_UID_BASE : (uid_t)-1;
        const struct broker_start s = {.policy = policy, .uid = uid, .gid = uid, .log_fd = -1};
        struct sandbox_child p = SANDBOX_CHILD_INIT;
        struct err err = ERR_INIT;
        int r = policy ? broker_start(&s, &p, &err) : err_nomem(&err);

        sandbox_child_end(&p);
        doctor_say_program(d, "broker", "devdep-broker", r < 0 ? NULL : &p.report, err.msg);
}

static void check_secrets(struct doctor *d)
{
        AUTO(secret_area_done) struct secret_area credentials = SECRET_AREA_INIT;
        const struct order nothing = {.vault = {.address = ""}};
        struct secrets_start s = SECRETS_START_INIT;
        struct secrets_process p = SECRETS_PROCESS_INIT;
        struct err err = ERR_INIT;
        int r = secret_area_new("credentials", 1, &credentials, &err);

        s.order = &nothing;
        s.credentials_fd = credentials.fd;
        s.uid = s.gid = geteuid() == 0 ? SLOT_UID_BASE : (uid_t)-1;
        if (r == 0)
                r = secrets_start(&s, &p, &err);
        doctor_say_program(d, "secrets", "devdep-secrets", r < 0 ? NULL : &p.report, err.msg);
        secrets_process_close(&p);
        while (r == 0 && waitpid(p.pid, NULL, 0) < 0 && errno == EINTR)
                ;
}

static void on_progress(const char *group, void *user)
{
        (void)user;
        fprintf(stderr, "devdep-cli: checking %s ...\n", group);
}

static int run_doctor(const struct args *a, struct err *e)
{
        struct image_store store = IMAGE_STORE_INIT;
        struct doctor *d = NULL;
        bool color = false;

        int r = render_use_color(args_get(a, "color"), stdout, &color, e);
        if (r == 0)
                r = image_store_init(&store, NULL, e);
        if (r == 0)
                r = doctor_run(&store, args_get(a, "image"), on_progress, NULL, &d, e);
        if (r == 0) {
                on_progress("programs of a job", NULL);
                check_broker(d);
                check_secrets(d);
        }
        if (r == 0 && args_has(a, "json"))
                r = output_json(to_json(d), e);
        else if (r == 0)
                print_text(d, color);
        if (r == 0 && !doctor_can_run(d))
                r = err_set(e, ERR_RESOURCES, "something that is required is missing; see above");
        doctor_free(d);
        image_store_done(&store);
        return r;
}

static const struct command_option options[] = {
        {"json", 0, NULL, "print the checks as JSON", false},
        {"image", 0, "NAME", "the image to check with (default: default)", false},
        {"color", 0, "WHEN", "auto (default), always or never", false},
};

const struct command command_doctor = {
        .name = "doctor",
        .summary = "Show what holds on this host, and how to mend the rest",
        .options = options,
        .n_options = 3,
        .details = "Every precondition and protection is 'ok', 'degraded' (runs go on, with less) or 'missing'.\n"
                   "The status is not zero when something required is missing.",
        .examples = "  devdep-cli doctor\n  devdep-cli doctor --json | jq '.checks[] | select(.state != \"ok\")'\n",
        .run = run_doctor,
};
