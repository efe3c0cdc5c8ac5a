#include "job/pack.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "codec/tar.h"

struct pack {
        struct pack_rules rules;
        pack_out_fn *out;
        void *user;
        struct tar_reader *reader;
        char *place;
        bool is_folder; /* of this part: its first entry was "." */
        uint64_t entries, bytes;
        uint64_t before; /* entries of the parts before this one */
        size_t padding;  /* of the entry under way */
};

int pack_new(const struct pack_rules *rules, pack_out_fn *out, void *user, struct pack **ret, struct err *e)
{
        struct pack *p = calloc(1, sizeof(*p));
        if (!p)
                return err_nomem(e);
        p->rules = *rules;
        p->out = out;
        p->user = user;
        *ret = p;
        return 0;
}

struct pack *pack_free(struct pack *p)
{
        if (!p)
                return NULL;
        tar_reader_free(p->reader);
        free(p->place);
        free(p);
        return NULL;
}

uint64_t pack_entries(const struct pack *p)
{
        return p->entries;
}

bool pack_part_is_empty(const struct pack *p)
{
        return p->entries == p->before;
}

/* malloc'd; NULL: no memory. */
static char *place_name(const struct pack *p, const char *name)
{
        const char *slash = strrchr(p->place, '/');
        if (!*p->place)
                return str_dup(name);
        if (p->is_folder)
                return str_eq(name, ".") ? str_dup(p->place) : str_printf("%s/%s", p->place, name);
        return slash ? str_printf("%.*s/%s", (int)(slash - p->place), p->place, name) : str_dup(name);
}

static int on_entry(const struct tar_entry *t, void *user, struct err *e)
{
        struct pack *p = user;
        AUTO(buf_done) struct buf header = BUF_INIT;
        struct tar_entry own = *t;
        p->is_folder |= str_eq(t->name, ".");
        AUTO(auto_free) char *name = place_name(p, t->name);
        if (!name)
                return err_nomem(e);
        own.name = name;
        own.uid = own.gid = 0;
        own.mode = p->rules.plain ? 0644 : t->mode & 0777;
        p->entries++;
        p->bytes += t->size;
        p->padding = tar_padding(t->size);
        int r = tar_write_entry(&own, &header, e);
        return r < 0 ? r : p->out(header.data, header.len, p->user, e);
}

static int on_data(const void *data, size_t len, void *user, struct err *e)
{
        struct pack *p = user;
        return p->out(data, len, p->user, e);
}

static int on_end(void *user, struct err *e)
{
        static const uint8_t zeros[TAR_BLOCK];
        struct pack *p = user;
        return p->padding ? p->out(zeros, p->padding, p->user, e) : 0;
}

/* The reader's errors are of the code ERR_USAGE. */
static int as_steps(int r, struct err *e)
{
        if (r < 0 && e && e->code == ERR_USAGE)
                e->code = ERR_RUN_FAILED;
        return r;
}

int pack_part(struct pack *p, const char *place, struct err *e)
{
        static const struct tar_sink sink = {.entry = on_entry, .data = on_data, .end = on_end};
        uint64_t left = p->rules.max_bytes - MIN(p->bytes, p->rules.max_bytes);
        const struct tar_limits limits = {
                .types = p->rules.types,
                .max_name = TAR_MAX_NAME,
                .max_entries = p->rules.max_entries - MIN(p->entries, p->rules.max_entries),
                .max_size = left,
                .max_total = left,
        };
        p->reader = tar_reader_free(p->reader);
        free(p->place);
        p->is_folder = false;
        p->before = p->entries;
        p->place = str_dup(place);
        return p->place ? tar_reader_new(&limits, &sink, p, "the files of the guest", &p->reader, e) : err_nomem(e);
}

int pack_feed(struct pack *p, const void *data, size_t len, struct err *e)
{
        return as_steps(tar_reader_feed(p->reader, data, len, e), e);
}

int pack_part_end(struct pack *p, struct err *e)
{
        return as_steps(tar_reader_finish(p->reader, e), e);
}

int pack_end(struct pack *p, struct err *e)
{
        AUTO(buf_done) struct buf end = BUF_INIT;
        int r = tar_write_end(&end, e);
        return r < 0 ? r : p->out(end.data, end.len, p->user, e);
}
