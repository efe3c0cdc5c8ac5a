/* `uses: actions/upload-artifact`, built in.
 *
 *   find what the patterns of `path` name (fileset.h)
 *   -> nothing: `if-no-files-found` says what that is
 *   -> write the names to files in the guest, a piece at a time
 *   -> the job's turn with the store -> tar in the guest reads the names, follows links, and its output becomes the
 *      artifact (stow.h)
 *
 * As GitHub's: files alone, without modes, named from the folder that all search paths have in common. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/secret.h"
#include "base/str.h"
#include "blob/client.h"
#include "blob/limits.h"
#include "blob/names.h"
#include "codec/tar.h"
#include "job/builtin.h"
#include "job/context.h"
#include "job/fileset.h"
#include "job/inputs.h"
#include "job/job_priv.h"
#include "job/ops.h"
#include "job/output.h"
#include "job/pack.h"
#include "job/spec.h"
#include "job/step.h"
#include "job/store_step.h"
#include "job/store_turn.h"
#include "job/stow.h"
#include "workflow/fileglob.h"

#define LIST_SIZE ((size_t)512 << 10) /* bytes of one file of names */
#define TAR "/usr/bin/tar"
#define TAR_CHANGED 1u /* exit status: a file changed while it was read */
#define MAX_LEVEL 9u

enum no_files { NO_FILES_WARN, NO_FILES_ERROR, NO_FILES_IGNORE };

struct upload {
        struct step *step;
        struct store_turn turn;
        char *name, *path_text, *root;
        uint64_t days;
        bool overwrite, hidden, interrupted;
        enum no_files no_files;
        struct fileglob *patterns;
        struct fileset *set;
        struct buf names;  /* what is not written yet: relative, each ended by a NUL */
        struct strv lists; /* files of names in the guest */
        char id[17];       /* of their names */
        struct stow *stow;
        char group[32];
};

static void upload_free(void *private)
{
        struct upload *u = private;
        fileset_free(u->set);
        stow_free(u->stow);
        fileglob_free(u->patterns);
        buf_done(&u->names);
        strv_done(&u->lists);
        free(u->name);
        free(u->path_text);
        free(u->root);
        free(u);
}

static int interrupted(struct err *e)
{
        return err_set(e, ERR_RUN_FAILED, "the upload was interrupted");
}

static void upload_interrupt(struct step *s)
{
        struct upload *u = s->private;
        struct err why = ERR_INIT, e = ERR_INIT;
        int r = 0;
        u->interrupted = true;
        interrupted(&why);
        if (u->stow) {
                r = stow_give_up(u->stow, &why, &e);
        } else if (u->set) {
                fileset_cancel(u->set);
                u->set = fileset_free(u->set);
                r = step_refuse(s, &why, &e);
        }
        if (r < 0)
                job_fail(s->job, &e);
}

/* ---- inputs ---- */

static const char *const known_inputs[] = {
        "name", "path", "if-no-files-found", "retention-days", "compression-level", "overwrite", "include-hidden-files",
        NULL};

static int read_name(struct upload *u, struct err *e)
{
        bool masked = false;
        int r = inputs_text(u->step, "name", &u->name, e);
        if (r == 0 && !u->name && !(u->name = str_dup("artifact")))
                r = err_nomem(e);
        if (r == 0)
                r = store_step_is_masked(u->step, u->name, &masked, e);
        if (r < 0)
                return r;
        if (masked)
                return err_set(e, ERR_RUN_FAILED, "with.name: it holds a masked value");
        const char *problem = artifact_name_problem(u->name);
        return problem ? err_set(e, ERR_RUN_FAILED, "with.name: the artifact name is not valid: it %s", problem) : 0;
}

