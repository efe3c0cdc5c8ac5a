/* After a step: what it wrote to its files. The guest reads regular files only, and only after the step's control group
 * was killed; a link, a fifo, an over-long file or one that somebody still writes to fails the step. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "job/guest_file.h"
#include "job/job_priv.h"
#include "job/journal.h"
#include "job/mask.h"
#include "job/ops.h"
#include "job/output.h"
#include "job/problems.h"
#include "wire/guest.h"
#include "workflow/filecmd.h"

#define SUMMARY_PIECE ((size_t)60 << 10) /* bytes of one `summary` event */

static const char *variable_of(unsigned file)
{
        static const char *const names[STEP_FILES] = {"GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH",
                                                      "GITHUB_STEP_SUMMARY", "GITHUB_STATE"};
        return names[file];
}

/* The step's mistake: shown, and the step fails; the other files are still read. */
static int mistake(struct step *s, const char *message, struct err *e)
{
        AUTO(auto_free) char *text = str_dup(message);
        if (!text)
                return err_nomem(e);
        step_fail_later(s, text);
        if (s->outcome == STEP_SUCCESS)
                s->outcome = STEP_FAILURE;
        return output_annotate(s->output, "error", NULL, text, e);
}

static int use_pair(struct step *s, enum filecmd_kind kind, const struct filecmd_pair *p, struct err *e)
{
        switch (kind) {
        case FILECMD_OUTPUT:
                return step_set_output(s, p->name, p->value, e);
        case FILECMD_ENV:
                return step_set_env(s, p->name, p->value, e);
        case FILECMD_PATH:
                return step_add_path(s, p->value, e);
        case FILECMD_STATE:
                return step_save_state(s, p->name, p->value, e);
        }
        return 0;
}

static int use_file(struct step *s, unsigned file, const void *data, size_t len, struct err *e)
{
        static const enum filecmd_kind kinds[STEP_FILES] = {[STEP_FILE_OUTPUT] = FILECMD_OUTPUT,
                                                            [STEP_FILE_ENV] = FILECMD_ENV,
                                                            [STEP_FILE_PATH] = FILECMD_PATH,
                                                            [STEP_FILE_STATE] = FILECMD_STATE};
        struct filecmd_pairs pairs = {0};
        int r = filecmd_parse(kinds[file], data, len, &pairs, e);
        for (size_t i = 0; r == 0 && i < pairs.n; i++)
                r = use_pair(s, kinds[file], &pairs.v[i], e);
        filecmd_pairs_done(&pairs);
        return r;
}

static int write_summary_piece(struct step *s, const void *data, size_t len, struct err *e)
{
        journal_begin(s->job->journal, "summary");
        journal_i64(s->job->journal, "step", s->index);
        journal_text(s->job->journal, "text", data, len);
        return journal_end(s->job->journal, e);
}

/* Masked as a whole, then cut between characters. */
static int use_summary(struct step *s, const void *data, size_t len, struct err *e)
{
        struct buf b = BUF_INIT;
        int r = journal_is_full(s->job->journal) ? 0 : masks_text(s->job->config.masks, data, len, &b, e);
        for (size_t at = 0; r == 0 && at < b.len;) {
                size_t n = MIN(b.len - at, SUMMARY_PIECE);
                while (at + n < b.len && n > 1 && (b.data[at + n] & 0xc0) == 0x80)
                        n--;
                r = write_summary_piece(s, b.data + at, n, e);
                at += n;
        }
        buf_wipe(&b);
        return r;
}

static int on_file(unsigned i, const struct fields *list, void *user, struct err *e)
{
        struct step *s = user;
        const struct field *data;
        const char *kind;
        int r = guest_file_take(list, s->file[i], &kind, &data, e);
        if (r < 0 || strcmp(kind, "missing") == 0)
                return r;
        if (!data)
                r = err_set(e, ERR_RUN_FAILED, "%s", guest_file_problem(kind));
        else
                r = i == STEP_FILE_SUMMARY ? use_summary(s, data->value, data->len, e)
                                           : use_file(s, i, data->value, data->len, e);
        if (r < 0 && e->code == ERR_RUN_FAILED) {
                err_wrap(e, r, "%s", variable_of(i));
                return mistake(s, e->msg, e);
        }
        return r;
}

static int finish(struct step *s, struct err *e)
{
        if (s->failed && s->outcome == STEP_SUCCESS)
                s->outcome = STEP_FAILURE;
        return step_finish(s, s->outcome, e);
}

static int on_read(const char *refusal, void *user, struct err *e)
{
        struct step *s = user;
        if (refusal) {
                int r = mistake(s, "the step's files could not be read", e);
                if (r < 0)
                        return r;
        }
        return finder_end(s->finder, finish, e);
}

static int read_files(struct step *s, struct err *e)
{
        return op_read(s->job->ops, (const char *const *)s->file, STEP_FILES, on_file, on_read, s, e);
}

/* The last line may be a command that asks for a file, too. */
static int end_output(struct step *s, struct err *e)
{
        int r = output_finish(s->output, e);
        return r < 0 ? r : finder_wait(s->finder, read_files, e);
}

int collect_start(struct step *s, struct err *e)
{
        return finder_wait(s->finder, end_output, e);
}
