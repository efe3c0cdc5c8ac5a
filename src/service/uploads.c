#include "service/uploads.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/num.h"
#include "base/secret.h"
#include "base/str.h"
#include "service/limits.h"
#include "service/upload.h"

struct pending {
        struct upload *upload; /* NULL: free */
        char token[UPLOADS_TOKEN_SIZE];
        struct upload_what what;
        uint64_t began; /* order */
};

struct uploads {
        struct store *scratch;
        struct pending v[SERVICE_MAX_UPLOADS];
        uint64_t n_begun;
};

int uploads_new(struct store *scratch, struct uploads **ret, struct err *e)
{
        struct uploads *u = calloc(1, sizeof(*u));
        if (!u)
                return err_nomem(e);
        u->scratch = scratch;
        *ret = u;
        return 0;
}

static void end(struct pending *p)
{
        upload_free(p->upload);
        *p = (struct pending){0};
}

struct uploads *uploads_free(struct uploads *u)
{
        for (size_t i = 0; u && i < SERVICE_MAX_UPLOADS; i++)
                end(&u->v[i]);
        free(u);
        return NULL;
}

/* A free place; else that of the oldest. */
static struct pending *make_place(struct uploads *u)
{
        struct pending *oldest = &u->v[0];
        for (size_t i = 0; i < SERVICE_MAX_UPLOADS; i++)
                if (u->v[i].began < oldest->began)
                        oldest = &u->v[i];
        end(oldest);
        return oldest;
}

int uploads_begin(struct uploads *u, const struct upload_what *what, uint64_t max, char ret_token[UPLOADS_TOKEN_SIZE],
                  struct err *e)
{
        struct pending p = {.what = *what, .began = ++u->n_begun};
        uint8_t random[(UPLOADS_TOKEN_SIZE - 1) / 2];
        int r = upload_new(u->scratch, max, &p.upload, e);
        if (r < 0)
                return r;
        secret_random(random, sizeof(random));
        num_to_hex(random, sizeof(random), p.token);
        str_copy(ret_token, UPLOADS_TOKEN_SIZE, p.token);
        *make_place(u) = p;
        return 0;
}

struct upload *uploads_find(struct uploads *u, const char *token)
{
        for (size_t i = 0; i < SERVICE_MAX_UPLOADS; i++)
                if (u->v[i].upload && str_eq(u->v[i].token, token))
                        return u->v[i].upload;
        return NULL;
}

struct upload *uploads_named(struct uploads *u, enum upload_kind kind, const char *name, const char *version,
                             const struct upload_what **ret_what)
{
        for (size_t i = 0; i < SERVICE_MAX_UPLOADS; i++) {
                const struct upload_what *x = &u->v[i].what;
                if (!u->v[i].upload || x->kind != kind || !str_eq(x->name, name) || !str_eq(x->version, version))
                        continue;
                if (ret_what)
                        *ret_what = x;
                return u->v[i].upload;
        }
        return NULL;
}

void uploads_end(struct uploads *u, const struct upload *upload)
{
        for (size_t i = 0; i < SERVICE_MAX_UPLOADS; i++)
                if (upload && u->v[i].upload == upload)
                        end(&u->v[i]);
}
