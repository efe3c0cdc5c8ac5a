/* STATE/records/log: one entry a line, docs/record-format.md. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "codec/json.h"
#include "record/record.h"
#include "trust/key.h"

#define PREFIX "devdep-record-v1" /* with its NUL */
#define READ_SIZE ((size_t)64 << 10)

/* One line, parsed. Texts belong to `line`. */
struct entry {
        json_t *line;
        int64_t index;
        const char *prev, *hash, *key, *signature;
        const json_t *record;
};

static void entry_done(struct entry *x)
{
        json_decref(x->line);
        *x = (struct entry){0};
}

/* What an entry's hash is over: its place, the entry before it, and the record's own bytes. */
static int entry_hash(uint64_t index, const char *prev, const json_t *record, char ret[HASH_HEX_SIZE], struct err *e)
{
        AUTO(buf_done) struct buf b = BUF_INIT;
        uint8_t before[HASH_SIZE], digest[HASH_SIZE], place[8];
        int r = num_hex(prev, before, HASH_SIZE, "prev", e);

        for (unsigned i = 0; i < sizeof(place); i++)
                place[i] = (uint8_t)(index >> (56 - 8 * i));
        if (r == 0)
                r = buf_append(&b, PREFIX, sizeof(PREFIX), e);
        if (r == 0)
                r = buf_append(&b, place, sizeof(place), e);
        if (r == 0)
                r = buf_append(&b, before, sizeof(before), e);
        if (r == 0)
                r = json_write(record, JSON_WRITE_SORTED, &b, e);
        if (r == 0)
                r = hash_bytes(b.data, b.len, digest, e);
        if (r == 0)
                hash_hex(digest, ret);
        return r;
}

static int line_text(const json_t *line, struct buf *ret, struct err *e)
{
        int r = json_write(line, JSON_WRITE_SORTED, ret, e);

        return r < 0 ? r : buf_append_byte(ret, '\n', e);
}

/* Exactly what we would have written: a byte that changes nothing for a parser is a change, too. */
static int check_canonical(const json_t *line, const uint8_t *data, size_t len, struct err *e)
{
        AUTO(buf_done) struct buf b = BUF_INIT;
        int r = line_text(line, &b, e);

        if (r == 0 && (b.len != len || memcmp(b.data, data, len) != 0))
                r = err_set(e, ERR_USAGE, "it is not written as an entry is");
        return r;
}

static int entry_parse(const uint8_t *data, size_t len, struct entry *ret, struct err *e)
{
        static const char *const known[] = {"hash", "index", "key", "prev", "record", "signature"};
        struct entry x = {0};
        int r = json_parse(data, len - 1, RECORD_MAX_LINE, "it", &x.line, e);

        if (r == 0)
                r = json_check_keys(x.line, "", known, ARRAY_SIZE(known), e);
        if (r == 0)
                r = json_get_int(x.line, "", "index", 0, INT64_MAX, &x.index, e);
        if (r == 0)
                r = json_get_string(x.line, "", "prev", HASH_HEX_SIZE - 1, &x.prev, e);
        if (r == 0)
                r = json_get_string(x.line, "", "hash", HASH_HEX_SIZE - 1, &x.hash, e);
        if (r == 0)
                r = json_get_string(x.line, "", "key", KEY_ID_SIZE - 1, &x.key, e);
        if (r == 0)
                r = json_get_string(x.line, "", "signature", 2 * KEY_SIGNATURE_SIZE, &x.signature, e);
        x.record = json_object_get(x.line, "record");
        if (r == 0)
                r = record_check(x.record, e);
        if (r == 0)
                r = check_canonical(x.line, data, len, e);
        if (r < 0)
                entry_done(&x);
        else
                *ret = x;
        return r;
}

int record_line_check(const void *data, size_t len, struct err *e)
{
        struct entry x = {0};
        int r = len > 0 ? entry_parse(data, len, &x, e) : err_set(e, ERR_USAGE, "it is empty");

        entry_done(&x);
        return r;
}

