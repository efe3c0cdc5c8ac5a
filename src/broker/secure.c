#include "broker/secure.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "broker/limits.h"
#include "loop/loop.h"
#include "net/mirror.h"
#include "net/policy.h"

struct secure_roots {
        SSL_CTX **v;
        size_t n;
};

struct secure {
        int fd;
        SSL *tls;
        struct loop_io *io;
        struct loop_timer *timer;
        secure_fn *done;
        void *user;
};

static int tls_failed(struct err *e)
{
        ERR_clear_error();
        return err_set(e, ERR_RESOURCES, "OpenSSL lacks memory");
}

/* ---- certificates of authorities ---- */

CLEANUP_DEFINE(struct secure_roots, secure_roots_free)

struct secure_roots *secure_roots_free(struct secure_roots *r)
{
        for (size_t i = 0; r && i < r->n; i++)
                SSL_CTX_free(r->v[i]);
        if (r)
                free(r->v);
        free(r);
        return NULL;
}

/* All of a text in PEM, whatever stands between them. */
static int add_certificates(X509_STORE *store, const char *pem, size_t *ret, struct err *e)
{
        BIO *text = BIO_new_mem_buf(pem, -1);
        X509 *certificate;
        bool failed = !text;

        *ret = 0;
        while (!failed && (certificate = PEM_read_bio_X509(text, NULL, NULL, NULL))) {
                failed = !X509_STORE_add_cert(store, certificate);
                X509_free(certificate);
                (*ret)++;
        }
        unsigned long last = ERR_peek_last_error();
        BIO_free(text);
        ERR_clear_error();
        if (failed)
                return tls_failed(e);
        if (!*ret || ERR_GET_REASON(last) != PEM_R_NO_START_LINE)
                return err_set(e, ERR_USAGE, "expected certificates in PEM");
        return 0;
}

static int make_context(const char *pem, SSL_CTX **ret, struct err *e)
{
        SSL_CTX *c = SSL_CTX_new(TLS_client_method());
        size_t n;

        if (!c || !SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION)) {
                SSL_CTX_free(c);
                return tls_failed(e);
        }
        SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
        SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                    SSL_MODE_RELEASE_BUFFERS);
        int r = add_certificates(SSL_CTX_get_cert_store(c), pem, &n, e);
        if (r == 0)
                *ret = TAKE_PTR(c);
        SSL_CTX_free(c);
        return r;
}

int secure_roots_new(const struct policy *p, struct secure_roots **ret, struct err *e)
{
        AUTO(secure_roots_freep) struct secure_roots *roots = calloc(1, sizeof(*roots));

        if (!roots || !(roots->v = calloc(p->authorities.n + 1, sizeof(SSL_CTX *))))
                return err_nomem(e);
        /* There is no path any more, so no configuration and no module. */
        if (p->authorities.n && !OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL))
                return tls_failed(e);
        for (; roots->n < p->authorities.n; roots->n++) {
                int r = make_context(p->authorities.v[roots->n], &roots->v[roots->n], e);
                if (r < 0)
                        return err_wrap(e, r, "egress.authorities[%zu]", roots->n);
        }
        *ret = TAKE_PTR(roots);
        return 0;
}

/* ---- a handshake ---- */

struct ssl_st *secure_tls_free(struct ssl_st *tls)
{
        SSL_free(tls);
        return NULL;
}

struct secure *secure_free(struct secure *s)
{
        if (!s)
                return NULL;
        loop_io_free(s->io);
        loop_timer_free(s->timer);
        secure_tls_free(s->tls);
        fd_close(s->fd);
        free(s);
        return NULL;
}
CLEANUP_DEFINE(struct secure, secure_free)

/* The phrase is of OpenSSL's tables: nothing in it is the server's. */
static void explain(const SSL *tls, char *ret, size_t size)
{
        long verdict = SSL_get_verify_result(tls);
        const char *reason = ERR_reason_error_string(ERR_peek_last_error());

        if (verdict != X509_V_OK)
                snprintf(ret, size, "its certificate is not good: %s", X509_verify_cert_error_string(verdict));
        else
                snprintf(ret, size, "it does not speak TLS as it should: %s", reason ? reason : "it closed");
        ERR_clear_error();
}

