/* The reader. Opening finds the end of the archive, from there the directory, and reads that into one table; then the
 * files follow in the order of their places, so that one look at the next place tells that none overlaps.
 *
 *   ... | local header, data | ... | directory | (zip64: record, locator) | end, comment */
#include "codec/zip.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"

#define LOCAL_SIZE 30u
#define LOCAL_MAGIC 0x04034b50u
#define CENTRAL_SIZE 46u
#define CENTRAL_MAGIC 0x02014b50u
#define END_SIZE 22u
#define END_MAGIC 0x06054b50u
#define END64_SIZE 56u
#define END64_MAGIC 0x06064b50u
#define LOCATOR_SIZE 20u
#define LOCATOR_MAGIC 0x07064b50u
#define EXTRA_ZIP64 1u

#define FLAGS_ENCRYPTED 0x2041u
#define FLAG_DESCRIPTOR 8u /* size and sum stand behind the data; the directory has them, too */
#define STORED 0u
#define DEFLATED 8u
#define MADE_BY_UNIX 3u
#define MADE_BY_DARWIN 19u
#define TYPE_FOLDER 4u /* the upper bits of a mode */
#define TYPE_FILE 8u

#define FULL16 UINT16_MAX /* the value stands in a zip64 field */
#define FULL32 UINT32_MAX
#define WINDOW ((size_t)64 << 10)
#define SHOWN 256

struct record {
        uint64_t at, packed, size;
        uint32_t crc, name; /* name: its place in `names` */
        uint16_t flags, method;
        bool folder;
};

struct zip_reader {
        zip_read_fn *read;
        void *user;
        const char *what;
        struct zip_limits limits;
        uint64_t size, directory; /* directory: where it begins */
        char *names;              /* each ended by a NUL */
        size_t n_names, names_size;
        struct record *records;
        size_t n;
        size_t next;    /* the one after the current */
        bool in_file;   /* the current one is not at its end */
        uint64_t at;    /* its next packed byte */
        uint64_t left;  /* packed bytes that are not read */
        uint64_t given; /* bytes of it */
        uint32_t crc;
        z_stream inflater;
        bool inflating; /* inflater was begun */
        uint8_t window[WINDOW];
};

