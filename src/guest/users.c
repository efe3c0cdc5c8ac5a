#include "guest/users.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FIELDS 7
#define MAX_ID 4294967293u /* 2^32 - 1 means "no change" to the kernel, 2^32 - 2 is nobody's spare */

struct span {
        const char *p;
        size_t len;
};

/* Split one line at colons; returns how many fields it has, at most MAX_FIELDS. */
static size_t split(const char *line, size_t len, struct span ret[MAX_FIELDS])
{
        size_t n = 0;
        for (const char *p = line, *end = line + len; n < MAX_FIELDS; n++) {
                const char *colon = memchr(p, ':', (size_t)(end - p));
                ret[n] = (struct span){p, (size_t)((colon ? colon : end) - p)};
                if (!colon)
                        return n + 1;
                p = colon + 1;
        }
        return n;
}

static bool span_eq(struct span s, const char *text)
{
        return s.len == strlen(text) && memcmp(s.p, text, s.len) == 0;
}

static bool span_id(struct span s, uint32_t *ret)
{
        char text[12];
        uint64_t value;
        if (s.len == 0 || s.len >= sizeof(text))
                return false;
        memcpy(text, s.p, s.len);
        text[s.len] = 0;
        if (num_u64(text, 0, MAX_ID, "id", &value, NULL) < 0)
                return false;
        *ret = (uint32_t)value;
        return true;
}

static bool span_copy(struct span s, char *dst, size_t size)
{
        if (s.len >= size)
                return false;
        memcpy(dst, s.p, s.len);
        dst[s.len] = 0;
        return true;
}

static bool user_line(const char *line, size_t len, const char *name, const uint32_t *uid, struct user *ret)
{
        struct span f[MAX_FIELDS];
        uint32_t line_uid, line_gid;
        if (split(line, len, f) != MAX_FIELDS || !span_id(f[2], &line_uid) || !span_id(f[3], &line_gid))
                return false;
        if (uid ? line_uid != *uid : !span_eq(f[0], name))
                return false;
        if (!span_copy(f[0], ret->name, sizeof(ret->name)) || !span_copy(f[5], ret->home, sizeof(ret->home)))
                return false;
        ret->uid = line_uid;
        ret->gid = line_gid;
        return true;
}

static bool is_member(struct span members, const char *name)
{
        for (const char *p = members.p, *end = p + members.len; p < end;) {
                const char *comma = memchr(p, ',', (size_t)(end - p));
                size_t len = (size_t)((comma ? comma : end) - p);
                if (span_eq((struct span){p, len}, name))
                        return true;
                p += len + 1;
        }
        return false;
}

static void add_groups(const char *group, struct user *u)
{
        u->groups[u->n_groups++] = u->gid;
        for (const char *p = group; *p && u->n_groups < USERS_MAX_GROUPS;) {
                size_t len = strcspn(p, "\n");
                struct span f[MAX_FIELDS];
                uint32_t gid;
                if (split(p, len, f) == 4 && span_id(f[2], &gid) && gid != u->gid && is_member(f[3], u->name))
                        u->groups[u->n_groups++] = gid;
                p += len + (p[len] == '\n');
        }
}

int users_find(const char *passwd, const char *group, const char *user, struct user *ret, struct err *e)
{
        uint32_t uid;
        bool numeric = span_id((struct span){user, strlen(user)}, &uid);
        *ret = (struct user){0};
        bool found = false;
        for (const char *p = passwd; *p && !found;) {
                size_t len = strcspn(p, "\n");
                found = user_line(p, len, user, numeric ? &uid : NULL, ret);
                p += len + (p[len] == '\n');
        }
        if (!found && !numeric) {
                err_set(e, ERR_USAGE, "the image has no user '%s'", user);
                return USERS_E_UNKNOWN;
        }
        if (!found)
                *ret = (struct user){.uid = uid, .gid = uid, .home = "/"};
        add_groups(ret->name[0] ? group : "", ret);
        return 0;
}

static int read_text(int root, const char *path, struct buf *ret, struct err *e)
{
        /* Never through a link, and never waiting at a fifo: the job's root may have put anything there. */
        AUTO(auto_close) int fd = -1;
        struct stat st;
        if (fs_open_beneath(root, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0, false, &fd, NULL) != 0)
                return 0;
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return err_set(e, ERR_USAGE, "/%s: expected a regular file", path);
        return fd_read_all(fd, USERS_MAX_FILE, path, ret, e);
}

int users_read(int root, const char *user, struct user *ret, struct err *e)
{
        AUTO(buf_done) struct buf passwd = BUF_INIT, group = BUF_INIT;
        int r = read_text(root, "etc/passwd", &passwd, e);
        r = r < 0 ? r : read_text(root, "etc/group", &group, e);
        if (r < 0)
                return r;
        const char *passwd_text = buf_cstr(&passwd), *group_text = buf_cstr(&group);
        return passwd_text && group_text ? users_find(passwd_text, group_text, user, ret, e) : err_nomem(e);
}
