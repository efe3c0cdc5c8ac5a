/* Matcher files: JSON to checked matchers. The checks and their sentences are those of actions/runner. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "codec/json.h"
#include "workflow/matcher_priv.h"

static const char *const field_names[MATCHER_FIELDS] = {"file", "line",    "column",  "severity",
                                                        "code", "message", "fromPath"};

struct matcher *matcher_free(struct matcher *m)
{
        if (!m)
                return NULL;
        for (unsigned i = 0; i < MATCHER_MAX_PATTERNS; i++)
                pcre2_code_free(m->pattern[i].code);
        free(m->owner);
        free(m->severity);
        free(m);
        return NULL;
}
CLEANUP_DEFINE(struct matcher, matcher_free)

/* .NET's ECMAScript mode, as near as PCRE2 comes: \d \w \s are ASCII, \u four digits, a reference to a group that took
 * no part matches nothing and goes on. */
#define OPTIONS (PCRE2_UTF | PCRE2_NEVER_UCP | PCRE2_NEVER_BACKSLASH_C | PCRE2_ALT_BSUX | PCRE2_MATCH_UNSET_BACKREF)

static int compile(const char *text, const char *owner, pcre2_code **ret, struct err *e)
{
        int error;
        PCRE2_SIZE at;
        PCRE2_UCHAR why[128] = "";
        pcre2_compile_context *c = pcre2_compile_context_create(NULL);
        if (!c)
                return err_nomem(e);
        pcre2_set_newline(c, PCRE2_NEWLINE_LF);
        pcre2_set_parens_nest_limit(c, MATCHER_MAX_NESTING);
        pcre2_set_max_pattern_length(c, MATCHER_MAX_REGEXP);
        *ret = pcre2_compile((PCRE2_SPTR)text, strlen(text), OPTIONS, &error, &at, c);
        pcre2_compile_context_free(c);
        if (*ret)
                return 0;
        if (error == PCRE2_ERROR_HEAP_FAILED)
                return err_nomem(e);
        pcre2_get_error_message(error, why, sizeof(why));
        return err_set(e, ERR_RUN_FAILED, "Matcher '%s': the regexp is refused at character %zu: %s", owner, at,
                       (const char *)why);
}

/* A group's number, which the runner also takes as a string. -1: absent. */
static int read_group(const json_t *v, const char *name, int *ret, struct err *e)
{
        const char *text = json_string_value(v);
        uint64_t n = 0;
        *ret = -1;
        if (!v || json_is_null(v))
                return 0;
        if (json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) <= 65535)
                *ret = (int)json_integer_value(v);
        else if (text && num_u64(text, 0, 65535, name, &n, NULL) == 0)
                *ret = (int)n;
        else
                return err_set(e, ERR_RUN_FAILED, "The property '%s' is not the number of a group", name);
        return 0;
}

static int read_groups(const json_t *v, struct matcher_pattern *p, bool set[MATCHER_FIELDS], struct err *e)
{
        uint32_t n = 0;
        pcre2_pattern_info(p->code, PCRE2_INFO_CAPTURECOUNT, &n);
        for (unsigned f = 0; f < MATCHER_FIELDS; f++) {
                int r = read_group(json_object_get(v, field_names[f]), field_names[f], &p->group[f], e);
                if (r < 0)
                        return r;
                if (p->group[f] < 0)
                        continue;
                if (set[f])
                        return err_set(e, ERR_RUN_FAILED, "The property '%s' is set twice", field_names[f]);
                if (p->group[f] > (int)n)
                        return err_set(e, ERR_RUN_FAILED, "The property '%s' is set to %d which is out of range",
                                       field_names[f], p->group[f]);
                set[f] = true;
        }
        return 0;
}

static int read_pattern(const json_t *v, struct matcher *m, unsigned i, bool set[MATCHER_FIELDS], struct err *e)
{
        struct matcher_pattern *p = &m->pattern[i];
        const json_t *regexp = json_object_get(v, "regexp");
        if (!json_is_object(v))
                return err_set(e, ERR_RUN_FAILED, "Matcher '%s': pattern[%u] is not an object", m->owner, i);
        if (regexp && !json_is_null(regexp) && !json_is_string(regexp))
                return err_set(e, ERR_RUN_FAILED, "Matcher '%s': regexp is not a string", m->owner);
        p->loop = json_is_true(json_object_get(v, "loop"));
        if (p->loop && (i == 0 || i + 1 != m->n))
                return err_set(e, ERR_RUN_FAILED, "Only the last pattern in a multiline matcher may set 'loop'");
        int r = compile(json_is_string(regexp) ? json_string_value(regexp) : "", m->owner, &p->code, e);
        if (r == 0)
                r = read_groups(v, p, set, e);
        if (r == 0 && p->loop && p->group[MATCHER_MESSAGE] < 0)
                return err_set(e, ERR_RUN_FAILED, "The loop pattern must set 'message'");
        return r;
}