static int read_no_files(struct upload *u, struct err *e)
{
        static const char *const names[] = {
                [NO_FILES_WARN] = "warn", [NO_FILES_ERROR] = "error", [NO_FILES_IGNORE] = "ignore"};
        AUTO(auto_free) char *text = NULL;
        int r = inputs_text(u->step, "if-no-files-found", &text, e);
        if (r < 0 || !text)
                return r;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                if (!str_eq(text, names[i]))
                        continue;
                u->no_files = (enum no_files)i;
                return 0;
        }
        return err_set(e, ERR_RUN_FAILED, "with.if-no-files-found: expected warn, error or ignore, found '%s'", text);
}

/* 0 is the default, as at GitHub. */
static int read_days(struct upload *u, struct err *e)
{
        int r = inputs_u64(u->step, "retention-days", 0, UINT32_MAX, 0, &u->days, NULL, e);
        if (u->days == 0)
                u->days = STORE_DEFAULT_DAYS;
        if (r < 0 || u->days <= STORE_MAX_DAYS)
                return r;
        AUTO(auto_free)
        char *text = str_printf("Retention days is greater than the max value allowed here; reducing retention to "
                                "%u days",
                                STORE_MAX_DAYS);
        u->days = STORE_MAX_DAYS;
        return text ? output_annotate(u->step->output, "warning", NULL, text, e) : err_nomem(e);
}

static int read_inputs(struct upload *u, struct err *e)
{
        static const struct inputs_lists lists = {.known = known_inputs};
        uint64_t level;
        int r = inputs_check(u->step, &lists, e);
        if (r == 0)
                r = read_name(u, e);
        if (r == 0)
                r = store_step_patterns(u->step, true, &u->patterns, &u->path_text, e);
        if (r == 0)
                r = read_no_files(u, e);
        if (r == 0)
                r = inputs_u64(u->step, "compression-level", 0, MAX_LEVEL, 6, &level, NULL, e);
        if (r == 0)
                r = inputs_bool(u->step, "overwrite", false, &u->overwrite, e);
        if (r == 0)
                r = inputs_bool(u->step, "include-hidden-files", false, &u->hidden, e);
        return r < 0 ? r : read_days(u, e);
}

/* ---- the end ---- */

static int end_turn(struct upload *u, struct err *e)
{
        return store_turn_end(u->step->job, &u->turn, e);
}

static int set_outputs(struct upload *u, const struct store_item *item, struct err *e)
{
        struct step *s = u->step;
        AUTO(auto_free) char *id = str_printf("%llu", (unsigned long long)item->id);
        AUTO(auto_free)
        char *url = str_printf("devdep:runs/%s/artifacts/%llu", s->job->spec->run, (unsigned long long)item->id);
        if (!id || !url)
                return err_nomem(e);
        int r = step_set_output(s, "artifact-id", id, e);
        if (r == 0)
                r = step_set_output(s, "artifact-url", url, e);
        return r < 0 ? r : step_set_output(s, "artifact-digest", item->digest, e);
}

static int uploaded(struct upload *u, const struct store_item *item, struct err *e)
{
        struct step *s = u->step;
        char size[STORE_STEP_SIZE];
        store_step_size(item->content, size);
        int r = store_step_event(s, "artifact", "uploaded", item, e);
        if (r == 0)
                r = output_note(s->output, e, "Artifact %s has been uploaded: %llu file%s, %s, ID %llu, SHA256 %s",
                                item->name, (unsigned long long)item->files, item->files == 1 ? "" : "s", size,
                                (unsigned long long)item->id, item->digest);
        if (r == 0)
                r = set_outputs(u, item, e);
        return r < 0 ? r : step_finish(s, STEP_SUCCESS, e);
}

static int on_stowed(struct stow *stow, const struct store_item *item, const struct err *failure, void *user,
                     struct err *e)
{
        struct upload *u = user;
        struct step *s = u->step;
        struct err why = ERR_INIT;
        (void)stow;
        int r = end_turn(u, e);
        if (r < 0 || !s->is_open)
                return r;
        if (failure)
                return store_step_refuse(s, failure, e);
        if (item)
                return step_try(s, uploaded(u, item, e), e);
        err_set(&why, ERR_RUN_FAILED,
                "this run has an artifact '%s' already; give it another name, or set overwrite: true", u->name);
        return store_step_refuse(s, &why, e);
}

