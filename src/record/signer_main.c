/* devdep-signer: signs entries of the log of records. Started by signer_start() alone; man/devdep-signer.8. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/str.h"
#include "codec/hash.h"
#include "sandbox/sandbox.h"
#include "serve/answer.h"
#include "serve/out.h"
#include "trust/key.h"
#include "trust/signature.h"
#include "wire/guest.h"

#define SOCKET_FD 3
#define MAX_REQUEST 4096u /* bytes */

static const char usage[] = "usage: devdep-signer FOLDER\n"
                            "Signs records with the key of FOLDER on descriptor 3. Started by devdep-cli.\n";

CLEANUP_DEFINE(struct key, key_free)

static int read_hash(const struct buf *data, uint8_t ret[HASH_SIZE], struct err *e)
{
        struct fields *f = NULL;
        const char *op;
        int r = fields_parse(data->data, data->len, &f, e);

        if (r == 0)
                r = fields_str(f, "op", &op, e);
        const struct field *hash = r == 0 ? fields_get(f, "hash") : NULL;
        if (r == 0 && (!str_eq(op, "sign") || !hash || hash->len != HASH_SIZE))
                r = err_set(e, ERR_PROTOCOL, "expected the verb 'sign' and a hash");
        if (r == 0)
                memcpy(ret, hash->value, HASH_SIZE);
        fields_free(f);
        return r;
}

static int answer(struct out *o, const struct key *k, const struct buf *request, struct err *e)
{
        AUTO(answer_done) struct answer a = {0};
        uint8_t hash[HASH_SIZE], signature[KEY_SIGNATURE_SIZE];
        int r = read_hash(request, hash, e);

        if (r == 0)
                r = key_sign(k, KEY_DOMAIN_RECORD, hash, HASH_SIZE, signature, e);
        if (r == 0)
                r = answer_begin(&a, e);
        if (r == 0)
                r = fields_add_str(&a.buf, "key", key_id(k), e);
        if (r == 0)
                r = fields_add(&a.buf, "signature", signature, sizeof(signature), e);
        return r < 0 ? r : answer_send(&a, o, e);
}

/* Until the client closes. A request that is none is answered and ends us. */
static int serve(const struct key *k, struct err *e)
{
        struct out o = {.fd = SOCKET_FD};

        for (;;) {
                AUTO(buf_done) struct buf request = BUF_INIT;
                int r = serve_read(SOCKET_FD, MAX_REQUEST, &request, e);
                if (r == SERVE_E_CLOSED)
                        return 0;
                if (r == 0)
                        r = answer(&o, k, &request, e);
                if (r < 0) {
                        answer_failure(&o, e, NULL);
                        return r;
                }
        }
}

int main(int argc, char **argv)
{
        AUTO(key_freep) struct key *k = NULL;
        struct err e = ERR_INIT;

        log_init("devdep-signer", LOG_WARNING);
        if (argc == 2 && str_eq(argv[1], "--help"))
                return fputs(usage, stdout) < 0;
        if (argc == 2 && str_eq(argv[1], "--version"))
                return puts("devdep-signer " DEVDEP_VERSION) < 0;
        signal(SIGPIPE, SIG_IGN);
        int r = argc == 2 ? 0 : err_set(&e, ERR_USAGE, "expected the folder of the keys");
        if (r == 0)
                r = secret_no_dumps(&e);
        if (r == 0)
                r = trust_record_key(argv[1], &k, &e);
        /* From here on it reads and writes its socket, and computes. */
        if (r == 0)
                r = sandbox_filter_apply(SANDBOX_FILTER_PLANNER, &e);
        if (r == 0)
                r = serve(k, &e);
        return r < 0 ? log_final(&e) : 0;
}
