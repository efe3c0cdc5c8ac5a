#include "service/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/list.h"
#include "base/num.h"
#include "base/str.h"
#include "loop/loop.h"
#include "net/link.h"
#include "net/name.h"
#include "service/artifacts.h"
#include "service/caches.h"
#include "service/http.h"
#include "service/limits.h"
#include "service/repack.h"
#include "service/services.h"
#include "service/twirp.h"
#include "service/upload.h"
#include "wire/door.h"

#define UPLOADS "/uploads/"
#define ENTRIES "/entries/"
#define ARTIFACTS "/artifacts/"
#define MAX_DISPOSITION (3 * STORE_MAX_NAME + 80) /* bytes of the field that names a file */
#define MAX_MORE (MAX_DISPOSITION + 160)          /* of the fields of one answer */

struct server {
        struct loop *loop;
        struct services *services;
        struct link *link;
        struct list connections;
        unsigned n_connections;
        unsigned n_zips; /* that are being sent */
};

/* What the body of the request under way is. */
enum body {
        BODY_NONE,    /* between requests */
        BODY_MESSAGE, /* JSON, or a list of blocks: kept */
        BODY_BLOCK,   /* written to its upload */
        BODY_ASKED,   /* a message that waits for the job's answer */
};

struct connection {
        struct list list;
        struct server *server;
        struct door_stream *stream;   /* NULL: over */
        struct door_stream *question; /* to devdep-job; NULL: none is open */
        struct buf in, message, out;
        struct http_head head;
        enum body body;
        uint64_t left; /* of the body */
        char token[UPLOADS_TOKEN_SIZE], block[SERVICE_MAX_BLOCK_ID + 1];
        uint64_t block_at, block_len;
        int file; /* that is being sent, or -1 */
        uint64_t file_at, file_left;
        struct tar_to_zip *zip; /* made of the file; NULL: it is sent as it is */
        bool eof, closing;      /* no more requests come; none are answered */
};

static void end_sending(struct connection *c)
{
        c->server->n_zips -= c->zip != NULL;
        c->zip = tar_to_zip_free(c->zip);
        c->file = fd_close(c->file);
}

static void connection_free(struct connection *c)
{
        list_remove(&c->list);
        if (c->question)
                door_reset(c->question, NULL);
        c->server->n_connections--;
        buf_done(&c->in);
        buf_done(&c->message);
        buf_done(&c->out);
        end_sending(c);
        free(c);
}

/* ---- answers ---- */

static const char *phrase(unsigned status)
{
        static const struct {
                unsigned status;
                const char *phrase;
        } phrases[] = {{200, "OK"},        {201, "Created"},  {206, "Partial Content"}, {400, "Bad Request"},
                       {404, "Not Found"}, {409, "Conflict"}, {413, "Too Large"},       {416, "Range Not Satisfiable"},
                       {503, "Busy"}};
        for (size_t i = 0; i < ARRAY_SIZE(phrases); i++)
                if (phrases[i].status == status)
                        return phrases[i].phrase;
        return "Insufficient Storage";
}

static int start_answer(struct connection *c, unsigned status, const char *type, uint64_t len, const char *more,
                        struct err *e)
{
        return buf_printf(
                &c->out, e, "HTTP/1.1 %u %s\r\nServer: devdep\r\nContent-Type: %s\r\nContent-Length: %llu\r\n%s%s\r\n",
                status, phrase(status), type, (unsigned long long)len, more, c->closing ? "Connection: close\r\n" : "");
}

static int answer_text(struct connection *c, unsigned status, const char *type, const void *data, size_t len,
                       struct err *e)
{
        int r = start_answer(c, status, type, len, "", e);
        return r < 0 || c->head.method == HTTP_HEAD ? r : buf_append(&c->out, data, len, e);
}

/* A refusal. What is left of the request is not read. */
static int refuse(struct connection *c, unsigned status, const char *message, struct err *e)
{
        c->closing |= c->left > 0 || status == 400;
        c->body = BODY_NONE;
        c->left = 0;
        return answer_text(c, status, "text/plain", message, strlen(message), e);
}

