#include "cli/select.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "cli/problems.h"
#include "cli/render.h"
#include "cli/repofile.h"
#include "codec/diag.h"
#include "workflow/schema.h"

#define MAX_FILES 200u

static const char *const folders[] = {".github/workflows", ".forgejo/workflows", ".gitea/workflows"};

struct search {
        const char *top;
        const char *folder;
        struct selection_event *event;
        bool chosen; /* the user named the file */
        struct selection *ret;
        size_t seen;
        size_t invalid;
        struct buf passed_over; /* "; ci.yml: reason" */
};

static void selected_done(struct selected *s)
{
        workflow_free(s->workflow);
        free(s->file);
        free(s->text);
}

/* Forget all but the first n. */
static void selection_cut(struct selection *s, size_t n)
{
        while (s->n > n)
                selected_done(&s->v[--s->n]);
}

void selection_done(struct selection *s)
{
        selection_cut(s, 0);
        free(s->v);
        *s = (struct selection){0};
}

int selection_keep_job(struct selection *s, const char *job, struct err *e)
{
        size_t kept = 0;

        if (s->n < 2)
                return 0;
        for (size_t i = 0; i < s->n; i++) {
                struct selected found = s->v[i];

                s->v[i] = s->v[kept];
                s->v[kept] = found;
                kept += workflow_job(found.workflow, job) != NULL;
        }
        if (kept == 0)
                return err_set(e, ERR_USAGE, "no selected workflow has a job '%s'", job);
        selection_cut(s, kept);
        return 0;
}

static int keep(struct search *s, struct selected *found, struct err *e)
{
        struct selected *v = reallocarray(s->ret->v, s->ret->n + 1, sizeof(*v));

        if (!v)
                return err_nomem(e);
        s->ret->v = v;
        v[s->ret->n++] = *found;
        *found = (struct selected){0};
        return 0;
}

static int consider(struct search *s, struct selected *found, struct err *e)
{
        struct selection_event *ev = s->event;
        const char *reason = "";

        if (!ev->asked && workflow_asks_paths(found->workflow, &ev->trigger)) {
                ev->asked = true;
                ev->changed(ev->user, &ev->trigger);
        }
        if (workflow_selects(found->workflow, &ev->trigger, &reason))
                return keep(s, found, e);
        if (!s->chosen)
                return buf_printf(&s->passed_over, e, "; %s: %s", found->file, reason);
        log_warning("%s: the event '%s' does not start this workflow (%s); it runs because it was named", found->file,
                    ev->trigger.event, reason);
        return keep(s, found, e);
}

/* Takes the descriptor's content; the name is for messages. */
static int parse_file(struct search *s, int fd, const char *name, struct err *e)
{
        AUTO(diag_freep) struct diag_list *problems = NULL;
        struct selected found = {.file = str_dup(name)};
        struct buf text = BUF_INIT;

        int r = found.file ? problems_read_fd(fd, name, &text, e) : err_nomem(e);
        found.len = text.len;
        if (r == 0 && !(found.text = buf_take_str(&text)))
                r = err_nomem(e);
        buf_done(&text);
        if (r == 0)
                r = diag_new(name, &problems, e);
        if (r == 0)
                r = workflow_parse(name, found.text, found.len, problems, &found.workflow, e);
        if (r >= 0 && problems_report(problems, found.text, found.len, e) < 0)
                r = -1;
        if (r == WORKFLOW_E_INVALID) {
                s->invalid++;
                r = 0;
                if (s->invalid == 1)
                        diag_to_err(problems, e);
        } else if (r == 0) {
                r = consider(s, &found, e);
        }
        selected_done(&found);
        return r;
}

static int visit(struct search *s, const char *entry, struct err *e)
{
        AUTO(auto_close) int fd = -1;

        if (!str_ends(entry, ".yml") && !str_ends(entry, ".yaml"))
                return 0;
        AUTO(auto_free) char *name = str_printf("%s/%s", s->folder, entry);
        if (!name)
                return err_nomem(e);
        if (++s->seen > MAX_FILES)
                return err_set(e, ERR_USAGE, "%s: more than %u workflow files", s->folder, MAX_FILES);
        int r = repofile_open(s->top, name, 0, &fd, e);
        if (r == FS_E_MISSING)
                return err_set(e, ERR_USAGE, "%s is a symbolic link to nothing", name);
        return r < 0 ? r : parse_file(s, fd, name, e);
}

