/* The reader is a machine over blocks of 512 bytes:
 *
 *   HEADER --file--> DATA --> HEADER          HEADER --zero block--> ZERO --zero block--> END
 *   HEADER --pax, GNU long name--> EXTENSION --> HEADER
 *
 * An extension fills `next`, which applies to the one entry that follows. */
#include "codec/tar.h"
#include "codec/tar_format.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum state { STATE_HEADER, STATE_EXTENSION, STATE_DATA, STATE_ZERO, STATE_END };

/* What extension headers say about the next entry. */
struct next {
        bool any, has_path, has_link, has_size, has_mtime, has_uid, has_gid;
        struct buf path, link;
        uint64_t size, uid, gid;
        int64_t mtime;
};

struct tar_reader {
        struct tar_limits limits;
        struct tar_sink sink;
        void *user;
        const char *what;
        enum state state;
        uint8_t block[TAR_BLOCK];
        size_t have;     /* bytes in block */
        uint64_t left;   /* bytes of data or of an extension still to come */
        size_t padding;  /* zeros after them */
        uint64_t offset; /* bytes seen, for errors */
        uint64_t n_entries, total;
        char extension_type; /* 'x', 'g', 'L' or 'K' */
        struct buf extension;
        struct next next;
        struct tar_entry entry;
        char name[TAR_MAX_NAME + 1], link[TAR_MAX_NAME + 1];
};