static int refuse_for(struct connection *c, const struct err *why, struct err *e)
{
        return refuse(c, why->code == ERR_USAGE ? 400 : 507, why->msg, e);
}

static int answer_created(struct connection *c, struct err *e)
{
        static const char more[] =
                "ETag: \"0x1\"\r\nx-ms-version: 2024-11-04\r\nx-ms-request-server-encrypted: false\r\n";
        c->body = BODY_NONE;
        return start_answer(c, 201, "application/xml", 0, more, e);
}

/* ---- entries ---- */

static int range_of(struct connection *c, uint64_t size, uint64_t *ret_first, uint64_t *ret_len)
{
        const struct http_head *h = &c->head;
        *ret_first = 0;
        *ret_len = size;
        if (!h->has_range)
                return 0;
        if (h->first >= size)
                return -1;
        *ret_first = h->first;
        *ret_len = MIN(h->last, size - 1) - h->first + 1;
        return 0;
}

/* fields: of the answer, each with its CRLF. */
static int send_file(struct connection *c, int *fd, uint64_t at, uint64_t size, const char *type, const char *fields,
                     struct err *e)
{
        uint64_t first, len;
        char more[MAX_MORE];
        snprintf(more, sizeof(more), "%sAccept-Ranges: bytes\r\n", fields);
        if (range_of(c, size, &first, &len) < 0)
                return refuse(c, 416, "the range lies behind the end", e);
        if (c->head.has_range)
                snprintf(more, sizeof(more), "%sAccept-Ranges: bytes\r\nContent-Range: bytes %llu-%llu/%llu\r\n",
                         fields, (unsigned long long)first, (unsigned long long)(first + len - 1),
                         (unsigned long long)size);
        int r = start_answer(c, c->head.has_range ? 206 : 200, type, len, more, e);
        if (r < 0 || c->head.method == HTTP_HEAD || !len)
                return r;
        c->file = TAKE_FD(*fd);
        c->file_at = at + first;
        c->file_left = len;
        return 0;
}

static int get_entry(struct connection *c, struct err *e)
{
        AUTO(auto_close) int fd = -1;
        struct err why = ERR_INIT;
        uint64_t id = 0, at = 0, size = 0;
        int r = num_u64(c->head.path + strlen(ENTRIES), 1, STORE_MAX_ID, "id", &id, &why);
        if (r == 0)
                r = caches_open(c->server->services->caches, id, &fd, &at, &size, &why);
        if (r == CACHES_E_MISSING)
                return refuse(c, 404, "there is no such cache", e);
        return r < 0 ? refuse_for(c, &why, e) : send_file(c, &fd, at, size, "application/octet-stream", "", e);
}

/* ---- artifacts ---- */

/* What a client calls the file: RFC 6266, with every byte that is not plain as its number. */
static void name_file(const char *name, const char *ending, char ret[MAX_DISPOSITION])
{
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
        size_t n = (size_t)snprintf(ret, MAX_DISPOSITION, "Content-Disposition: attachment; filename*=UTF-8''");
        for (const char *p = name; *p; p++)
                n += (size_t)snprintf(ret + n, MAX_DISPOSITION - n, strchr(plain, *p) ? "%c" : "%%%02X",
                                      (unsigned char)*p);
        snprintf(ret + n, MAX_DISPOSITION - n, "%s\r\n", ending);
}

static int send_zip(struct connection *c, const struct artifact *x, int *fd, const char *fields, struct err *e)
{
        struct tar_to_zip *zip = NULL;
        if (c->head.method != HTTP_HEAD && c->server->n_zips == SERVICE_MAX_ZIPS)
                return refuse(c, 503, "too many artifacts are being sent", e);
        int r = start_answer(c, 200, "application/zip", x->bytes, fields, e);
        if (r < 0 || c->head.method == HTTP_HEAD)
                return r;
        r = tar_to_zip_new(*fd, x->entry.bytes, x->entry.files, &zip, e);
        if (r < 0)
                return r;
        c->server->n_zips++;
        c->zip = zip;
        c->file = TAKE_FD(*fd);
        c->file_left = x->bytes;
        return 0;
}

