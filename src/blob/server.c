#include "blob/server.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "blob/request.h"
#include "blob/store.h"
#include "codec/hash.h"
#include "serve/answer.h"
#include "serve/limits.h"
#include "serve/out.h"
#include "wire/guest.h"

CLEANUP_DEFINE(struct hash, hash_free)

struct serving {
        const struct store_server *config;
        int fd;
        bool is_service;
        struct out out;
        struct buf chunk; /* of the client's stream */
};

static int need_caches(const struct serving *s, struct err *e)
{
        return s->config->caches ? 0 : err_set(e, ERR_USAGE, "this run has no caches");
}

static int add_entry(struct buf *b, const struct store_entry *x, struct err *e)
{
        int r = fields_add_u64(b, "id", x->id, e);
        if (r == 0)
                r = fields_add_str(b, "name", x->name, e);
        if (r == 0)
                r = fields_add_str(b, "digest", x->digest, e);
        if (r == 0)
                r = fields_add_u64(b, "bytes", x->bytes, e);
        if (r == 0)
                r = fields_add_u64(b, "files", x->files, e);
        return r < 0 ? r : fields_add_u64(b, "content", x->content, e);
}

/* ---- questions ---- */

static int do_list(struct serving *s, struct err *e)
{
        AUTO(answer_done) struct answer a;
        AUTO(store_list_done) struct store_list list = {0};
        int r = answer_begin(&a, e);
        if (r == 0)
                r = store_list(s->config->artifacts, &list, e);
        for (size_t i = 0; r == 0 && i < list.n; i++)
                r = add_entry(&a.buf, &list.v[i], e);
        return r < 0 ? r : answer_send(&a, &s->out, e);
}

static int do_find(struct serving *s, const struct store_request *q, struct err *e)
{
        AUTO(answer_done) struct answer a = {0};
        const struct store_lookup l = {.keys = q->keys,
                                       .n_keys = q->n_keys,
                                       .scopes = s->config->scopes,
                                       .n_scopes = s->config->n_scopes,
                                       .version = q->version};
        struct store_entry x;
        int r = need_caches(s, e);
        if (r == 0)
                r = answer_begin(&a, e);
        if (r < 0)
                return r;
        int found = store_find(s->config->caches, &l, &x, e);
        if (found == 0)
                r = add_entry(&a.buf, &x, e);
        return r < 0 || found < 0 ? -1 : answer_send(&a, &s->out, e);
}

/* ---- to the client ---- */

static int stream_archive(struct serving *s, int fd, struct hash *h, struct err *e)
{
        for (;;) {
                uint8_t *room;
                size_t len;
                int r = out_room(&s->out, &room, &len, e);
                if (r < 0)
                        return r;
                ssize_t n = read(fd, room, len);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return err_errno(e, ERR_RESOURCES, errno, "read an archive of the store");
                if (n == 0)
                        return 0;
                r = hash_add(h, room, (size_t)n, e);
                if (r == 0)
                        r = out_filled(&s->out, (size_t)n, e);
                if (r < 0)
                        return r;
        }
}

/* Bytes that rotted on the disk are not given as what they were. */
static int check_digest(struct store *store, const struct store_entry *x, struct hash *h, struct err *e)
{
        int r = store_verify(h, x, e);
        if (r == STORE_E_DAMAGED)
                store_remove_archive(store, x->digest, NULL);
        return r == 0 ? 0 : -1;
}

static int send_ok(struct serving *s, const struct store_entry *x, struct err *e)
{
        AUTO(answer_done) struct answer a;
        int r = answer_begin(&a, e);
        if (r == 0 && x)
                r = add_entry(&a.buf, x, e);
        return r < 0 ? r : answer_send(&a, &s->out, e);
}

/* Once the answer is out, what fails is told behind the stream. */
static int send_archive(struct serving *s, struct store *store, const struct store_entry *x, int fd, struct err *e)
{
        AUTO(hash_freep) struct hash *h = NULL;
        int r = hash_new(&h, e);
        if (r == 0)
                r = send_ok(s, x, e);
        if (r < 0)
                return r;
        r = stream_archive(s, fd, h, e);
        if (r == 0)
                r = check_digest(store, x, h, e);
        r = answer_end_stream(&s->out, r, e);
        return r < 0 ? r : send_ok(s, NULL, e);
}

/* Ids can be guessed: a cache of another branch is none, as for find-cache. */
static bool may_read(const struct serving *s, const struct store *store, const struct store_entry *x)
{
        for (size_t i = 0; store == s->config->caches && i < s->config->n_scopes; i++)
                if (str_eq(x->scope, s->config->scopes[i]))
                        return true;
        return store != s->config->caches;
}

