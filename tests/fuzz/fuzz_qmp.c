/* The VMM's control connection. Input: u8 step, then what the VMM sends, in pieces of `step` bytes, after a greeting
 * and with three commands waiting. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "vm/qmp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_message(const struct qmp_message *m, void *user, struct err *e)
{
        uint64_t *last = user;
        (void)e;
        if (m->type == QMP_RETURN || m->type == QMP_ERROR)
                assert(m->id == ++*last && m->id <= 3);
        if (m->type == QMP_EVENT || m->type == QMP_ERROR)
                assert(m->name && strlen(m->name) < QMP_MAX_LINE);
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const char greeting[] = "{\"QMP\": {}}\n";
        struct buf out = BUF_INIT;
        struct qmp *q = NULL;
        uint64_t id, last = 0;
        if (size < 1 || qmp_new(&q, NULL) < 0)
                return 0;
        assert(qmp_feed(q, (const uint8_t *)greeting, sizeof(greeting) - 1, on_message, &last, NULL) == 0);
        for (unsigned i = 0; i < 3; i++)
                assert(qmp_command(q, "stop", NULL, &out, &id, NULL) == 0);
        size_t step = data[0] + 1u;
        for (size_t at = 1; at < size; at += step) {
                struct err e = ERR_INIT;
                if (qmp_feed(q, data + at, size - at < step ? size - at : step, on_message, &last, &e) < 0) {
                        assert(e.code != ERR_SUCCESS);
                        break;
                }
        }
        buf_done(&out);
        qmp_free(q);
        return 0;
}
