#include "vm/qmp.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "codec/json.h"

struct qmp {
        struct buf line;
        bool greeted;
        uint64_t next_id;     /* of the next command */
        uint64_t answered_id; /* of the last answer: answers come in order */
};

int qmp_new(struct qmp **ret, struct err *e)
{
        struct qmp *q = calloc(1, sizeof(*q));

        if (!q)
                return err_nomem(e);
        q->line.max = QMP_MAX_LINE;
        q->next_id = 1;
        *ret = q;
        return 0;
}

void qmp_continue(struct qmp *q)
{
        q->greeted = true;
}

struct qmp *qmp_free(struct qmp *q)
{
        if (q)
                buf_done(&q->line);
        free(q);
        return NULL;
}

static int bad(struct err *e, const char *what)
{
        return err_set(e, ERR_PROTOCOL, "the VMM's control connection: %s", what);
}

/* Answers carry the ids in the order of the commands, each once. */
static int take_answer(struct qmp *q, const json_t *o, struct qmp_message *m, struct err *e)
{
        const json_t *id = json_object_get(o, "id"), *error = json_object_get(o, "error");

        if (!json_is_integer(id) || json_integer_value(id) != (json_int_t)(q->answered_id + 1) ||
            q->answered_id + 1 >= q->next_id)
                return bad(e, "an answer to no command");
        m->id = ++q->answered_id;
        m->type = error ? QMP_ERROR : QMP_RETURN;
        m->value = json_object_get(o, "return");
        if (!error)
                return 0;
        m->name = json_string_value(json_object_get(error, "desc"));
        return m->name ? 0 : bad(e, "an error without a description");
}

/* The starter wrote commands before us and reads nothing: here is what became of them. */
static bool is_start_answer(const json_t *o)
{
        return str_eq(json_string_value(json_object_get(o, "id")), QMP_START_ID);
}

static int take_start_answer(const json_t *o, struct err *e)
{
        const char *why = json_string_value(json_object_get(json_object_get(o, "error"), "desc"));

        return json_object_get(o, "error") ? bad(e, why ? why : "an error without a description") : 0;
}

static int take_message(struct qmp *q, const json_t *o, struct qmp_message *m, struct err *e)
{
        if (json_object_get(o, "QMP")) {
                if (q->greeted)
                        return bad(e, "a second greeting");
                q->greeted = true;
                m->type = QMP_GREETING;
                return 0;
        }
        if (!q->greeted)
                return bad(e, "expected the greeting first");
        if (json_object_get(o, "return") || json_object_get(o, "error"))
                return take_answer(q, o, m, e);
        m->type = QMP_EVENT;
        m->name = json_string_value(json_object_get(o, "event"));
        m->value = json_object_get(o, "data");
        return m->name ? 0 : bad(e, "a message that is no greeting, answer or event");
}

static int take_line(struct qmp *q, qmp_fn *fn, void *user, struct err *e)
{
        AUTO(json_decrefp) json_t *o = NULL;
        struct qmp_message m = {0};
        int r;

        if (q->line.len && q->line.data[q->line.len - 1] == '\r')
                q->line.len--;
        if (q->line.len == 0)
                return 0;
        r = json_parse(q->line.data, q->line.len, QMP_MAX_LINE, "the VMM's control connection", &o, e);
        if (r < 0) {
                if (e)
                        e->code = ERR_PROTOCOL;
                return r;
        }
        if (!json_is_object(o))
                return bad(e, "expected an object");
        if (q->greeted && is_start_answer(o))
                return take_start_answer(o, e);
        r = take_message(q, o, &m, e);
        return r < 0 ? r : fn(&m, user, e);
}

int qmp_feed(struct qmp *q, const uint8_t *data, size_t len, qmp_fn *fn, void *user, struct err *e)
{
        while (len) {
                const uint8_t *end = memchr(data, '\n', len);
                size_t n = end ? (size_t)(end - data) : len;
                int r;
                if (q->line.len + n > QMP_MAX_LINE)
                        return bad(e, "a line that is longer than 256 KiB");
                r = buf_append(&q->line, data, n, e);
                if (r == 0 && end) {
                        r = take_line(q, fn, user, e);
                        buf_clear(&q->line);
                }
                if (r < 0)
                        return r;
                n += end ? 1 : 0;
                data += n;
                len -= n;
        }
        return 0;
}

int qmp_command(struct qmp *q, const char *name, const char *arguments, struct buf *out, uint64_t *ret_id,
                struct err *e)
{
        int r;

        if (!q->greeted || q->next_id - q->answered_id > QMP_MAX_PENDING)
                return err_set(e, ERR_PROTOCOL, "the VMM's control connection does not answer");
        r = buf_printf(out, e, "{\"execute\":\"%s\",\"id\":%llu%s%s}\n", name, (unsigned long long)q->next_id,
                       arguments ? ",\"arguments\":" : "", arguments ? arguments : "");
        if (r == 0)
                *ret_id = q->next_id++;
        return r;
}