static int refuse(const struct tar_reader *r, struct err *e, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

static int refuse(const struct tar_reader *r, struct err *e, const char *fmt, ...)
{
        char text[512];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        return err_set(e, ERR_USAGE, "%s: before byte %" PRIu64 ": %s", r->what, r->offset, text);
}

static int refuse_name(const struct tar_reader *r, const char *name, size_t len, const char *wrong, struct err *e)
{
        char shown[200];
        str_escape(shown, sizeof(shown), name, len);
        return refuse(r, e, "the name '%s' %s", shown, wrong);
}

int tar_reader_new(const struct tar_limits *limits, const struct tar_sink *sink, void *user, const char *what,
                   struct tar_reader **ret, struct err *e)
{
        struct tar_reader *r = calloc(1, sizeof(*r));
        if (!r)
                return err_nomem(e);
        r->limits = *limits;
        r->limits.max_name = MIN(limits->max_name, (size_t)TAR_MAX_NAME);
        r->sink = *sink;
        r->user = user;
        r->what = what;
        r->extension.max = TAR_MAX_PAX;
        *ret = r;
        return 0;
}

struct tar_reader *tar_reader_free(struct tar_reader *r)
{
        if (!r)
                return NULL;
        buf_done(&r->extension);
        buf_done(&r->next.path);
        buf_done(&r->next.link);
        free(r);
        return NULL;
}

static void forget_next(struct next *n)
{
        buf_done(&n->path);
        buf_done(&n->link);
        *n = (struct next){0};
}

/* GNU's base-256: the first bit set, then a big-endian number in two's complement. */
static bool parse_binary(const uint8_t *p, size_t size, int64_t *ret)
{
        bool negative = p[0] & 0x40;
        int64_t v = negative ? -1 : 0;
        for (size_t i = 0; i < size; i++) {
                uint8_t byte = i ? p[i] : (uint8_t)(negative ? p[0] | 0x80 : p[0] & 0x7f);
                if (!num_mul(v, 256, &v) || !num_add(v, byte, &v))
                        return false;
        }
        *ret = v;
        return true;
}

/* A number field: octal digits between spaces and NULs (nothing at all is 0), or base-256. */
static bool parse_number(const char *field, size_t size, int64_t *ret)
{
        if ((uint8_t)field[0] & 0x80)
                return parse_binary((const uint8_t *)field, size, ret);
        size_t i = 0;
        int64_t v = 0;
        while (i < size && field[i] == ' ')
                i++;
        for (; i < size && field[i] >= '0' && field[i] <= '7'; i++)
                v = v * 8 + (field[i] - '0');
        for (; i < size; i++)
                if (field[i] && field[i] != ' ')
                        return false;
        *ret = v;
        return true;
}

static int get_number(const struct tar_reader *r, const char *field, size_t size, const char *name, uint64_t max,
                      uint64_t *ret, struct err *e)
{
        int64_t v;
        if (!parse_number(field, size, &v) || v < 0)
                return refuse(r, e, "the header's %s is not a number", name);
        if ((uint64_t)v > max)
                return refuse(r, e, "the header's %s is %" PRId64 ", more than %" PRIu64, name, v, max);
        *ret = (uint64_t)v;
        return 0;
}

/* A number in a pax record: decimal digits only. */
static int pax_number(const struct tar_reader *r, const char *key, const char *value, uint64_t max, uint64_t *ret,
                      struct err *e)
{
        if (num_u64(value, 0, max, key, ret, NULL) < 0)
                return refuse(r, e, "the pax header's %s is not a number up to %" PRIu64, key, max);
        return 0;
}

/* Seconds with an optional sign and an optional fraction, which is dropped. */
static int pax_time(const struct tar_reader *r, char *value, int64_t *ret, struct err *e)
{
        char *point = strchr(value, '.');
        if (point && strspn(point + 1, "0123456789") == strlen(point + 1))
                *point = 0;
        if (num_i64(value, INT64_MIN, INT64_MAX, "mtime", ret, NULL) < 0)
                return refuse(r, e, "the pax header's mtime is not a time");
        return 0;
}

static int set_text(const struct tar_reader *r, struct buf *text, bool *has, const char *value, size_t len,
                    struct err *e)
{
        if (*has)
                return refuse(r, e, "one entry has two long names");
        if (!len || memchr(value, 0, len))
                return refuse(r, e, "a long name is empty or contains a NUL byte");
        if (len > r->limits.max_name)
                return refuse(r, e, "a long name has %zu bytes, more than %zu", len, r->limits.max_name);
        *has = true;
        return buf_append(text, value, len, e);
}

static int apply_record(struct tar_reader *r, const char *key, char *value, size_t len, struct err *e)
{
        struct next *n = &r->next;
        bool names_entry = str_eq(key, "path") || str_eq(key, "linkpath") || str_eq(key, "size");
        if (str_starts(key, "GNU.sparse"))
                return refuse(r, e, "sparse files are not accepted");
        if (r->extension_type == 'g')
                return names_entry ? refuse(r, e, "a global pax header sets '%s'", key) : 0;
        if (str_eq(key, "path"))
                return set_text(r, &n->path, &n->has_path, value, len, e);
        if (str_eq(key, "linkpath"))
                return set_text(r, &n->link, &n->has_link, value, len, e);
        bool *has = str_eq(key, "size")    ? &n->has_size
                    : str_eq(key, "mtime") ? &n->has_mtime
                    : str_eq(key, "uid")   ? &n->has_uid
                    : str_eq(key, "gid")   ? &n->has_gid
                                           : NULL;
        if (!has)
                return 0;
        if (*has || strlen(value) != len)
                return refuse(r, e, "the pax header's %s is there twice, or contains a NUL byte", key);
        *has = true;
        if (has == &n->has_mtime)
                return pax_time(r, value, &n->mtime, e);
        if (has == &n->has_size)
                return pax_number(r, key, value, INT64_MAX, &n->size, e);
        return pax_number(r, key, value, UINT32_MAX, has == &n->has_uid ? &n->uid : &n->gid, e);
}

/* "LENGTH KEY=VALUE\n", LENGTH counting all of it. The text is ours to cut into strings. */
static int parse_pax(struct tar_reader *r, struct err *e)
{
        char *p = (char *)r->extension.data;
        size_t left = r->extension.len;
        while (left) {
                size_t length = 0, digits = 0;
                while (digits < left && digits < 6 && p[digits] >= '0' && p[digits] <= '9')
                        length = length * 10 + (size_t)(p[digits++] - '0');
                if (!digits || length > left || length < digits + 4 || p[digits] != ' ' || p[length - 1] != '\n')
                        return refuse(r, e, "a pax record's length is wrong");
                char *key = p + digits + 1;
                char *equals = memchr(key, '=', length - digits - 2);
                if (!equals || equals == key || memchr(key, 0, (size_t)(equals - key)))
                        return refuse(r, e, "a pax record has no key");
                *equals = 0;
                p[length - 1] = 0;
                int result = apply_record(r, key, equals + 1, (size_t)(p + length - 1 - (equals + 1)), e);
                if (result < 0)
                        return result;
                p += length;
                left -= length;
        }
        return 0;
}

static int finish_extension(struct tar_reader *r, struct err *e)
{
        struct buf *body = &r->extension;
        struct next *n = &r->next;
        int result;
        r->state = STATE_HEADER;
        if (r->extension_type != 'g')
                n->any = true;
        if (r->extension_type == 'x' || r->extension_type == 'g') {
                result = parse_pax(r, e);
        } else {
                size_t len = body->len && !body->data[body->len - 1] ? body->len - 1 : body->len;
                bool is_name = r->extension_type == 'L';
                result = set_text(r, is_name ? &n->path : &n->link, is_name ? &n->has_path : &n->has_link,
                                  (const char *)body->data, len, e);
        }
        buf_clear(body);
        return result;
}

static int start_extension(struct tar_reader *r, const struct tar_header *h, struct err *e)
{
        int result = get_number(r, h->size, sizeof(h->size), "size", TAR_MAX_PAX, &r->left, e);
        if (result < 0)
                return result;
        r->extension_type = h->type;
        r->padding = tar_padding(r->left);
        r->state = STATE_EXTENSION;
        return r->left ? 0 : finish_extension(r, e);
}

/* The name of a header without extension: "prefix/name"; the GNU format has other things in the prefix. */
static size_t short_name(const struct tar_header *h, char ret[sizeof(h->prefix) + 1 + sizeof(h->name)])
{
        size_t n = h->magic[5] ? 0 : strnlen(h->prefix, sizeof(h->prefix));
        memcpy(ret, h->prefix, n);
        if (n)
                ret[n++] = '/';
        size_t len = strnlen(h->name, sizeof(h->name));
        memcpy(ret + n, h->name, len);
        return n + len;
}

static int take_name(struct tar_reader *r, const struct tar_header *h, struct err *e)
{
        char space[sizeof(h->prefix) + 1 + sizeof(h->name)];
        const char *name = space;
        size_t len = short_name(h, space);
        if (r->next.has_path) {
                name = (const char *)r->next.path.data;
                len = r->next.path.len;
        }
        const char *wrong = tar_clean_name(name, len, r->name, r->limits.max_name + 1);
        if (!wrong && r->entry.type != TAR_FOLDER && (name[len - 1] == '/' || str_eq(r->name, ".")))
                wrong = "is that of a folder, but the entry is none";
        r->entry.name = r->name;
        return wrong ? refuse_name(r, name, len, wrong, e) : 0;
}

static int take_link(struct tar_reader *r, const struct tar_header *h, struct err *e)
{
        const char *link = h->link;
        size_t len = strnlen(h->link, sizeof(h->link));
        if (r->next.has_link) {
                link = (const char *)r->next.link.data;
                len = r->next.link.len;
        }
        r->entry.link = r->link;
        r->link[0] = 0;
        if (r->entry.type == TAR_HARDLINK) {
                const char *wrong = tar_clean_name(link, len, r->link, r->limits.max_name + 1);
                return wrong ? refuse_name(r, link, len, wrong, e) : 0;
        }
        if (r->entry.type != TAR_SYMLINK)
                return 0;
        if (!len || len > r->limits.max_name)
                return refuse_name(r, link, len, len ? "is too long for a link's target" : "is no link's target", e);
        memcpy(r->link, link, len);
        r->link[len] = 0;
        return 0;
}

static int take_numbers(struct tar_reader *r, const struct tar_header *h, struct err *e)
{
        uint64_t mode = 0, uid = 0, gid = 0, size = 0, major = 0, minor = 0;
        int result = get_number(r, h->mode, sizeof(h->mode), "mode", INT64_MAX, &mode, e);
        if (result == 0)
                result = get_number(r, h->uid, sizeof(h->uid), "uid", UINT32_MAX, &uid, e);
        if (result == 0)
                result = get_number(r, h->gid, sizeof(h->gid), "gid", UINT32_MAX, &gid, e);
        if (result == 0)
                result = get_number(r, h->size, sizeof(h->size), "size", INT64_MAX, &size, e);
        if (result == 0)
                result = get_number(r, h->major, sizeof(h->major), "device number", UINT32_MAX, &major, e);
        if (result == 0)
                result = get_number(r, h->minor, sizeof(h->minor), "device number", UINT32_MAX, &minor, e);
        if (result < 0)
                return result;
        if (!parse_number(h->mtime, sizeof(h->mtime), &r->entry.mtime))
                return refuse(r, e, "the header's time is not a number");
        const struct next *n = &r->next;
        r->entry.mode = (uint32_t)(mode & 07777);
        r->entry.uid = (uint32_t)(n->has_uid ? n->uid : uid);
        r->entry.gid = (uint32_t)(n->has_gid ? n->gid : gid);
        r->entry.size = n->has_size ? n->size : size;
        r->entry.mtime = n->has_mtime ? n->mtime : r->entry.mtime;
        r->entry.major = (uint32_t)major;
        r->entry.minor = (uint32_t)minor;
        return 0;
}

static int take_type(struct tar_reader *r, char flag, struct err *e)
{
        static const struct {
                char flag;
                enum tar_type type;
                const char *name;
        } types[] = {{'0', TAR_FILE, "a file"},
                     {0, TAR_FILE, "a file"},
                     {'7', TAR_FILE, "a file"},
                     {'1', TAR_HARDLINK, "a hard link"},
                     {'2', TAR_SYMLINK, "a symbolic link"},
                     {'3', TAR_CHAR, "a device"},
                     {'4', TAR_BLOCK_DEVICE, "a device"},
                     {'5', TAR_FOLDER, "a folder"},
                     {'6', TAR_FIFO, "a fifo"}};
        for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
                if (types[i].flag != flag)
                        continue;
                if (!(r->limits.types & types[i].type))
                        return refuse(r, e, "the entry is %s, which is not accepted here", types[i].name);
                r->entry.type = types[i].type;
                return 0;
        }
        if (flag == 'S')
                return refuse(r, e, "sparse files are not accepted");
        return refuse(r, e, "the entry's type, byte 0x%02x, is unknown", (unsigned)(uint8_t)flag);
}

