/* A manifest of the store, as a taken over devdep-store might have written it; what is accepted is written and read
 * back as the same entry, and names no file but those of its own folder. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "blob/manifest.h"
#include "blob/names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try(enum store_kind kind, const uint8_t *data, size_t size)
{
        struct buf text = BUF_INIT;
        struct store_entry x, again;
        struct err e = ERR_INIT;
        if (manifest_parse(kind, data, size, &x, &e) < 0)
                return;
        assert(digest_is_valid(x.digest) && !strchr(x.run, '/'));
        assert(kind == STORE_CACHES || !artifact_name_problem(x.name));
        assert(manifest_write(kind, &x, &text, &e) == 0);
        assert(manifest_parse(kind, text.data, text.len, &again, &e) == 0);
        assert(memcmp(&x, &again, sizeof(x)) == 0);
        buf_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        try(STORE_ARTIFACTS, data, size);
        try(STORE_CACHES, data, size);
        return 0;
}