static uint16_t le16(const uint8_t *p)
{
        return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t le32(const uint8_t *p)
{
        return (uint32_t)le16(p) | (uint32_t)le16(p + 2) << 16;
}

static uint64_t le64(const uint8_t *p)
{
        return (uint64_t)le32(p) | (uint64_t)le32(p + 4) << 32;
}

static int bad(const struct zip_reader *z, const char *problem, struct err *e)
{
        return err_set(e, ERR_USAGE, "%s: %s", z->what, problem);
}

static int bad_entry(const struct zip_reader *z, const char *name, const char *problem, struct err *e)
{
        char shown[SHOWN];
        str_escape(shown, sizeof(shown), name, strlen(name));
        return err_set(e, ERR_USAGE, "%s: '%s' %s", z->what, shown, problem);
}

/* Bytes that the archive may have or not. */
static int read_at(struct zip_reader *z, uint64_t at, void *data, size_t len, struct err *e)
{
        if (at > z->size || len > z->size - at)
                return bad(z, "it ends early", e);
        return z->read(z->user, at, data, len, e);
}

/* ---- the end ---- */

/* The last one whose comment reaches to the end of the archive. */
static int find_end(struct zip_reader *z, uint8_t ret[END_SIZE], uint64_t *ret_at, struct err *e)
{
        size_t len = (size_t)MIN(z->size, (uint64_t)END_SIZE + UINT16_MAX);
        AUTO(auto_free) uint8_t *tail = malloc(len + 1);
        if (!tail)
                return err_nomem(e);
        int r = read_at(z, z->size - len, tail, len, e);
        for (size_t i = len; r == 0 && i-- > 0;) {
                if (len - i < END_SIZE || le32(tail + i) != END_MAGIC || le16(tail + i + 20) != len - i - END_SIZE)
                        continue;
                memcpy(ret, tail + i, END_SIZE);
                *ret_at = z->size - len + i;
                return 0;
        }
        return r < 0 ? r : bad(z, "it is no zip archive, or not whole", e);
}

struct ending {
        uint64_t entries, size, at; /* of the directory */
        uint64_t end;               /* where it has to end */
};

static bool agrees(uint64_t old, uint64_t full, uint64_t value)
{
        return old == full || old == value;
}

/* The 64-bit forms, when there is a locator before the end. */
static int take_zip64(struct zip_reader *z, uint64_t end_at, struct ending *x, struct err *e)
{
        uint8_t locator[LOCATOR_SIZE], record[END64_SIZE];
        if (end_at < LOCATOR_SIZE)
                return 0;
        int r = read_at(z, end_at - LOCATOR_SIZE, locator, sizeof(locator), e);
        if (r < 0 || le32(locator) != LOCATOR_MAGIC)
                return r;
        uint64_t at = le64(locator + 8);
        r = read_at(z, at, record, sizeof(record), e);
        if (r < 0)
                return r;
        if (le32(locator + 4) || le32(locator + 16) > 1 || le32(record) != END64_MAGIC || le32(record + 16) ||
            le32(record + 20) || le64(record + 24) != le64(record + 32) || le64(record + 4) < END64_SIZE - 12 ||
            le64(record + 4) != end_at - LOCATOR_SIZE - at - 12)
                return bad(z, "its end in 64 bits is none", e);
        if (!agrees(x->entries, FULL16, le64(record + 32)) || !agrees(x->size, FULL32, le64(record + 40)) ||
            !agrees(x->at, FULL32, le64(record + 48)))
                return bad(z, "it has two different ends", e);
        *x = (struct ending){
                .entries = le64(record + 32), .size = le64(record + 40), .at = le64(record + 48), .end = at};
        return 0;
}

static int find_directory(struct zip_reader *z, struct ending *ret, struct err *e)
{
        uint8_t end[END_SIZE] = {0};
        uint64_t at = 0;
        int r = find_end(z, end, &at, e);
        if (r < 0)
                return r;
        if (le16(end + 4) || le16(end + 6) || le16(end + 8) != le16(end + 10))
                return bad(z, "it is one part of several", e);
        *ret = (struct ending){.entries = le16(end + 10), .size = le32(end + 12), .at = le32(end + 16), .end = at};
        r = take_zip64(z, at, ret, e);
        if (r < 0)
                return r;
        if (ret->at > ret->end || ret->size != ret->end - ret->at)
                return bad(z, "its directory is not where its end says", e);
        if (ret->entries > z->limits.max_entries)
                return err_set(e, ERR_USAGE, "%s: it has more than %llu entries", z->what,
                               (unsigned long long)z->limits.max_entries);
        if (ret->entries > ret->size / CENTRAL_SIZE)
                return bad(z, "its directory has fewer entries than its end says", e);
        return 0;
}

/* ---- the directory ---- */

/* NULL: it is one. */
static const char *name_problem(const char *name, size_t len, size_t max)
{
        if (len == 0 || len > max)
                return "has a name that is empty or too long";
        if (strlen(name) != len)
                return "has a name with a NUL";
        if (*name == '/')
                return "has an absolute name";
        for (const char *part = name; *part;) {
                size_t n = strcspn(part, "/");
                if (n == 0 || (n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.'))
                        return "has a name with an empty part, '.' or '..'";
                part += n + (part[n] == '/');
        }
        return NULL;
}

/* The values that do not fit into their 32 bits, from the extra fields: in the order of `values`. */
static int take_extra(const struct zip_reader *z, const uint8_t *extra, size_t len, uint64_t *const *values, size_t n,
                      struct err *e)
{
        const uint8_t *at = extra;
        bool found = false;
        for (size_t left = len; left >= 4;) {
                size_t size = le16(at + 2);
                const uint8_t *value = at + 4, *end = value + size;
                if (size > left - 4)
                        return bad(z, "an extra field is longer than all of them", e);
                for (size_t i = 0; !found && le16(at) == EXTRA_ZIP64 && i < n; i++) {
                        if (*values[i] != FULL32)
                                continue;
                        if (end - value < 8)
                                return bad(z, "a size in 64 bits is missing", e);
                        *values[i] = le64(value);
                        value += 8;
                }
                found |= le16(at) == EXTRA_ZIP64;
                at = end;
                left -= 4 + size;
        }
        return 0;
}

/* What Unix says of it: a file or a folder, or nothing. */
static bool is_ordinary(const uint8_t *head, bool folder)
{
        unsigned made_by = head[5], type = head[41] >> 4;
        if ((made_by != MADE_BY_UNIX && made_by != MADE_BY_DARWIN) || type == 0 || type == TYPE_FILE)
                return true;
        return type == TYPE_FOLDER && folder;
}

static const char *record_problem(const struct record *x, const uint8_t *head)
{
        if (x->flags & FLAGS_ENCRYPTED)
                return "is encrypted";
        if (x->method != STORED && x->method != DEFLATED)
                return "is compressed in a way that is not known here";
        if (x->method == STORED && x->packed != x->size)
                return "is stored, and has two sizes";
        if (!is_ordinary(head, x->folder))
                return "is neither a file nor a folder";
        if (x->folder && x->size)
                return "is a folder with data";
        return le16(head + 34) ? "lies in another part of the archive" : NULL;
}

/* rest: the variable part of a record, its name first. */
static int take_record(struct zip_reader *z, const uint8_t *head, const uint8_t *rest, struct record *x, struct err *e)
{
        size_t name_len = le16(head + 28), extra_len = le16(head + 30);
        char *name = z->names + z->n_names;
        if (name_len + 1 > z->names_size - z->n_names)
                return err_set(e, ERR_USAGE, "%s: its names have more than %zu bytes", z->what, z->limits.max_names);
        memcpy(name, rest, name_len);
        name[name_len] = '\0';
        const char *problem = name_problem(name, name_len, z->limits.max_name);
        if (problem)
                return bad_entry(z, name, problem, e);
        *x = (struct record){.at = le32(head + 42),
                             .packed = le32(head + 20),
                             .size = le32(head + 24),
                             .crc = le32(head + 16),
                             .name = (uint32_t)z->n_names,
                             .flags = le16(head + 8),
                             .method = le16(head + 10),
                             .folder = name[name_len - 1] == '/'};
        uint64_t *const wide[] = {&x->size, &x->packed, &x->at};
        int r = take_extra(z, rest + name_len, extra_len, wide, ARRAY_SIZE(wide), e);
        if (r < 0)
                return r;
        problem = record_problem(x, head);
        if (!problem && x->size > z->limits.max_size)
                problem = "is too large";
        z->n_names += name_len + 1;
        return problem ? bad_entry(z, name, problem, e) : 0;
}

static int read_records(struct zip_reader *z, const struct ending *x, struct err *e)
{
        AUTO(auto_free) uint8_t *rest = malloc(3 * (size_t)UINT16_MAX);
        uint8_t head[CENTRAL_SIZE];
        uint64_t at = x->at, total = 0;
        if (!rest)
                return err_nomem(e);
        for (z->n = 0; z->n < x->entries; z->n++) {
                struct record *record = &z->records[z->n];
                if (x->end - at < CENTRAL_SIZE)
                        return bad(z, "its directory ends early", e);
                int r = read_at(z, at, head, sizeof(head), e);
                size_t len = (size_t)le16(head + 28) + le16(head + 30) + le16(head + 32);
                if (r == 0 && (le32(head) != CENTRAL_MAGIC || len > x->end - at - CENTRAL_SIZE))
                        return bad(z, "its directory holds something else than entries", e);
                if (r == 0)
                        r = read_at(z, at + CENTRAL_SIZE, rest, len, e);
                if (r == 0)
                        r = take_record(z, head, rest, record, e);
                if (r < 0)
                        return r;
                if (record->size > z->limits.max_total - total)
                        return err_set(e, ERR_USAGE, "%s: its files have more than %llu MiB together", z->what,
                                       (unsigned long long)(z->limits.max_total >> 20));
                total += record->size;
                at += CENTRAL_SIZE + len;
        }
        return at == x->end ? 0 : bad(z, "its directory has more entries than its end says", e);
}

static int by_place(const void *a, const void *b)
{
        const struct record *x = a, *y = b;
        return x->at < y->at ? -1 : x->at > y->at;
}

/* Nearly every archive is in order already. */
static void sort_records(struct zip_reader *z)
{
        for (size_t i = 1; i < z->n; i++) {
                if (z->records[i].at >= z->records[i - 1].at)
                        continue;
                qsort(z->records, z->n, sizeof(*z->records), by_place);
                return;
        }
}

/* '/' before every other byte, so that what lies in a folder follows it at once. */
static int by_name(const void *a, const void *b, void *names)
{
        const uint8_t *x = (const uint8_t *)names + *(const uint32_t *)a;
        const uint8_t *y = (const uint8_t *)names + *(const uint32_t *)b;
        while (*x && *x == *y)
                x++, y++;
        unsigned u = *x == '/' ? 1 : *x ? *x + 1u : 0, v = *y == '/' ? 1 : *y ? *y + 1u : 0;
        return u < v ? -1 : u > v;
}

static int check_names(struct zip_reader *z, struct err *e)
{
        AUTO(auto_free) uint32_t *order = calloc(z->n ? z->n : 1, sizeof(*order));
        if (!order)
                return err_nomem(e);
        for (size_t i = 0; i < z->n; i++)
                order[i] = z->records[i].name;
        qsort_r(order, z->n, sizeof(*order), by_name, z->names);
        for (size_t i = 1; i < z->n; i++) {
                const char *name = z->names + order[i - 1], *following = z->names + order[i];
                size_t len = strlen(name);
                if (strncmp(following, name, len) != 0)
                        continue;
                if (!following[len] || (following[len] == '/' && name[len - 1] != '/'))
                        return bad_entry(z, name, "is there twice, or as a file and as a folder", e);
        }
        return 0;
}

static int open_archive(struct zip_reader *z, struct err *e)
{
        struct ending x = {0};
        int r = find_directory(z, &x, e);
        if (r < 0)
                return r;
        z->directory = x.at;
        z->names_size = (size_t)MIN(x.size - x.entries * CENTRAL_SIZE + x.entries, (uint64_t)z->limits.max_names);
        z->names = malloc(z->names_size + 1);
        z->records = malloc((size_t)(x.entries + 1) * sizeof(*z->records));
        if (!z->names || !z->records)
                return err_nomem(e);
        r = read_records(z, &x, e);
        if (r == 0)
                r = check_names(z, e);
        if (r == 0)
                sort_records(z);
        return r;
}

CLEANUP_DEFINE(struct zip_reader, zip_reader_free)

int zip_reader_new(zip_read_fn *read, void *user, uint64_t size, const struct zip_limits *limits, const char *what,
                   struct zip_reader **ret, struct err *e)
{
        AUTO(zip_reader_freep) struct zip_reader *z = calloc(1, sizeof(*z));
        if (!z)
                return err_nomem(e);
        assert(limits->max_entries < UINT32_MAX && limits->max_names < UINT32_MAX && limits->max_name <= ZIP_MAX_NAME);
        z->read = read;
        z->user = user;
        z->size = size;
        z->limits = *limits;
        z->what = what;
        int r = open_archive(z, e);
        if (r == 0)
                *ret = TAKE_PTR(z);
        return r;
}

struct zip_reader *zip_reader_free(struct zip_reader *z)
{
        if (!z)
                return NULL;
        if (z->inflating)
                inflateEnd(&z->inflater);
        free(z->names);
        free(z->records);
        free(z);
        return NULL;
}

/* ---- the files ---- */

static const struct record *current(const struct zip_reader *z)
{
        return &z->records[z->next - 1];
}

static const char *current_name(const struct zip_reader *z)
{
        return z->names + current(z)->name;
}

/* What stands before the data says the same as the directory. */
static int check_local(struct zip_reader *z, const uint8_t *head, const uint8_t *rest, struct err *e)
{
        const struct record *x = current(z);
        const char *name = current_name(z);
        size_t name_len = le16(head + 26);
        uint64_t size = le32(head + 22), packed = le32(head + 18);
        uint64_t *const wide[] = {&size, &packed};
        int r = take_extra(z, rest + name_len, le16(head + 28), wide, ARRAY_SIZE(wide), e);
        if (r < 0)
                return r;
        bool same = name_len == strlen(name) && memcmp(rest, name, name_len) == 0 && le16(head + 8) == x->method &&
                    ((le16(head + 6) ^ x->flags) & (FLAGS_ENCRYPTED | FLAG_DESCRIPTOR)) == 0;
        if (same && !(x->flags & FLAG_DESCRIPTOR))
                same = le32(head + 14) == x->crc && size == x->size && packed == x->packed;
        return same ? 0 : bad_entry(z, name, "is something else in the directory than in its place", e);
}

static int begin_inflating(struct zip_reader *z, struct err *e)
{
        int r = z->inflating ? inflateReset(&z->inflater) : inflateInit2(&z->inflater, -MAX_WBITS);
        if (r != Z_OK)
                return err_nomem(e);
        z->inflating = true;
        z->inflater.avail_in = 0;
        return 0;
}

static int begin_file(struct zip_reader *z, struct err *e)
{
        AUTO(auto_free) uint8_t *rest = NULL;
        const struct record *x = current(z);
        uint64_t end = z->next < z->n ? z->records[z->next].at : z->directory;
        uint8_t head[LOCAL_SIZE];
        if (end > z->directory)
                return bad_entry(z, current_name(z), "lies behind the directory, or before one that does", e);
        if (x->at > end || end - x->at < LOCAL_SIZE)
                return bad_entry(z, current_name(z), "overlaps what follows it", e);
        int r = read_at(z, x->at, head, sizeof(head), e);
        if (r < 0)
                return r;
        size_t len = (size_t)le16(head + 26) + le16(head + 28);
        uint64_t room = end - x->at - LOCAL_SIZE;
        if (le32(head) != LOCAL_MAGIC)
                return bad_entry(z, current_name(z), "is not where the directory says", e);
        if (len > room || x->packed > room - len)
                return bad_entry(z, current_name(z), "overlaps what follows it", e);
        rest = malloc(len + 1);
        if (!rest)
                return err_nomem(e);
        r = read_at(z, x->at + LOCAL_SIZE, rest, len, e);
        if (r == 0)
                r = check_local(z, head, rest, e);
        if (r < 0)
                return r;
        z->at = x->at + LOCAL_SIZE + len;
        z->left = x->packed;
        z->given = 0;
        z->crc = 0;
        z->in_file = true;
        return x->method == DEFLATED ? begin_inflating(z, e) : 0;
}

int zip_reader_next(struct zip_reader *z, struct zip_entry *ret, struct err *e)
{
        assert(!z->in_file);
        while (z->next < z->n) {
                z->next++;
                int r = begin_file(z, e);
                if (r < 0)
                        return r;
                if (!current(z)->folder) {
                        *ret = (struct zip_entry){.name = current_name(z), .size = current(z)->size};
                        return 0;
                }
                z->in_file = false;
        }
        return ZIP_E_END;
}

static int refill(struct zip_reader *z, struct err *e)
{
        size_t n = (size_t)MIN(z->left, (uint64_t)sizeof(z->window));
        int r = read_at(z, z->at, z->window, n, e);
        z->inflater.next_in = z->window;
        z->inflater.avail_in = (uInt)n;
        z->at += n;
        z->left -= n;
        return r;
}

/* One byte more than there may be shows a file that is longer than it says. */
static int inflate_some(struct zip_reader *z, void *data, size_t len, size_t *ret, bool *ret_end, struct err *e)
{
        z->inflater.next_out = data;
        z->inflater.avail_out = (uInt)len;
        for (;;) {
                int r = z->inflater.avail_in || !z->left ? 0 : refill(z, e);
                if (r < 0)
                        return r;
                r = inflate(&z->inflater, Z_NO_FLUSH);
                *ret = len - z->inflater.avail_out;
                *ret_end = r == Z_STREAM_END;
                if (*ret_end || (r == Z_OK && !z->inflater.avail_out))
                        return 0;
                if (r == Z_MEM_ERROR)
                        return err_nomem(e);
                if (r != Z_OK || (!z->inflater.avail_in && !z->left))
                        return bad_entry(z, current_name(z), "does not inflate", e);
        }
}

/* The last bytes of the file were given. */
static int end_file(struct zip_reader *z, struct err *e)
{
        const struct record *x = current(z);
        uint8_t surplus;
        size_t n = 0;
        bool end = true;
        int r = x->method == DEFLATED ? inflate_some(z, &surplus, 1, &n, &end, e) : 0;
        if (r < 0)
                return r;
        if (n || !end || z->left || (x->method == DEFLATED && z->inflater.avail_in))
                return bad_entry(z, current_name(z), "has more data than it says", e);
        if (z->crc != x->crc)
                return bad_entry(z, current_name(z), "is damaged: its sum is another one", e);
        z->in_file = false;
        return 0;
}

static int take_stored(struct zip_reader *z, void *data, size_t len, struct err *e)
{
        int r = read_at(z, z->at, data, len, e);
        z->at += len;
        z->left -= len;
        return r;
}

int zip_reader_data(struct zip_reader *z, void *data, size_t len, size_t *ret, struct err *e)
{
        const struct record *x = current(z);
        size_t want = (size_t)MIN((uint64_t)len, x->size - z->given);
        bool end = false;
        *ret = 0;
        if (!z->in_file)
                return 0;
        if (want == 0)
                return end_file(z, e);
        int r = x->method == DEFLATED ? inflate_some(z, data, want, ret, &end, e) : take_stored(z, data, want, e);
        if (x->method == STORED)
                *ret = want;
        if (r < 0)
                return r;
        z->crc = zip_crc(z->crc, data, *ret);
        z->given += *ret;
        if (end && z->given < x->size)
                return bad_entry(z, current_name(z), "has less data than it says", e);
        return 0;
}
