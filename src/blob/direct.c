#include "blob/direct.h"

#include <poll.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "blob/limits.h"
#include "serve/answer.h"
#include "serve/out.h"
#include "wire/guest.h"

struct store_direct {
        struct out out;
        bool greeted, broken;
        bool told; /* the artifact under way was refused; no more is heard of it */
};

CLEANUP_DEFINE(struct fields, fields_free)

int store_direct_new(int fd, struct store_direct **ret, struct err *e)
{
        struct store_direct *d = calloc(1, sizeof(*d));
        if (!d)
                return err_nomem(e);
        d->out.fd = fd;
        *ret = d;
        return 0;
}

struct store_direct *store_direct_free(struct store_direct *d)
{
        if (!d)
                return NULL;
        out_done(&d->out);
        free(d);
        return NULL;
}

/* ---- lists ---- */

static int broken(struct store_direct *d, const char *how, struct err *e)
{
        d->broken = true;
        return err_set(e, ERR_RESOURCES, "devdep-store %s", how);
}

/* status=error as our own error. */
static int told_failure(struct store_direct *d, const struct fields *f, struct err *e)
{
        const char *message = "";
        uint64_t code = 0;
        if (fields_str(f, "message", &message, NULL) < 0 || fields_u64(f, "code", INT32_MAX, &code, NULL) < 0)
                return broken(d, "gives an answer that is none", e);
        if (code == ERR_PROTOCOL)
                d->broken = true;
        return err_set(e, code == ERR_USAGE ? ERR_USAGE : ERR_RESOURCES, "%s", message);
}

static int hear(struct store_direct *d, struct fields **ret, struct err *e)
{
        AUTO(buf_done) struct buf list = BUF_INIT;
        AUTO(fields_freep) struct fields *f = NULL;
        const char *status = "";
        if (serve_read(d->out.fd, STORE_MAX_REQUEST, &list, NULL) != 0)
                return broken(d, "has ended", e);
        if (fields_parse(list.data, list.len, &f, NULL) < 0 || fields_str(f, "status", &status, NULL) < 0)
                return broken(d, "gives an answer that is none", e);
        if (!str_eq(status, "ok"))
                return told_failure(d, f, e);
        *ret = TAKE_PTR(f);
        return 0;
}

static int hear_ok(struct store_direct *d, struct err *e)
{
        AUTO(fields_freep) struct fields *f = NULL;
        return hear(d, &f, e);
}

/* The greeting comes before the first answer. One that refuses is the last word. */
static int begin(struct store_direct *d, struct err *e)
{
        if (d->broken)
                return err_set(e, ERR_RESOURCES, "devdep-store has ended");
        if (d->greeted)
                return 0;
        d->greeted = true;
        int r = hear_ok(d, e);
        d->broken |= r < 0;
        return r;
}

static int send(struct store_direct *d, const struct buf *list, struct err *e)
{
        return out_raw(&d->out, list->data, list->len, NULL) < 0 ? broken(d, "has ended", e) : 0;
}

/* ---- a new artifact ---- */

static int write_put(const struct direct_what *w, struct buf *list, struct err *e)
{
        size_t mark = 0;
        int r = fields_begin(list, &mark, e);
        if (r == 0)
                r = fields_add_str(list, "op", "put-artifact", e);
        if (r == 0)
                r = fields_add_str(list, "name", w->name, e);
        if (r == 0)
                r = fields_add_str(list, "type", w->type, e);
        if (r == 0)
                r = fields_add_u64(list, "days", w->days, e);
        if (r == 0)
                r = fields_add_u64(list, "overwrite", 0, e);
        return r < 0 ? r : fields_end(list, mark, e);
}

static int hear_exists(struct store_direct *d, uint64_t *ret_id, struct err *e)
{
        AUTO(fields_freep) struct fields *f = NULL;
        uint64_t exists = 0;
        int r = hear(d, &f, e);
        if (r < 0)
                return r;
        if (fields_u64(f, "exists", 1, &exists, NULL) < 0 ||
            (!exists && ret_id && fields_u64(f, "id", STORE_MAX_ID, ret_id, NULL) < 0))
                return broken(d, "gives an answer that is none", e);
        return exists ? DIRECT_E_EXISTS : 0;
}

int store_direct_begin(struct store_direct *d, const struct direct_what *w, struct err *e)
{
        AUTO(buf_done) struct buf list = BUF_INIT;
        int r = begin(d, e);
        d->told = false;
        if (r == 0)
                r = write_put(w, &list, e);
        if (r == 0)
                r = send(d, &list, e);
        return r < 0 ? r : hear_exists(d, NULL, e);
}

/* Whoever refuses says so at once, and takes the rest only to find its end. */
static int hear_early(struct store_direct *d, struct err *e)
{
        struct pollfd p = {.fd = d->out.fd, .events = POLLIN};
        if (poll(&p, 1, 0) <= 0)
                return 0;
        d->told = true;
        return hear_ok(d, e) < 0 ? -1 : broken(d, "gives an answer that is none", e);
}

int store_direct_write(struct store_direct *d, const void *data, size_t len, struct err *e)
{
        int r = d->broken ? broken(d, "has ended", e) : hear_early(d, e);
        if (r == 0 && out_stream(&d->out, data, len, NULL) < 0)
                r = broken(d, "has ended", e);
        return r;
}

static int send_end(struct store_direct *d, bool whole, struct err *e)
{
        AUTO(buf_done) struct buf list = BUF_INIT;
        size_t mark = 0;
        int r = fields_begin(&list, &mark, e);
        if (r == 0)
                r = fields_add_str(&list, "status", whole ? "ok" : "error", e);
        if (r == 0)
                r = fields_end(&list, mark, e);
        if (r == 0 && out_stream_end(&d->out, NULL) < 0)
                r = broken(d, "has ended", e);
        return r < 0 ? r : send(d, &list, e);
}

int store_direct_end(struct store_direct *d, bool whole, uint64_t *ret_id, struct err *e)
{
        struct err ignored = ERR_INIT;
        int r = d->broken ? broken(d, "has ended", e) : send_end(d, whole, e);
        if (r < 0)
                return r;
        if (whole)
                return hear_exists(d, ret_id, e);
        /* It says that it has thrown it away. */
        if (!d->told)
                hear_ok(d, &ignored);
        return 0;
}

int store_direct_remove(struct store_direct *d, uint64_t id, struct err *e)
{
        AUTO(buf_done) struct buf list = BUF_INIT;
        size_t mark = 0;
        int r = begin(d, e);
        if (r == 0)
                r = fields_begin(&list, &mark, e);
        if (r == 0)
                r = fields_add_str(&list, "op", "delete-artifact", e);
        if (r == 0)
                r = fields_add_u64(&list, "id", id, e);
        if (r == 0)
                r = fields_end(&list, mark, e);
        if (r == 0)
                r = send(d, &list, e);
        return r < 0 ? r : hear_ok(d, e);
}
