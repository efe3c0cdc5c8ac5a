/* What the repository's profile asks for: the command line goes before it, and what this host cannot give is an error
 * before anything runs, with its place. */
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/num.h"
#include "cli/egress.h"
#include "cli/mirrors.h"
#include "cli/session_internal.h"
#include "cli/shape.h"
#include "codec/json.h"

static int take_commands(const struct profile_list *from, struct wf_strs *ret, struct err *e)
{
        const struct profile_str *v = from->v;

        ret->v = calloc(from->n + 1, sizeof(*ret->v));
        if (!ret->v)
                return err_nomem(e);
        for (; ret->n < from->n; ret->n++)
                ret->v[ret->n] = (struct wf_str){v[ret->n].text, v[ret->n].pos};
        return 0;
}

static int take_profile(struct session *s, const struct profile *p, struct err *e)
{
        const struct vm_shape shape = {(uint32_t)p->vcpus.value, p->memory.value, p->scratch.value};

        s->asked = (struct session_asked){
                .image = p->image.text && !s->o.image ? &p->image.pos : NULL,
                .vcpus = shape.vcpus && !s->o.shape.vcpus ? &p->vcpus.pos : NULL,
                .memory = shape.memory && !s->o.shape.memory ? &p->memory.pos : NULL,
                .scratch = shape.scratch && !s->o.shape.scratch ? &p->scratch.pos : NULL,
        };
        if (s->asked.image)
                s->o.image = p->image.text;
        shape_fill(&s->o.shape, &shape);
        int r = take_commands(&p->hooks.before, &s->before, e);
        return r < 0 ? r : take_commands(&p->hooks.after, &s->after, e);
}

/* Into the policy of every job: the operator's, whatever the repository says. */
static int add_mirrors(struct session *s, struct err *e)
{
        AUTO(auto_free) char *origin = NULL;
        struct mirrors mirrors;
        int r = mirrors_open(s->launch.store.state, s->o.mirrors, &mirrors, &origin, e);

        return r < 0 ? r : mirrors_add(&mirrors, s->policy, &s->authorities, e);
}

int session_profile(struct session *s, struct err *e)
{
        static const struct vm_shape shape = VM_SHAPE_DEFAULT;
        const struct profile *p = s->launch.profile.profile;
        int r = p ? take_profile(s, p, e) : 0;

        shape_fill(&s->o.shape, &shape);
        if (r == 0)
                r = egress_policy(s->launch.profile.profile, s->o.egress, &s->policy, e);
        return r < 0 ? r : add_mirrors(s, e);
}

void session_profile_done(struct session *s)
{
        free(s->before.v);
        free(s->after.v);
}

static int bound_vcpus(const struct session *s, struct err *e)
{
        long processors = MAX(sysconf(_SC_NPROCESSORS_ONLN), 1L);

        if ((long)s->o.shape.vcpus <= processors)
                return 0;
        return err_set(e, ERR_RESOURCES, "%u are asked for, this host has %ld; --cpus N goes before it",
                       s->o.shape.vcpus, processors);
}

/* A scratch disk is a sparse file; one that was promised has its room, for every guest that runs at a time. */
static int bound_scratch(struct session *s, struct err *e)
{
        uint64_t free_bytes = 0, scratch = s->o.shape.scratch;
        int r = fs_free_space(s->launch.store.state, &free_bytes, e);

        if (r == 0 && free_bytes < scratch)
                return err_set(e, ERR_RESOURCES,
                               "%llu MiB are asked for, %llu MiB are free in %s; --scratch SIZE goes before it",
                               (unsigned long long)scratch >> 20, (unsigned long long)free_bytes >> 20,
                               s->launch.store.state);
        if (r == 0)
                s->capacity = (unsigned)MIN((uint64_t)s->capacity, free_bytes / scratch);
        return r;
}

int session_profile_bound(struct session *s, struct err *e)
{
        int r = s->asked.vcpus ? bound_vcpus(s, e) : 0;

        if (r < 0)
                return profile_file_blame(&s->launch.profile, s->asked.vcpus, "vcpus", r, e);
        r = s->asked.scratch ? bound_scratch(s, e) : 0;
        return r < 0 ? profile_file_blame(&s->launch.profile, s->asked.scratch, "scratch", r, e) : 0;
}

void session_profile_parts(const struct session *s, struct plan_parts *ret)
{
        const struct profile *p = s->launch.profile.profile;

        if (!p)
                return;
        ret->rootfs = p->rootfs.value == PROFILE_ROOTFS_READ_ONLY ? "read-only" : "overlay";
        ret->profile_file = s->launch.profile.path;
        ret->profile_digest = s->launch.profile.digest;
        ret->profile_environment = p->environment;
        ret->pids = (unsigned)p->pids.value;
        ret->most_ms = p->timeout.value;
        ret->before = s->before;
        ret->after = s->after;
}

struct json_t *session_profile_record(const struct session *s)
{
        const struct profile *p = s->launch.profile.profile;

        if (!p)
                return json_null();
        return json_pack("{s:s,s:s?,s:s,s:s}", "digest", s->launch.profile.digest, "environment", p->environment,
                         "entity", p->entity.text, "domain", p->domain.text);
}