/* What stands behind the last newline is an append that was cut off, unless it is more than a whole entry: then a byte
 * has taken the newline's place. */
static int check_unfinished(const uint8_t *data, size_t len, struct err *e)
{
        AUTO(buf_done) struct buf line = BUF_INIT;
        int r = len > 1 ? buf_append(&line, data, len, e) : 0;

        if (r < 0 || len <= 1)
                return r;
        line.data[len - 1] = '\n';
        if (record_line_check(line.data, line.len, NULL) < 0)
                return 0;
        return err_set(e, ERR_IMAGE_REFUSED, "an entry does not end in a newline, but in another byte");
}

/* ---- reading ---- */

struct log_reader {
        int fd;
        struct buf held;
        uint64_t at; /* offset of what is held */
        bool ended;
};

static void reader_done(struct log_reader *r)
{
        r->fd = fd_close(r->fd);
        buf_done(&r->held);
}

static int reader_open(const char *path, struct log_reader *ret, struct err *e)
{
        *ret = (struct log_reader){.fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), .held = BUF_INIT};
        ret->ended = ret->fd < 0 && errno == ENOENT;
        if (ret->fd < 0 && !ret->ended)
                return err_errno(e, ERR_RESOURCES, errno, "open the log of records %s", path);
        return 0;
}

static int reader_fill(struct log_reader *r, struct err *e)
{
        uint8_t *room;
        ssize_t n;
        int err = buf_reserve(&r->held, READ_SIZE, e);

        if (err < 0)
                return err;
        room = r->held.data + r->held.len;
        do
                n = read(r->fd, room, READ_SIZE);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return err_errno(e, ERR_RESOURCES, errno, "read the log of records");
        r->held.len += (size_t)n;
        r->ended = n == 0;
        return 0;
}

/* The next whole line, its newline included: 1; 0: none is left, what is held is unfinished. */
static int reader_line(struct log_reader *r, const uint8_t **ret, size_t *ret_len, struct err *e)
{
        for (;;) {
                const uint8_t *end = r->held.len ? memchr(r->held.data, '\n', r->held.len) : NULL;
                if (end) {
                        *ret = r->held.data;
                        *ret_len = (size_t)(end - r->held.data) + 1;
                        return 1;
                }
                if (r->ended)
                        return 0;
                if (r->held.len > RECORD_MAX_LINE)
                        return err_set(e, ERR_IMAGE_REFUSED, "it is longer than %zu bytes", RECORD_MAX_LINE);
                if (reader_fill(r, e) < 0)
                        return -1;
        }
}

static void reader_take(struct log_reader *r, size_t len)
{
        buf_consume(&r->held, len);
        r->at += len;
}

typedef int line_fn(const struct entry *x, void *user, struct err *e);

/* Every entry in order; *ret_unfinished is what stands behind the last one. */
static int each_line(const char *path, line_fn *fn, void *user, uint64_t *ret_end, uint64_t *ret_unfinished,
                     struct err *e)
{
        AUTO(reader_done) struct log_reader reader;
        const uint8_t *line = NULL;
        size_t len = 0;
        uint64_t number = 0;
        int more = reader_open(path, &reader, e);

        if (more < 0)
                return more;
        while ((more = reader_line(&reader, &line, &len, e)) > 0) {
                struct entry x = {0};
                int r = entry_parse(line, len, &x, e);
                number++;
                if (r < 0 && e && e->code == ERR_USAGE)
                        e->code = ERR_IMAGE_REFUSED;
                if (r == 0)
                        r = fn(&x, user, e);
                entry_done(&x);
                if (r != 0)
                        return r < 0 ? err_wrap(e, r, "line %llu of %s", (unsigned long long)number, path) : r;
                reader_take(&reader, len);
        }
        if (more == 0)
                more = check_unfinished(reader.held.data, reader.held.len, e);
        if (more < 0)
                return err_wrap(e, more, "line %llu of %s", (unsigned long long)number + 1, path);
        *ret_end = reader.at;
        *ret_unfinished = reader.held.len;
        return 0;
}