/* ---- tar ---- */

static int build_argv(const struct upload *u, struct strv *argv, struct err *e)
{
        static const char *const fixed[] = {TAR,
                                            "--create",
                                            "--file=-",
                                            "--format=gnu",
                                            "--dereference",
                                            "--hard-dereference",
                                            "--no-recursion",
                                            "--null",
                                            "--verbatim-files-from"};
        int r = 0;
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(fixed); i++)
                r = strv_add(argv, fixed[i], e);
        if (r == 0)
                r = strv_addf(argv, e, "--directory=%s", u->root);
        for (size_t i = 0; r == 0 && i < u->lists.n; i++)
                r = strv_addf(argv, e, "--files-from=%s", u->lists.v[i]);
        return r;
}

static int on_begin(struct stow *stow, void *user, struct err *e)
{
        struct upload *u = user;
        AUTO(strv_done) struct strv argv = STRV_INIT;
        int r = build_argv(u, &argv, e);
        return r < 0 ? r : stow_exec(stow, &argv, u->group, 1u << TAR_CHANGED, e);
}

static int on_part(struct stow *stow, const char *refusal, void *user, struct err *e)
{
        struct err why = ERR_INIT;
        (void)user;
        if (!refusal)
                return stow_end(stow, e);
        err_set(&why, ERR_RUN_FAILED, "read the files with " TAR " in the guest: %s", refusal);
        return stow_give_up(stow, &why, e);
}

static int on_turn(void *user, struct err *e)
{
        static const struct stow_fns fns = {.begin = on_begin, .part = on_part, .done = on_stowed};
        static const struct pack_rules rules = {
                .types = TAR_FILE, .plain = true, .max_entries = ARTIFACT_MAX_FILES, .max_bytes = ARTIFACT_MAX_BYTES};
        struct upload *u = user;
        struct step *s = u->step;
        int r = u->interrupted ? interrupted(e) : 0;
        if (r == 0)
                return stow_artifact(s, u->name, (unsigned)u->days, u->overwrite, &rules, &fns, u, &u->stow, e);
        struct err why = *e;
        return end_turn(u, e) < 0 ? -1 : store_step_refuse(s, &why, e);
}

/* ---- names ---- */

static int write_next(struct upload *u, struct err *e);

static int on_written(const char *refusal, void *user, struct err *e)
{
        struct upload *u = user;
        int r = refusal ? err_set(e, ERR_RUN_FAILED, "write the names of the files in the guest: %s", refusal)
                        : write_next(u, e);
        return step_try(u->step, r, e);
}

/* As many whole names as go into one file. */
static size_t piece_of(const struct buf *names)
{
        size_t n = MIN(names->len, LIST_SIZE);
        while (n && names->data[n - 1] != '\0')
                n--;
        return n;
}

static int write_next(struct upload *u, struct err *e)
{
        size_t n = piece_of(&u->names);
        if (u->interrupted)
                return interrupted(e);
        if (n == 0)
                return store_turn_take(u->step->job, &u->turn, e);
        int r = strv_addf(&u->lists, e, "%s/_devdep/%s-%zu", context_temp(u->step->job->context), u->id, u->lists.n);
        if (r == 0)
                r = op_write(u->step->job->ops, u->lists.v[u->lists.n - 1], 0600, u->names.data, n, on_written, u, e);
        if (r == 0)
                buf_consume(&u->names, n);
        return r;
}

static int on_folder(const char *refusal, void *user, struct err *e)
{
        return on_written(refusal, user, e);
}

static int write_names(struct upload *u, struct err *e)
{
        AUTO(auto_free) char *folder = str_printf("%s/_devdep", context_temp(u->step->job->context));
        const char *const paths[] = {folder};
        uint8_t id[8];
        secret_random(id, sizeof(id));
        num_to_hex(id, sizeof(id), u->id);
        return folder ? op_mkdir(u->step->job->ops, paths, 1, 0755, on_folder, u, e) : err_nomem(e);
}

