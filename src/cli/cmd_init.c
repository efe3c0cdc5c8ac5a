/* devdep-cli init: a commented devdep.yaml. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"
#include "cli/command.h"
#include "profile/profile.h"

#define FILE_MODE 0644

/* A name that is there, a dangling link as well, is left alone. */
static int write_new(const char *path, const struct buf *text, struct err *e)
{
        AUTO(auto_close) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);

        if (fd < 0 && errno == EEXIST)
                return err_set(e, ERR_USAGE, "%s is there already; --force replaces it, --out writes another file",
                               path);
        if (fd < 0)
                return err_errno(e, ERR_USAGE, errno, "make %s", path);
        int r = fd_write_all(fd, text->data, text->len, path, e);
        if (r < 0)
                unlink(path);
        return r;
}

static int write_out(const struct args *a, const struct buf *text, struct err *e)
{
        const char *out = args_get(a, "out"), *path = out ? out : PROFILE_FILE;

        if (str_eq(path, "-"))
                return fd_write_all(STDOUT_FILENO, text->data, text->len, "standard output", e);
        if (args_has(a, "force"))
                return fs_write_atomic(path, text->data, text->len, FILE_MODE, e);
        return write_new(path, text, e);
}

static int run_init(const struct args *a, struct err *e)
{
        const char *entity = args_get(a, "entity"), *domain = args_get(a, "domain");
        AUTO(buf_done) struct buf text = BUF_INIT;

        if (!entity || !domain)
                return err_set(e, ERR_USAGE, "%s: --%s is missing; see '%s --help'", a->path,
                               entity ? "domain" : "entity", a->path);
        int r = profile_example(entity, domain, &text, e);
        if (r < 0)
                return err_wrap(e, r, "%s", a->path);
        return write_out(a, &text, e);
}

static const struct command_option options[] = {
        {"entity", 0, "NAME", "whose runs these are", false},
        {"domain", 0, "DOMAIN", "the domain of the people who may run it", false},
        {"out", 0, "FILE", "write this file (default: " PROFILE_FILE "; '-' is standard output)", false},
        {"force", 0, NULL, "replace the file if it is there", false},
};

const struct command command_init = {
        .name = "init",
        .summary = "Write a commented devdep.yaml",
        .options = options,
        .n_options = ARRAY_SIZE(options),
        .details = "The file is valid as it is written; every key stands in it with what it is for and an example,\n"
                   "commented out.",
        .examples = "  devdep-cli init --entity web --domain corp.example\n"
                    "  devdep-cli init --entity web --domain corp.example --out - | less\n",
        .run = run_init,
};