static char *log_path(const char *state)
{
        return str_printf("%s/records/log", state);
}

struct each {
        record_entry_fn *fn;
        void *user;
};

static int show_entry(const struct entry *x, void *user, struct err *e)
{
        const struct each *each = user;
        const struct record_entry shown = {
                .index = (uint64_t)x->index, .hash = x->hash, .key = x->key, .record = x->record};

        return each->fn(&shown, each->user, e);
}

int record_each(const char *state, record_entry_fn *fn, void *user, struct err *e)
{
        AUTO(auto_free) char *path = log_path(state);
        struct each each = {fn, user};
        uint64_t end, unfinished;

        return path ? each_line(path, show_entry, &each, &end, &unfinished, e) : err_nomem(e);
}

struct find {
        int64_t run;
        char *ret_hash;
};

#define FOUND 1

static int find_run(const struct entry *x, void *user, struct err *e)
{
        const struct find *f = user;

        (void)e;
        if (json_integer_value(json_object_get(x->record, "run")) != f->run)
                return 0;
        str_copy(f->ret_hash, HASH_HEX_SIZE, x->hash);
        return FOUND;
}

int record_find(const char *state, uint64_t run, char ret_hash[HASH_HEX_SIZE], struct err *e)
{
        AUTO(auto_free) char *path = log_path(state);
        struct find f = {(int64_t)run, ret_hash};
        uint64_t end, unfinished;
        int r = path ? each_line(path, find_run, &f, &end, &unfinished, e) : err_nomem(e);

        return r == FOUND ? 0 : r < 0 ? r : RECORD_E_MISSING;
}

/* ---- verifying ---- */

#define NOTHING "0000000000000000000000000000000000000000000000000000000000000000" /* before the first entry */

struct chain {
        const struct key *key; /* NULL: signatures are not looked at */
        const char *head;
        bool found_head;
        uint64_t entries;
        char last[HASH_HEX_SIZE];
};

static int check_signature(const struct entry *x, const struct key *key, struct err *e)
{
        uint8_t hash[HASH_SIZE], signature[KEY_SIGNATURE_SIZE];
        int r = num_hex(x->hash, hash, HASH_SIZE, "hash", e);

        if (!str_eq(x->key, key_id(key)))
                return err_set(e, ERR_IMAGE_REFUSED, "it is signed by the key %.16s..., not by %.16s...", x->key,
                               key_id(key));
        if (r == 0)
                r = num_hex(x->signature, signature, KEY_SIGNATURE_SIZE, "signature", e);
        if (r == 0)
                r = key_verify(key, KEY_DOMAIN_RECORD, hash, HASH_SIZE, signature, e);
        return r == KEY_E_BAD ? err_set(e, ERR_IMAGE_REFUSED, "its signature is not of its hash") : r;
}

static int check_link(const struct entry *x, const struct chain *c, struct err *e)
{
        char hash[HASH_HEX_SIZE];

        if ((uint64_t)x->index != c->entries)
                return err_set(e, ERR_IMAGE_REFUSED, "it is entry %lld, where entry %llu belongs", (long long)x->index,
                               (unsigned long long)c->entries);
        if (!str_eq(x->prev, c->last))
                return err_set(e, ERR_IMAGE_REFUSED, "it does not follow the entry before it");
        int r = entry_hash((uint64_t)x->index, x->prev, x->record, hash, e);
        if (r == 0 && !str_eq(hash, x->hash))
                r = err_set(e, ERR_IMAGE_REFUSED, "its content is not what its hash says");
        return r;
}

