/* Everything before the first guest: the repository, its workflows, their plans, images, the accelerator, room on the
 * host. What is wrong is said here, before a run exists. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cli/egress.h"
#include "cli/host.h"
#include "cli/labels.h"
#include "cli/rundir.h"
#include "cli/session_internal.h"
#include "cli/vault.h"
#include "vm/slot.h"

static int open_image(struct session *s, const char *ref, struct session_image **ret, struct err *e)
{
        struct session_image **images = reallocarray(s->images, s->n_images + 1, sizeof(*images));
        struct session_image *x = calloc(1, sizeof(*x));

        if (images)
                s->images = images;
        if (!images || !x || !(x->ref = str_dup(ref))) {
                free(x);
                return err_nomem(e);
        }
        x->template = (struct template)TEMPLATE_INIT;
        images[s->n_images++] = x;
        int r = image_open(&s->launch.store, ref, &x->image, e);
        if (r == 0)
                r = vm_probe(s->o.driver, s->launch.store.state, x->image, s->o.accel, false, &x->probe, e);
        if (r == 0)
                r = vm_probe_door(s->o.driver, s->launch.store.state, x->image, x->probe.accel, s->o.transport, false,
                                  &x->door, e);
        *ret = x;
        return r;
}

int session_image_for(struct session *s, const struct strv *labels, struct session_image **ret, struct err *e)
{
        AUTO(auto_free) char *ref = NULL;
        int r = 0;

        if (s->o.image)
                r = (ref = str_dup(s->o.image)) ? 0 : err_nomem(e);
        else
                r = labels_image(&s->launch.store, labels, &ref, e);
        if (r < 0)
                return r;
        for (size_t i = 0; i < s->n_images; i++) {
                if (strcmp(s->images[i]->ref, ref) == 0 && s->images[i]->image) {
                        *ret = s->images[i];
                        return 0;
                }
        }
        return open_image(s, ref, ret, e);
}

/* The place of `runs-on`, unless the command line or the profile chose the image. */
static int image_refused(const struct session *s, const struct plan *plan, const struct wf_job *job, const char *name,
                         int r, struct err *e)
{
        const struct yaml_pos *at = &job->runs_on.pos;

        if (s->asked.image)
                return profile_file_blame(&s->launch.profile, s->asked.image, "image", r, e);
        if (s->o.image || !at->line)
                return err_wrap(e, r, "job %s", name);
        return err_wrap(e, r, "%s:%u:%u: job %s", plan->workflow->file, at->line, at->column, name);
}

/* Every image that is known to be needed, so that a missing one is told before anything runs. */
static int open_images(struct session *s, const struct plan *plan, struct err *e)
{
        for (size_t j = 0; j < plan->n_jobs; j++) {
                const struct plan_expansion *x = &plan->jobs[j].expansion;

                for (size_t k = 0; k < x->n; k++) {
                        struct session_image *image;
                        int r = x->v[k]->called ? open_images(s, x->v[k]->called, e)
                                                : session_image_for(s, &x->v[k]->labels, &image, e);

                        if (r < 0)
                                return x->v[k]->called ? r
                                                       : image_refused(s, plan, plan->jobs[j].job, x->v[k]->name, r, e);
                }
        }
        return 0;
}

static int open_all_images(struct session *s, struct err *e)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < s->launch.selection.n; i++)
                r = open_images(s, s->launch.workflows[i].plan, e);
        return r;
}

static int add_workflows(struct session *s, struct err *e)
{
        s->workflows = calloc(s->launch.selection.n, sizeof(*s->workflows));
        if (!s->workflows)
                return err_nomem(e);
        for (size_t i = 0; i < s->launch.selection.n; i++)
                s->workflows[i] = (struct session_workflow){.session = s, .launched = &s->launch.workflows[i]};
        return 0;
}

static int find_room(struct session *s, struct err *e)
{
        int r = host_capacity(&s->o.shape, s->launch.store.state, &s->capacity, e);

        if (r < 0)
                return profile_file_blame(&s->launch.profile, s->asked.memory, "memory", r, e);
        return session_profile_bound(s, e);
}

static int prepare_secrets(struct session *s, struct err *e)
{
        int r = vault_account_load(s->launch.store.state, s->o.vault, &s->vault, e);

        if (r == 0)
                r = secret_store_profile(s->secrets, &s->launch.profile, s->vault, s->launch.place.top, e);
        if (r < 0 || !egress_is_open(s->policy))
                return r;
        return secret_store_refuse(s->secrets,
                                   "a run with secrets cannot have the egress profile 'audit', which lets them go "
                                   "anywhere: list what it needs with 'brokered', or find that out without secrets "
                                   "(--no-profile leaves those of the profile out)",
                                   e);
}

int session_prepare(struct session *s, struct err *e)
{
        struct slot_reclaimed reclaimed;

        int r = launch_init(&s->launch, &s->o.launch, e);
        if (r == 0)
                r = slot_reclaim(s->launch.store.state, &reclaimed, e);
        if (r == 0)
                r = secret_store_new(&s->o.secrets, &s->secrets, e);
        if (r == 0)
                r = launch_find(&s->launch, e);
        if (r == 0)
                r = session_profile(s, e);
        if (r == 0)
                r = prepare_secrets(s, e);
        if (r == 0)
                r = add_workflows(s, e);
        if (r == 0)
                r = find_room(s, e);
        if (r == 0)
                r = rundir_new(s->launch.store.state, &s->rundir, e);
        if (r < 0)
                return r;
        snprintf(s->run_name, sizeof(s->run_name), "%llu", (unsigned long long)rundir_number(s->rundir));
        if (s->o.jobs > 0)
                s->capacity = s->o.jobs;
        r = launch_plan(&s->launch, s->run_name, e);
        if (r == 0)
                r = open_all_images(s, e);
        return r == 0 ? session_store_prepare(s, e) : r;
}
