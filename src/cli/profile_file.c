#include "cli/profile_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/problems.h"
#include "cli/repofile.h"
#include "codec/diag.h"

void profile_file_done(struct profile_file *f)
{
        profile_free(f->profile);
        free(f->path);
        free(f->text);
        *f = (struct profile_file)PROFILE_FILE_INIT;
}

int profile_choice_parse(const struct args *a, struct profile_choice *ret, struct err *e)
{
        *ret = (struct profile_choice){.file = args_get(a, "profile"),
                                       .environment = args_get(a, "environment"),
                                       .none = args_has(a, "no-profile")};
        if (ret->none && (ret->file || ret->environment))
                return err_set(e, ERR_USAGE, "%s: --no-profile does not go together with --%s", a->path,
                               ret->file ? "profile" : "environment");
        return 0;
}

/* FS_E_MISSING: the repository has none. */
static int read_text(const char *top, const struct profile_choice *choice, struct buf *ret, struct err *e)
{
        AUTO(auto_close) int fd = -1;

        if (choice->file)
                return problems_read(choice->file, ret, e);
        int r = top ? repofile_open(top, PROFILE_FILE, 0, &fd, e) : FS_E_MISSING;
        return r == 0 ? problems_read_fd(fd, PROFILE_FILE, ret, e) : r;
}

static int take_digest(struct profile_file *f, struct err *e)
{
        uint8_t digest[HASH_SIZE];
        char hex[HASH_HEX_SIZE];
        int r = hash_bytes(f->text, f->len, digest, e);

        if (r < 0)
                return r;
        hash_hex(digest, hex);
        snprintf(f->digest, sizeof(f->digest), "sha256:%s", hex);
        return 0;
}

static int report(const struct profile_file *f, const struct diag_list *problems, struct err *e)
{
        int r = problems_report(problems, f->text, f->len, e);

        return r < 0 ? r : diag_to_err(problems, e);
}

static int parse(struct profile_file *f, const char *environment, struct err *e)
{
        AUTO(diag_freep) struct diag_list *problems = NULL;
        int r = diag_new(f->path, &problems, e);

        if (r == 0)
                r = profile_parse(f->text, f->len, environment, problems, &f->profile, e);
        if (r < 0)
                return err_wrap(e, r, "%s", f->path);
        return report(f, problems, e);
}

int profile_file_load(const char *top, const struct profile_choice *choice, struct profile_file *ret, struct err *e)
{
        AUTO(buf_done) struct buf text = BUF_INIT;

        *ret = (struct profile_file)PROFILE_FILE_INIT;
        int r = choice->none ? FS_E_MISSING : read_text(top, choice, &text, e);
        if (r == FS_E_MISSING && choice->environment)
                return err_set(e, ERR_USAGE, "--environment %s: the repository has no %s", choice->environment,
                               PROFILE_FILE);
        if (r != 0)
                return r < 0 ? r : 0;
        ret->len = text.len;
        ret->text = buf_take_str(&text);
        ret->path = str_dup(choice->file ? choice->file : PROFILE_FILE);
        r = ret->text && ret->path ? take_digest(ret, e) : err_nomem(e);
        if (r == 0)
                r = parse(ret, choice->environment, e);
        if (r < 0)
                profile_file_done(ret);
        return r;
}

int profile_file_blame(const struct profile_file *f, const struct yaml_pos *at, const char *key, int r, struct err *e)
{
        return at ? err_wrap(e, r, "%s:%u:%u: %s", f->path, at->line, at->column, key) : r;
}
