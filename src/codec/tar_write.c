#include "codec/tar.h"
#include "codec/tar_format.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

unsigned tar_checksum(const struct tar_header *h)
{
        const uint8_t *bytes = (const uint8_t *)h;
        unsigned sum = 0;
        for (size_t i = 0; i < sizeof(*h); i++) {
                bool in_field = i >= offsetof(struct tar_header, checksum) && i < offsetof(struct tar_header, type);
                sum += in_field ? ' ' : bytes[i];
        }
        return sum;
}

const char *tar_clean_name(const char *name, size_t len, char *ret, size_t size)
{
        size_t used = 0;
        if (!len)
                return "is empty";
        if (memchr(name, 0, len))
                return "contains a NUL byte";
        if (name[0] == '/')
                return "is absolute";
        for (size_t i = 0; i < len;) {
                const char *part = name + i;
                const char *slash = memchr(part, '/', len - i);
                size_t n = slash ? (size_t)(slash - part) : len - i;
                i += n + 1;
                if (n == 0 || (n == 1 && part[0] == '.'))
                        continue;
                if (n == 2 && part[0] == '.' && part[1] == '.')
                        return "contains '..'";
                if (used + (used > 0) + n >= size)
                        return "is too long";
                if (used)
                        ret[used++] = '/';
                memcpy(ret + used, part, n);
                used += n;
        }
        if (!used)
                ret[used++] = '.';
        ret[used] = 0;
        return NULL;
}

static char type_flag(enum tar_type type)
{
        switch (type) {
        case TAR_FILE:
                return '0';
        case TAR_HARDLINK:
                return '1';
        case TAR_SYMLINK:
                return '2';
        case TAR_CHAR:
                return '3';
        case TAR_BLOCK_DEVICE:
                return '4';
        case TAR_FOLDER:
                return '5';
        case TAR_FIFO:
                return '6';
        }
        return 0;
}

/* size - 1 octal digits and a NUL; false when v needs more. */
static bool put_octal(char *field, size_t size, uint64_t v)
{
        for (size_t i = size - 1; i-- > 0; v >>= 3)
                field[i] = (char)('0' + (v & 7));
        field[size - 1] = 0;
        return v == 0;
}

static bool put_text(char *field, size_t size, const char *s)
{
        size_t n = strlen(s);
        memcpy(field, s, n < size ? n : size);
        return n <= size;
}

/* A pax record counts its own length, digits included. */
static int add_record(struct buf *pax, const char *key, const char *value, struct err *e)
{
        size_t rest = 1 + strlen(key) + 1 + strlen(value) + 1, total = rest + 1;
        char digits[24];
        while ((size_t)snprintf(digits, sizeof(digits), "%zu", total) + rest != total)
                total++;
        return buf_printf(pax, e, "%s %s=%s\n", digits, key, value);
}

static int add_number(struct buf *pax, const char *key, uint64_t value, struct err *e)
{
        char text[24];
        snprintf(text, sizeof(text), "%" PRIu64, value);
        return add_record(pax, key, text, e);
}

static void seal(struct tar_header *h)
{
        memcpy(h->magic, "ustar", 6);
        memcpy(h->version, "00", 2);
        put_octal(h->checksum, 7, tar_checksum(h));
        h->checksum[7] = ' ';
}

/* Fill the header; what does not fit goes to *pax. */
static int fill(const struct tar_entry *entry, const char *name, struct tar_header *h, struct buf *pax, struct err *e)
{
        int r = 0;
        h->type = type_flag(entry->type);
        put_octal(h->mode, sizeof(h->mode), entry->mode & 07777);
        if (!put_text(h->name, sizeof(h->name), name))
                r = add_record(pax, "path", name, e);
        if (r == 0 && !put_text(h->link, sizeof(h->link), entry->link))
                r = add_record(pax, "linkpath", entry->link, e);
        if (r == 0 && !put_octal(h->size, sizeof(h->size), entry->size))
                r = add_number(pax, "size", entry->size, e);
        if (r == 0 && !put_octal(h->uid, sizeof(h->uid), entry->uid))
                r = add_number(pax, "uid", entry->uid, e);
        if (r == 0 && !put_octal(h->gid, sizeof(h->gid), entry->gid))
                r = add_number(pax, "gid", entry->gid, e);
        if (r == 0 && (entry->mtime < 0 || !put_octal(h->mtime, sizeof(h->mtime), (uint64_t)entry->mtime))) {
                char text[24];
                snprintf(text, sizeof(text), "%" PRId64, entry->mtime);
                put_octal(h->mtime, sizeof(h->mtime), 0);
                r = add_record(pax, "mtime", text, e);
        }
        if (r == 0 && (entry->type == TAR_CHAR || entry->type == TAR_BLOCK_DEVICE) &&
            (!put_octal(h->major, sizeof(h->major), entry->major) ||
             !put_octal(h->minor, sizeof(h->minor), entry->minor)))
                r = err_set(e, ERR_USAGE, "a tar archive holds no device numbers above 07777777");
        return r;
}

static int write_pax(const struct buf *pax, struct buf *ret, struct err *e)
{
        static const uint8_t zeros[TAR_BLOCK];
        struct tar_header h = {0};
        put_text(h.name, sizeof(h.name), "PaxHeaders");
        h.type = 'x';
        put_octal(h.mode, sizeof(h.mode), 0644);
        put_octal(h.uid, sizeof(h.uid), 0);
        put_octal(h.gid, sizeof(h.gid), 0);
        put_octal(h.mtime, sizeof(h.mtime), 0);
        put_octal(h.size, sizeof(h.size), pax->len);
        seal(&h);
        int r = buf_append(ret, &h, sizeof(h), e);
        if (r == 0)
                r = buf_append(ret, pax->data, pax->len, e);
        return r == 0 ? buf_append(ret, zeros, tar_padding(pax->len), e) : r;
}

static int refuse(const struct tar_entry *entry, const char *why, struct err *e)
{
        char shown[256];
        str_escape(shown, sizeof(shown), entry->name, strlen(entry->name));
        return err_set(e, ERR_USAGE, "write '%s' to a tar archive: %s", shown, why);
}

int tar_write_entry(const struct tar_entry *entry, struct buf *ret, struct err *e)
{
        char name[TAR_MAX_NAME + 2];
        size_t before = ret->len;
        const char *wrong = tar_clean_name(entry->name, strlen(entry->name), name, TAR_MAX_NAME + 1);
        if (wrong)
                return err_wrap(e, refuse(entry, wrong, e), "its name");
        if (!type_flag(entry->type) || (entry->size && entry->type != TAR_FILE))
                return refuse(entry, "an unknown type, or data where only a file has some", e);
        if (strlen(entry->link) > TAR_MAX_NAME)
                return refuse(entry, "the target of its link is too long", e);
        if (entry->type == TAR_FOLDER)
                strcat(name, "/");
        struct tar_header h = {0};
        AUTO(buf_done) struct buf pax = BUF_INIT;
        int r = fill(entry, name, &h, &pax, e);
        if (r == 0 && pax.len)
                r = write_pax(&pax, ret, e);
        seal(&h);
        if (r == 0)
                r = buf_append(ret, &h, sizeof(h), e);
        if (r < 0)
                ret->len = before;
        return r;
}

size_t tar_padding(uint64_t size)
{
        return (size_t)(-size % TAR_BLOCK);
}

int tar_write_end(struct buf *ret, struct err *e)
{
        static const uint8_t zeros[2 * TAR_BLOCK];
        return buf_append(ret, zeros, sizeof(zeros), e);
}
