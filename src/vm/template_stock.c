/* How many templates a state folder has, and what they take. */
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/str.h"
#include "vm/template.h"

struct count {
        const char *folder;
        struct template_stock *stock;
};

static int count_file(const char *name, void *user, struct err *e)
{
        const struct count *c = user;
        AUTO(auto_free) char *path = fs_join(c->folder, name);
        struct stat st;

        if (!path)
                return err_nomem(e);
        if (lstat(path, &st) == 0)
                c->stock->bytes += (uint64_t)st.st_blocks * 512;
        c->stock->n += str_eq(name, "manifest.json");
        return 0;
}

static int count_folder(const char *name, void *user, struct err *e)
{
        const struct count *c = user;
        AUTO(auto_free) char *path = fs_join(c->folder, name);
        struct count inner = {path, c->stock};
        struct stat st;

        if (!path)
                return err_nomem(e);
        if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode))
                return 0;
        int r = fs_list(path, count_file, &inner, e);
        return r == FS_E_MISSING ? 0 : r;
}

int template_stock(const char *state, struct template_stock *ret, struct err *e)
{
        AUTO(auto_free) char *path = fs_join(state, "templates");
        struct count c = {path, ret};

        *ret = (struct template_stock){0};
        if (!path)
                return err_nomem(e);
        int r = fs_list(path, count_folder, &c, e);
        return r == FS_E_MISSING ? 0 : r;
}
