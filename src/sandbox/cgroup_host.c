/* Where control groups can be made: read from /proc/self/mountinfo and /proc/self/cgroup (cgroups(7), proc(5)). */
#include "sandbox/cgroup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"
#include "sandbox/cgroup_priv.h"

#define MAX_TEXT (1u << 20)

static const char *const names[CGROUP_CONTROLLER_COUNT] = {"memory", "pids", "cpu", "freezer"};

/* One mount of a line: "36 35 98:0 /root /point options [tags] - type source super-options". */
struct mount {
        char root[CGROUP_MAX_PATH], point[CGROUP_MAX_PATH], type[16], options[256];
};

static bool parse_mount(const char *line, size_t len, struct mount *ret)
{
        char text[4096];
        const char *rest;

        if (len >= sizeof(text))
                return false;
        memcpy(text, line, len);
        text[len] = '\0';
        rest = strstr(text, " - ");
        return rest && sscanf(text, "%*s %*s %*s %511s %511s", ret->root, ret->point) == 2 &&
               sscanf(rest, " - %15s %*s %255s", ret->type, ret->options) == 2 && !strchr(ret->point, '\\');
}

static bool has_word(const char *text, const char *word, const char *separators)
{
        size_t len = strlen(word);

        for (const char *p = text; *p; p += strcspn(p, separators), p += strspn(p, separators)) {
                if (strcspn(p, separators) == len && memcmp(p, word, len) == 0)
                        return true;
        }
        return false;
}

struct hierarchies {
        struct mount unified;
        struct mount legacy[CGROUP_CONTROLLER_COUNT];
};

/* The first mount of each hierarchy: later ones are other views of it. */
static void find_mounts(const char *mountinfo, struct hierarchies *ret)
{
        struct mount m;

        for (const char *line = mountinfo; *line; line += strcspn(line, "\n"), line += *line == '\n') {
                if (!parse_mount(line, strcspn(line, "\n"), &m))
                        continue;
                if (str_eq(m.type, "cgroup2") && !ret->unified.point[0])
                        ret->unified = m;
                for (unsigned c = 0; c < CGROUP_CONTROLLER_COUNT && str_eq(m.type, "cgroup"); c++) {
                        if (has_word(m.options, names[c], ",") && !ret->legacy[c].point[0])
                                ret->legacy[c] = m;
                }
        }
}

/* The folder of our own group of version 2, without the leaf that we may have moved to ourselves. */
static bool own_group(const char *own, const struct mount *m, char *ret, size_t size)
{
        const char *line = str_starts(own, "0::") ? own : strstr(own, "\n0::");
        char path[CGROUP_MAX_PATH];
        size_t root = str_eq(m->root, "/") ? 0 : strlen(m->root);

        if (!line || sscanf(line + (*line == '\n') + 3, "%511[^\n]", path) != 1 || strstr(path, "..") ||
            strncmp(path, m->root, root) != 0)
                return false;
        if (snprintf(ret, size, "%s%s", m->point, str_eq(path + root, "/") ? "" : path + root) >= (int)size)
                return false;
        if (str_ends(ret, CGROUP_LEAF))
                ret[strlen(ret) - strlen(CGROUP_LEAF)] = '\0';
        return true;
}

/* Memory and processes: what a group is for. */
static bool gives_controllers(const char *group)
{
        char path[CGROUP_MAX_PATH + 32];
        struct buf text = BUF_INIT;

        snprintf(path, sizeof(path), "%s/cgroup.controllers", group);
        bool gives = fs_read(path, 4096, &text, NULL) == 0 && buf_cstr(&text) &&
                     has_word(buf_cstr(&text), names[CGROUP_MEMORY], " \n") &&
                     has_word(buf_cstr(&text), names[CGROUP_PIDS], " \n");
        buf_done(&text);
        return gives;
}

static bool may_write(const char *group)
{
        static const char *const files[] = {"", "/cgroup.procs", "/cgroup.subtree_control"};
        char path[CGROUP_MAX_PATH + 32];

        for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
                snprintf(path, sizeof(path), "%s%s", group, files[i]);
                if (access(path, W_OK) < 0)
                        return false;
        }
        return true;
}

