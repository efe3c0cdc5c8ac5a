/* devdep-cli doctor: what holds on this host. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/render.h"
#include "vm/doctor.h"
#include "vm/image.h"

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
