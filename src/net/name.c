#include "net/name.h"

#include <stdbool.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static char lower(char c)
{
        return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static int copy_lower(const char *name, size_t len, char ret[NAME_TEXT], struct err *e)
{
        for (size_t i = 0; i < len; i++) {
                char c = lower(name[i]);
                if (c & (char)0x80)
                        return err_set(e, ERR_USAGE,
                                       "the name is not ASCII: write it in its form that begins with xn--");
                if (!is_digit(c) && !(c >= 'a' && c <= 'z') && !strchr("_-.", c ? c : '?'))
                        return err_set(e, ERR_USAGE, "the name has a character that names of hosts do not have");
                ret[i] = c;
        }
        ret[len] = '\0';
        return 0;
}

static int check_label(const char *label, size_t len, struct err *e)
{
        if (!len)
                return err_set(e, ERR_USAGE, "the name has an empty label");
        if (len > NAME_MAX_LABEL)
                return err_set(e, ERR_USAGE, "the name has a label of more than %u bytes", NAME_MAX_LABEL);
        if (label[0] == '-' || label[len - 1] == '-')
                return err_set(e, ERR_USAGE, "the name has a label that begins or ends with '-'");
        return 0;
}

/* inet_aton(3) and browsers take such for a part of an address. */
static bool is_number(const char *label)
{
        if (label[0] == '0' && label[1] == 'x')
                return label[2 + strspn(label + 2, "0123456789abcdef")] == '\0';
        return label[strspn(label, "0123456789")] == '\0';
}

int name_normalise(const void *name, size_t len, char ret[NAME_TEXT], struct err *e)
{
        const char *text = name;
        const char *label = ret;

        if (len && text[len - 1] == '.')
                len--;
        if (!len || len > NAME_MAX_LENGTH)
                return err_set(e, ERR_USAGE, "a name of a host has 1 to %u bytes, found %zu", NAME_MAX_LENGTH, len);
        int r = copy_lower(text, len, ret, e);
        while (r == 0) {
                size_t n = strcspn(label, ".");
                r = check_label(label, n, e);
                if (r < 0 || !label[n])
                        break;
                label += n + 1;
        }
        if (r == 0 && is_number(label))
                return err_set(e, ERR_USAGE, "the name ends in a number: it would be read as an address");
        return r;
}

bool name_is_internal(const char *name)
{
        return str_ends(name, NAME_INTERNAL);
}
