/* Lines of `devdep-cli expr --jsonl`: every line gets exactly one line of ASCII, twice the same. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "workflow/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer_all(struct answers *a, const uint8_t *data, size_t size, struct buf *ret)
{
        struct err e = ERR_INIT;
        size_t lines = 0, newlines = 0;
        for (size_t at = 0, len; at < size; at += len + 1, lines++) {
                const uint8_t *end = memchr(data + at, '\n', size - at);
                len = end ? (size_t)(end - (data + at)) : size - at;
                assert(answers_line(a, (const char *)data + at, len, ret, &e) == 0);
        }
        for (size_t i = 0; i < ret->len; i++) {
                assert(ret->data[i] == '\n' || (ret->data[i] >= 0x20 && ret->data[i] < 0x7f));
                newlines += ret->data[i] == '\n';
        }
        assert(newlines == lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        AUTO(answers_freep) struct answers *a = NULL;
        struct buf first = BUF_INIT, second = BUF_INIT;
        struct err e = ERR_INIT;
        assert(answers_new(&a, &e) == 0);
        answer_all(a, data, size, &first);
        answer_all(a, data, size, &second);
        assert(first.len == second.len && (first.len == 0 || memcmp(first.data, second.data, first.len) == 0));
        buf_done(&first);
        buf_done(&second);
        return 0;
}
