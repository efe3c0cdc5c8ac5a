#include "job/builtin.h"

#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/num.h"
#include "job/step.h"

static const struct builtin *const rows[] = {
        &builtin_checkout,      &builtin_upload_artifact, &builtin_download_artifact, &builtin_cache,
        &builtin_cache_restore, &builtin_cache_save,      &builtin_setup_node,        &builtin_setup_python,
        &builtin_setup_go,      &builtin_setup_java,
};

const struct builtin *builtin_find(const char *uses)
{
        size_t n = strcspn(uses, "@");
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (strlen(rows[i]->name) == n && strncasecmp(rows[i]->name, uses, n) == 0)
                        return rows[i];
        return NULL;
}

int builtin_start(struct step *s, struct err *e)
{
        if (s->cancelled || s->timed_out)
                return step_try(s, err_set(e, ERR_RUN_FAILED, "the step was interrupted"), e);
        int r = s->part == STEP_POST ? s->builtin->post(s, e) : s->builtin->start(s, e);
        return step_try(s, r, e);
}

void builtin_interrupt(struct step *s)
{
        if (s->builtin && s->state == STEP_BUILTIN && s->builtin->interrupt)
                s->builtin->interrupt(s);
}

void builtin_free_private(struct step *s)
{
        if (s->private)
                s->builtin->free(s->private);
        s->private = NULL;
}

void builtin_want_post(struct step *s)
{
        s->wants_post = true;
}
