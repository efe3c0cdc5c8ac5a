#include "cli/problems.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"
#include "codec/diag.h"
#include "workflow/workflow.h"

#define READ_SIZE ((size_t)64 << 10)

int problems_read_fd(int fd, const char *path, struct buf *ret, struct err *e)
{
        const size_t max = WORKFLOW_MAX_SIZE + 1;

        while (ret->len < max) {
                size_t room = max - ret->len < READ_SIZE ? max - ret->len : READ_SIZE;
                int r = buf_reserve(ret, room, e);

                if (r < 0)
                        return r;
                ssize_t n = read(fd, ret->data + ret->len, room);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return err_errno(e, ERR_USAGE, errno, "read %s", path);
                if (n == 0)
                        return 0;
                ret->len += (size_t)n;
        }
        return 0;
}

int problems_read(const char *path, struct buf *ret, struct err *e)
{
        AUTO(auto_close) int fd = -1;
        struct stat st;

        if (strcmp(path, "-") == 0)
                return problems_read_fd(STDIN_FILENO, "standard input", ret, e);
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0 || fstat(fd, &st) < 0)
                return err_errno(e, ERR_USAGE, errno, "open %s", path);
        if (!S_ISREG(st.st_mode))
                return err_set(e, ERR_USAGE, "%s is no regular file", path);
        return problems_read_fd(fd, path, ret, e);
}

/* Text of a file may be no UTF-8; JSON is. */
static json_t *text_json(const char *text)
{
        struct buf visible = BUF_INIT;

        if (!text)
                return json_null();
        if (str_is_utf8(text, strlen(text)))
                return json_string(text);
        json_t *json = NULL;
        if (buf_append_escaped(&visible, text, strlen(text), NULL) == 0)
                json = json_stringn((const char *)visible.data, visible.len);
        buf_done(&visible);
        return json;
}

int problems_report(const struct diag_list *problems, const char *source, size_t len, struct err *e)
{
        AUTO(buf_done) struct buf text = BUF_INIT;
        int r = diag_render(problems, source, len, &text, e);

        if (r == 0 && text.len > 0)
                fwrite(text.data, 1, text.len, stderr);
        return r;
}

json_t *problems_json(const struct diag_list *problems)
{
        json_t *list = json_array();

        for (size_t i = 0; list && i < diag_count(problems); i++) {
                const struct diag *d = diag_at(problems, i);
                json_t *one =
                        json_pack("{s:o,s:s,s:i,s:i,s:i,s:o,s:o,s:o}", "file", text_json(diag_file(problems, d)),
                                  "severity", d->severity == DIAG_ERROR ? "error" : "warning", "line", (int)d->line,
                                  "column", (int)d->column, "width", (int)d->width, "message", text_json(d->message),
                                  "hint", text_json(d->hint), "called_from", text_json(diag_called_from(problems, d)));
                if (!one || json_array_append_new(list, one) < 0) {
                        json_decref(list);
                        return NULL;
                }
        }
        return list;
}
