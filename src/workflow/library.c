#include "workflow/library.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "base/num.h"
#include "base/str.h"
#include "codec/diag.h"
#include "workflow/action.h"

struct library {
        struct library_source source;
        struct map *workflows, *actions; /* path to struct library_file */
        size_t bytes;
};

static void file_free(void *p)
{
        struct library_file *f = p;
        if (!f)
                return;
        workflow_free(f->workflow);
        action_free(f->action);
        free(f->path);
        free(f->text);
        free(f);
}

int library_new(const struct library_source *source, struct library **ret, struct err *e)
{
        AUTO(library_freep) struct library *l = calloc(1, sizeof(*l));
        if (!l)
                return err_nomem(e);
        l->source = *source;
        int r = map_new(file_free, &l->workflows, e);
        if (r == 0)
                r = map_new(file_free, &l->actions, e);
        if (r == 0)
                *ret = TAKE_PTR(l);
        return r;
}

struct library *library_free(struct library *l)
{
        if (!l)
                return NULL;
        map_free(l->workflows);
        map_free(l->actions);
        free(l);
        return NULL;
}

/* Read a file and add it; it belongs to the library from then on. */
static int add_file(struct library *l, struct map *to, const char *path, struct library_file **ret, struct err *e)
{
        AUTO(buf_done) struct buf text = BUF_INIT;
        int r = l->source.read(l->source.user, path, &text, e);
        if (r)
                return r;
        if (text.len > LIBRARY_MAX_BYTES - l->bytes)
                return LIBRARY_E_FULL;
        struct library_file *f = calloc(1, sizeof(*f));
        if (!f)
                return err_nomem(e);
        f->len = text.len;
        f->path = str_dup(path);
        f->text = buf_take_str(&text);
        r = f->path && f->text ? map_set(to, path, f, e) : err_nomem(e);
        if (r < 0) {
                file_free(f);
                return r;
        }
        l->bytes += f->len;
        *ret = f;
        return 0;
}

static int parse(struct library_file *f, bool action, struct yaml_pos at, struct diag_list *problems, struct err *e)
{
        size_t outer;
        int r = diag_enter(problems, f->path, f->text, f->len, at.line, at.column, &outer, e);
        if (r < 0)
                return r;
        r = action ? action_parse(f->path, f->text, f->len, problems, &f->action, e)
                   : workflow_parse(f->path, f->text, f->len, problems, &f->workflow, e);
        diag_leave(problems, outer);
        return r == WORKFLOW_E_INVALID ? LIBRARY_E_INVALID : r;
}

static int get(struct library *l, const char *path, bool action, struct yaml_pos called_at, struct diag_list *problems,
               struct library_file **ret, struct err *e)
{
        struct map *files = action ? l->actions : l->workflows;
        struct library_file *f = map_get(files, path);
        if (f) {
                *ret = f;
                return f->workflow || f->action ? 0 : LIBRARY_E_INVALID;
        }
        int r = add_file(l, files, path, &f, e);
        if (r)
                return r;
        *ret = f;
        return parse(f, action, called_at, problems, e);
}

int library_get(struct library *l, const char *path, struct yaml_pos called_at, struct diag_list *problems,
                struct library_file **ret, struct err *e)
{
        return get(l, path, false, called_at, problems, ret, e);
}

int library_get_action(struct library *l, const char *folder, struct yaml_pos called_at, struct diag_list *problems,
                       struct library_file **ret, struct err *e)
{
        static const char *const names[] = {"action.yml", "action.yaml"};
        int r = LIBRARY_E_MISSING;
        for (size_t i = 0; r == LIBRARY_E_MISSING && i < ARRAY_SIZE(names); i++) {
                AUTO(auto_free) char *path = str_printf("%s%s%s", folder, *folder ? "/" : "", names[i]);
                r = path ? get(l, path, true, called_at, problems, ret, e) : err_nomem(e);
        }
        return r;
}

const char *library_path(const char *uses, const char **reason)
{
        static const char *const folders[] = {".github/workflows/", ".forgejo/workflows/", ".gitea/workflows/"};
        const char *path = uses + 2;
        *reason = "a workflow of another repository cannot be called: nothing is fetched from there";
        if (!str_starts(uses, "./") && !str_starts(uses, "$/"))
                return NULL;
        for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
                const char *name = path + strlen(folders[i]);
                if (!str_starts(path, folders[i]))
                        continue;
                *reason = "a workflow that is called must be a .yml or .yaml file, without a version";
                if (strchr(name, '@') || (!str_ends(name, ".yml") && !str_ends(name, ".yaml")))
                        return NULL;
                *reason = "a workflow that is called must stand in the workflow folder itself";
                return strchr(name, '/') ? NULL : path;
        }
        *reason = "a workflow that is called must stand in .github/workflows, .forgejo/workflows or .gitea/workflows";
        return NULL;
}