static int do_get(struct serving *s, struct store *store, const struct store_request *q, struct err *e)
{
        AUTO(auto_close) int fd = -1;
        struct store_entry x;
        int r = store_read(store, q->id, &x, &fd, e);
        if (r == STORE_E_MISSING || (r == 0 && !may_read(s, store, &x)))
                return err_set(e, ERR_USAGE, "there is no %s %" PRIu64 " any more",
                               store == s->config->caches ? "cache" : "artifact", q->id);
        return r < 0 ? r : send_archive(s, store, &x, fd, e);
}

static int do_get_cache(struct serving *s, const struct store_request *q, struct err *e)
{
        int r = need_caches(s, e);
        return r < 0 ? r : do_get(s, s->config->caches, q, e);
}

/* ---- from the client ---- */

static int lost(struct err *e)
{
        return err_set(e, ERR_CANCELLED, "the client went away in the middle of its stream");
}

/* The next chunk into s->chunk; an empty one ends the stream. */
static int read_chunk(struct serving *s, struct err *e)
{
        uint8_t word[4];
        if (fd_read_exact(s->fd, word, sizeof(word), "a chunk", e) < 0)
                return lost(e);
        uint32_t len = num_be32(word);
        if (len > SERVE_MAX_CHUNK)
                return err_set(e, ERR_PROTOCOL, "a chunk: expected at most %u bytes, found %u", SERVE_MAX_CHUNK, len);
        buf_clear(&s->chunk);
        int r = buf_reserve(&s->chunk, len, e);
        if (r == 0 && fd_read_exact(s->fd, s->chunk.data, len, "a chunk", e) < 0)
                return lost(e);
        s->chunk.len = len;
        return r;
}

/* What the client says behind its stream. */
static int read_end(struct serving *s, bool *ret_whole, struct err *e)
{
        AUTO(buf_done) struct buf list = BUF_INIT;
        struct fields *f = NULL;
        const char *status = "";
        int r = serve_read(s->fd, STORE_MAX_REQUEST, &list, e);
        if (r == SERVE_E_CLOSED)
                return lost(e);
        if (r == 0)
                r = fields_parse(list.data, list.len, &f, e);
        if (r == 0)
                r = fields_str(f, "status", &status, e);
        *ret_whole = str_eq(status, "ok");
        if (r == 0 && !*ret_whole && !str_eq(status, "error"))
                r = err_set(e, ERR_PROTOCOL, "status: expected 'ok' or 'error'");
        fields_free(f);
        return r;
}

/* The whole stream. A failure of ours is told at once, and then the rest is read over: *ret_told. */
static int take_stream(struct serving *s, struct store_put *p, bool *ret_whole, bool *ret_told, struct err *e)
{
        *ret_told = false;
        for (;;) {
                struct err why = ERR_INIT;
                int r = read_chunk(s, e);
                if (r < 0)
                        return r;
                if (s->chunk.len == 0)
                        return read_end(s, ret_whole, e);
                if (*ret_told || store_put_write(p, s->chunk.data, s->chunk.len, &why) == 0)
                        continue;
                *ret_told = true;
                r = answer_failure(&s->out, &why, e);
                if (r < 0)
                        return r;
        }
}

static int answer_exists(struct serving *s, bool exists, const struct store_entry *x, struct err *e)
{
        AUTO(answer_done) struct answer a;
        int r = answer_begin(&a, e);
        if (r == 0)
                r = fields_add_u64(&a.buf, "exists", exists, e);
        if (r == 0 && x)
                r = add_entry(&a.buf, x, e);
        return r < 0 ? r : answer_send(&a, &s->out, e);
}

static int commit(struct serving *s, struct store_put *p, struct err *e)
{
        struct store_entry x;
        int r = store_put_commit(p, &x, e);
        if (r < 0)
                return r;
        return answer_exists(s, r == STORE_E_EXISTS, r == 0 ? &x : NULL, e);
}

static int do_put(struct serving *s, struct store *store, const struct store_what *w, struct err *e)
{
        AUTO(store_put_freep) struct store_put *p = NULL;
        bool whole = false, told = false;
        int r = store_put_new(store, w, &p, e);
        if (r == STORE_E_EXISTS)
                return answer_exists(s, true, NULL, e);
        if (r == 0)
                r = answer_exists(s, false, NULL, e);
        if (r == 0)
                r = take_stream(s, p, &whole, &told, e);
        if (r < 0 || told)
                return r;
        return whole ? commit(s, p, e) : err_set(e, ERR_USAGE, "the archive was given up");
}

static int do_put_artifact(struct serving *s, const struct store_request *q, struct err *e)
{
        const struct store_what w = {.name = q->name,
                                     .run = s->config->run,
                                     .job = s->config->job,
                                     .type = q->type,
                                     .days = q->days,
                                     .overwrite = q->overwrite};
        return do_put(s, s->config->artifacts, &w, e);
}

