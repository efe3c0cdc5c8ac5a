#include "vm/swap.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"

#define MAX_ATTRIBUTE 4096u

/* ---- devices ---- */

/* A file of sysfs without its newline; false: there is none. */
static bool read_attribute(const char *folder, const char *name, char *ret, size_t size)
{
        AUTO(auto_free) char *path = fs_join(folder, name);
        AUTO(buf_done) struct buf text = BUF_INIT;

        if (!path || fs_read(path, MAX_ATTRIBUTE, &text, NULL) < 0 || !buf_cstr(&text))
                return false;
        ((char *)text.data)[strcspn(buf_cstr(&text), "\n")] = '\0';
        return str_copy(ret, size, buf_cstr(&text));
}

/* Verity and integrity have a CRYPT- of their own, and encrypt nothing. */
static bool is_encrypted(const char *folder)
{
        static const char *const kinds[] = {"CRYPT-LUKS", "CRYPT-PLAIN-", "CRYPT-TCRYPT-", "CRYPT-LOOPAES-",
                                            "CRYPT-BITLK-"};
        char uuid[256];

        if (!read_attribute(folder, "dm/uuid", uuid, sizeof(uuid)))
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                if (str_starts(uuid, kinds[i]))
                        return true;
        return false;
}

static bool is_memory(const char *folder)
{
        AUTO(auto_free) char *real = realpath(folder, NULL);
        const char *name = real ? strrchr(real, '/') : NULL;
        char backing[256];

        if (!name || !str_starts(name, "/zram"))
                return false;
        return !read_attribute(folder, "backing_dev", backing, sizeof(backing)) || str_eq(backing, "none");
}

struct below {
        const char *sys, *folder;
        unsigned depth, n;
        bool safe;
};

static bool is_safe_at(const char *sys, const char *device, unsigned depth);

static int look_below(const char *name, void *user, struct err *e)
{
        struct below *b = user;
        AUTO(auto_free) char *dev = str_printf("slaves/%s/dev", name);
        char device[32];

        if (!dev)
                return err_nomem(e);
        b->n++;
        b->safe = b->safe && read_attribute(b->folder, dev, device, sizeof(device)) &&
                  is_safe_at(b->sys, device, b->depth + 1);
        return 0;
}

static bool is_safe_at(const char *sys, const char *device, unsigned depth)
{
        AUTO(auto_free) char *folder = str_printf("%s/dev/block/%s", sys, device);
        AUTO(auto_free) char *slaves = str_printf("%s/dev/block/%s/slaves", sys, device);
        struct below b = {.sys = sys, .folder = folder, .depth = depth, .safe = true};

        if (!folder || !slaves || depth > SWAP_MAX_DEPTH)
                return false;
        if (is_encrypted(folder) || is_memory(folder))
                return true;
        return fs_list(slaves, look_below, &b, NULL) == 0 && b.n > 0 && b.safe;
}

bool swap_device_is_safe(const char *sys, const char *device)
{
        return is_safe_at(sys, device, 0);
}

/* ---- areas ---- */

/* The kernel writes blanks, tabs, newlines and backslashes as three octal digits. In place. */
static void unescape(char *name)
{
        char *to = name;

        for (const char *p = name; *p; to++) {
                if (p[0] == '\\' && strspn(p + 1, "01234567") >= 3) {
                        *to = (char)((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
                        p += 4;
                } else {
                        *to = *p++;
                }
        }
        *to = '\0';
}

static int take_line(const char *line, size_t len, bool (*is_safe)(const char *name, void *user), void *user,
                     struct swap_facts *ret, struct err *e)
{
        size_t n = strcspn(line, " \t\n");
        AUTO(auto_free) char *name = str_ndup(line, n);

        if (!name)
                return err_nomem(e);
        if (n == 0 || n >= len)
                return err_set(e, ERR_PROTOCOL, "/proc/swaps has a line that names no swap area");
        unescape(name);
        ret->all++;
        if (is_safe(name, user))
                return 0;
        if (ret->plain++ == 0)
                snprintf(ret->first, sizeof(ret->first), "%.*s", (int)MIN(n, sizeof(ret->first) - 1), line);
        return 0;
}

int swap_parse(const char *text, bool (*is_safe)(const char *name, void *user), void *user, struct swap_facts *ret,
               struct err *e)
{
        int r = 0;

        *ret = (struct swap_facts){0};
        if (!str_starts(text, "Filename"))
                return err_set(e, ERR_PROTOCOL, "/proc/swaps does not begin with its heading");
        text += strcspn(text, "\n");
        while (r == 0 && *text && *++text) {
                size_t len = strcspn(text, "\n");
                r = take_line(text, len, is_safe, user, ret, e);
                text += len;
        }
        return r;
}

/* A file lies on the device of its file system; one of several devices has none that could be looked at. */
static bool area_is_safe(const char *name, void *user)
{
        struct stat st;
        char device[32];

        (void)user;
        if (stat(name, &st) < 0 || (!S_ISBLK(st.st_mode) && !S_ISREG(st.st_mode)))
                return false;
        dev_t d = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
        snprintf(device, sizeof(device), "%u:%u", major(d), minor(d));
        return swap_device_is_safe("/sys", device);
}

int swap_examine(struct swap_facts *ret, struct err *e)
{
        AUTO(buf_done) struct buf text = BUF_INIT;
        struct err why = ERR_INIT;

        *ret = (struct swap_facts){0};
        int r = fs_read("/proc/swaps", SWAP_MAX_TEXT, &text, &why);
        if (r < 0 && why.errnum == ENOENT)
                return 0; /* a kernel that cannot swap */
        if (r == 0 && text.len == 0)
                return 0;
        if (r == 0 && !buf_cstr(&text))
                return err_nomem(e);
        if (r == 0)
                return swap_parse(buf_cstr(&text), area_is_safe, NULL, ret, e);
        if (e)
                *e = why;
        return r;
}
