#include "http/http.h"

#include <curl/curl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/secret.h"
#include "base/str.h"
#include "loop/loop.h"
#include "net/name.h"
#include "net/resolve.h"

#define USER_AGENT "devdep/" DEVDEP_VERSION

struct http {
        struct resolver *resolver;
        struct loop *loop;
        struct buf authorities;
        CURL *curl;
        char *address; /* without a slash at its end */
        char host[NAME_TEXT];
        bool numeric; /* the host is an address */
        uint16_t port;
        struct prefix networks[HTTP_MAX_NETWORKS];
        size_t n_networks;
        /* Of the request under way. */
        struct resolve *resolving;
        struct address found[RESOLVE_MAX_ADDRESSES];
        size_t n_found;
        const char *why; /* no address was found */
        struct http_answer *answer;
        size_t head;                  /* bytes of the answer's head so far */
        bool too_large;               /* it passed a bound */
        struct err refused;           /* of the address that was to be dialled */
        char reason[CURL_ERROR_SIZE]; /* libcurl's */
};

/* ---- memory ---- */

static void *crypto_malloc(size_t len, const char *file, int line)
{
        (void)file;
        (void)line;
        return secret_heap_alloc(len);
}

static void *crypto_realloc(void *p, size_t len, const char *file, int line)
{
        (void)file;
        (void)line;
        return secret_heap_realloc(p, len);
}

static void crypto_free(void *p, const char *file, int line)
{
        (void)file;
        (void)line;
        secret_heap_free(p);
}

int http_init(struct err *e)
{
        if (!CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free))
                return err_set(e, ERR_RESOURCES, "OpenSSL was used before its memory was set");
        if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, secret_heap_alloc, secret_heap_free, secret_heap_realloc,
                                 secret_heap_dup, secret_heap_calloc))
                return err_set(e, ERR_RESOURCES, "libcurl cannot be used");
        return 0;
}

/* ---- addresses ---- */

/* May it be dialled? A link-local address is what a cloud answers its guests on. */
static int check_address(const struct http *h, const struct address *a, struct err *e)
{
        char text[ADDRESS_TEXT];
        const char *what = address_special(a, NULL);
        bool never = what && (strstr(what, "metadata") || strstr(what, "link-local"));
        for (size_t i = 0; what && !never && i < h->n_networks; i++)
                if (prefix_has(&h->networks[i], a))
                        return 0;
        if (!what)
                return 0;
        address_text(a, text);
        return err_set(e, ERR_VAULT_MISMATCH, "%s is at %s, %s%s", h->host, text, what,
                       never ? "" : ", which no allowed network has");
}

static int on_resolved(const struct address *v, size_t n, const char *why, void *user, struct err *e)
{
        struct http *h = user;
        (void)e;
        h->resolving = NULL;
        h->n_found = MIN(n, (size_t)RESOLVE_MAX_ADDRESSES);
        memcpy(h->found, v, h->n_found * sizeof(*v));
        h->why = why;
        loop_quit(h->loop);
        return 0;
}

/* Every answer of the resolver is looked at: one bad address among them says that they are not to be trusted. */
static int find_addresses(struct http *h, enum http_failure *ret_why, struct err *e)
{
        h->n_found = 0;
        if (h->numeric) {
                h->n_found = address_parse(h->host, &h->found[0]);
        } else {
                int r = resolve_start(h->resolver, h->host, on_resolved, h, &h->resolving, e);
                if (r == 0)
                        r = loop_run(h->loop, e);
                if (r < 0)
                        return r;
        }
        if (!h->n_found) {
                *ret_why = HTTP_UNRESOLVED;
                err_set(e, ERR_VAULT_MISMATCH, "%s: %s", h->host, h->why ? h->why : "it has no address");
                return HTTP_E_FAILED;
        }
        *ret_why = HTTP_REFUSED;
        for (size_t i = 0; i < h->n_found; i++)
                if (check_address(h, &h->found[i], e) < 0)
                        return HTTP_E_FAILED;
        return 0;
}