static int check_sizes(struct tar_reader *r, struct err *e)
{
        uint64_t size = r->entry.size;
        if (size && r->entry.type != TAR_FILE)
                return refuse(r, e, "an entry that is no file has data");
        if (size > r->limits.max_size)
                return refuse(r, e, "a file has %" PRIu64 " bytes, more than %" PRIu64, size, r->limits.max_size);
        if (!num_add(r->total, size, &r->total) || r->total > r->limits.max_total)
                return refuse(r, e, "all files together have more than %" PRIu64 " bytes", r->limits.max_total);
        return 0;
}

static int end_entry(struct tar_reader *r, struct err *e)
{
        r->state = STATE_HEADER;
        return r->sink.end ? r->sink.end(r->user, e) : 0;
}

static int start_entry(struct tar_reader *r, const struct tar_header *h, struct err *e)
{
        r->entry = (struct tar_entry){0};
        int result = take_type(r, h->type, e);
        if (result == 0)
                result = take_numbers(r, h, e);
        if (result == 0)
                result = take_name(r, h, e);
        if (result == 0)
                result = take_link(r, h, e);
        if (result == 0)
                result = check_sizes(r, e);
        forget_next(&r->next);
        if (result == 0)
                result = r->sink.entry(&r->entry, r->user, e);
        if (result < 0)
                return result;
        r->left = r->entry.size;
        r->padding = tar_padding(r->left);
        r->state = STATE_DATA;
        return r->left ? 0 : end_entry(r, e);
}

