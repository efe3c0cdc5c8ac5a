#include "job/guest_file.h"

#include <string.h>

#include "base/err.h"
#include "wire/guest.h"

int guest_file_take(const struct fields *list, const char *path, const char **ret_kind, const struct field **ret,
                    struct err *e)
{
        const char *got;
        int r = fields_str(list, "path", &got, e);
        if (r == 0)
                r = fields_str(list, "kind", ret_kind, e);
        if (r < 0)
                return r;
        if (strcmp(got, path) != 0)
                return err_set(e, ERR_PROTOCOL, "the guest's answer to `read`: not the file that was asked for");
        bool regular = strcmp(*ret_kind, "regular") == 0;
        *ret = regular ? fields_get(list, "data") : NULL;
        if (regular && !*ret)
                return err_set(e, ERR_PROTOCOL, "the guest's answer to `read`: a file without its content");
        return 0;
}

const char *guest_file_problem(const char *kind)
{
        return strcmp(kind, "missing") == 0     ? "there is no such file"
               : strcmp(kind, "link") == 0      ? "it is a link"
               : strcmp(kind, "fifo") == 0      ? "it is a pipe"
               : strcmp(kind, "too-large") == 0 ? "it is larger than 1 MiB"
               : strcmp(kind, "busy") == 0      ? "a process still writes to it"
                                                : "it is no regular file";
}
