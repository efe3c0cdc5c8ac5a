#include "cli/mirrors.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"
#include "net/policy.h"

#define SYSTEM_CONF "/etc/devdep/mirrors.conf"

/* Whoever can write it decides which server every guest is given for a registry. */
static int check_owner(int fd, const char *path, struct err *e)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return err_errno(e, ERR_USAGE, errno, "%s", path);
        if (!S_ISREG(st.st_mode))
                return err_set(e, ERR_USAGE, "%s: expected a file", path);
        if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 022))
                return err_set(e, ERR_USAGE,
                               "%s: somebody else could have written it: it must be root's or yours, and writable by "
                               "nobody else: chmod go-w",
                               path);
        return 0;
}

/* FS_E_MISSING: there is no such file. */
static int read_file(const char *path, struct mirrors *ret, struct err *e)
{
        AUTO(buf_done) struct buf text = BUF_INIT;
        AUTO(auto_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

        if (fd < 0 && errno == ENOENT)
                return FS_E_MISSING;
        if (fd < 0)
                return err_errno(e, ERR_USAGE, errno, "%s", path);
        int r = check_owner(fd, path, e);
        if (r == 0)
                r = fd_read_all(fd, MIRRORS_MAX_CONF, path, &text, e);
        return r < 0 ? r : mirrors_conf_parse(text.data, text.len, path, ret, e);
}

int mirrors_open(const char *state, const char *file, struct mirrors *ret, char **ret_origin, struct err *e)
{
        AUTO(auto_free) char *own = fs_join(state, "mirrors.conf");
        const char *const files[] = {file ? file : own, SYSTEM_CONF};

        ret->n = 0;
        *ret_origin = NULL;
        if (!own)
                return err_nomem(e);
        for (size_t i = 0; i < (file ? 1 : ARRAY_SIZE(files)); i++) {
                int r = read_file(files[i], ret, e);
                if (r < 0)
                        return r;
                if (r == FS_E_MISSING)
                        continue;
                *ret_origin = str_dup(files[i]);
                return *ret_origin ? 0 : err_nomem(e);
        }
        return file ? err_set(e, ERR_USAGE, "--mirrors: there is no file %s", file) : 0;
}

int mirrors_add(const struct mirrors *m, struct json_t *policy, struct err *e)
{
        json_t *list = json_array();
        int failed = 0;

        if (!m->n) {
                json_decref(list);
                return 0;
        }
        for (size_t i = 0; failed == 0 && i < m->n; i++)
                failed = json_array_append_new(list, policy_mirror_json(&m->v[i]));
        if (failed)
                json_decref(list);
        return failed || json_object_set_new(policy, "mirrors", list) < 0 ? err_nomem(e) : 0;
}
