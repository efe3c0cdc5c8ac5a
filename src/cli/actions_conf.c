#include "cli/actions_conf.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"

#define BLANKS " \t\r"

static char *trim(char *s)
{
        s += strspn(s, BLANKS);
        for (size_t n = strlen(s); n && strchr(BLANKS, s[n - 1]); n--)
                s[n - 1] = '\0';
        return s;
}

static int take_line(char *line, const char *what, unsigned number, char **ret_mirror, struct err *e)
{
        line = trim(line);
        if (!*line || *line == '#')
                return 0;
        char *eq = strchr(line, '=');
        if (eq)
                *eq = '\0';
        if (!eq || !str_eq(trim(line), "mirror"))
                return err_set(e, ERR_USAGE, "%s:%u: expected 'mirror = FOLDER'", what, number);
        if (*ret_mirror)
                return err_set(e, ERR_USAGE, "%s:%u: 'mirror' stands twice", what, number);
        char *folder = trim(eq + 1);
        if (*folder != '/')
                return err_set(e, ERR_USAGE, "%s:%u: expected a folder by its path from '/'", what, number);
        *ret_mirror = str_dup(folder);
        return *ret_mirror ? 0 : err_nomem(e);
}

int actions_conf_parse(const void *data, size_t len, const char *what, char **ret_mirror, struct err *e)
{
        AUTO(auto_free) char *mirror = NULL, *copy = NULL;
        unsigned number = 0;
        if (len > ACTIONS_MAX_CONF || (len && (memchr(data, 0, len) || !str_is_utf8(data, len))))
                return err_set(e, ERR_USAGE, "%s: expected at most %u bytes of text (ACTIONS_MAX_CONF)", what,
                               ACTIONS_MAX_CONF);
        copy = str_ndup(len ? data : "", len);
        if (!copy)
                return err_nomem(e);
        for (char *at = copy, *line; (line = strsep(&at, "\n"));) {
                int r = take_line(line, what, ++number, &mirror, e);
                if (r < 0)
                        return r;
        }
        if (!mirror)
                return err_set(e, ERR_USAGE, "%s: expected a line 'mirror = FOLDER'", what);
        *ret_mirror = TAKE_PTR(mirror);
        return 0;
}
