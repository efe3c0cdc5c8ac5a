/* The text of /proc/swaps: whatever it is, no more areas are plain than there are, and each is asked of once. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "vm/swap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_safe(const char *name, void *user)
{
        unsigned *asked = user;

        (*asked)++;
        return strlen(name) % 2 == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        AUTO(auto_free) char *text = str_ndup((const char *)data, size);
        struct swap_facts f;
        struct err e = ERR_INIT;
        unsigned asked = 0;

        assert(text);
        if (swap_parse(text, is_safe, &asked, &f, &e) < 0)
                assert(e.code == ERR_PROTOCOL && e.msg[0]);
        assert(f.plain <= f.all && f.all == asked && strlen(f.first) < sizeof(f.first));
        return 0;
}