/* What GitHub refuses, because NTFS cannot hold it. */
static int check_name(const char *name, struct err *e)
{
        const char *bad = strpbrk(name, "\":<>|*?\r\n");
        char shown[512];
        if (!bad)
                return 0;
        str_escape(shown, sizeof(shown), name, strlen(name));
        return err_set(e, ERR_RUN_FAILED,
                       "the path of a file is not valid in an artifact: '%s' contains one of \" : < > | * ? \\r \\n",
                       shown);
}

/* The folder that the names in the artifact begin at: as GitHub has it, a file that was named alone stands alone. */
static int find_root(struct upload *u, const char *const *paths, size_t n, struct err *e)
{
        char *slash;
        u->root = fileglob_common(u->patterns);
        if (!u->root)
                return err_nomem(e);
        if (fileglob_searches(u->patterns) == 1 && n == 1 && str_eq(paths[0], u->root) &&
            (slash = strrchr(u->root, '/')))
                slash[slash == u->root] = '\0';
        return 0;
}

static int name_files(struct upload *u, const char *const *paths, size_t n, struct err *e)
{
        int r = find_root(u, paths, n, e);
        size_t skip = r < 0 || str_eq(u->root, "/") ? 1 : strlen(u->root) + 1;
        for (size_t i = 0; r == 0 && i < n; i++) {
                const char *name = paths[i] + skip;
                r = check_name(name, e);
                if (r == 0)
                        r = buf_append(&u->names, name, strlen(name) + 1, e);
        }
        return r;
}

/* ---- files ---- */

static int no_files(struct upload *u, struct err *e)
{
        struct step *s = u->step;
        AUTO(auto_free)
        char *text = str_printf("No files were found with the provided path: %s. No artifacts will be uploaded.",
                                u->path_text);
        if (!text)
                return err_nomem(e);
        if (u->no_files == NO_FILES_ERROR)
                return err_set(e, ERR_RUN_FAILED, "%.900s", text);
        int r = u->no_files == NO_FILES_WARN ? output_annotate(s->output, "warning", NULL, text, e)
                                             : output_note(s->output, e, "%s", text);
        return r < 0 ? r : step_finish(s, STEP_SUCCESS, e);
}

static int use_files(struct upload *u, const char *const *paths, size_t n, struct err *e)
{
        if (n == 0)
                return no_files(u, e);
        int r = output_note(u->step->output, e, "With the provided path, there will be %zu file%s uploaded", n,
                            n == 1 ? "" : "s");
        if (r == 0)
                r = name_files(u, paths, n, e);
        return r < 0 ? r : write_names(u, e);
}

static int on_files(const char *const *paths, size_t n, const struct err *failure, void *user, struct err *e)
{
        struct upload *u = user;
        struct step *s = u->step;
        if (failure)
                return store_step_refuse(s, failure, e);
        int r = use_files(u, paths, n, e);
        u->set = fileset_free(u->set);
        return step_try(s, r, e);
}

static int upload_start(struct step *s, struct err *e)
{
        struct upload *u = calloc(1, sizeof(*u));
        if (!u)
                return err_nomem(e);
        u->step = s;
        u->turn = (struct store_turn){.begin = on_turn, .user = u};
        s->private = u;
        int r = store_step_check(s, e);
        if (r == 0)
                r = read_inputs(u, e);
        if (r < 0)
                return r;
        if (fileglob_searches(u->patterns) == 0)
                return no_files(u, e);
        snprintf(u->group, sizeof(u->group), "upload-%d", s->index);
        const struct fileset_want want = {
                .patterns = u->patterns, .kinds = FILEGLOB_FILE, .hidden = u->hidden, .group = u->group};
        return fileset_find(s->job, &want, on_files, u, &u->set, e);
}

const struct builtin builtin_upload_artifact = {
        .name = "actions/upload-artifact", .start = upload_start, .interrupt = upload_interrupt, .free = upload_free};
