#include "secrets/check.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "secrets/limits.h"
#include "secrets/message.h"
#include "wire/guest.h"

#define READ_SIZE 4096u

struct check {
        struct fields_reader *reader;
        int (*missing)(const char *name, const char *message, void *user, struct err *e);
        void *user;
        bool done;
};

static int take(struct check *c, const struct secrets_message *m, struct err *e)
{
        char shown[ERR_MAX_MESSAGE];

        if (m->message)
                str_escape(shown, sizeof(shown), m->message, strlen(m->message));
        switch (m->word) {
        case SECRETS_MISSING:
                return c->missing(m->name, shown, c->user, e);
        case SECRETS_CHECKED:
                c->done = true;
                return 0;
        case SECRETS_NOTE:
                return 0;
        case SECRETS_FAILED:
                return err_set(e, ERR_VAULT_MISMATCH, "%s", shown);
        default:
                return err_set(e, ERR_PROTOCOL, "devdep-secrets: an answer to what was not asked");
        }
}

static int digest(struct check *c, const uint8_t *data, size_t len, struct err *e)
{
        int r = 0;

        while (r == 0 && len && !c->done) {
                AUTO(secrets_message_done) struct secrets_message m = {0};
                struct fields *list = NULL;
                size_t used = 0;
                r = fields_reader_feed(c->reader, data, len, &used, &list, e);
                if (r == 0 && list)
                        r = secrets_message_read(list, 0, &m, e);
                if (r == 0 && list)
                        r = take(c, &m, e);
                data += used;
                len -= used;
        }
        return r;
}

/* Some bytes, before the deadline. */
static int receive(int fd, uint64_t deadline, uint8_t data[READ_SIZE], size_t *ret, struct err *e)
{
        struct pollfd ready = {fd, POLLIN, 0};
        uint64_t now = clock_mono_ms();
        int n = poll(&ready, 1, now < deadline ? (int)(deadline - now) : 0);

        *ret = 0;
        if (n < 0 && errno == EINTR)
                return 0;
        if (n == 0)
                return err_set(e, ERR_VAULT_MISMATCH, "devdep-secrets found nothing out within %u s",
                               SECRETS_ANSWER_MS / 1000);
        ssize_t got = recv(fd, data, READ_SIZE, 0);
        if (got <= 0)
                return err_set(e, ERR_VAULT_MISMATCH, "devdep-secrets ended before its work was done");
        *ret = (size_t)got;
        return 0;
}

int secrets_check(int socket_fd, int (*missing)(const char *name, const char *message, void *user, struct err *e),
                  void *user, struct err *e)
{
        struct check c = {.missing = missing, .user = user};
        const uint64_t deadline = clock_mono_ms() + SECRETS_ANSWER_MS;
        const uint8_t verb = SECRETS_CHECK;
        uint8_t data[READ_SIZE];
        size_t n = 0;
        int r = fields_reader_new(SECRETS_MAX_MESSAGE, &c.reader, e);

        if (r == 0 && send(socket_fd, &verb, 1, MSG_NOSIGNAL) != 1)
                r = err_errno(e, ERR_VAULT_MISMATCH, errno, "devdep-secrets cannot be asked");
        while (r == 0 && !c.done) {
                r = receive(socket_fd, deadline, data, &n, e);
                if (r == 0)
                        r = digest(&c, data, n, e);
        }
        fields_reader_free(c.reader);
        return r;
}