static int do_delete(struct serving *s, const struct store_request *q, struct err *e)
{
        int r = store_remove(s->config->artifacts, q->id, e);
        if (r == STORE_E_MISSING)
                return err_set(e, ERR_USAGE, "there is no artifact %" PRIu64 " any more", q->id);
        return r < 0 ? r : send_ok(s, NULL, e);
}

static int do_put_cache(struct serving *s, const struct store_request *q, struct err *e)
{
        const struct store_what w = {.name = q->keys[0],
                                     .scope = s->config->scopes[0],
                                     .version = q->version,
                                     .run = s->config->run,
                                     .job = s->config->job};
        int r = need_caches(s, e);
        return r < 0 ? r : do_put(s, s->config->caches, &w, e);
}

/* ---- the connection ---- */

static bool may_ask(const struct serving *s, enum store_op op)
{
        return s->is_service ? op == STORE_OP_PUT_ARTIFACT || op == STORE_OP_DELETE_ARTIFACT
                             : op != STORE_OP_DELETE_ARTIFACT;
}

static int handle(struct serving *s, const struct store_request *q, struct err *e)
{
        if (!may_ask(s, q->op))
                return err_set(e, ERR_PROTOCOL, "an operation that is not for this client");
        switch (q->op) {
        case STORE_OP_LIST_ARTIFACTS:
                return do_list(s, e);
        case STORE_OP_GET_ARTIFACT:
                return do_get(s, s->config->artifacts, q, e);
        case STORE_OP_PUT_ARTIFACT:
                return do_put_artifact(s, q, e);
        case STORE_OP_DELETE_ARTIFACT:
                return do_delete(s, q, e);
        case STORE_OP_FIND_CACHE:
                return do_find(s, q, e);
        case STORE_OP_GET_CACHE:
                return do_get_cache(s, q, e);
        case STORE_OP_PUT_CACHE:
                return do_put_cache(s, q, e);
        }
        return err_set(e, ERR_PROTOCOL, "an operation that is not known");
}

/* A failed request is answered and the connection goes on; a broken protocol or a lost client ends it. */
static int serve(struct serving *s, const struct buf *data, struct err *e)
{
        struct store_request q = {0};
        struct err failure = ERR_INIT;
        int r = store_request_parse(data->data, data->len, &q, &failure);
        if (r == 0)
                r = handle(s, &q, &failure);
        store_request_done(&q);
        if (r == 0)
                return 0;
        if (failure.code != ERR_CANCELLED)
                r = answer_failure(&s->out, &failure, e);
        if (r == 0 && failure.code != ERR_PROTOCOL)
                return 0;
        *e = failure;
        return -1;
}

void store_server_refuse(const struct store_server *s, const struct err *why)
{
        const int fds[] = {s->fd, s->service_fd};
        for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
                struct out out = {.fd = fds[i]};
                if (fds[i] >= 0)
                        answer_failure(&out, why, NULL);
                out_done(&out);
        }
}

/* One request. SERVE_E_CLOSED. */
static int turn(struct serving *s, struct err *e)
{
        AUTO(buf_done) struct buf request = BUF_INIT;
        int r = serve_read(s->fd, STORE_MAX_REQUEST, &request, e);
        return r == 0 ? serve(s, &request, e) : r;
}

static void serving_done(struct serving *s)
{
        out_done(&s->out);
        buf_done(&s->chunk);
        s->fd = fd_close(s->fd);
}

/* What it breaks is its own connection's end, and no matter of the job's. */
static void turn_of_service(struct serving *s)
{
        struct err why = ERR_INIT;
        int r = turn(s, &why);
        if (r < 0 && why.code != ERR_CANCELLED)
                log_warning("devdep-service: %s", why.msg);
        if (r != 0)
                serving_done(s);
}

static int wait_for(struct serving *job, struct serving *service, struct err *e)
{
        struct pollfd fds[] = {{.fd = job->fd, .events = POLLIN}, {.fd = service->fd, .events = POLLIN}};
        if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
                return err_errno(e, ERR_RESOURCES, errno, "wait for a request");
        if (fds[1].revents)
                turn_of_service(service);
        return fds[0].revents ? turn(job, e) : 0;
}

int store_server_run(const struct store_server *c, struct err *e)
{
        struct serving job = {.config = c, .fd = c->fd, .out = {.fd = c->fd}};
        struct serving service = {.config = c, .fd = c->service_fd, .is_service = true, .out = {.fd = c->service_fd}};
        int r = answer_greet(&job.out, STORE_PROTOCOL, e);
        if (service.fd >= 0 && answer_greet(&service.out, STORE_PROTOCOL, NULL) < 0)
                serving_done(&service);
        while (r == 0)
                r = wait_for(&job, &service, e);
        serving_done(&job);
        serving_done(&service);
        return r == SERVE_E_CLOSED ? 0 : r;
}
