#include "job/journal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/num.h"
#include "job/json_text.h"
#include "job/mask.h"

#define LINE_KEEP ((size_t)512 << 10)    /* a larger buffer is given back after its event */
#define RESERVE_STEP ((uint64_t)4 << 20) /* how far ahead space is asked for at once */

struct journal {
        int fd;
        bool regular;
        struct masks *masks;
        uint64_t seq, bytes, reserved;
        bool full; /* past JOURNAL_MAX_BYTES */
        bool spend_reserve;
        struct buf line, scratch;
        unsigned depth;
        bool first[JOURNAL_MAX_DEPTH]; /* no member written yet, per open object */
        struct err failure;            /* of the event under way */
};

int journal_new(int fd, struct masks *masks, struct journal **ret, struct err *e)
{
        struct stat st;
        if (fstat(fd, &st) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "the journal (descriptor %d)", fd);
        struct journal *j = calloc(1, sizeof(*j));
        if (!j)
                return err_nomem(e);
        j->fd = fd;
        j->masks = masks;
        j->regular = S_ISREG(st.st_mode);
        j->bytes = j->reserved = j->regular ? (uint64_t)st.st_size : 0;
        j->line.max = JOURNAL_MAX_LINE;
        *ret = j;
        return 0;
}

struct journal *journal_free(struct journal *j)
{
        if (!j)
                return NULL;
        /* Cutting a file to its own size gives back what was reserved behind its end. */
        if (j->reserved > j->bytes && ftruncate(j->fd, (off_t)j->bytes) < 0)
                log_warning("the journal keeps %llu reserved bytes", (unsigned long long)(j->reserved - j->bytes));
        buf_done(&j->line);
        buf_wipe(&j->scratch);
        free(j);
        return NULL;
}

bool journal_is_full(const struct journal *j)
{
        return j->bytes > JOURNAL_MAX_BYTES;
}

void journal_use_reserve(struct journal *j)
{
        j->spend_reserve = true;
}

/* Ask for blocks behind the end, so that "no space" is met here and not in the middle of the last event. Where a file
 * system cannot reserve, the write itself will tell. */
static int reserve(struct journal *j, size_t len, struct err *e)
{
        uint64_t need = j->bytes + len + JOURNAL_RESERVE;
        if (!j->regular || j->spend_reserve || need <= j->reserved)
                return 0;
        if (fallocate(j->fd, FALLOC_FL_KEEP_SIZE, (off_t)j->bytes, (off_t)(len + JOURNAL_RESERVE + RESERVE_STEP)) ==
            0) {
                j->reserved = need + RESERVE_STEP;
                return 0;
        }
        if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINTR)
                return 0;
        return err_errno(e, ERR_RESOURCES, errno, "the journal of the job cannot grow");
}

static int write_line(struct journal *j, struct err *e)
{
        size_t done = 0;
        int r = reserve(j, j->line.len, e);
        if (r < 0)
                return r;
        while (done < j->line.len) {
                ssize_t n = write(j->fd, j->line.data + done, j->line.len - done);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0) {
                        int failed = n < 0 ? errno : ENOSPC;
                        if (j->regular && done && ftruncate(j->fd, (off_t)j->bytes) < 0)
                                return err_errno(e, ERR_RESOURCES, errno, "cut a half-written event off the journal");
                        return err_errno(e, ERR_RESOURCES, failed, "write the journal of the job");
                }
                done += (size_t)n;
        }
        j->bytes += j->line.len;
        j->seq++;
        return 0;
}

/* Building never stops half-way: the first failure is kept for journal_end(). */
static bool is_failed(const struct journal *j)
{
        return j->failure.code != ERR_SUCCESS;
}

static void put_raw(struct journal *j, const char *text)
{
        if (!is_failed(j))
                buf_append_str(&j->line, text, &j->failure);
}

static void put_text(struct journal *j, const void *text, size_t len)
{
        buf_clear(&j->scratch);
        if (!is_failed(j) && masks_text(j->masks, text, len, &j->scratch, &j->failure) == 0)
                json_text_append(&j->line, j->scratch.data, j->scratch.len, &j->failure);
}

static void put_comma(struct journal *j)
{
        assert(j->depth > 0);
        if (!j->first[j->depth - 1])
                put_raw(j, ",");
        j->first[j->depth - 1] = false;
}

