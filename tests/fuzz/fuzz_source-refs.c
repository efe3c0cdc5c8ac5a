/* packed-refs, loose refs and HEAD; what is accepted can be written and read again. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "source/names.h"
#include "source/refs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void packed(const uint8_t *data, size_t size)
{
        struct refs *r = NULL, *again = NULL;
        struct buf out = BUF_INIT;
        struct err e = ERR_INIT;
        if (refs_new(40, &r, &e) == 0 && refs_new(40, &again, &e) == 0 && refs_add_packed(r, data, size, &e) == 0) {
                assert(refs_write_packed(r, &out, &e) == 0);
                assert(refs_add_packed(again, out.data, out.len, &e) == 0 && refs_count(again) == refs_count(r));
        }
        buf_done(&out);
        refs_free(r);
        refs_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *id = NULL, *name = NULL;
        struct err e = ERR_INIT;
        packed(data, size);
        if (ref_file_parse(data, size, 40, "HEAD", &id, &name, &e) == 0)
                assert(!id != !name && (!name || ref_name_is_valid(name)));
        free(id);
        free(name);
        return 0;
}
