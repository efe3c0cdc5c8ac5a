#include "job/inputs.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/map.h"
#include "base/num.h"
#include "base/str.h"
#include "job/builtin.h"
#include "job/output.h"
#include "job/spec.h"
#include "job/step.h"
#include "job/texts.h"
#include "job/view.h"

static bool is_in(const char *name, const char *const *list, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (str_ieq(list[i], name))
                        return true;
        return false;
}

int inputs_evaluate(struct step *s, struct err *e)
{
        s->with = map_free(s->with);
        int r = texts_new(&s->with, e);
        return r < 0 ? r : view_pairs(s->view, &s->spec->with, "with", s->with, e);
}

static const char *find(const struct step *s, const char *name)
{
        for (size_t i = 0; i < map_count(s->with); i++)
                if (str_ieq(map_key_at(s->with, i), name))
                        return map_value_at(s->with, i);
        return NULL;
}

bool inputs_given(const struct step *s, const char *name)
{
        return find(s, name);
}

static int name_them(struct buf *b, const char *name, struct err *e)
{
        return buf_printf(b, e, "%s'%s'", b->len ? ", " : "", name);
}

int inputs_warn_unexpected(struct step *s, const char *const *known, size_t n_known, struct err *e)
{
        AUTO(buf_done) struct buf unexpected = BUF_INIT, valid = BUF_INIT;
        int r = 0;
        for (size_t i = 0; r == 0 && i < map_count(s->with); i++)
                if (!is_in(map_key_at(s->with, i), known, n_known))
                        r = name_them(&unexpected, map_key_at(s->with, i), e);
        if (r < 0 || !unexpected.len)
                return r;
        for (size_t i = 0; r == 0 && i < n_known; i++)
                r = name_them(&valid, known[i], e);
        if (r < 0)
                return r;
        AUTO(auto_free)
        char *text = str_printf("Unexpected input(s) %.*s, valid inputs are [%.*s]", (int)unexpected.len,
                                (const char *)unexpected.data, (int)valid.len, (const char *)valid.data);
        return text ? output_annotate(s->output, "warning", NULL, text, e) : err_nomem(e);
}

static bool is_asked(const char *value)
{
        return value && *value && !str_ieq(value, "false");
}

int inputs_check(struct step *s, const struct inputs_lists *lists, struct err *e)
{
        const char *const *const all[] = {lists->known, lists->more, lists->ignored, lists->refused};
        const char *names[INPUTS_MAX];
        size_t n = 0;
        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
                for (const char *const *p = all[i]; p && *p; p++) {
                        assert(n < INPUTS_MAX);
                        names[n++] = *p;
                }
        for (const char *const *p = lists->refused; p && *p; p++)
                if (is_asked(find(s, *p)))
                        return err_set(e, ERR_RUN_FAILED, "with.%s: the built-in %s cannot do this; leave it out", *p,
                                       s->builtin->name);
        return inputs_warn_unexpected(s, names, n, e);
}

int inputs_text(struct step *s, const char *name, char **ret, struct err *e)
{
        const char *value = find(s, name);
        *ret = value && *value ? str_dup(value) : NULL;
        return value && *value && !*ret ? err_nomem(e) : 0;
}

int inputs_bool(struct step *s, const char *name, bool fallback, bool *ret, struct err *e)
{
        AUTO(auto_free) char *text = NULL;
        int r = inputs_text(s, name, &text, e);
        *ret = fallback;
        if (r < 0 || !text)
                return r;
        *ret = str_ieq(text, "true");
        if (!*ret && !str_ieq(text, "false"))
                return err_set(e, ERR_RUN_FAILED, "with.%s: expected true or false, found '%s'", name, text);
        return 0;
}

int inputs_u64(struct step *s, const char *name, uint64_t min, uint64_t max, uint64_t fallback, uint64_t *ret,
               bool *ret_given, struct err *e)
{
        AUTO(auto_free) char *text = NULL;
        char what[128];
        int r = inputs_text(s, name, &text, e);
        *ret = fallback;
        if (ret_given)
                *ret_given = text;
        if (r < 0 || !text)
                return r;
        snprintf(what, sizeof(what), "with.%s", name);
        r = num_u64(text, min, max, what, ret, e);
        if (r < 0 && e && e->code == ERR_USAGE)
                e->code = ERR_RUN_FAILED;
        return r;
}
