#include "cli/mirrors.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"
#include "codec/json.h"
#include "net/policy.h"

#define SYSTEM_CONF "/etc/devdep/mirrors.conf"
#define BEGIN "-----BEGIN CERTIFICATE-----"

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
static int read_file(const char *path, size_t max, struct buf *ret, struct err *e)
{
        AUTO(auto_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

        if (fd < 0 && errno == ENOENT)
                return FS_E_MISSING;
        if (fd < 0)
                return err_errno(e, ERR_USAGE, errno, "%s", path);
        int r = check_owner(fd, path, e);
        return r < 0 ? r : fd_read_all(fd, max, path, ret, e);
}

static int read_conf(const char *path, struct mirrors *ret, struct err *e)
{
        AUTO(buf_done) struct buf text = BUF_INIT;
        int r = read_file(path, MIRRORS_MAX_CONF, &text, e);

        return r ? r : mirrors_conf_parse(text.data, text.len, path, ret, e);
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
                int r = read_conf(files[i], ret, e);
                if (r < 0)
                        return r;
                if (r == FS_E_MISSING)
                        continue;
                *ret_origin = str_dup(files[i]);
                return *ret_origin ? 0 : err_nomem(e);
        }
        return file ? err_set(e, ERR_USAGE, "--mirrors: there is no file %s", file) : 0;
}

/* ---- for the policy ---- */

/* Certificates of authorities, each file once. */
struct authorities {
        const char *paths[MIRROR_MAX];
        json_t *texts;
        size_t bytes;
};

static int read_authority(struct authorities *all, const char *path, struct err *e)
{
        AUTO(buf_done) struct buf text = BUF_INIT;
        int r = read_file(path, MIRRORS_MAX_CA - all->bytes, &text, e);

        if (r == FS_E_MISSING)
                return err_set(e, ERR_USAGE, "%s: there is no such file of certificates", path);
        if (r < 0)
                return r;
        if (!text.len || !memmem(text.data, text.len, BEGIN, strlen(BEGIN)))
                return err_set(e, ERR_USAGE, "%s: expected certificates in PEM", path);
        all->bytes += text.len;
        all->paths[json_array_size(all->texts)] = path;
        return json_array_append_new(all->texts, json_stringn((const char *)text.data, text.len)) < 0
                       ? err_set(e, ERR_USAGE, "%s: expected certificates in PEM, which is text", path)
                       : 0;
}

static int find_authority(struct authorities *all, const char *path, unsigned *ret, struct err *e)
{
        for (*ret = 0; *ret < json_array_size(all->texts); (*ret)++)
                if (str_eq(all->paths[*ret], path))
                        return 0;
        return read_authority(all, path, e);
}

static int add_mirrors(struct mirrors *m, json_t *list, struct authorities *all, struct err *e)
{
        int r = list && all->texts ? 0 : err_nomem(e);

        for (size_t i = 0; r == 0 && i < m->n; i++) {
                if (m->v[i].tls)
                        r = find_authority(all, m->ca[i][0] ? m->ca[i] : FS_HOST_AUTHORITIES, &m->v[i].authority, e);
                if (r == 0 && json_array_append_new(list, policy_mirror_json(&m->v[i])) < 0)
                        r = err_nomem(e);
        }
        return r;
}

int mirrors_add(struct mirrors *m, struct json_t *policy, struct json_t **ret, struct err *e)
{
        AUTO(json_decrefp) json_t *list = json_array(), *texts = json_array();
        struct authorities all = {.texts = texts};
        int r = add_mirrors(m, list, &all, e);

        *ret = NULL;
        if (r == 0 && m->n && json_object_set(policy, "mirrors", list) < 0)
                r = err_nomem(e);
        if (r == 0 && json_array_size(texts))
                *ret = json_incref(texts);
        return r;
}
