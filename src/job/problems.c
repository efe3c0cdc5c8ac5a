#include "job/problems.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "job/context.h"
#include "job/guest_file.h"
#include "job/job_priv.h"
#include "job/ops.h"
#include "wire/guest.h"
#include "workflow/command.h"
#include "workflow/junit.h"
#include "workflow/matcher.h"
#include "workflow/reader.h"

struct seen {
        uint64_t place, whole, source; /* hashes; place 0: it has no file */
};

struct problems {
        struct job *job;
        struct matchers *matchers;
        struct seen seen[PROBLEMS_MAX_SEEN];
        size_t n_seen, next_seen;
};

/* Of one step. */
struct finder {
        struct problems *all;
        struct step *step;
        struct matcher_progress *progress;
        struct readers *readers; /* NULL: no process of it has begun, or it has ended */
        char *folder;
        struct strv junit; /* absolute paths */
        struct buf line;
        char *asked; /* the matcher file that is being read */
        bool removing;
        bool reads_go_mod; /* the first list of the reading at the end */
        problems_done_fn *done;
};

/* ---- once ---- */

/* FNV-1a. Who makes two problems collide hides one of his own. */
static uint64_t mix(uint64_t h, const char *s)
{
        for (; s && *s; s++)
                h = (h ^ (uint8_t)*s) * 0x100000001b3u;
        return (h ^ 0xff) * 0x100000001b3u;
}

static uint64_t mix_number(uint64_t h, unsigned n)
{
        return (h ^ n) * 0x100000001b3u;
}

static struct seen identify(const struct issue *i)
{
        uint64_t h = mix_number(mix_number(mix(0xcbf29ce484222325u, i->file), i->line), i->level);
        return (struct seen){.place = i->file ? h : 0,
                             .whole = mix(mix(mix_number(h, i->column), i->title), i->message),
                             .source = mix(0xcbf29ce484222325u, i->source)};
}

static bool is_seen(const struct problems *p, const struct seen *s)
{
        for (size_t i = 0; i < p->n_seen; i++) {
                const struct seen *x = &p->seen[i];
                bool same_finder = x->source == s->source;
                if (same_finder ? x->whole == s->whole : s->place && x->place == s->place)
                        return true;
        }
        return false;
}

static void remember(struct problems *p, const struct seen *s)
{
        p->seen[p->next_seen] = *s;
        p->next_seen = (p->next_seen + 1) % PROBLEMS_MAX_SEEN;
        p->n_seen = MIN(p->n_seen + 1, PROBLEMS_MAX_SEEN);
}

static int tell(const struct issue *i, void *user, struct err *e)
{
        struct finder *f = user;
        struct seen s = identify(i);
        if (is_seen(f->all, &s))
                return 0;
        remember(f->all, &s);
        return output_issue(f->step->output, i, e);
}

void finder_annotated(struct finder *f, const struct issue *i)
{
        struct seen s = identify(i);
        remember(f->all, &s);
}

/* What we say ourselves counts as one of the step's annotations. */
static int say(struct finder *f, enum issue_level level, const char *text, struct err *e)
{
        const struct issue i = {.level = level, .message = text};
        return output_issue(f->step->output, &i, e);
}

/* ---- matchers ---- */

/* The file as actions/runner places it: relative to that of fromPath, then to the workspace. */
static char *file_of(const struct finder *f, const struct matcher_hit *h)
{
        const char *workspace = context_workspace(f->all->job->context);
        const char *slash = h->from_path ? strrchr(h->from_path, '/') : NULL;
        AUTO(auto_free) char *from = slash ? str_ndup(h->from_path, (size_t)(slash - h->from_path) + 1) : NULL;
        AUTO(auto_free) char *folder = from ? issue_join(workspace, from) : NULL;
        return h->issue.file ? issue_path(workspace, folder ? folder : workspace, h->issue.file) : NULL;
}