static int end(struct secure *s, const char *why, struct err *e)
{
        secure_fn *done = s->done;
        void *user = s->user;

        s->io = loop_io_free(s->io);
        loop_timer_off(s->timer);
        return why ? done(-1, NULL, why, user, e) : done(TAKE_FD(s->fd), TAKE_PTR(s->tls), NULL, user, e);
}

static int go_on(struct secure *s, struct err *e)
{
        char why[160];

        ERR_clear_error();
        int r = SSL_connect(s->tls);
        if (r == 1)
                return end(s, NULL, e);
        switch (SSL_get_error(s->tls, r)) {
        case SSL_ERROR_WANT_READ:
                return loop_io_set(s->io, LOOP_READ, e);
        case SSL_ERROR_WANT_WRITE:
                return loop_io_set(s->io, LOOP_WRITE, e);
        default:
                explain(s->tls, why, sizeof(why));
                return end(s, why, e);
        }
}

static int on_fd(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        (void)io;
        (void)fd;
        (void)events;
        return go_on(user, e);
}

static int on_late(struct loop_timer *t, void *user, struct err *e)
{
        (void)t;
        return end(user, "its TLS did not begin in time", e);
}

/* Who the certificate must be of. */
static bool set_peer(SSL *tls, const struct mirror *m)
{
        X509_VERIFY_PARAM *p = SSL_get0_param(tls);

        if (!m->host[0])
                return X509_VERIFY_PARAM_set1_ip(p, m->address.bytes, m->address.v6 ? 16 : 4);
        X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
        return X509_VERIFY_PARAM_set1_host(p, m->host, 0) && SSL_set_tlsext_host_name(tls, (char *)(uintptr_t)m->host);
}

int secure_start(struct loop *l, const struct secure_roots *roots, const struct mirror *m, int fd, secure_fn *done,
                 void *user, struct secure **ret, struct err *e)
{
        AUTO(secure_freep) struct secure *s = calloc(1, sizeof(*s));

        if (!s) {
                fd_close(fd);
                return err_nomem(e);
        }
        s->fd = fd;
        s->done = done;
        s->user = user;
        if (m->authority >= roots->n)
                return err_set(e, ERR_USAGE, "there are no certificates of an authority for it");
        s->tls = SSL_new(roots->v[m->authority]);
        if (!s->tls || !SSL_set_fd(s->tls, fd) || !set_peer(s->tls, m))
                return tls_failed(e);
        int r = loop_timer_new(l, on_late, s, &s->timer, e);
        if (r == 0)
                r = loop_io_new(l, fd, LOOP_WRITE, on_fd, s, &s->io, e);
        if (r < 0)
                return r;
        loop_timer_in(s->timer, BROKER_TLS_MS);
        *ret = TAKE_PTR(s);
        return 0;
}

/* ---- bytes ---- */

static ssize_t result(SSL *tls, int r)
{
        int error = SSL_get_error(tls, r);

        ERR_clear_error();
        if (error == SSL_ERROR_ZERO_RETURN)
                return 0;
        errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : EPROTO;
        return -1;
}

ssize_t secure_read(struct ssl_st *tls, void *into, size_t n)
{
        ERR_clear_error();
        size_t got;
        int r = SSL_read_ex(tls, into, n, &got);
        return r > 0 ? (ssize_t)got : result(tls, r);
}

ssize_t secure_write(struct ssl_st *tls, const void *data, size_t n)
{
        ERR_clear_error();
        size_t taken;
        int r = SSL_write_ex(tls, data, n, &taken);
        if (r > 0)
                return (ssize_t)taken;
        ssize_t failed = result(tls, r);
        if (failed == 0)
                errno = EPROTO;
        return -1;
}

bool secure_has_more(const struct ssl_st *tls)
{
        return SSL_pending(tls) > 0;
}

/* A second call would wait for the other side's goodbye. */
void secure_close(struct ssl_st *tls)
{
        if (!(SSL_get_shutdown(tls) & SSL_SENT_SHUTDOWN))
                SSL_shutdown(tls);
        ERR_clear_error();
}