static int check_entry(const struct entry *x, void *user, struct err *e)
{
        struct chain *c = user;
        int r = check_link(x, c, e);

        if (r == 0 && c->key)
                r = check_signature(x, c->key, e);
        if (r < 0 && e && e->code == ERR_USAGE)
                e->code = ERR_IMAGE_REFUSED; /* digits that are none */
        if (r < 0)
                return r;
        c->entries++;
        str_copy(c->last, sizeof(c->last), x->hash);
        if (c->head && str_eq(c->head, x->hash))
                c->found_head = true;
        return 0;
}

int record_verify(const char *state, const struct key *key, const char *head, struct record_verdict *ret, struct err *e)
{
        AUTO(auto_free) char *path = log_path(state);
        struct chain c = {.key = key, .head = head, .last = NOTHING};
        uint64_t end;

        *ret = (struct record_verdict){0};
        int r = path ? each_line(path, check_entry, &c, &end, &ret->unfinished, e) : err_nomem(e);
        ret->entries = c.entries;
        if (c.entries)
                str_copy(ret->head, sizeof(ret->head), c.last);
        ret->found = c.found_head;
        if (r == 0 && head && !c.found_head)
                r = err_set(e, ERR_IMAGE_REFUSED, "%s: no entry has the hash %s: entries were taken away", path, head);
        return r;
}

/* ---- appending ---- */

static int open_log(const char *path, int *ret, struct err *e)
{
        struct stat st;
        AUTO(auto_close) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (fd < 0 || fstat(fd, &st) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "open the log of records %s", path);
        if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_mode & 0077)
                return err_set(e, ERR_RESOURCES, "the log of records %s is no file of ours alone", path);
        *ret = TAKE_FD(fd);
        return 0;
}

static int make_line(const struct chain *c, const json_t *record, record_sign_fn *sign, void *user,
                     char ret_hash[HASH_HEX_SIZE], struct buf *ret, struct err *e)
{
        AUTO(json_decrefp) json_t *line = NULL;
        uint8_t hash[HASH_SIZE], signature[KEY_SIGNATURE_SIZE];
        char key[HASH_HEX_SIZE], hex[2 * KEY_SIGNATURE_SIZE + 1];
        int r = entry_hash(c->entries, c->last, record, ret_hash, e);

        if (r == 0)
                r = num_hex(ret_hash, hash, HASH_SIZE, "hash", e);
        if (r == 0)
                r = sign(hash, key, signature, user, e);
        if (r < 0)
                return r;
        num_to_hex(signature, sizeof(signature), hex);
        line = json_pack("{s:s,s:I,s:s,s:s,s:O,s:s}", "hash", ret_hash, "index", (json_int_t)c->entries, "key", key,
                         "prev", c->last, "record", record, "signature", hex);
        r = line ? line_text(line, ret, e) : err_nomem(e);
        if (r == 0 && ret->len > RECORD_MAX_LINE)
                r = err_set(e, ERR_RESOURCES, "the record of the run is larger than %zu bytes", RECORD_MAX_LINE);
        return r;
}

/* On disk, or not there. */
static int write_line(int fd, uint64_t end, const struct buf *line, const char *path, struct err *e)
{
        int r = 0;

        if (ftruncate(fd, (off_t)end) < 0 || lseek(fd, (off_t)end, SEEK_SET) < 0)
                r = err_errno(e, ERR_RESOURCES, errno, "write %s", path);
        if (r == 0)
                r = fd_write_all(fd, line->data, line->len, path, e);
        if (r == 0 && fsync(fd) < 0)
                r = err_errno(e, ERR_RESOURCES, errno, "write %s", path);
        if (r == 0 && end == 0)
                r = fs_sync_folder_of(path, e); /* the file itself may be new */
        if (r < 0 && ftruncate(fd, (off_t)end) < 0)
                log_warning("%s has an unfinished entry: %s", path, strerror(errno));
        return r;
}