/* systemd (docs/CGROUP_DELEGATION.md) marks what it delegates; a group of systemd's that is not marked is not ours to
 * divide, even where we could. */
static bool is_delegated(const char *group)
{
        char value[4] = "";
        bool marked = getxattr(group, "user.delegate", value, sizeof(value)) == 1 && value[0] == '1';

        return may_write(group) && (marked || (geteuid() != 0 && !fs_exists("/run/systemd/system")));
}

static void take_unified(const char *group, bool delegated, struct cgroup_host *ret)
{
        ret->version = 2;
        ret->delegated = delegated;
        for (unsigned c = 0; c < CGROUP_CONTROLLER_COUNT; c++)
                snprintf(ret->base[c], sizeof(ret->base[c]), "%.*s" CGROUP_FOLDER,
                         CGROUP_MAX_PATH - (int)sizeof(CGROUP_FOLDER), group);
}

static bool find_unified(const struct mount *m, const char *own, struct cgroup_host *ret)
{
        char group[CGROUP_MAX_PATH];

        if (!m->point[0])
                return false;
        if (own_group(own, m, group, sizeof(group)) && gives_controllers(group) && is_delegated(group))
                take_unified(group, true, ret);
        else if (geteuid() == 0 && gives_controllers(m->point))
                take_unified(m->point, false, ret);
        return ret->version != 0;
}

/* Version 1 can be delegated to users, too, but its limits could be escaped from there: root's alone. Its cpu hierarchy
 * is left alone: beside the processes at its top, each of which counts as much as a whole group, all VMs together would
 * get the time of one. */
static bool find_legacy(const struct mount *mounts, struct cgroup_host *ret)
{
        if (geteuid() != 0 || (!mounts[CGROUP_MEMORY].point[0] && !mounts[CGROUP_PIDS].point[0]))
                return false;
        ret->version = 1;
        for (unsigned c = 0; c < CGROUP_CONTROLLER_COUNT; c++) {
                if (mounts[c].point[0] && c != CGROUP_CPU)
                        snprintf(ret->base[c], sizeof(ret->base[c]), "%.*s" CGROUP_FOLDER,
                                 CGROUP_MAX_PATH - (int)sizeof(CGROUP_FOLDER), mounts[c].point);
        }
        if (!ret->base[CGROUP_MEMORY][0] || !ret->base[CGROUP_PIDS][0])
                snprintf(ret->why, sizeof(ret->why), "version 1 without the controller %s",
                         names[ret->base[CGROUP_MEMORY][0] ? CGROUP_PIDS : CGROUP_MEMORY]);
        return true;
}

int cgroup_host_parse(const char *mountinfo, const char *own, struct cgroup_host *ret, struct err *e)
{
        struct hierarchies *h = calloc(1, sizeof(*h));

        *ret = (struct cgroup_host){0};
        if (!h)
                return err_nomem(e);
        find_mounts(mountinfo, h);
        if (!find_unified(&h->unified, own, ret) && !find_legacy(h->legacy, ret))
                str_copy(ret->why, sizeof(ret->why),
                         geteuid() == 0        ? "this host has no control groups for memory and processes"
                         : h->unified.point[0] ? "no control group with memory and pids is delegated to this user"
                                               : "control groups of version 1 are root's");
        free(h);
        return 0;
}

int cgroup_host_find(struct cgroup_host *ret, struct err *e)
{
        struct buf mounts = BUF_INIT, own = BUF_INIT;
        int r = fs_read("/proc/self/mountinfo", MAX_TEXT, &mounts, e);

        if (r == 0)
                r = fs_read("/proc/self/cgroup", MAX_TEXT, &own, e);
        if (r == FS_E_MISSING)
                r = err_set(e, ERR_RESOURCES, "/proc is not mounted");
        if (r == 0 && (!buf_cstr(&mounts) || !buf_cstr(&own)))
                r = err_nomem(e);
        if (r == 0)
                r = cgroup_host_parse(buf_cstr(&mounts), buf_cstr(&own), ret, e);
        buf_done(&mounts);
        buf_done(&own);
        return r;
}