static bool is_zero(const uint8_t *p, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (p[i])
                        return false;
        return true;
}

static int take_header(struct tar_reader *r, struct err *e)
{
        struct tar_header h;
        memcpy(&h, r->block, sizeof(h));
        if (is_zero(r->block, sizeof(r->block))) {
                if (r->next.any)
                        return refuse(r, e, "the archive ends where an entry must follow");
                r->state = STATE_ZERO;
                return 0;
        }
        int64_t sum;
        if (!parse_number(h.checksum, sizeof(h.checksum), &sum) || sum != (int64_t)tar_checksum(&h))
                return refuse(r, e, "the header's checksum is wrong");
        if (memcmp(h.magic,
                   "ustar\0"
                   "00",
                   8) != 0 &&
            memcmp(h.magic, "ustar  \0", 8) != 0)
                return refuse(r, e, "this is neither a POSIX nor a GNU tar header");
        if (r->n_entries++ >= r->limits.max_entries)
                return refuse(r, e, "more than %" PRIu64 " entries", r->limits.max_entries);
        if (h.type == 'x' || h.type == 'g' || h.type == 'L' || h.type == 'K')
                return start_extension(r, &h, e);
        return start_entry(r, &h, e);
}

static int take_block(struct tar_reader *r, struct err *e)
{
        r->have = 0;
        if (r->state == STATE_HEADER)
                return take_header(r, e);
        if (!is_zero(r->block, sizeof(r->block)))
                return refuse(r, e,
                              r->state == STATE_END ? "bytes other than zero follow the end"
                                                    : "one zero block stands alone");
        r->state = STATE_END;
        return 0;
}

