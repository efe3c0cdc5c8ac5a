#include "cli/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"
#include "codec/json.h"

#define READ_SIZE ((size_t)256 * 1024)

struct journal_reader {
        char *path;
        int fd;
        struct buf pending; /* at most one unfinished line and one read */
        size_t scanned;     /* bytes of pending known to hold no newline */
        int64_t seq;        /* of the next event */
        journal_fn *fn;
        void *user;
};

struct journal_reader *journal_close(struct journal_reader *j)
{
        if (!j)
                return NULL;
        fd_close(j->fd);
        buf_done(&j->pending);
        free(j->path);
        free(j);
        return NULL;
}

int journal_open(const char *path, journal_fn *fn, void *user, struct journal_reader **ret, struct err *e)
{
        AUTO(journal_closep) struct journal_reader *j = calloc(1, sizeof(*j));

        if (!j)
                return err_nomem(e);
        j->fd = -1;
        j->fn = fn;
        j->user = user;
        j->pending.max = JOURNAL_MAX_LINE + READ_SIZE;
        j->path = str_dup(path);
        if (!j->path)
                return err_nomem(e);
        j->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (j->fd < 0)
                return err_errno(e, ERR_USAGE, errno, "open the journal %s", path);
        *ret = TAKE_PTR(j);
        return 0;
}

static int broken(const struct journal_reader *j, struct err *e, const char *why)
{
        err_set(e, ERR_PROTOCOL, "%s:%lld: %s", j->path, (long long)j->seq + 1, why);
        return JOURNAL_E_BROKEN;
}

static int read_line(struct journal_reader *j, const uint8_t *line, size_t len, struct err *e)
{
        AUTO(json_decrefp) json_t *event = NULL;
        const char *type = NULL;
        int64_t version = 0, seq = -1;
        struct err why = ERR_INIT;

        if (json_parse(line, len, JOURNAL_MAX_LINE, "event", &event, &why) < 0 ||
            json_get_int(event, "", "v", 1, 1, &version, &why) < 0 ||
            json_get_int(event, "", "seq", 0, INT64_MAX, &seq, &why) < 0 ||
            json_get_string(event, "", "type", 64, &type, &why) < 0)
                return broken(j, e, why.msg);
        if (seq != j->seq)
                return broken(j, e, "events are missing or repeated");
        j->seq++;
        return j->fn(type, event, j->user, e);
}

/* Hand out every whole line. */
static int read_lines(struct journal_reader *j, struct err *e)
{
        size_t start = 0;
        int r = 0;

        while (r == 0) {
                const uint8_t *from = j->pending.data + start + j->scanned;
                const uint8_t *newline = memchr(from, '\n', j->pending.len - start - j->scanned);
                if (!newline)
                        break;
                size_t len = (size_t)(newline - (j->pending.data + start));
                r = read_line(j, j->pending.data + start, len, e);
                start += len + 1;
                j->scanned = 0;
        }
        buf_consume(&j->pending, start);
        j->scanned = j->pending.len;
        if (r == 0 && j->pending.len > JOURNAL_MAX_LINE)
                return broken(j, e, "a line is longer than 8 MiB");
        return r;
}

int journal_read(struct journal_reader *j, struct err *e)
{
        for (size_t done = 0; done < JOURNAL_MAX_TURN;) {
                int r = buf_reserve(&j->pending, READ_SIZE, e);
                if (r < 0)
                        return r;
                ssize_t n = read(j->fd, j->pending.data + j->pending.len, READ_SIZE);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return err_errno(e, ERR_RESOURCES, errno, "read the journal %s", j->path);
                if (n == 0)
                        return 0;
                done += (size_t)n;
                j->pending.len += (size_t)n;
                r = read_lines(j, e);
                if (r != 0)
                        return r;
        }
        return JOURNAL_E_MORE;
}