/* "host:port:address,address": libcurl looks up nothing. */
static int pin_addresses(struct http *h, struct curl_slist **ret, struct err *e)
{
        AUTO(buf_done) struct buf b = BUF_INIT;
        char text[ADDRESS_TEXT];
        int r = buf_printf(&b, e, "%s:%u:", h->host, h->port);
        for (size_t i = 0; r == 0 && i < h->n_found; i++) {
                address_text(&h->found[i], text);
                r = buf_printf(&b, e, h->found[i].v6 ? "%s[%s]" : "%s%s", i ? "," : "", text);
        }
        const char *line = r == 0 ? buf_cstr(&b) : NULL;
        *ret = line ? curl_slist_append(NULL, line) : NULL;
        return r < 0 ? r : *ret ? 0 : err_nomem(e);
}

/* The address that is really dialled, whatever was pinned. */
static curl_socket_t on_socket(void *user, curlsocktype purpose, struct curl_sockaddr *to)
{
        struct http *h = user;
        struct address a;
        if (purpose != CURLSOCKTYPE_IPCXN || !address_from_socket(&to->addr, &a)) {
                err_set(&h->refused, ERR_VAULT_MISMATCH, "%s: a connection that is none over IP", h->host);
                return CURL_SOCKET_BAD;
        }
        if (check_address(h, &a, &h->refused) < 0)
                return CURL_SOCKET_BAD;
        return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

/* ---- the server ---- */

static int read_networks(struct http *h, const struct http_server *s, struct err *e)
{
        if (s->n_networks > HTTP_MAX_NETWORKS)
                return err_set(e, ERR_USAGE, "more than %u networks", HTTP_MAX_NETWORKS);
        for (size_t i = 0; i < s->n_networks; i++) {
                int r = prefix_parse(s->networks[i], &h->networks[h->n_networks++], e);
                if (r < 0)
                        return err_wrap(e, r, "network");
        }
        return 0;
}

static void free_text(char **p)
{
        curl_free(*p);
}

static void free_url(CURLU **u)
{
        curl_url_cleanup(*u);
}

/* A bare host: what its parts are decides, not what libcurl would make of it later. */
static int take_host(struct http *h, char *host, struct err *e)
{
        struct address a;
        size_t len = strlen(host);
        if (len > 2 && host[0] == '[') {
                memmove(host, host + 1, len);
                host[len - 2] = '\0';
        }
        h->numeric = address_parse(host, &a);
        if (!h->numeric)
                return name_normalise(host, strlen(host), h->host, e);
        str_copy(h->host, sizeof(h->host), host);
        return 0;
}

static int split_address(struct http *h, const char *text, struct err *e)
{
        AUTO(free_url) CURLU *u = curl_url();
        AUTO(free_text) char *host = NULL, *port = NULL, *other = NULL;
        uint64_t number = 443;
        if (!u)
                return err_nomem(e);
        if (!str_starts(text, "https://") || curl_url_set(u, CURLUPART_URL, text, CURLU_PATH_AS_IS) ||
            curl_url_get(u, CURLUPART_HOST, &host, 0))
                return err_set(e, ERR_USAGE, "expected https://NAME[:PORT][/PATH]");
        /* libcurl makes 127.0.0.1 of 0x7f.1: what is not written as it is meant is not taken. */
        if (strncasecmp(text + strlen("https://"), host, strlen(host)) != 0)
                return err_set(e, ERR_USAGE, "expected no user, and a host as a name or a plain address in it");
        static const CURLUPart none[] = {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_QUERY, CURLUPART_FRAGMENT,
                                         CURLUPART_ZONEID};
        for (size_t i = 0; i < ARRAY_SIZE(none); i++)
                if (!curl_url_get(u, none[i], &other, 0))
                        return err_set(e, ERR_USAGE, "expected no user, query or fragment in it");
        if (!curl_url_get(u, CURLUPART_PORT, &port, 0) && num_u64(port, 1, UINT16_MAX, "its port", &number, e) < 0)
                return -1;
        h->port = (uint16_t)number;
        return take_host(h, host, e);
}

int http_set_server(struct http *h, const struct http_server *s, struct err *e)
{
        size_t len = strlen(s->address);
        if (len > HTTP_MAX_ADDRESS)
                return err_set(e, ERR_USAGE, "expected at most %u bytes", HTTP_MAX_ADDRESS);
        int r = split_address(h, s->address, e);
        if (r == 0)
                r = read_networks(h, s, e);
        if (r == 0 && *s->authorities) {
                buf_clear(&h->authorities);
                r = buf_append_str(&h->authorities, s->authorities, e);
        }
        if (r < 0)
                return r;
        while (len && s->address[len - 1] == '/')
                len--;
        h->address = str_ndup(s->address, len);
        return h->address ? 0 : err_nomem(e);
}

/* ---- life ---- */

CLEANUP_DEFINE(struct http, http_free)

int http_new(struct http **ret, struct err *e)
{
        AUTO(http_freep) struct http *h = calloc(1, sizeof(*h));
        if (!h)
                return err_nomem(e);
        h->authorities.max = HTTP_MAX_AUTHORITIES;
        tzset(); /* the first look at a certificate's dates would open /etc/localtime */
        int r = fs_read(FS_HOST_AUTHORITIES, HTTP_MAX_AUTHORITIES, &h->authorities, e);
        if (r >= 0)
                r = resolver_new(&h->resolver, e);
        if (r == 0)
                r = loop_new(&h->loop, e);
        if (r == 0)
                r = resolver_attach(h->resolver, h->loop, e);
        h->curl = r == 0 ? curl_easy_init() : NULL;
        if (r == 0 && !h->curl)
                r = err_nomem(e);
        if (r == 0)
                *ret = TAKE_PTR(h);
        return r;
}

struct http *http_free(struct http *h)
{
        if (!h)
                return NULL;
        curl_easy_cleanup(h->curl);
        resolver_free(h->resolver);
        loop_free(h->loop);
        buf_done(&h->authorities);
        free(h->address);
        free(h);
        return NULL;
}

void http_answer_done(struct http_answer *a)
{
        buf_wipe(&a->body);
        a->status = 0;
}

/* ---- a request ---- */

static size_t on_body(char *data, size_t size, size_t n, void *user)
{
        struct http *h = user;
        h->too_large |= h->answer->body.len + size * n > HTTP_MAX_ANSWER;
        return h->too_large || buf_append(&h->answer->body, data, size * n, NULL) < 0 ? 0 : size * n;
}

static size_t on_head(char *data, size_t size, size_t n, void *user)
{
        struct http *h = user;
        (void)data;
        h->head += size * n;
        h->too_large |= h->head > HTTP_MAX_HEADERS;
        return h->too_large ? 0 : size * n;
}

/* One failure of an option is as good as another: libcurl is not the one that we know. */
static int set_options(struct http *h, const struct http_request *q, struct err *e)
{
        struct curl_blob authorities = {
                .data = h->authorities.data, .len = h->authorities.len, .flags = CURL_BLOB_NOCOPY};
        CURL *c = h->curl;
        CURLcode r = curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https");
        r |= curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
        r |= curl_easy_setopt(c, CURLOPT_PROXY, "");
        r |= curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
        r |= curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
        r |= curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
        r |= curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
        r |= curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
        r |= curl_easy_setopt(c, CURLOPT_CAINFO, NULL);
        r |= curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
        r |= curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, &authorities);
        /* On a connection that it had before, libcurl would send a request that got no answer a second time. */
        r |= curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, 1L);
        r |= curl_easy_setopt(c, CURLOPT_FORBID_REUSE, 1L);
        r |= curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
        r |= curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)HTTP_CONNECT_MS);
        r |= curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)HTTP_TOTAL_MS);
        r |= curl_easy_setopt(c, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)HTTP_MAX_ANSWER);
        r |= curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_socket);
        r |= curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, h);
        r |= curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
        r |= curl_easy_setopt(c, CURLOPT_WRITEDATA, h);
        r |= curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_head);
        r |= curl_easy_setopt(c, CURLOPT_HEADERDATA, h);
        r |= curl_easy_setopt(c, CURLOPT_ERRORBUFFER, h->reason);
        r |= curl_easy_setopt(c, CURLOPT_USERAGENT, USER_AGENT);
        r |= curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, q->method);
        if (q->body) {
                r |= curl_easy_setopt(c, CURLOPT_POSTFIELDS, q->body);
                r |= curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->len);
        }
        return r ? err_set(e, ERR_RESOURCES, "this libcurl lacks what is needed (%s)", curl_version()) : 0;
}