/* Bytes of data or of an extension: as many as there are of the current one. */
static int take_body(struct tar_reader *r, const uint8_t *p, size_t n, struct err *e)
{
        r->left -= n;
        if (r->state == STATE_EXTENSION) {
                int result = buf_append(&r->extension, p, n, e);
                return result < 0 || r->left ? result : finish_extension(r, e);
        }
        int result = r->sink.data ? r->sink.data(p, n, r->user, e) : 0;
        return result < 0 || r->left ? result : end_entry(r, e);
}

int tar_reader_feed(struct tar_reader *r, const void *data, size_t len, struct err *e)
{
        const uint8_t *p = data;
        int result = 0;
        while (len && result == 0) {
                size_t n;
                if (r->left) {
                        n = (size_t)MIN((uint64_t)len, r->left);
                        r->offset += n;
                        result = take_body(r, p, n, e);
                } else if (r->padding) {
                        n = MIN(len, r->padding);
                        r->offset += n;
                        r->padding -= n;
                } else {
                        n = MIN(len, TAR_BLOCK - r->have);
                        memcpy(r->block + r->have, p, n);
                        r->have += n;
                        r->offset += n;
                        if (r->have == TAR_BLOCK)
                                result = take_block(r, e);
                }
                p += n;
                len -= n;
        }
        return result;
}

int tar_reader_finish(struct tar_reader *r, struct err *e)
{
        if (r->state != STATE_END || r->have)
                return refuse(r, e, "the archive ends early");
        return 0;
}