static int on_hit(const struct matcher_hit *h, void *user, struct err *e)
{
        AUTO(auto_free) char *file = file_of(user, h);
        struct issue i = h->issue;
        i.file = file;
        return tell(&i, user, e);
}

static int on_removed(const char *why, void *user, struct err *e)
{
        return say(user, ISSUE_WARNING, why, e);
}

/* GitHub's runner fails the step of a command that it cannot carry out. */
static int refuse(struct finder *f, const char *why, struct err *e)
{
        AUTO(auto_free)
        char *text = str_printf("Unable to process command '%s-matcher' successfully. %s: %s",
                                f->removing ? "remove" : "add", f->asked, why);
        if (!text)
                return err_nomem(e);
        step_fail_later(f->step, text);
        return say(f, ISSUE_ERROR, text, e);
}

static int use_matcher(struct finder *f, const void *data, size_t len, struct err *e)
{
        struct buf names = BUF_INIT;
        struct err why = ERR_INIT;
        int r = f->removing ? matchers_remove_file(f->all->matchers, data, len, &why)
                            : matchers_add(f->all->matchers, data, len, &names, &why);
        if (r < 0 && why.code == ERR_RUN_FAILED)
                r = refuse(f, why.msg, e);
        else if (r < 0 && e)
                *e = why;
        else if (names.len)
                r = output_note(f->step->output, e,
                                "Added matchers: %s. Problem matchers scan action output for known warning or error "
                                "strings and report these inline.",
                                buf_cstr(&names));
        buf_done(&names);
        return r;
}

static int on_matcher(unsigned i, const struct fields *list, void *user, struct err *e)
{
        struct finder *f = user;
        const struct field *data;
        const char *kind;
        (void)i;
        if (!f->asked)
                return 0;
        int r = guest_file_take(list, f->asked, &kind, &data, e);
        if (r < 0)
                return r;
        return strcmp(kind, "regular") == 0 ? use_matcher(f, data->value, data->len, e)
                                            : refuse(f, guest_file_problem(kind), e);
}

static int on_matcher_read(const char *refusal, void *user, struct err *e)
{
        struct finder *f = user;
        problems_done_fn *done = f->done;
        int r = refusal ? refuse(f, refusal, e) : 0;
        free(f->asked);
        f->asked = NULL;
        if (r == 0)
                r = output_resume(f->step->output, e);
        if (r == 0)
                r = step_on_output(f->step, false, NULL, 0, e); /* so that it is written soon */
        if (r < 0 || f->asked || !done)
                return r;
        f->done = NULL;
        return done(f->step, e);
}

static int ask(struct finder *f, const struct command *c, struct err *e)
{
        f->removing = c->kind == COMMAND_REMOVE_MATCHER;
        f->asked = issue_join(context_workspace(f->all->job->context), c->data);
        if (!f->asked)
                return err_nomem(e);
        output_pause(f->step->output);
        const char *const paths[] = {f->asked};
        return op_read(f->all->job->ops, paths, 1, on_matcher, on_matcher_read, f, e);
}

int finder_command(struct finder *f, const struct command *c, struct err *e)
{
        if (c->kind == COMMAND_REMOVE_MATCHER && c->name && *c->name) {
                matchers_remove(f->all->matchers, c->name);
                return 0;
        }
        if (strlen(c->data) > ISSUE_MAX_PATH)
                return say(f, ISSUE_WARNING, "The path of a problem matcher is longer than 4096 bytes", e);
        if (!f->asked)
                return ask(f, c, e);
        return say(f, ISSUE_WARNING, "A problem matcher is left out: the file of an earlier one is still being read",
                   e);
}

/* ---- the step ---- */

static const char *variable(const struct strv *env, const char *name)
{
        size_t n = strlen(name);
        const char *value = NULL;
        for (size_t i = 0; i < env->n; i++)
                if (strncmp(env->v[i], name, n) == 0 && env->v[i][n] == '=')
                        value = env->v[i] + n + 1;
        return value;
}

