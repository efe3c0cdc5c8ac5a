/* Records of connections, on the one stream that devdep-job opened for them. */
#include "base/err.h"
#include "broker/limits.h"
#include "broker/priv.h"
#include "net/policy.h"
#include "wire/door.h"
#include "wire/guest.h"

#define MAX_RECORD ((size_t)4096) /* bytes of one as fields */

static const char *const verdicts[] = {
        [BROKER_ALLOWED] = "allowed", [BROKER_DENIED] = "denied",       [BROKER_UNREACHABLE] = "unreachable",
        [BROKER_LIMITED] = "limited", [BROKER_ABANDONED] = "abandoned",
};

const char *broker_verdict_name(enum broker_verdict v)
{
        return verdicts[v];
}

static int flush(struct broker *b, struct err *e)
{
        if (!b->records || !b->waiting.len)
                return 0;
        struct err inner = ERR_INIT;
        size_t n = door_write(b->records, b->waiting.data, b->waiting.len, &inner);
        if (inner.code != ERR_SUCCESS) {
                if (e)
                        *e = inner;
                return -1;
        }
        buf_consume(&b->waiting, n);
        if (!b->waiting.len)
                b->n_waiting = 0;
        return 0;
}

static int on_writable(struct door_stream *s, void *user, struct err *e)
{
        (void)s;
        return flush(user, e);
}

static void on_end(struct door_stream *s, enum door_end why, const struct fields *refusal, void *user)
{
        struct broker *b = user;

        (void)s;
        (void)why;
        (void)refusal;
        b->records = NULL;
}

static const struct door_handler handler = {.writable = on_writable, .end = on_end};

int records_open(struct broker *b, struct door_stream *s, struct err *e)
{
        if (b->records)
                return door_refuse(s, "busy", "the records are being read already", e);
        door_accept(s, &handler, b);
        b->records = s;
        int r = door_answer(s, NULL, e);
        return r < 0 ? r : flush(b, e);
}

static int add_fields(struct buf *list, const struct record *r, struct err *e)
{
        char address[ADDRESS_TEXT];
        int ret = fields_add_u64(list, "id", r->id, e);

        if (ret == 0)
                ret = fields_add_str(list, "verdict", broker_verdict_name(r->verdict), e);
        if (ret == 0)
                ret = fields_add_str(list, "reason", r->reason, e);
        if (ret == 0 && r->entry[0])
                ret = fields_add_str(list, "entry", r->entry, e);
        if (ret == 0 && r->name)
                ret = fields_add_str(list, "name", r->name, e);
        if (ret == 0 && r->address) {
                address_text(r->address, address);
                ret = fields_add_str(list, "address", address, e);
        }
        if (ret == 0)
                ret = fields_add_u64(list, "port", r->port, e);
        if (ret == 0 && r->weak)
                ret = fields_add_str(list, "weak", "1", e);
        if (ret == 0)
                ret = fields_add_u64(list, "sent", r->sent, e);
        if (ret == 0)
                ret = fields_add_u64(list, "received", r->received, e);
        return ret < 0 ? ret : fields_add_u64(list, "ms", r->ms, e);
}

int record_add(struct broker *b, const struct record *r, struct err *e)
{
        size_t mark;

        if (b->waiting.len + MAX_RECORD > b->waiting.max)
                return err_set(e, ERR_PROTOCOL, "%zu bytes of records wait, and nobody takes them", b->waiting.len);
        int ret = fields_begin(&b->waiting, &mark, e);

        if (ret == 0)
                ret = add_fields(&b->waiting, r, e);
        if (ret == 0)
                ret = fields_end(&b->waiting, mark, e);
        if (ret < 0)
                return ret;
        b->n_waiting++;
        return flush(b, e);
}
