/* JSON text: what is accepted is written again, and that text gives the same value. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "codec/json.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct err e = ERR_INIT;
        AUTO(json_decrefp) json_t *value = NULL;
        AUTO(json_decrefp) json_t *again = NULL;
        AUTO(buf_done) struct buf text = BUF_INIT;
        if (json_parse(data, size, 1 << 20, "text", &value, &e) < 0) {
                assert(e.code == ERR_USAGE);
                return 0;
        }
        assert(json_write(value, 0, &text, &e) == 0);
        assert(json_parse(text.data, text.len, text.len, "text", &again, &e) == 0);
        assert(json_equal(value, again));
        return 0;
}
