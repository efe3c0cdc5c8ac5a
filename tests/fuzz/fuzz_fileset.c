/* The list of `find` in the guest. What is kept lies below the search path and is tidy. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "job/fileset.h"
#include "workflow/fileglob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const struct fileglob_options o = {.home = "/h", .workdir = "/w", .descendants = true};
        struct fileglob *g = NULL;
        struct fileset_list *l = NULL;
        const char *const *paths = NULL;
        size_t n = 0;
        struct err e = ERR_INIT;
        if (fileglob_new("dist/**/*.txt\n~/a\n!**/b", &o, &g, &e) < 0)
                return 0;
        const struct fileset_want w = {.patterns = g, .kinds = FILEGLOB_FILE | FILEGLOB_FOLDER, .hidden = size % 2};
        if (fileset_list_new(&w, &l, &e) == 0 && fileset_list_feed(l, data, size / 2, &e) == 0 &&
            fileset_list_feed(l, data + size / 2, size - size / 2, &e) == 0 &&
            fileset_list_end(l, &paths, &n, &e) == 0) {
                for (size_t i = 0; i < n; i++) {
                        assert(strncmp(paths[i], "/w/dist", 7) == 0 || strncmp(paths[i], "/h/a", 4) == 0);
                        assert(!strstr(paths[i], "/../") && !strstr(paths[i], "//"));
                        assert(i == 0 || strcmp(paths[i - 1], paths[i]) != 0);
                }
        }
        fileset_list_free(l);
        fileglob_free(g);
        return 0;
}