static int get_artifact(struct connection *c, struct err *e)
{
        AUTO(auto_close) int fd = -1;
        struct err why = ERR_INIT;
        struct artifact x = {0};
        char fields[MAX_DISPOSITION];
        uint64_t id = 0;
        int r = num_u64(c->head.path + strlen(ARTIFACTS), 1, STORE_MAX_ID, "id", &id, &why);
        if (r == 0)
                r = artifacts_open(c->server->services->artifacts, id, &x, &fd, &why);
        if (r == ARTIFACTS_E_MISSING)
                return refuse(c, 404, "there is no such artifact", e);
        if (r < 0)
                return refuse_for(c, &why, e);
        name_file(x.entry.name, *x.entry.type ? "" : ".zip", fields);
        return *x.entry.type ? send_file(c, &fd, x.at, x.bytes, x.entry.type, fields, e)
                             : send_zip(c, &x, &fd, fields, e);
}

/* ---- uploads ---- */

/* A body that is written as it comes: an upload of one block, or a block of several. */
static int begin_block(struct connection *c, struct err *e)
{
        struct upload *u = uploads_find(c->server->services->uploads, c->token);
        struct err why = ERR_INIT;
        if (!u)
                return refuse(c, 404, "there is no such upload any more", e);
        if (upload_reserve(u, c->left, &c->block_at, &why) < 0)
                return refuse_for(c, &why, e);
        c->block_len = c->left;
        c->body = BODY_BLOCK;
        return 0;
}

static int end_block(struct connection *c, struct err *e)
{
        struct upload *u = uploads_find(c->server->services->uploads, c->token);
        struct err why = ERR_INIT;
        if (!u)
                return refuse(c, 404, "there is no such upload any more", e);
        int r = upload_block(u, c->block, c->block_at, c->block_len, &why);
        if (r == 0 && !*c->block) {
                upload_list_begin(u);
                r = upload_list_add(u, "", &why);
                upload_list_end(u);
        }
        return r < 0 ? refuse_for(c, &why, e) : answer_created(c, e);
}

static int on_listed(const char *id, void *user, struct err *e)
{
        return upload_list_add(user, id, e);
}

static int take_list(struct connection *c, struct err *e)
{
        struct upload *u = uploads_find(c->server->services->uploads, c->token);
        struct err why = ERR_INIT;
        if (!u)
                return refuse(c, 404, "there is no such upload any more", e);
        upload_list_begin(u);
        if (http_block_list(c->message.data, c->message.len, on_listed, u, &why) < 0)
                return refuse_for(c, &why, e);
        upload_list_end(u);
        return answer_created(c, e);
}

/* PUT: comp=block with blockid, comp=blocklist, or nothing of it. */
static int begin_put(struct connection *c, struct err *e)
{
        char comp[16];
        if (!str_starts(c->head.path, UPLOADS) || !str_copy(c->token, sizeof(c->token), c->head.path + strlen(UPLOADS)))
                return refuse(c, 404, "there is no such upload", e);
        *c->block = '\0';
        if (!http_query(&c->head, "comp", comp, sizeof(comp)))
                return begin_block(c, e);
        if (str_eq(comp, "blocklist"))
                return c->left > SERVICE_MAX_LIST ? refuse(c, 413, "the list of blocks is too long", e) : 0;
        if (str_eq(comp, "block") && http_query(&c->head, "blockid", c->block, sizeof(c->block)) && *c->block)
                return begin_block(c, e);
        return refuse(c, 400, "comp: expected 'block' with a blockid, or 'blocklist'", e);
}

/* ---- requests ---- */

