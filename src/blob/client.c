#include "blob/client.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "blob/limits.h"
#include "blob/names.h"
#include "serve/ask.h"
#include "wire/guest.h"

#define ITEM_FIELDS 6u

enum stage { STAGE_ITEMS, STAGE_GET, STAGE_GOT, STAGE_PUT, STAGE_GIVING };

struct store_client {
        struct ask *ask;
        enum stage stage;
        store_items_fn *items;
        struct store_download download;
        struct store_upload upload;
        void *user;
};

CLEANUP_DEFINE(struct store_client, store_client_free)

struct store_client *store_client_free(struct store_client *s)
{
        if (!s)
                return NULL;
        ask_free(s->ask);
        free(s);
        return NULL;
}

void store_pause(struct store_client *s)
{
        ask_pause(s->ask);
}

void store_resume(struct store_client *s)
{
        ask_resume(s->ask);
}

/* ---- answers ---- */

static bool number_at(const struct fields *f, size_t i, const char *key, uint64_t max, uint64_t *ret, struct strv *keep)
{
        const char *text;
        return ask_text_at(f, i, key, &text, keep) && num_u64(text, 0, max, key, ret, NULL) == 0;
}

/* The six fields of one item, from the at-th field on. */
static bool item_at(const struct fields *f, size_t at, struct store_item *x, struct strv *keep)
{
        return number_at(f, at, "id", STORE_MAX_ID, &x->id, keep) && ask_text_at(f, at + 1, "name", &x->name, keep) &&
               ask_text_at(f, at + 2, "digest", &x->digest, keep) && digest_is_valid(x->digest) &&
               number_at(f, at + 3, "bytes", INT64_MAX, &x->bytes, keep) &&
               number_at(f, at + 4, "files", INT64_MAX, &x->files, keep) &&
               number_at(f, at + 5, "content", INT64_MAX, &x->content, keep);
}

static int malformed(struct err *broken)
{
        err_set(broken, ERR_PROTOCOL, "devdep-store: its answer is malformed");
        return ASK_E_BROKEN;
}

static int take_items(struct store_client *s, const struct fields *f, struct err *broken, struct err *e)
{
        AUTO(strv_done) struct strv keep = STRV_INIT;
        size_t n = (fields_count(f) - 1) / ITEM_FIELDS;
        AUTO(auto_free) struct store_item *v = calloc(n ? n : 1, sizeof(*v));
        bool ok = v && fields_count(f) == 1 + ITEM_FIELDS * n;
        for (size_t i = 0; ok && i < n; i++)
                ok = item_at(f, 1 + ITEM_FIELDS * i, &v[i], &keep);
        if (!ok)
                return malformed(broken);
        ask_end(s->ask);
        return s->items(s, v, n, NULL, s->user, e);
}

static int take_exists(struct store_client *s, const struct fields *f, struct err *broken, struct err *e)
{
        uint64_t exists = 0;
        if (fields_u64(f, "exists", 1, &exists, broken) < 0)
                return ASK_E_BROKEN;
        s->stage = STAGE_GIVING;
        if (exists)
                ask_end(s->ask);
        else
                ask_expect(s->ask, ASK_LIST);
        return s->upload.ready(s, exists, s->user, e);
}

static int take_result(struct store_client *s, const struct fields *f, struct err *broken, struct err *e)
{
        AUTO(strv_done) struct strv keep = STRV_INIT;
        struct store_item x;
        uint64_t exists = 0;
        if (fields_u64(f, "exists", 1, &exists, broken) < 0)
                return ASK_E_BROKEN;
        if (!exists && !item_at(f, 2, &x, &keep))
                return malformed(broken);
        ask_end(s->ask);
        return s->upload.done(s, exists ? NULL : &x, NULL, s->user, e);
}

static int on_list(struct ask *a, const struct fields *f, struct err *broken, void *user, struct err *e)
{
        struct store_client *s = user;
        switch (s->stage) {
        case STAGE_ITEMS:
                return take_items(s, f, broken, e);
        case STAGE_GET:
                s->stage = STAGE_GOT;
                ask_expect(a, ASK_CHUNKS);
                return 0;
        case STAGE_GOT:
                ask_end(a);
                return s->download.done(s, NULL, s->user, e);
        case STAGE_PUT:
                return take_exists(s, f, broken, e);
        case STAGE_GIVING:
                return take_result(s, f, broken, e);
        }
        return malformed(broken);
}

