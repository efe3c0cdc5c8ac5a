#include "cli/private_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/secret.h"
#include "base/str.h"

/* Only its owner could read it until now. */
static int open_private(const char *path, int *ret, struct err *e)
{
        struct stat st;
        AUTO(auto_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

        if (fd < 0 || fstat(fd, &st) < 0)
                return err_errno(e, ERR_USAGE, errno, "%s", path);
        if (!S_ISREG(st.st_mode))
                return err_set(e, ERR_USAGE, "%s: expected a file", path);
        if (st.st_uid != geteuid() || (st.st_mode & 077))
                return err_set(e, ERR_USAGE,
                               "%s: a file of secrets must be yours and readable by nobody else: chmod 600", path);
        *ret = TAKE_FD(fd);
        return 0;
}

/* No byte of the file is in the message. */
static int parse(const char *path, const struct buf *text, struct filecmd_pairs *ret, struct err *e)
{
        struct err why = ERR_INIT;

        if (text->len && (memchr(text->data, 0, text->len) || !str_is_utf8((const char *)text->data, text->len)))
                return err_set(e, ERR_USAGE, "%s: expected UTF-8 text without NUL bytes", path);
        if (filecmd_parse(FILECMD_ENV, text->data, text->len, ret, &why) == 0)
                return 0;
        return err_set(e, ERR_USAGE, "%s:%u: expected lines NAME=VALUE, or NAME<<END and lines up to END", path,
                       ret->line);
}

int private_file_read(const char *path, size_t max, struct filecmd_pairs *ret, struct err *e)
{
        AUTO(auto_close) int fd = -1;
        AUTO(buf_wipe) struct buf text = BUF_INIT;
        int r = open_private(path, &fd, e);

        if (r == 0)
                r = fd_read_all(fd, max, path, &text, e);
        return r < 0 ? r : parse(path, &text, ret, e);
}

void private_pairs_done(struct filecmd_pairs *p)
{
        for (size_t i = 0; i < p->n; i++)
                secret_wipe(p->v[i].value, p->v[i].len);
        filecmd_pairs_done(p);
}
