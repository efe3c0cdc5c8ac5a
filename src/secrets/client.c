#include "secrets/client.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/secret.h"
#include "base/str.h"
#include "loop/loop.h"
#include "secrets/limits.h"
#include "secrets/message.h"
#include "wire/guest.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#define READ_SIZE 4096u

struct secrets {
        int fd, values_fd;
        struct loop_io *io;
        const struct secrets_callbacks *callbacks;
        void *user;
        struct fields_reader *reader;
        struct secret_view view;
        bool over; /* released or failed: nothing follows */
};

static int on_io(struct loop_io *io, int fd, unsigned events, void *user, struct err *e);

CLEANUP_DEFINE(struct secrets, secrets_free)

int secrets_new(struct loop *l, int socket_fd, int values_fd, const struct secrets_callbacks *callbacks, void *user,
                struct secrets **ret, struct err *e)
{
        AUTO(secrets_freep) struct secrets *s = calloc(1, sizeof(*s));
        if (!s)
                return err_nomem(e);
        s->fd = s->values_fd = -1;
        s->callbacks = callbacks;
        s->user = user;
        int r = fields_reader_new(SECRETS_MAX_MESSAGE, &s->reader, e);
        if (r == 0)
                r = fd_set_nonblock(socket_fd, true, e);
        if (r == 0)
                r = loop_io_new(l, socket_fd, LOOP_READ, on_io, s, &s->io, e);
        if (r < 0)
                return r;
        s->fd = socket_fd;
        s->values_fd = values_fd;
        *ret = TAKE_PTR(s);
        return 0;
}

struct secrets *secrets_free(struct secrets *s)
{
        if (!s)
                return NULL;
        loop_io_free(s->io);
        fields_reader_free(s->reader);
        secret_view_done(&s->view);
        fd_close(s->fd);
        fd_close(s->values_fd);
        free(s);
        return NULL;
}

/* A few bytes in all of a job's life never fill a socket. That the other end is gone is read from it. */
static int send_verb(struct secrets *s, enum secrets_verb verb, struct err *e)
{
        const uint8_t byte = (uint8_t)verb;
        if (s->over || send(s->fd, &byte, 1, MSG_NOSIGNAL) == 1 || errno == EPIPE)
                return 0;
        return err_errno(e, ERR_VAULT_MISMATCH, errno, "devdep-secrets cannot be asked");
}

int secrets_ask(struct secrets *s, struct err *e)
{
        return send_verb(s, SECRETS_ASK, e);
}

int secrets_took(struct secrets *s, struct err *e)
{
        return send_verb(s, SECRETS_TOOK, e);
}

int secrets_rotate(struct secrets *s, struct err *e)
{
        return send_verb(s, SECRETS_ROTATE, e);
}

int secrets_release(struct secrets *s, struct err *e)
{
        secret_view_done(&s->view);
        s->values_fd = fd_close(s->values_fd);
        return send_verb(s, SECRETS_RELEASE, e);
}

/* ---- what it says ---- */

static int fail(struct secrets *s, const struct err *why, struct err *e)
{
        if (s->over)
                return 0;
        struct err told = *why;
        told.code = ERR_VAULT_MISMATCH;
        s->over = true;
        s->io = loop_io_free(s->io);
        return s->callbacks->failed(&told, s->user, e);
}

/* Its seals are looked at before the first byte of it is. */
static int map_values(struct secrets *s, struct err *e)
{
        if (s->view.data)
                return 0;
        if (s->values_fd < 0)
                return err_set(e, ERR_PROTOCOL, "devdep-secrets: values without a memory file");
        return secret_view_open(s->values_fd, SECRETS_MAX_TOTAL, &s->view, e);
}

static int tell_values(struct secrets *s, const struct secrets_message *m, struct err *broken, struct err *e)
{
        AUTO(auto_free) struct secret *v = calloc(m->n_values + 1, sizeof(*v));
        int r = v ? map_values(s, broken) : err_nomem(broken);
        if (r < 0)
                return 1;
        for (size_t i = 0; i < m->n_values; i++)
                v[i] = (struct secret){.name = m->values[i].name,
                                       .version = m->values[i].version,
                                       .value = (const char *)s->view.data + m->values[i].at,
                                       .len = m->values[i].len};
        return m->word == SECRETS_CHANGED ? s->callbacks->changed(v, s->user, e)
                                          : s->callbacks->values(v, m->n_values, s->user, e);
}

/* 1: it broke the protocol, *broken says how. */
static int tell(struct secrets *s, const struct secrets_message *m, struct err *broken, struct err *e)
{
        struct err why = ERR_INIT;
        char shown[ERR_MAX_MESSAGE];
        if (m->message)
                str_escape(shown, sizeof(shown), m->message, strlen(m->message));
        switch (m->word) {
        case SECRETS_VALUES:
        case SECRETS_CHANGED:
                return tell_values(s, m, broken, e);
        case SECRETS_FAILED:
                err_set(&why, ERR_VAULT_MISMATCH, "%s", shown);
                return fail(s, &why, e);
        case SECRETS_NOTE:
                return s->callbacks->note(shown, s->user, e);
        case SECRETS_ROTATED:
                return s->callbacks->rotated(m->count, s->user, e);
        case SECRETS_RELEASED:
                s->over = true;
                s->io = loop_io_free(s->io);
                return s->callbacks->released(m->count, s->user, e);
        default:
                err_set(broken, ERR_PROTOCOL, "devdep-secrets: an answer to what was not asked");
                return 1;
        }
}

/* The whole messages among some bytes. The same returns as tell(). */
static int digest(struct secrets *s, const uint8_t *data, size_t len, struct err *broken, struct err *e)
{
        int r = 0;
        while (r == 0 && len && !s->over) {
                AUTO(secrets_message_done) struct secrets_message m = {0};
                struct fields *list = NULL;
                size_t used = 0;
                if (fields_reader_feed(s->reader, data, len, &used, &list, broken) < 0)
                        return 1;
                if (list && secrets_message_read(list, SECRETS_MAX_TOTAL, &m, broken) < 0)
                        return 1;
                if (list)
                        r = tell(s, &m, broken, e);
                data += used;
                len -= used;
        }
        return r;
}

static int on_io(struct loop_io *io, int fd, unsigned events, void *user, struct err *e)
{
        struct secrets *s = user;
        struct err broken = ERR_INIT;
        uint8_t data[READ_SIZE];
        (void)io;
        (void)events;
        ssize_t n = recv(fd, data, sizeof(data), 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        int r = 1;
        if (n > 0)
                r = digest(s, data, (size_t)n, &broken, e);
        else
                err_set(&broken, ERR_VAULT_MISMATCH, "devdep-secrets ended before its work was done");
        return r == 1 ? fail(s, &broken, e) : r;
}