static int on_data(struct ask *a, const uint8_t *data, size_t len, void *user, struct err *e)
{
        struct store_client *s = user;
        (void)a;
        return s->download.data(s, data, len, s->user, e);
}

static int on_drained(struct ask *a, void *user, struct err *e)
{
        struct store_client *s = user;
        (void)a;
        return s->upload.drained(s, s->user, e);
}

static int on_failed(struct ask *a, const struct err *failure, void *user, struct err *e)
{
        struct store_client *s = user;
        (void)a;
        switch (s->stage) {
        case STAGE_ITEMS:
                return s->items(s, NULL, 0, failure, s->user, e);
        case STAGE_GET:
        case STAGE_GOT:
                return s->download.done(s, failure, s->user, e);
        case STAGE_PUT:
        case STAGE_GIVING:
                return s->upload.done(s, NULL, failure, s->user, e);
        }
        return 0;
}

int store_client_new(struct loop *l, int fd, struct store_client **ret, struct err *e)
{
        static const struct ask_fns fns = {
                .list = on_list, .data = on_data, .failed = on_failed, .drained = on_drained};
        AUTO(store_client_freep) struct store_client *s = calloc(1, sizeof(*s));
        if (!s)
                return err_nomem(e);
        int r = ask_new(l, fd, "devdep-store", &fns, s, &s->ask, e);
        if (r == 0)
                *ret = TAKE_PTR(s);
        return r;
}

/* ---- requests ---- */

static int begin(struct store_client *s, enum stage stage, const char *op, void *user, struct buf **ret, struct err *e)
{
        s->stage = stage;
        s->user = user;
        return ask_begin(s->ask, op, ret, e);
}

int store_ask_artifacts(struct store_client *s, store_items_fn *fn, void *user, struct err *e)
{
        struct buf *q;
        int r = begin(s, STAGE_ITEMS, "list-artifacts", user, &q, e);
        s->items = fn;
        return r < 0 ? r : ask_send(s->ask, e);
}

int store_ask_cache(struct store_client *s, const char *const *keys, size_t n, const char *version, store_items_fn *fn,
                    void *user, struct err *e)
{
        struct buf *q;
        int r = begin(s, STAGE_ITEMS, "find-cache", user, &q, e);
        s->items = fn;
        for (size_t i = 0; r == 0 && i < n; i++)
                r = fields_add_str(q, "key", keys[i], e);
        if (r == 0)
                r = fields_add_str(q, "version", version, e);
        return r < 0 ? r : ask_send(s->ask, e);
}

int store_get(struct store_client *s, enum store_what_kind kind, uint64_t id, const struct store_download *fns,
              void *user, struct err *e)
{
        struct buf *q;
        int r = begin(s, STAGE_GET, kind == STORE_ITEM_ARTIFACT ? "get-artifact" : "get-cache", user, &q, e);
        s->download = *fns;
        if (r == 0)
                r = fields_add_u64(q, "id", id, e);
        return r < 0 ? r : ask_send(s->ask, e);
}

int store_put_artifact(struct store_client *s, const char *name, unsigned days, bool overwrite,
                       const struct store_upload *fns, void *user, struct err *e)
{
        struct buf *q;
        int r = begin(s, STAGE_PUT, "put-artifact", user, &q, e);
        s->upload = *fns;
        if (r == 0)
                r = fields_add_str(q, "name", name, e);
        if (r == 0)
                r = fields_add_u64(q, "days", days, e);
        if (r == 0)
                r = fields_add_u64(q, "overwrite", overwrite, e);
        return r < 0 ? r : ask_send(s->ask, e);
}

int store_put_cache(struct store_client *s, const char *key, const char *version, const struct store_upload *fns,
                    void *user, struct err *e)
{
        struct buf *q;
        int r = begin(s, STAGE_PUT, "put-cache", user, &q, e);
        s->upload = *fns;
        if (r == 0)
                r = fields_add_str(q, "key", key, e);
        if (r == 0)
                r = fields_add_str(q, "version", version, e);
        return r < 0 ? r : ask_send(s->ask, e);
}

int store_give(struct store_client *s, const void *data, size_t len, struct err *e)
{
        return ask_stream(s->ask, data, len, e);
}

bool store_is_full(const struct store_client *s)
{
        return ask_is_full(s->ask);
}

int store_give_end(struct store_client *s, bool whole, struct err *e)
{
        return ask_stream_end(s->ask, whole, e);
}