static int search_folder(struct search *s, const char *folder, struct err *e)
{
        AUTO(strv_done) struct strv names = STRV_INIT;
        AUTO(auto_closedir) DIR *d = NULL;
        int fd = -1;

        s->folder = folder;
        int r = repofile_open(s->top, folder, O_DIRECTORY, &fd, e);
        if (r != 0)
                return r == FS_E_MISSING ? 0 : r;
        if (!(d = fdopendir(fd))) {
                fd_close(fd);
                return err_errno(e, ERR_RESOURCES, errno, "list %s", folder);
        }
        r = fs_names(d, folder, &names, e);
        for (size_t i = 0; r == 0 && i < names.n; i++)
                r = visit(s, names.v[i], e);
        return r;
}

static int search_all(struct search *s, struct err *e)
{
        for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
                int r = search_folder(s, folders[i], e);

                if (r < 0)
                        return r;
        }
        if (s->seen == 0)
                return err_set(e, ERR_USAGE,
                               "%s has no workflow: nothing in .github/workflows, .forgejo/workflows or "
                               ".gitea/workflows; name a file with -W",
                               s->top);
        return 0;
}

/* By its path, if that leads to a file. FS_E_MISSING. */
static int open_wanted(const struct search *s, const struct selection_want *want, int *ret, struct err *e)
{
        if (want->is_repository)
                return strchr(want->file, '/') ? repofile_open(s->top, want->file, 0, ret, e) : FS_E_MISSING;
        *ret = open(want->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (*ret < 0 && errno != ENOENT)
                return err_errno(e, ERR_USAGE, errno, "open the workflow %s", want->file);
        return *ret < 0 ? FS_E_MISSING : 0;
}

/* A path, or the name of a file in one of the folders. */
static int search_one(struct search *s, const struct selection_want *want, struct err *e)
{
        AUTO(auto_close) int fd = -1;
        const char *file = want->file;
        int r = open_wanted(s, want, &fd, e);

        if (r != FS_E_MISSING)
                return r < 0 ? r : parse_file(s, fd, file, e);
        for (size_t i = 0; i < ARRAY_SIZE(folders) && !strchr(file, '/'); i++) {
                AUTO(auto_free) char *path = str_printf("%s/%s/%s", s->top, folders[i], file);

                if (!path)
                        return err_nomem(e);
                s->folder = folders[i];
                if (fs_exists(path))
                        return visit(s, file, e);
        }
        return err_set(e, ERR_USAGE, "there is no workflow '%s', neither %s nor in a workflow folder of %s", file,
                       want->is_repository ? "there" : "here", s->top);
}

static int starts_nothing(const struct search *s, struct err *e)
{
        const char *event = s->event->trigger.event, *near = schema_nearest_event(event);

        return err_set(e, ERR_USAGE,
                       "the event '%s' starts no workflow of %s (%s%s%sname a file with -W, or another event with "
                       "--event)%.*s",
                       event, s->top, near ? "did you mean '" : "", near ? near : "", near ? "'? Otherwise " : "",
                       (int)s->passed_over.len, (const char *)s->passed_over.data);
}

int select_workflows(const char *top, const struct selection_want *want, struct selection_event *event,
                     struct selection *ret, struct err *e)
{
        struct search s = {.top = top, .event = event, .chosen = want->file != NULL, .ret = ret};
        struct err first = ERR_INIT;

        int r = want->file ? search_one(&s, want, &first) : search_all(&s, &first);
        if (r == 0 && s.invalid > 0)
                r = -1;
        if (r < 0)
                *e = first;
        else if (ret->n == 0)
                r = starts_nothing(&s, e);
        buf_done(&s.passed_over);
        if (r < 0)
                selection_done(ret);
        return r;
}