/* The words of a value, one after another. */
static const char *next_word(const char *s, const char *separators, size_t *ret_len)
{
        s += strspn(s, separators);
        *ret_len = strcspn(s, separators);
        return *ret_len ? s : NULL;
}

static int choose_readers(struct finder *f, const char *value, unsigned *ret, struct err *e)
{
        size_t n;
        *ret = value && *value ? 0 : READER_ALL;
        for (const char *s = value ? value : ""; (s = next_word(s, ", \t\n", &n)); s += n) {
                AUTO(auto_free) char *word = str_ndup(s, n);
                if (!word)
                        return err_nomem(e);
                unsigned bit = str_ieq(word, "all") ? READER_ALL : reader_of(word);
                *ret |= bit;
                if (bit || str_ieq(word, "off"))
                        continue;
                AUTO(auto_free)
                char *text =
                        str_printf(PROBLEMS_READERS ": '%s' is no reader; there are cc, cargo, pytest, go, tap, and "
                                                    "off",
                                   word);
                int r = text ? say(f, ISSUE_WARNING, text, e) : err_nomem(e);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int choose_junit(struct finder *f, const char *value, struct err *e)
{
        size_t n;
        int r = 0;
        for (const char *s = value ? value : ""; r == 0 && (s = next_word(s, ",\n", &n)); s += n) {
                AUTO(auto_free) char *path = str_ndup(s, n);
                AUTO(auto_free) char *whole = path ? issue_join(f->folder, path) : NULL;
                if (!whole)
                        continue;
                if (f->junit.n == PROBLEMS_MAX_JUNIT)
                        return say(f, ISSUE_WARNING, PROBLEMS_JUNIT ": only the first 8 files are read", e);
                r = strv_add(&f->junit, whole, e);
        }
        return r;
}

static void forget_step(struct finder *f)
{
        f->readers = readers_free(f->readers);
        strv_done(&f->junit);
        free(f->folder);
        free(f->asked);
        f->folder = f->asked = NULL;
        f->done = NULL;
        f->reads_go_mod = false;
}

int finder_begin(struct finder *f, const char *folder, const struct strv *env, struct err *e)
{
        struct readers_config config = {.workspace = context_workspace(f->all->job->context), .issue = tell, .user = f};
        forget_step(f);
        f->folder = issue_join("/", folder);
        if (!f->folder)
                return err_nomem(e);
        config.folder = f->folder;
        int r = choose_readers(f, variable(env, PROBLEMS_READERS), &config.readers, e);
        if (r == 0)
                r = choose_junit(f, variable(env, PROBLEMS_JUNIT), e);
        return r < 0 ? r : readers_new(&config, &f->readers, e);
}

int finder_line(struct finder *f, enum output_stream stream, const void *line, size_t len, struct err *e)
{
        if (!f->readers)
                return 0;
        int r = issue_clean(line, len, &f->line, e);
        if (r == 0 && matchers_count(f->all->matchers))
                r = matchers_line(f->all->matchers, f->progress, (const char *)f->line.data, f->line.len, e);
        return r < 0 ? r : readers_line(f->readers, stream, (const char *)f->line.data, e);
}

int finder_wait(struct finder *f, problems_done_fn *done, struct err *e)
{
        if (!f->asked)
                return done(f->step, e);
        f->done = done;
        return 0;
}

/* ---- what a step left in files ---- */

static int complain(struct finder *f, const char *path, const char *why, struct err *e)
{
        AUTO(auto_free) char *text = str_printf(PROBLEMS_JUNIT ": %s: %s", path, why);
        return text ? say(f, ISSUE_WARNING, text, e) : err_nomem(e);
}

static int use_report(struct finder *f, const char *path, const struct field *data, struct err *e)
{
        const struct junit_config config = {
                .workspace = context_workspace(f->all->job->context), .folder = f->folder, .issue = tell, .user = f};
        struct err why = ERR_INIT;
        int r = junit_read(&config, data->value, data->len, &why);
        if (r < 0 && why.code == ERR_RUN_FAILED)
                return complain(f, path, why.msg, e);
        if (r < 0 && e)
                *e = why;
        return r;
}

static int on_left(unsigned i, const struct fields *list, void *user, struct err *e)
{
        struct finder *f = user;
        if (!f->readers)
                return 0;
        AUTO(auto_free) char *go_mod = f->reads_go_mod ? issue_join(f->folder, "go.mod") : NULL;
        if (f->reads_go_mod && !go_mod)
                return err_nomem(e);
        bool is_go_mod = f->reads_go_mod && i == 0;
        const char *kind, *path = is_go_mod ? go_mod : f->junit.v[i - f->reads_go_mod];
        const struct field *data;
        int r = guest_file_take(list, path, &kind, &data, e);
        if (r < 0)
                return r;
        bool regular = strcmp(kind, "regular") == 0;
        if (is_go_mod)
                return regular && data->len <= READER_MAX_GO_MOD ? readers_go_mod(f->readers, data->value, data->len, e)
                                                                 : 0;
        return regular ? use_report(f, path, data, e) : complain(f, path, guest_file_problem(kind), e);
}

static int end_step(struct finder *f, struct err *e)
{
        problems_done_fn *done = f->done;
        int r = readers_finish(f->readers, e);
        forget_step(f);
        return r < 0 ? r : done(f->step, e);
}

static int on_left_read(const char *refusal, void *user, struct err *e)
{
        struct finder *f = user;
        if (!f->readers)
                return 0;
        int r = refusal && f->junit.n ? complain(f, f->junit.v[0], refusal, e) : 0;
        return r < 0 ? r : end_step(f, e);
}

int finder_end(struct finder *f, problems_done_fn *done, struct err *e)
{
        struct strv paths = STRV_INIT;
        int r = 0;
        if (!f->readers)
                return done(f->step, e);
        f->done = done;
        f->reads_go_mod = readers_want_go_mod(f->readers);
        if (f->reads_go_mod)
                r = strv_addf(&paths, e, "%s/go.mod", str_eq(f->folder, "/") ? "" : f->folder);
        for (size_t i = 0; r == 0 && i < f->junit.n; i++)
                r = strv_add(&paths, f->junit.v[i], e);
        if (r == 0 && paths.n)
                r = op_read(f->all->job->ops, (const char *const *)paths.v, paths.n, on_left, on_left_read, f, e);
        else if (r == 0)
                r = end_step(f, e);
        strv_done(&paths);
        return r;
}

/* ---- making ---- */

int finder_new(struct problems *all, struct step *s, struct finder **ret, struct err *e)
{
        struct finder *f = calloc(1, sizeof(*f));
        if (!f)
                return err_nomem(e);
        f->all = all;
        f->step = s;
        int r = matcher_progress_new(f, &f->progress, e);
        if (r < 0)
                finder_free(f);
        else
                *ret = f;
        return r;
}

struct finder *finder_free(struct finder *f)
{
        if (!f)
                return NULL;
        forget_step(f);
        matcher_progress_free(f->progress);
        buf_wipe(&f->line);
        free(f);
        return NULL;
}

int problems_new(struct job *j, struct problems **ret, struct err *e)
{
        static const struct matchers_config config = {clock_cpu_ns, on_hit, on_removed};
        struct problems *p = calloc(1, sizeof(*p));
        if (!p)
                return err_nomem(e);
        p->job = j;
        int r = matchers_new(&config, &p->matchers, e);
        if (r < 0)
                problems_free(p);
        else
                *ret = p;
        return r;
}

struct problems *problems_free(struct problems *p)
{
        if (!p)
                return NULL;
        matchers_free(p->matchers);
        free(p);
        return NULL;
}
