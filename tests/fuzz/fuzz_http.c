/* The head of a request, its query, and a list of blocks, as a guest sends them. */
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "service/http.h"

static int on_id(const char *id, void *user, struct err *e)
{
        (void)user;
        (void)e;
        if (!*id || strlen(id) > SERVICE_MAX_BLOCK_ID)
                __builtin_trap();
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct http_head h;
        char text[32];
        size_t n = http_head_length(data, size);
        if (n > size)
                __builtin_trap();
        if (http_head_parse(data, n ? n : size, &h, NULL) == 0) {
                if (h.path[0] != '/' || (h.has_range && h.first > h.last))
                        __builtin_trap();
                if (http_query(&h, "comp", text, sizeof(text)) && strlen(text) >= sizeof(text))
                        __builtin_trap();
                http_query(&h, "blockid", text, 2);
        }
        http_block_list(data, size, on_id, NULL, NULL);
        return 0;
}