static int begin_request(struct connection *c, struct err *e)
{
        const struct http_head *h = &c->head;
        c->left = h->length;
        c->closing = h->close;
        c->body = BODY_MESSAGE;
        buf_clear(&c->message);
        if (h->method == HTTP_PUT)
                return begin_put(c, e);
        if (h->method == HTTP_POST && str_starts(h->path, TWIRP_PREFIX))
                return c->left > SERVICE_MAX_MESSAGE ? refuse(c, 413, "the request is too long", e) : 0;
        if (c->left)
                return refuse(c, 400, "a body is not expected here", e);
        c->body = BODY_NONE;
        if (h->method != HTTP_POST && str_starts(h->path, ENTRIES))
                return get_entry(c, e);
        if (h->method != HTTP_POST && str_starts(h->path, ARTIFACTS))
                return get_artifact(c, e);
        return refuse(c, 404, "there is no such thing", e);
}

static int call(struct connection *c, struct err *e)
{
        AUTO(buf_done) struct buf answer = BUF_INIT;
        unsigned status = 200;
        c->body = BODY_NONE;
        int r = twirp_call(c->server->services, c->head.path, c->message.data, c->message.len, &answer, &status, e);
        return r < 0 ? r : answer_text(c, status, "application/json", answer.data, answer.len, e);
}

static int drive(struct connection *c, struct err *e);

static int on_unmasked(struct door_stream *s, const struct fields *answer, void *user, struct err *e)
{
        struct connection *c = user;
        (void)s;
        (void)answer;
        int r = call(c, e);
        return r < 0 ? r : drive(c, e);
}

static int refuse_name(struct connection *c, bool masked, struct err *e)
{
        AUTO(buf_done) struct buf answer = BUF_INIT;
        unsigned status = 0;
        c->body = BODY_NONE;
        int r = masked ? twirp_refuse(400, "invalid_argument", "the name holds a masked value", &answer, &status, e)
                       : twirp_refuse(507, "resource_exhausted", "the job does not say whether it masks the name",
                                      &answer, &status, e);
        return r < 0 ? r : answer_text(c, status, "application/json", answer.data, answer.len, e);
}

/* Without an answer before it, it was refused. A connection whose answer cannot be given ends with the next one. */
static void on_answered(struct door_stream *s, enum door_end why, const struct fields *refusal, void *user)
{
        struct connection *c = user;
        const char *code = "";
        (void)s;
        c->question = NULL;
        if (c->body != BODY_ASKED)
                return;
        if (why == DOOR_REFUSED)
                fields_str_opt(refusal, "code", "", &code, NULL);
        if (refuse_name(c, str_eq(code, "masked"), NULL) == 0)
                drive(c, NULL);
}

static const struct door_handler question_handler = {.answer = on_unmasked, .end = on_answered};

/* Does the job mask this name? The answer goes on with the request. */
static int ask(struct connection *c, const char *name, struct err *e)
{
        AUTO(buf_done) struct buf header = BUF_INIT;
        size_t mark = 0;
        int r = fields_begin(&header, &mark, e);
        if (r == 0)
                r = fields_add_str(&header, "op", "is-masked", e);
        if (r == 0)
                r = fields_add_str(&header, "text", name, e);
        if (r == 0)
                r = fields_end(&header, mark, e);
        if (r == 0)
                r = door_open(link_door(c->server->link), &header, &question_handler, c, &c->question, e);
        if (r > 0)
                return refuse_name(c, false, e);
        if (r == 0)
                r = door_close(c->question, e);
        c->body = BODY_ASKED;
        return r;
}

static int end_request(struct connection *c, struct err *e)
{
        if (c->body == BODY_BLOCK)
                return end_block(c, e);
        c->body = BODY_NONE;
        if (c->head.method == HTTP_PUT)
                return take_list(c, e);
        char name[TWIRP_MAX_NAME + 1];
        if (twirp_names(c->head.path, c->message.data, c->message.len, name))
                return ask(c, name, e);
        return call(c, e);
}

/* ---- bytes in ---- */

static void consume(struct connection *c, size_t n)
{
        buf_consume(&c->in, n);
        if (c->stream)
                door_consumed(c->stream, n);
}

