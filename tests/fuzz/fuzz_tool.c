/* What guests say of their tools, version files and wishes: the first byte chooses the tool, the rest is all three. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "workflow/tool.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void list(enum tool t, const uint8_t *data, size_t size)
{
        struct tool_list l;
        struct err e = ERR_INIT;
        assert(tool_list_parse(t, data, size, &l, &e) == 0 && l.n <= TOOL_MAX_FOUND);
        for (size_t i = 0; i < l.n; i++) {
                assert(l.v[i].path[0] == '/' && !strpbrk(l.v[i].path, "\x1b\n\t"));
                assert(l.v[i].semver.pre_len || tool_choose(t, &l, l.v[i].kind, "*"));
        }
        tool_list_done(&l);
}

static void wish(enum tool t, const char *text)
{
        char range[SEMVER_MAX_RANGE + 1];
        const char *why;
        if (tool_range(t, text, range, &why))
                assert(semver_range_is_valid(range));
        else
                assert(why);
}

static void files(enum tool t, const uint8_t *data, size_t size)
{
        static const char *const names[] = {".nvmrc",  "package.json", ".tool-versions", "pyproject.toml",
                                            "Pipfile", "go.mod",       ".sdkmanrc",      ".java-version"};
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                char *found = NULL;
                struct err e = ERR_INIT;
                int r = tool_read_file(t, names[i], data, size, &found, &e);
                assert(r == 0 ? found && *found : r == TOOL_E_NONE && !found);
                if (r == 0)
                        wish(t, found);
                free(found);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (!size || size > TOOL_MAX_FILE)
                return 0;
        enum tool t = (enum tool)(data[0] % 4);
        char *text = str_ndup((const char *)data + 1, size - 1);
        assert(text);
        list(t, data + 1, size - 1);
        files(t, data + 1, size - 1);
        wish(t, text);
        free(text);
        return 0;
}
