#include "cli/vars.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/str.h"
#include "workflow/plan.h"
#include "workflow/value.h"

int vars_init(struct vars *ret, struct err *e)
{
        *ret = (struct vars){0};
        int r = value_object(&ret->all, e);

        return r < 0 ? r : value_object(&ret->environments, e);
}

void vars_done(struct vars *v)
{
        v->all = value_unref(v->all);
        v->environments = value_unref(v->environments);
}

static bool is_name(const char *s, size_t len)
{
        static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";

        if (len == 0 || !strchr(letters, s[0]))
                return false;
        for (size_t i = 0; i < len; i++)
                if (!strchr(letters, s[i]) && (s[i] < '0' || s[i] > '9'))
                        return false;
        return len < strlen("GITHUB_") || strncasecmp(s, "GITHUB_", strlen("GITHUB_")) != 0;
}

/* The object that an environment's variables are in; "" is for every job. */
static int find_object(struct vars *v, const char *environment, struct value **ret, struct err *e)
{
        AUTO(value_unrefp) struct value *made = NULL;

        *ret = *environment ? value_get(v->environments, environment) : v->all;
        if (*ret)
                return 0;
        if (strlen(environment) > PLAN_MAX_ENVIRONMENT || value_count(v->environments) == VARS_MAX_ENVIRONMENTS)
                return err_set(e, ERR_USAGE,
                               "variables of more than %u environments, or of one with a name longer than %d bytes",
                               VARS_MAX_ENVIRONMENTS, PLAN_MAX_ENVIRONMENT);
        int r = value_object(&made, e);
        if (r == 0)
                r = value_set(v->environments, environment, made, e);
        *ret = made;
        return r;
}

/* pair[0..len) is NAME=VALUE. */
static int set(struct vars *v, const char *environment, const char *pair, size_t len, struct err *e)
{
        const char *equals = memchr(pair, '=', len);
        size_t name_len = equals ? (size_t)(equals - pair) : len;
        AUTO(auto_free) char *name = str_ndup(pair, name_len);
        AUTO(value_unrefp) struct value *value = NULL;
        struct value *object = NULL;

        if (!name)
                return err_nomem(e);
        if (!equals)
                return err_set(e, ERR_USAGE, "expected NAME=VALUE, found '%.100s'", name);
        if (!is_name(pair, name_len))
                return err_set(e, ERR_USAGE,
                               "the name of a variable: expected letters, digits and '_', not beginning with a digit "
                               "or GITHUB_, found '%.100s'",
                               name);
        if (len - name_len - 1 > VARS_MAX_VALUE)
                return err_set(e, ERR_USAGE, "the variable %.100s is longer than %zu bytes", name, VARS_MAX_VALUE);
        if (!str_is_utf8(equals + 1, len - name_len - 1))
                return err_set(e, ERR_USAGE, "the variable %.100s is not UTF-8", name);
        int r = find_object(v, environment, &object, e);
        if (r == 0 && value_count(object) == VARS_MAX_COUNT && !value_get(object, name))
                r = err_set(e, ERR_USAGE, "more than %u variables", VARS_MAX_COUNT);
        if (r == 0)
                r = value_string(equals + 1, len - name_len - 1, &value, e);
        return r < 0 ? r : value_set(object, name, value, e);
}

int vars_add(struct vars *v, const char *pair, struct err *e)
{
        size_t before = strcspn(pair, "=");
        const char *slash = memrchr(pair, '/', before);
        AUTO(auto_free) char *environment = slash ? str_ndup(pair, (size_t)(slash - pair)) : str_dup("");
        const char *own = slash ? slash + 1 : pair;

        if (!environment)
                return err_nomem(e);
        if (slash && !*environment)
                return err_set(e, ERR_USAGE, "expected ENVIRONMENT/NAME=VALUE, found '%.100s'", pair);
        return set(v, environment, own, strlen(own), e);
}

/* One line; *environment is replaced by that of a "[...]" line. */
static int take_line(struct vars *v, const char *line, size_t len, char **environment, struct err *e)
{
        if (len > 0 && line[len - 1] == '\r')
                len--;
        if (len == 0 || line[0] == '#')
                return 0;
        if (memchr(line, '\0', len))
                return err_set(e, ERR_USAGE, "a NUL byte");
        if (line[0] != '[')
                return set(v, *environment, line, len, e);
        if (len < 3 || line[len - 1] != ']' || !str_is_utf8(line, len))
                return err_set(e, ERR_USAGE, "expected [ENVIRONMENT]");
        free(*environment);
        *environment = str_ndup(line + 1, len - 2);
        return *environment ? 0 : err_nomem(e);
}

int vars_parse(struct vars *v, const char *name, const char *text, size_t len, struct err *e)
{
        AUTO(auto_free) char *environment = str_dup("");
        unsigned number = 1;

        if (!environment)
                return err_nomem(e);
        for (size_t at = 0; at < len; number++) {
                const char *end = memchr(text + at, '\n', len - at);
                size_t n = end ? (size_t)(end - text) - at : len - at;
                int r = take_line(v, text + at, n, &environment, e);

                if (r < 0)
                        return err_wrap(e, r, "%s:%u", name, number);
                at += n + 1;
        }
        return 0;
}

int vars_read(struct vars *v, const char *path, struct err *e)
{
        AUTO(buf_done) struct buf text = BUF_INIT;
        int r = fs_read(path, VARS_MAX_FILE, &text, e);

        if (r == FS_E_MISSING)
                return err_set(e, ERR_USAGE, "--var-file: there is no file '%s'", path);
        return r < 0 ? r : vars_parse(v, path, (const char *)text.data, text.len, e);
}

int vars_of(const struct vars *v, const char *environment, struct value **ret, struct err *e)
{
        AUTO(value_unrefp) struct value *all = NULL;
        const struct value *own = environment ? value_get(v->environments, environment) : NULL;
        int r = value_copy(v->all, &all, e);

        for (size_t i = 0; r == 0 && i < value_count(own); i++)
                r = value_set(all, value_key_at(own, i), value_at(own, i), e);
        if (r == 0)
                *ret = TAKE_PTR(all);
        return r;
}