/* 1: more has to come. */
static int take_head(struct connection *c, struct err *e)
{
        struct err why = ERR_INIT;
        size_t n = c->in.len ? http_head_length(c->in.data, c->in.len) : 0;
        c->head = (struct http_head){0};
        if (n > SERVICE_MAX_HEAD || (!n && c->in.len > SERVICE_MAX_HEAD))
                return refuse(c, 400, "the request's head is too long", e);
        if (!n)
                return 1;
        int r = http_head_parse(c->in.data, n, &c->head, &why);
        consume(c, n);
        if (r < 0)
                return refuse_for(c, &why, e);
        r = begin_request(c, e);
        if (r == 0 && c->head.expects && c->left)
                r = buf_append_str(&c->out, "HTTP/1.1 100 Continue\r\n\r\n", e);
        return r;
}

/* A block whose upload ended meanwhile is read over; end_block() tells. */
static int take_body(struct connection *c, struct err *e)
{
        struct err why = ERR_INIT;
        size_t n = MIN(c->in.len, c->left);
        struct upload *u = c->body == BODY_BLOCK ? uploads_find(c->server->services->uploads, c->token) : NULL;
        int r = 0;
        if (c->left && !n)
                return 1;
        if (c->body == BODY_MESSAGE)
                r = buf_append(&c->message, c->in.data, n, e);
        else if (u && upload_write(u, c->block_at + c->block_len - c->left, c->in.data, n, &why) < 0)
                return refuse_for(c, &why, e);
        consume(c, n);
        c->left -= n;
        return r < 0 || c->left ? r : end_request(c, e);
}

/* ---- bytes out ---- */

static int fill_from_file(struct connection *c, struct err *e)
{
        size_t n = (size_t)MIN((uint64_t)SERVICE_CHUNK, c->file_left);
        int r = buf_reserve(&c->out, SERVICE_CHUNK, e);
        if (r == 0)
                r = fd_read_at(c->file, c->file_at, c->out.data, n, "an archive of the store", e);
        if (r < 0)
                return r;
        c->out.len = n;
        c->file_at += n;
        return 0;
}

/* A zip is of the length that was told: its archive does not change. */
static int fill(struct connection *c, struct err *e)
{
        int r = c->zip ? tar_to_zip_next(c->zip, &c->out, e) : fill_from_file(c, e);
        if (r == 0 && (c->out.len == 0 || c->out.len > c->file_left))
                r = err_set(e, ERR_RESOURCES, "an artifact of the store has changed");
        if (r < 0)
                return r;
        c->file_left -= c->out.len;
        if (!c->file_left)
                end_sending(c);
        return 0;
}

/* 1: the stream takes no more now. */
static int flush(struct connection *c, struct err *e)
{
        struct err inner = ERR_INIT;
        while (c->out.len || c->file >= 0) {
                int r = c->out.len ? 0 : fill(c, e);
                if (r < 0)
                        return r;
                size_t n = door_write(c->stream, c->out.data, c->out.len, &inner);
                if (inner.code != ERR_SUCCESS) {
                        *e = inner;
                        return -1;
                }
                buf_consume(&c->out, n);
                if (c->out.len)
                        return 1;
        }
        return 0;
}

/* One answer is out before the next request is looked at: a client that does not read is not served on. */
static int advance(struct connection *c, struct err *e)
{
        int r = 0;
        while (r == 0 && c->stream) {
                r = flush(c, e);
                if (r != 0)
                        break;
                if (c->body == BODY_ASKED)
                        break;
                if (c->closing && c->body == BODY_NONE) {
                        consume(c, c->in.len);
                        return door_close(c->stream, e);
                }
                r = c->body == BODY_NONE ? take_head(c, e) : take_body(c, e);
                if (r == 1 && c->eof)
                        return door_close(c->stream, e);
        }
        return r < 0 ? r : 0;
}

/* A connection of which something failed is given up; the others go on. */
static int drive(struct connection *c, struct err *e)
{
        struct err why = ERR_INIT;
        int r = c->stream ? advance(c, &why) : 0;
        if (r < 0) {
                r = door_reset(TAKE_PTR(c->stream), e);
                struct server *s = c->server;
                connection_free(c);
                link_wake(s->link);
                return r;
        }
        link_wake(c->server->link);
        return 0;
}

/* ---- streams ---- */

