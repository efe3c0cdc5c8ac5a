#include "source/gitfile.h"

#include "base/err.h"
#include "base/str.h"
#include "source/limits.h"

#include <stdlib.h>
#include <string.h>

int gitpath_parse(const void *data, size_t len, const char *what, char **ret, struct err *e)
{
        const char *text = data;
        while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
                len--;
        if (len == 0)
                return err_set(e, ERR_USAGE, "%s: expected the path of a git folder, found nothing", what);
        if (len >= SOURCE_MAX_PATH)
                return err_set(e, ERR_USAGE, "%s: expected a path of less than %u bytes, found %zu", what,
                               SOURCE_MAX_PATH, len);
        if (memchr(text, '\0', len) || memchr(text, '\n', len))
                return err_set(e, ERR_USAGE, "%s: expected one path, found a NUL byte or a second line", what);
        *ret = str_ndup(text, len);
        return *ret ? 0 : err_nomem(e);
}

int gitfile_parse(const void *data, size_t len, const char *what, char **ret, struct err *e)
{
        static const char word[] = "gitdir: ";
        size_t n = sizeof(word) - 1;
        if (len < n || memcmp(data, word, n) != 0)
                return err_set(e, ERR_USAGE, "%s: expected 'gitdir: PATH', found something else", what);
        return gitpath_parse((const char *)data + n, len - n, what, ret, e);
}
