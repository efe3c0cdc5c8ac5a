/* `.git` files and the paths made of them: a tidy path is absolute and has no "..". */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "source/gitfile.h"
#include "source/names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *path = NULL, *url = NULL;
        struct err e = ERR_INIT;
        if (gitfile_parse(data, size, ".git", &path, &e) == 0) {
                char *tidy = path_tidy("/srv/base", path);
                assert(!tidy || (tidy[0] == '/' && !strstr(tidy, "/../") && !strstr(tidy, "//")));
                if (tree_path_is_valid(path))
                        assert(tidy && path_beneath("/srv/base", tidy));
                free(tidy);
                assert(url_public(path, &url, &e) == 0);
                char *line = text_line(path, strlen(path), 100);
                free(line);
        }
        free(path);
        free(url);
        return 0;
}