/* A key of ours is never masked, or a job could blind its readers with `::add-mask::type`. */
static void put_key(struct journal *j, const char *key)
{
        put_comma(j);
        put_raw(j, "\"");
        put_raw(j, key);
        put_raw(j, "\":");
}

static void put_i64(struct journal *j, int64_t value)
{
        if (!is_failed(j))
                buf_printf(&j->line, &j->failure, "%lld", (long long)value);
}

void journal_begin(struct journal *j, const char *type)
{
        buf_clear(&j->line);
        j->failure = (struct err)ERR_INIT;
        j->depth = 1;
        j->first[0] = true;
        put_raw(j, "{");
        journal_i64(j, "v", 1);
        journal_i64(j, "seq", (int64_t)j->seq);
        journal_i64(j, "t", (int64_t)clock_real_ms());
        journal_word(j, "type", type);
}

void journal_word(struct journal *j, const char *key, const char *word)
{
        put_key(j, key);
        put_raw(j, "\"");
        put_raw(j, word);
        put_raw(j, "\"");
}

void journal_text(struct journal *j, const char *key, const void *value, size_t len)
{
        put_key(j, key);
        put_text(j, value, len);
}

void journal_member(struct journal *j, const char *name, const char *value)
{
        put_comma(j);
        put_text(j, name, strlen(name));
        put_raw(j, ":");
        put_text(j, value, strlen(value));
}

void journal_str(struct journal *j, const char *key, const char *value)
{
        if (value)
                journal_text(j, key, value, strlen(value));
}

void journal_bool(struct journal *j, const char *key, bool value)
{
        put_key(j, key);
        put_raw(j, value ? "true" : "false");
}

void journal_i64(struct journal *j, const char *key, int64_t value)
{
        put_key(j, key);
        put_i64(j, value);
}

void journal_open(struct journal *j, const char *key)
{
        put_key(j, key);
        assert(j->depth < JOURNAL_MAX_DEPTH);
        j->first[j->depth++] = true;
        put_raw(j, "{");
}

void journal_close(struct journal *j)
{
        assert(j->depth > 1);
        j->depth--;
        put_raw(j, "}");
}

int journal_end(struct journal *j, struct err *e)
{
        assert(j->depth == 1);
        j->depth = 0;
        put_raw(j, "}\n");
        if (is_failed(j)) {
                if (e)
                        *e = j->failure;
                return err_wrap(e, -1, "write an event");
        }
        int r = write_line(j, e);
        if (j->line.cap > LINE_KEEP)
                buf_done(&j->line);
        if (j->scratch.cap > LINE_KEEP)
                buf_wipe(&j->scratch);
        return r;
}

static void put_log_head(struct journal *j, int step, const char *stream, const char *group)
{
        journal_begin(j, "log");
        journal_i64(j, "step", step);
        journal_word(j, "stream", stream);
        journal_str(j, "group", group);
}

static int log_full(struct journal *j, int step, struct err *e)
{
        if (j->full)
                return 0;
        j->full = true;
        put_log_head(j, step, "note", NULL);
        journal_str(j, "text", "The log of this job is full: output past 512 MiB is not kept.\n");
        return journal_end(j, e);
}

int journal_log(struct journal *j, int step, const char *stream, const char *group, const void *text, size_t len,
                struct err *e)
{
        if (j->bytes + len > JOURNAL_MAX_BYTES)
                return log_full(j, step, e);
        put_log_head(j, step, stream, group);
        put_key(j, "text");
        if (!is_failed(j))
                json_text_append(&j->line, text, len, &j->failure);
        return journal_end(j, e);
}

int journal_note(struct journal *j, int step, struct err *e, const char *fmt, ...)
{
        struct buf b = BUF_INIT, masked = BUF_INIT;
        va_list ap;
        va_start(ap, fmt);
        int r = buf_vprintf(&b, e, fmt, ap);
        va_end(ap);
        if (r == 0)
                r = masks_text(j->masks, b.data, b.len, &masked, e);
        if (r == 0)
                r = buf_append_byte(&masked, '\n', e);
        if (r == 0)
                r = journal_log(j, step, "note", NULL, masked.data, MIN(masked.len, JOURNAL_MAX_LOG), e);
        buf_wipe(&b);
        buf_done(&masked);
        return r;
}
