#include "job/store_step.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "blob/client.h"
#include "job/builtin.h"
#include "job/context.h"
#include "job/inputs.h"
#include "job/job_priv.h"
#include "job/journal.h"
#include "job/mask.h"
#include "job/step.h"
#include "job/view.h"
#include "workflow/fileglob.h"

int store_step_check(struct step *s, struct err *e)
{
        return s->job->store ? 0
                             : err_set(e, ERR_RUN_FAILED, "uses: %s: this run keeps no artifacts and caches",
                                       s->builtin->name);
}

int store_step_is_masked(struct step *s, const char *text, bool *ret, struct err *e)
{
        return masks_found(s->job->config.masks, text, strlen(text), ret, e);
}

static char *trim(char *s)
{
        s += strspn(s, " \t\r\v\f");
        size_t n = strlen(s);
        while (n && strchr(" \t\r\v\f", s[n - 1]))
                s[--n] = '\0';
        return s;
}

int store_step_lines(struct step *s, const char *name, bool needed, struct strv *ret, struct err *e)
{
        AUTO(auto_free) char *text = NULL;
        int r = inputs_text(s, name, &text, e);
        for (char *line = text, *rest; r == 0 && line; line = rest) {
                rest = strchr(line, '\n');
                if (rest)
                        *rest++ = '\0';
                line = trim(line);
                if (*line)
                        r = strv_add(ret, line, e);
        }
        if (r == 0 && needed && ret->n == 0)
                r = err_set(e, ERR_RUN_FAILED, "with.%s: expected at least one line", name);
        return r;
}

int store_step_patterns(struct step *s, bool descendants, struct fileglob **ret, char **ret_text, struct err *e)
{
        const struct fileglob_options o = {
                .home = VIEW_HOME, .workdir = context_workspace(s->job->context), .descendants = descendants};
        AUTO(auto_free) char *text = NULL;
        int r = inputs_text(s, "path", &text, e);
        if (r == 0 && !text)
                r = err_set(e, ERR_RUN_FAILED, "with.path: expected a file, a folder or a pattern");
        if (r == 0 && fileglob_new(text, &o, ret, e) < 0) {
                if (e->code == ERR_USAGE)
                        e->code = ERR_RUN_FAILED;
                r = err_wrap(e, -1, "with.path");
        }
        if (r == 0 && ret_text)
                *ret_text = TAKE_PTR(text);
        return r;
}

int store_step_refuse(struct step *s, const struct err *why, struct err *e)
{
        struct err copy = *why;
        if (copy.code != ERR_PROTOCOL)
                copy.code = ERR_RUN_FAILED;
        return step_refuse(s, &copy, e);
}

void store_step_size(unsigned long long bytes, char ret[STORE_STEP_SIZE])
{
        if (bytes < 1000000)
                snprintf(ret, STORE_STEP_SIZE, "%llu B", bytes);
        else
                snprintf(ret, STORE_STEP_SIZE, "%.1f MB", (double)bytes / 1e6);
}

int store_step_event(struct step *s, const char *type, const char *what, const struct store_item *item, struct err *e)
{
        struct journal *j = s->job->journal;
        if (journal_is_full(j))
                return 0;
        journal_begin(j, type);
        journal_i64(j, "step", s->index);
        journal_word(j, "what", what);
        journal_str(j, strcmp(type, "cache") == 0 ? "key" : "name", item->name);
        journal_i64(j, "id", (int64_t)item->id);
        journal_str(j, "digest", item->digest);
        journal_i64(j, "bytes", (int64_t)item->bytes);
        journal_i64(j, "files", (int64_t)item->files);
        return journal_end(j, e);
}