/* The last whole line among the bytes of the log's end. *ret_len 0: there is none. */
static void last_line(const uint8_t *data, size_t len, const uint8_t **ret, size_t *ret_len)
{
        const uint8_t *end = memrchr(data, '\n', len);
        const uint8_t *begin = end && end > data ? memrchr(data, '\n', (size_t)(end - data)) : NULL;

        *ret = begin ? begin + 1 : data;
        *ret_len = end ? (size_t)(end + 1 - *ret) : 0;
}

/* Where the chain goes on. The entries before the last one are not read: record_verify() does that. */
static int read_end(int fd, const char *path, struct chain *c, uint64_t *ret_end, uint64_t *ret_unfinished,
                    struct err *e)
{
        AUTO(buf_done) struct buf tail = BUF_INIT;
        const uint8_t *line;
        size_t len;
        struct entry x = {0};
        off_t size = lseek(fd, 0, SEEK_END);
        off_t from = size > (off_t)(2 * RECORD_MAX_LINE) ? size - (off_t)(2 * RECORD_MAX_LINE) : 0;

        if (size < 0 || lseek(fd, from, SEEK_SET) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "read %s", path);
        int r = fd_read_all(fd, 2 * RECORD_MAX_LINE, path, &tail, e);
        if (r < 0)
                return r;
        last_line(tail.data, tail.len, &line, &len);
        *ret_end = len ? (uint64_t)from + (uint64_t)(line - tail.data) + len : 0;
        *ret_unfinished = (uint64_t)size - *ret_end;
        size_t rest = MIN((size_t)*ret_unfinished, tail.len);
        r = check_unfinished(tail.data + tail.len - rest, rest, e);
        if (r < 0)
                return err_wrap(e, r, "the end of %s", path);
        if (!len)
                return from ? err_set(e, ERR_IMAGE_REFUSED, "%s does not end in an entry", path) : 0;
        r = entry_parse(line, len, &x, e);
        if (r == 0) {
                c->entries = (uint64_t)x.index;
                str_copy(c->last, sizeof(c->last), x.prev);
                r = check_entry(&x, c, e);
        }
        entry_done(&x);
        if (r < 0 && e && e->code == ERR_USAGE)
                e->code = ERR_IMAGE_REFUSED;
        return err_wrap(e, r, "the last entry of %s", path);
}

static int append_locked(const char *path, const json_t *record, record_sign_fn *sign, void *user,
                         char ret_hash[HASH_HEX_SIZE], struct err *e)
{
        AUTO(auto_close) int fd = -1;
        AUTO(buf_done) struct buf line = BUF_INIT;
        struct chain c = {.last = NOTHING};
        uint64_t end = 0, unfinished = 0;
        int r = open_log(path, &fd, e);

        if (r == 0)
                r = read_end(fd, path, &c, &end, &unfinished, e);
        if (r < 0)
                return r;
        if (unfinished)
                log_warning("%s: an unfinished entry of %llu bytes is removed", path, (unsigned long long)unfinished);
        r = make_line(&c, record, sign, user, ret_hash, &line, e);
        return r < 0 ? r : write_line(fd, end, &line, path, e);
}

int record_append(const char *state, const json_t *record, record_sign_fn *sign, void *user,
                  char ret_hash[HASH_HEX_SIZE], struct err *e)
{
        AUTO(auto_free) char *path = log_path(state);
        AUTO(auto_free) char *folder = fs_join(state, "records");
        AUTO(auto_free) char *lock_path = folder ? fs_join(folder, "lock") : NULL;
        AUTO(auto_close) int lock = -1;

        if (!path || !lock_path)
                return err_nomem(e);
        int r = record_check(record, e);
        if (r == 0)
                r = fs_mkdirs(folder, 0700, e);
        if (r == 0)
                r = fs_lock(lock_path, true, &lock, e);
        return r < 0 ? r : append_locked(path, record, sign, user, ret_hash, e);
}