static int set_headers(const struct http_request *q, struct curl_slist **ret, struct err *e)
{
        /* Nothing is asked for before a body is sent. */
        *ret = curl_slist_append(NULL, "Expect:");
        for (size_t i = 0; *ret && i < q->n_headers; i++) {
                struct curl_slist *more = curl_slist_append(*ret, q->headers[i]);
                if (!more) {
                        curl_slist_free_all(*ret);
                        *ret = NULL;
                } else {
                        *ret = more;
                }
        }
        return *ret ? 0 : err_nomem(e);
}

static enum http_failure failure_of(const struct http *h, CURLcode code)
{
        long sent = 0;
        curl_easy_getinfo(h->curl, CURLINFO_REQUEST_SIZE, &sent);
        switch (code) {
        case CURLE_OPERATION_TIMEDOUT:
                return sent ? HTTP_SLOW : HTTP_UNREACHABLE;
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CONNECT_ERROR:
        case CURLE_SSL_CERTPROBLEM:
        case CURLE_SSL_CIPHER:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_SSL_ISSUER_ERROR:
                return HTTP_UNTRUSTED;
        case CURLE_FILESIZE_EXCEEDED:
                return HTTP_LARGE;
        default:
                return h->too_large ? HTTP_LARGE : sent ? HTTP_BROKEN : HTTP_UNREACHABLE;
        }
}

