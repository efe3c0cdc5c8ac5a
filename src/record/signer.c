#include "record/signer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/program.h"
#include "base/str.h"
#include "loop/spawn.h"
#include "serve/answer.h"
#include "serve/out.h"
#include "trust/key.h"
#include "wire/guest.h"

#define MAX_LIST 4096u /* bytes of a request or an answer */
#define SOCKET_FD 3

struct signer {
        int fd, pidfd;
        pid_t pid;
};

struct signer *signer_free(struct signer *s)
{
        if (!s)
                return NULL;
        fd_close(s->fd); /* which ends it */
        if (s->pid > 0)
                while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
                        ;
        fd_close(s->pidfd);
        free(s);
        return NULL;
}

CLEANUP_DEFINE(struct signer, signer_free)

int signer_start(const char *keys_dir, struct signer **ret, struct err *e)
{
        AUTO(signer_freep) struct signer *s = calloc(1, sizeof(*s));
        AUTO(auto_free) char *program = NULL, *keys = str_dup(keys_dir);
        AUTO(auto_close) int theirs = -1;
        int pair[2];

        if (!s || !keys)
                return err_nomem(e);
        s->fd = s->pidfd = -1;
        int r = program_path("devdep-signer", &program, e);
        if (r == 0)
                r = fd_socketpair(SOCK_STREAM, pair, e);
        if (r < 0)
                return r;
        s->fd = pair[0];
        theirs = pair[1];
        char name[] = "devdep-signer", *argv[] = {name, keys, NULL}, *envp[] = {NULL};
        const struct spawn_fd fds[] = {{theirs, SOCKET_FD}, {STDERR_FILENO, STDERR_FILENO}};
        struct spawn x = SPAWN_INIT;
        x.path = program;
        x.argv = argv;
        x.envp = envp;
        x.fds = fds;
        x.n_fds = ARRAY_SIZE(fds);
        x.new_session = 1; /* the terminal's Ctrl-C is the command's to handle */
        x.die_with_parent = 1;
        r = spawn(&x, &s->pid, &s->pidfd, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

static int take_answer(const struct fields *f, char ret_key[HASH_HEX_SIZE], uint8_t ret_signature[64], struct err *e)
{
        const char *status, *message, *key;
        int r = fields_str(f, "status", &status, e);

        if (r == 0 && !str_eq(status, "ok")) {
                r = fields_str_opt(f, "message", "no reason given", &message, e);
                return r < 0 ? r : err_set(e, ERR_RESOURCES, "devdep-signer: %s", message);
        }
        if (r == 0)
                r = fields_str(f, "key", &key, e);
        const struct field *signature = fields_get(f, "signature");
        if (r == 0 && (strlen(key) != HASH_HEX_SIZE - 1 || !signature || signature->len != KEY_SIGNATURE_SIZE))
                r = err_set(e, ERR_PROTOCOL, "devdep-signer: expected a key and a signature");
        if (r < 0)
                return r;
        memcpy(ret_key, key, HASH_HEX_SIZE);
        memcpy(ret_signature, signature->value, KEY_SIGNATURE_SIZE);
        return 0;
}

int signer_sign(const uint8_t hash[HASH_SIZE], char ret_key[HASH_HEX_SIZE], uint8_t ret_signature[64], void *user,
                struct err *e)
{
        const struct signer *s = user;
        AUTO(buf_done) struct buf b = BUF_INIT;
        struct fields *f = NULL;
        size_t mark;
        int r = fields_begin(&b, &mark, e);

        if (r == 0)
                r = fields_add_str(&b, "op", "sign", e);
        if (r == 0)
                r = fields_add(&b, "hash", hash, HASH_SIZE, e);
        if (r == 0)
                r = fields_end(&b, mark, e);
        if (r == 0)
                r = fd_write_all(s->fd, b.data, b.len, "devdep-signer", e);
        buf_clear(&b);
        if (r == 0)
                r = serve_read(s->fd, MAX_LIST, &b, e);
        if (r == SERVE_E_CLOSED)
                r = err_set(e, ERR_RESOURCES, "devdep-signer ended; it says why above");
        if (r == 0)
                r = fields_parse(b.data, b.len, &f, e);
        if (r == 0)
                r = take_answer(f, ret_key, ret_signature, e);
        fields_free(f);
        return r;
}
