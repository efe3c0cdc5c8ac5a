/* What every job needs in the guest before its first step: folders, the event's payload, the paths of the shells. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "job/context.h"
#include "job/egress.h"
#include "job/job_priv.h"
#include "job/ops.h"
#include "job/secrets.h"
#include "job/spec.h"
#include "wire/guest.h"

static const char *const programs[] = {"bash", "sh", "python", "python3", "pwsh", "node"};

static int one_done(struct job *j, const char *refusal, const char *what, struct err *e)
{
        if (refusal)
                return err_set(e, ERR_RESOURCES, "prepare the guest: %s: %s", what, refusal);
        if (--j->waiting == 0)
                job_post(j, JOB_EV_PREPARED);
        return 0;
}

static int on_event_written(const char *refusal, void *user, struct err *e)
{
        return one_done(user, refusal, "write the event's payload", e);
}

static int on_found(const char *refusal, void *user, struct err *e)
{
        return one_done(user, refusal, "look for shells and node", e);
}

static int on_paths(unsigned i, const struct fields *list, void *user, struct err *e)
{
        struct job *j = user;
        char **const into[] = {&j->programs.bash,    &j->programs.sh,   &j->programs.python,
                               &j->programs.python3, &j->programs.pwsh, &j->programs.node};
        size_t n = 0;
        (void)i;
        for (size_t k = 0; k < fields_count(list); k++) {
                const struct field *f = fields_at(list, k);
                if (strcmp(f->key, "path") != 0)
                        continue;
                if (n == ARRAY_SIZE(into) || f->len > SPEC_MAX_PATH || memchr(f->value, 0, f->len))
                        return err_set(e, ERR_PROTOCOL, "the guest's answer to `which`: not what was asked for");
                if (f->len && !(*into[n] = str_ndup((const char *)f->value, f->len)))
                        return err_nomem(e);
                n++;
        }
        return n == ARRAY_SIZE(into) ? 0 : err_set(e, ERR_PROTOCOL, "the guest's answer to `which`: paths are missing");
}

static int write_event(struct job *j, struct err *e)
{
        struct buf event = BUF_INIT;
        AUTO(auto_free) char *path = str_printf("%s/_github_workflow/event.json", context_temp(j->context));
        int r = path ? context_event_json(j->context, &event, e) : err_nomem(e);
        if (r == 0 && event.len > OPS_MAX_READ)
                r = err_set(e, ERR_USAGE, "the event's payload is larger than %zu KiB", OPS_MAX_READ >> 10);
        if (r == 0)
                r = op_write(j->ops, path, 0644, event.data, event.len, on_event_written, j, e);
        buf_done(&event);
        return r;
}

static int on_routed(const char *refusal, void *user, struct err *e)
{
        return one_done(user, refusal, "listed addresses", e);
}

static int on_secrets(struct job *j, struct err *e)
{
        return one_done(j, NULL, "take its secrets", e);
}

static int on_folders(const char *refusal, void *user, struct err *e)
{
        struct job *j = user;
        if (refusal)
                return one_done(j, refusal, "make folders", e);
        j->waiting = 4;
        int r = write_event(j, e);
        if (r == 0)
                r = job_secrets_show(j->secrets, on_secrets, e);
        if (r == 0)
                r = op_which(j->ops, programs, ARRAY_SIZE(programs), on_paths, on_found, j, e);
        if (r == 0)
                r = egress_prepare(j->egress, on_routed, j, e);
        return r == EGRESS_E_NONE ? on_routed(NULL, j, e) : r;
}

int prepare_start(struct job *j, struct err *e)
{
        const char *temp = context_temp(j->context);
        AUTO(auto_free) char *commands = str_printf("%s/_runner_file_commands", temp);
        AUTO(auto_free) char *workflow = str_printf("%s/_github_workflow", temp);
        if (!commands || !workflow)
                return err_nomem(e);
        const char *const paths[] = {context_workspace(j->context), temp, commands, workflow};
        return op_mkdir(j->ops, paths, ARRAY_SIZE(paths), 0755, on_folders, j, e);
}