static int read_severity(const json_t *v, struct matcher *m, struct err *e)
{
        const char *s = json_string_value(v);
        if (!v || json_is_null(v) || (s && !*s))
                return 0;
        if (!s || (!str_ieq(s, "error") && !str_ieq(s, "warning") && !str_ieq(s, "notice")))
                return err_set(e, ERR_RUN_FAILED, "Matcher '%s' contains unexpected default severity '%.64s'", m->owner,
                               s ? s : "?");
        m->severity = str_dup(s);
        return m->severity ? 0 : err_nomem(e);
}

static int read_matcher(const json_t *v, struct matcher **ret, struct err *e)
{
        const char *owner = json_string_value(json_object_get(v, "owner"));
        const json_t *patterns = json_object_get(v, "pattern");
        bool set[MATCHER_FIELDS] = {false};
        if (!owner || !*owner)
                return err_set(e, ERR_RUN_FAILED, "Owner must not be empty");
        if (strlen(owner) > MATCHER_MAX_OWNER)
                return err_set(e, ERR_RUN_FAILED, "An owner is longer than %u bytes", MATCHER_MAX_OWNER);
        AUTO(matcher_freep) struct matcher *m = calloc(1, sizeof(*m));
        if (!m || !(m->owner = str_dup(owner)))
                return err_nomem(e);
        int r = read_severity(json_object_get(v, "severity"), m, e);
        if (r == 0 && json_array_size(patterns) == 0)
                r = err_set(e, ERR_RUN_FAILED, "Matcher '%s' does not contain any patterns", owner);
        if (r == 0 && json_array_size(patterns) > MATCHER_MAX_PATTERNS)
                r = err_set(e, ERR_RUN_FAILED, "Matcher '%s' has more than %u patterns", owner, MATCHER_MAX_PATTERNS);
        m->n = r == 0 ? (unsigned)json_array_size(patterns) : 0;
        for (unsigned i = 0; r == 0 && i < m->n; i++)
                r = read_pattern(json_array_get(patterns, i), m, i, set, e);
        if (r == 0 && !set[MATCHER_MESSAGE])
                r = err_set(e, ERR_RUN_FAILED, "At least one pattern must set 'message'");
        if (r == 0)
                *ret = TAKE_PTR(m);
        return r;
}

static int check_owner(struct matcher *const *list, size_t n, struct err *e)
{
        for (size_t i = 0; i < n; i++)
                if (str_ieq(list[i]->owner, list[n]->owner))
                        return err_set(e, ERR_RUN_FAILED, "Duplicate owner name '%s'", list[n]->owner);
        return 0;
}

static int read_all(const json_t *list, struct matcher **ret, size_t *ret_n, struct err *e)
{
        size_t n = json_array_size(list);
        int r = 0;
        if (n > MATCHER_MAX_COUNT)
                return err_set(e, ERR_RUN_FAILED, "The file has more than %u matchers", MATCHER_MAX_COUNT);
        for (*ret_n = 0; r == 0 && *ret_n < n;) {
                r = read_matcher(json_array_get(list, *ret_n), &ret[*ret_n], e);
                if (r == 0) {
                        r = check_owner(ret, *ret_n, e);
                        ++*ret_n;
                }
        }
        for (; r < 0 && *ret_n; --*ret_n)
                matcher_free(ret[*ret_n - 1]);
        return r;
}

int matcher_file_read(const void *file, size_t len, struct matcher **ret, size_t *ret_n, struct err *e)
{
        static const char bom[3] = "\xef\xbb\xbf";
        json_t *root = NULL;
        const char *p = file;
        size_t skip = len >= 3 && memcmp(p, bom, 3) == 0 ? 3 : 0;
        *ret_n = 0;
        int r = json_parse(p + skip, len - skip, MATCHER_MAX_FILE, "the problem matcher", &root, e);
        if (r < 0) {
                if (e && e->code == ERR_USAGE)
                        e->code = ERR_RUN_FAILED;
                return r;
        }
        const json_t *list = json_object_get(root, "problemMatcher");
        if (list && !json_is_array(list) && !json_is_null(list))
                r = err_set(e, ERR_RUN_FAILED, "problemMatcher is not a list");
        else
                r = read_all(list, ret, ret_n, e);
        json_decref(root);
        return r;
}
