/* Patterns of files, and a path: the first line is the path, the rest are patterns. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "workflow/fileglob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *text = malloc(size + 2), *rest;
        struct fileglob *g = NULL;
        struct err e = ERR_INIT;
        if (!text)
                return 0;
        text[0] = '/';
        memcpy(text + 1, data, size);
        text[size + 1] = '\0';
        rest = strchr(text, '\n');
        if (rest)
                *rest++ = '\0';
        for (int descendants = 0; rest && descendants < 2; descendants++) {
                const struct fileglob_options o = {.home = "/h", .workdir = "/w", .descendants = descendants};
                if (fileglob_new(rest, &o, &g, &e) < 0)
                        continue;
                unsigned found = fileglob_match(g, text);
                assert(found <= (FILEGLOB_FOLDER | FILEGLOB_FILE));
                fileglob_may_hold(g, text);
                free(fileglob_common(g));
                for (size_t i = 0; i < fileglob_searches(g); i++)
                        assert(fileglob_search_at(g, i)[0] == '/');
                g = fileglob_free(g);
        }
        if (rest)
                fileglob_name(rest, text + 1);
        free(text);
        return 0;
}