static int fail(const struct http *h, CURLcode code, enum http_failure *ret_why, struct err *e)
{
        char shown[sizeof(h->reason) * 2];
        const char *reason = *h->reason ? h->reason : curl_easy_strerror(code);
        if (h->refused.code != ERR_SUCCESS) {
                *ret_why = HTTP_REFUSED;
                *e = h->refused;
                return HTTP_E_FAILED;
        }
        *ret_why = failure_of(h, code);
        str_escape(shown, sizeof(shown), reason, strlen(reason));
        if (*ret_why == HTTP_LARGE)
                err_set(e, ERR_VAULT_MISMATCH, "%s sends more than %zu KiB", h->host, HTTP_MAX_ANSWER >> 10);
        else
                err_set(e, ERR_VAULT_MISMATCH, "%s: %s", h->host, shown);
        return HTTP_E_FAILED;
}

static int perform(struct http *h, const struct http_request *q, struct curl_slist *pins, struct curl_slist *headers,
                   enum http_failure *ret_why, struct err *e)
{
        AUTO(buf_done) struct buf url = BUF_INIT;
        long status = 0;
        int r = buf_printf(&url, e, "%s%s", h->address, q->path);
        if (r == 0)
                r = set_options(h, q, e);
        if (r < 0)
                return r;
        if (curl_easy_setopt(h->curl, CURLOPT_URL, buf_cstr(&url)) ||
            curl_easy_setopt(h->curl, CURLOPT_RESOLVE, pins) || curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, headers))
                return err_nomem(e);
        CURLcode code = curl_easy_perform(h->curl);
        if (code)
                return fail(h, code, ret_why, e);
        curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status);
        h->answer->status = (int)status;
        return 0;
}

int http_send(struct http *h, const struct http_request *q, struct http_answer *ret, enum http_failure *ret_why,
              struct err *e)
{
        struct curl_slist *pins = NULL, *headers = NULL;
        http_answer_done(ret);
        ret->body.max = HTTP_MAX_ANSWER;
        h->answer = ret;
        h->head = 0;
        h->too_large = false;
        h->refused = (struct err)ERR_INIT;
        h->reason[0] = '\0';
        int r = find_addresses(h, ret_why, e);
        if (r == 0)
                r = pin_addresses(h, &pins, e);
        if (r == 0)
                r = set_headers(q, &headers, e);
        if (r == 0)
                r = perform(h, q, pins, headers, ret_why, e);
        curl_easy_reset(h->curl);
        curl_slist_free_all(pins);
        curl_slist_free_all(headers);
        return r;
}