static int on_data(struct door_stream *s, const uint8_t *data, size_t len, void *user, struct err *e)
{
        struct connection *c = user;
        if (c->closing && c->body == BODY_NONE && !c->out.len && c->file < 0) {
                door_consumed(s, len);
                return 0;
        }
        int r = buf_append(&c->in, data, len, e);
        return r < 0 ? r : drive(c, e);
}

static int on_eof(struct door_stream *s, void *user, struct err *e)
{
        struct connection *c = user;
        (void)s;
        c->eof = true;
        return drive(c, e);
}

static int on_writable(struct door_stream *s, void *user, struct err *e)
{
        (void)s;
        return drive(user, e);
}

static void on_end(struct door_stream *s, enum door_end why, const struct fields *refusal, void *user)
{
        (void)s;
        (void)why;
        (void)refusal;
        connection_free(user);
}

static const struct door_handler handler = {.data = on_data, .eof = on_eof, .writable = on_writable, .end = on_end};

static int check_target(const struct fields *header, struct err *e)
{
        const char *name = "";
        uint64_t port = 0;
        int r = fields_str_opt(header, "name", "", &name, e);
        if (r == 0)
                r = fields_u64(header, "port", UINT16_MAX, &port, e);
        if (r == 0 && (!str_eq(name, NAME_RESULTS) || port != NAME_RESULTS_PORT))
                r = err_set(e, ERR_USAGE, "the host serves " NAME_RESULTS ":%u and nothing else", NAME_RESULTS_PORT);
        return r;
}

static int open_connection(struct server *s, struct door_stream *stream, struct err *e)
{
        struct connection *c = calloc(1, sizeof(*c));
        if (!c)
                return err_nomem(e);
        *c = (struct connection){.server = s, .stream = stream, .file = -1};
        list_append(&s->connections, &c->list);
        s->n_connections++;
        door_accept(stream, &handler, c);
        return door_answer(stream, NULL, e);
}

static int on_request(struct door_stream *stream, const char *op, const struct fields *header, void *user,
                      struct err *e)
{
        struct server *s = user;
        struct err why = ERR_INIT;
        if (!str_eq(op, "connect"))
                return 0; /* the door refuses as unsupported */
        if (check_target(header, &why) < 0)
                return door_refuse(stream, "unreachable", why.msg, e);
        if (s->n_connections == SERVICE_MAX_CONNECTIONS)
                return door_refuse(stream, "limited", "too many connections at once", e);
        return open_connection(s, stream, e);
}

static int on_ended(struct link *k, const struct err *why, void *user, struct err *e)
{
        struct server *s = user;
        (void)k;
        return link_end_loop(s->loop, why, e);
}

CLEANUP_DEFINE(struct server, server_free)

int server_new(struct loop *l, int fd, struct services *services, struct server **ret, struct err *e)
{
        const struct door_limits limits = {.yamux = {.max_streams = SERVICE_MAX_CONNECTIONS + 32,
                                                     .max_send_queue = 64 * 1024,
                                                     .max_pending_acks = SERVICE_MAX_CONNECTIONS,
                                                     .max_control = 64 * 1024},
                                           .max_header = SERVICE_MAX_HEADER,
                                           .max_headers = SERVICE_MAX_HEADERS};
        const struct door_callbacks callbacks = {.request = on_request};
        AUTO(server_freep) struct server *s = calloc(1, sizeof(*s));
        if (!s)
                return err_nomem(e);
        s->loop = l;
        s->services = services;
        list_init(&s->connections);
        const struct link_config config = {.loop = l,
                                           .fd = fd,
                                           .role = DOOR_GUEST,
                                           .limits = &limits,
                                           .callbacks = &callbacks,
                                           .ended = on_ended,
                                           .user = s};
        int r = link_new(&config, &s->link, e);
        if (r == 0)
                *ret = TAKE_PTR(s);
        return r;
}

struct server *server_free(struct server *s)
{
        if (!s)
                return NULL;
        list_for_safe (pos, tmp, &s->connections)
                connection_free(list_entry(pos, struct connection, list));
        link_free(s->link);
        free(s);
        return NULL;
}
