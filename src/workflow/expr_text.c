/* Text with ${{ }} parts, and the conditions of `if:`. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "workflow/expr_priv.h"

/* The next part of a text: plain bytes, or one expression. */
struct part {
        bool is_expression;
        size_t start, len; /* plain: the bytes; expression: without ${{ and }} */
        size_t next;       /* where to go on */
};

static const char *find_open(const char *s, size_t len)
{
        return len < 3 ? NULL : memmem(s, len, "${{", 3);
}

/* The position of the closing }} outside of quotes, or len. */
static size_t find_close(const char *s, size_t from, size_t len)
{
        bool quoted = false;
        for (size_t i = from; i < len; i++) {
                if (s[i] == '\'')
                        quoted = !quoted;
                else if (!quoted && s[i] == '}' && i + 1 < len && s[i + 1] == '}')
                        return i;
        }
        return len;
}

static int next_part(const char *text, size_t len, size_t at, struct part *ret, struct expr_fault *fault, struct err *e)
{
        const char *open = find_open(text + at, len - at);
        size_t start = open ? (size_t)(open - text) : len;
        if (start > at) {
                *ret = (struct part){.start = at, .len = start - at, .next = start};
                return 0;
        }
        size_t close = find_close(text, at + 3, len);
        if (close == len) {
                if (fault)
                        *fault = (struct expr_fault){.kind = EXPR_FAULT_PARSING, .offset = at};
                return err_set(e, ERR_USAGE,
                               "The expression is not closed. An unescaped ${{ sequence was found, but the "
                               "closing }} sequence was not found.");
        }
        *ret = (struct part){.is_expression = true, .start = at + 3, .len = close - at - 3, .next = close + 2};
        return 0;
}

/* GitHub trims the expression before it counts positions in it. */
static void trim(const char *text, size_t *start, size_t *len)
{
        while (*len && strchr(" \t\r\n", text[*start]) && text[*start]) {
                (*start)++;
                (*len)--;
        }
        while (*len && strchr(" \t\r\n", text[*start + *len - 1]) && text[*start + *len - 1])
                (*len)--;
}

static int parse_part(const char *text, struct part *p, const struct expr_env *env, struct expr **ret,
                      struct expr_fault *fault, struct err *e)
{
        trim(text, &p->start, &p->len);
        int r = expr_parse(text + p->start, p->len, env, ret, fault, e);
        if (r < 0 && fault)
                fault->offset += p->start;
        return r;
}

static int eval_part(const char *text, struct part *p, const struct expr_env *env, struct value **ret,
                     struct expr_fault *fault, struct err *e)
{
        AUTO(expr_freep) struct expr *x = NULL;
        int r = parse_part(text, p, env, &x, fault, e);
        if (r == 0 && (r = expr_eval(x, env, ret, fault, e)) < 0 && fault)
                fault->offset = p->start;
        return r;
}

static int append_part(const char *text, struct part *p, const struct expr_env *env, struct buf *out,
                       struct expr_fault *fault, struct err *e)
{
        if (!p->is_expression)
                return buf_append(out, text + p->start, p->len, e);
        AUTO(value_unrefp) struct value *v = NULL;
        int r = eval_part(text, p, env, &v, fault, e);
        return r ? r : value_to_text(v, out, e);
}

static int check_size(size_t len, struct expr_fault *fault, struct err *e)
{
        if (fault)
                *fault = (struct expr_fault){0};
        if (len <= EXPR_MAX_TEXT)
                return 0;
        if (fault)
                fault->kind = EXPR_FAULT_PARSING;
        return err_set(e, ERR_USAGE, "a text of %zu bytes is longer than the limit of %zu (EXPR_MAX_TEXT)", len,
                       EXPR_MAX_TEXT);
}

/* A text that was joined is a new value, too. */
static int charge_text(const struct expr_env *env, size_t len, struct err *e)
{
        if (!env->budget)
                return 0;
        if (len > *env->budget)
                return err_set(e, ERR_USAGE, "The maximum allowed memory size was exceeded");
        *env->budget -= len;
        return 0;
}

int expr_template(const char *text, size_t len, const struct expr_env *env, struct value **ret,
                  struct expr_fault *fault, struct err *e)
{
        struct buf out = BUF_INIT_MAX(EXPR_MAX_MEMORY);
        int r = check_size(len, fault, e);
        for (size_t at = 0; r == 0 && at < len;) {
                struct part p;
                if ((r = next_part(text, len, at, &p, fault, e)))
                        break;
                if (p.is_expression && at == 0 && p.next == len) {
                        buf_done(&out);
                        return eval_part(text, &p, env, ret, fault, e);
                }
                r = append_part(text, &p, env, &out, fault, e);
                at = p.next;
        }
        if (r == 0)
                r = charge_text(env, out.len, e);
        if (r == 0)
                r = value_string((const char *)out.data, out.len, ret, e);
        buf_done(&out);
        return r;
}

int expr_template_str(const char *text, const struct expr_env *env, char **ret, struct expr_fault *fault, struct err *e)
{
        AUTO(value_unrefp) struct value *v = NULL;
        int r = expr_template(text, strlen(text), env, &v, fault, e);
        if (r)
                return r;
        *ret = value_to_str(v);
        return *ret ? 0 : err_nomem(e);
}

int expr_template_bool(const char *text, const struct expr_env *env, const char *what, bool *ret,
                       struct expr_fault *fault, struct err *e)
{
        AUTO(auto_free) char *s = NULL;
        int r = expr_template_str(text, env, &s, fault, e);
        if (r)
                return r;
        *ret = str_ieq(s, "true");
        if (*ret || str_ieq(s, "false"))
                return 0;
        return err_set(e, ERR_USAGE, "%s: expected true or false, found '%s'", what, s);
}

int expr_template_number(const char *text, const struct expr_env *env, const char *what, double *ret,
                         struct expr_fault *fault, struct err *e)
{
        AUTO(value_unrefp) struct value *v = NULL;
        int r = expr_template(text, strlen(text), env, &v, fault, e);
        if (r)
                return r;
        *ret = value_to_number(v);
        bool empty = value_kind(v) == VALUE_NULL || (value_kind(v) == VALUE_STRING && !value_truthy(v));
        if (isfinite(*ret) && !empty)
                return 0;
        AUTO(auto_free) char *s = value_to_str(v);
        return err_set(e, ERR_USAGE, "%s: expected a number, found '%s'", what, s ? s : "");
}

int expr_template_check(const char *text, size_t len, const struct expr_env *env, struct expr_fault *fault,
                        struct err *e)
{
        int r = check_size(len, fault, e);
        for (size_t at = 0; r == 0 && at < len;) {
                AUTO(expr_freep) struct expr *x = NULL;
                struct part p;
                if ((r = next_part(text, len, at, &p, fault, e)))
                        break;
                if (p.is_expression)
                        r = parse_part(text, &p, env, &x, fault, e);
                at = p.next;
        }
        return r;
}

bool expr_template_has_parts(const char *text, size_t len)
{
        return find_open(text, len) != NULL;
}

/* The callbacks only tell the parser that the functions exist. */
static int no_hash(void *user, const char *const *patterns, size_t n, struct value **ret, struct err *e)
{
        (void)user, (void)patterns, (void)n, (void)ret;
        return err_set(e, ERR_USAGE, "hashFiles is not available here");
}

static int no_status(void *user, enum expr_status fn, const char *const *args, size_t n, bool *ret, struct err *e)
{
        (void)user, (void)fn, (void)args, (void)n, (void)ret;
        return err_set(e, ERR_USAGE, "status functions are not available here");
}

/* Parse without knowing any name; what is not well-formed gives NULL. */
static int parse_any(const char *text, struct part *p, struct expr **ret, struct err *e)
{
        const struct expr_env anything = {
                .any_context = true, .hash_files = no_hash, .status = no_status, .status_takes_jobs = true};
        struct err problem = ERR_INIT;
        *ret = NULL;
        if (parse_part(text, p, &anything, ret, NULL, &problem) < 0 && problem.code == ERR_RESOURCES) {
                if (e)
                        *e = problem;
                return -1;
        }
        return 0;
}

int expr_template_uses_context(const char *text, size_t len, const char *name, bool *ret, struct err *e)
{
        *ret = false;
        for (size_t at = 0; !*ret && at < len;) {
                AUTO(expr_freep) struct expr *x = NULL;
                struct part p;
                if (next_part(text, len, at, &p, NULL, NULL) < 0)
                        return 0;
                if (p.is_expression && parse_any(text, &p, &x, e) < 0)
                        return -1;
                *ret = x && expr_uses_context(x, name);
                at = p.next;
        }
        return 0;
}

/* The notes of one part, if it is well-formed. */
static int note_part(const char *text, struct part *p,
                     int (*fn)(void *user, const struct expr_note *note, struct err *e), void *user, struct err *e)
{
        AUTO(expr_freep) struct expr *x = NULL;
        int r = parse_any(text, p, &x, e);
        return r < 0 || !x ? r : expr_notes(x, p->start, fn, user, e);
}

/* A condition is one expression with or without ${{ }}. Anything else that holds a ${{ is text, which GitHub takes as a
 * string (and a non-empty string is true). */
static bool is_single(const char *text, size_t len, struct part *ret)
{
        if (len < 3 || memcmp(text, "${{", 3) != 0)
                return false;
        return next_part(text, len, 0, ret, NULL, NULL) == 0 && ret->next == len;
}

enum condition_kind { CONDITION_DEFAULT, CONDITION_EXPRESSION, CONDITION_TEXT };

static enum condition_kind split_condition(const char *text, struct part *ret)
{
        *ret = (struct part){.start = 0, .len = text ? strlen(text) : 0};
        if (text)
                trim(text, &ret->start, &ret->len);
        if (!ret->len)
                return CONDITION_DEFAULT;
        struct part inner;
        if (is_single(text + ret->start, ret->len, &inner)) {
                inner.start += ret->start;
                trim(text, &inner.start, &inner.len);
                *ret = inner;
                return CONDITION_EXPRESSION; /* ${{ }} with nothing in it is refused, as everywhere */
        }
        return find_open(text + ret->start, ret->len) ? CONDITION_TEXT : CONDITION_EXPRESSION;
}

static int ask_success(const struct expr_env *env, bool *ret, struct err *e)
{
        *ret = true;
        return env->status ? env->status(env->user, EXPR_SUCCESS, NULL, 0, ret, e) : 0;
}

static int eval_condition(const char *text, struct part *p, const struct expr_env *env, bool *ret,
                          struct expr_fault *fault, struct err *e)
{
        AUTO(expr_freep) struct expr *x = NULL;
        AUTO(value_unrefp) struct value *v = NULL;
        int r = parse_part(text, p, env, &x, fault, e);
        if (r < 0)
                return r;
        if (!expr_uses_status(x)) {
                r = ask_success(env, ret, e);
                if (r || !*ret)
                        return r;
        }
        r = expr_eval(x, env, &v, fault, e);
        if (r == 0)
                *ret = value_truthy(v);
        else if (r < 0 && fault)
                fault->offset = p->start;
        return r;
}

int expr_condition(const char *text, const struct expr_env *env, bool *ret, struct expr_fault *fault, struct err *e)
{
        struct part p;
        if (fault)
                *fault = (struct expr_fault){0};
        switch (split_condition(text, &p)) {
        case CONDITION_DEFAULT:
                return ask_success(env, ret, e);
        case CONDITION_EXPRESSION:
                return eval_condition(text, &p, env, ret, fault, e);
        case CONDITION_TEXT:
                break;
        }
        AUTO(value_unrefp) struct value *v = NULL;
        int r = ask_success(env, ret, e);
        if (r || !*ret)
                return r;
        if ((r = expr_template(text, strlen(text), env, &v, fault, e)) == 0)
                *ret = value_truthy(v);
        return r;
}

int expr_condition_check(const char *text, const struct expr_env *env, struct expr_fault *fault, struct err *e)
{
        struct part p;
        AUTO(expr_freep) struct expr *x = NULL;
        if (fault)
                *fault = (struct expr_fault){0};
        switch (split_condition(text, &p)) {
        case CONDITION_DEFAULT:
                return 0;
        case CONDITION_EXPRESSION:
                return parse_part(text, &p, env, &x, fault, e);
        case CONDITION_TEXT:
                break;
        }
        return expr_template_check(text, strlen(text), env, fault, e);
}

int expr_condition_uses_status(const char *text, bool *ret, struct err *e)
{
        AUTO(expr_freep) struct expr *x = NULL;
        struct part p;
        *ret = false;
        if (split_condition(text, &p) != CONDITION_EXPRESSION)
                return 0;
        int r = parse_any(text, &p, &x, e);
        *ret = x && expr_uses_status(x);
        return r;
}

int expr_condition_uses_context(const char *text, const char *name, bool *ret, struct err *e)
{
        AUTO(expr_freep) struct expr *x = NULL;
        struct part p;
        *ret = false;
        if (split_condition(text, &p) != CONDITION_EXPRESSION)
                return text ? expr_template_uses_context(text, strlen(text), name, ret, e) : 0;
        int r = parse_any(text, &p, &x, e);
        *ret = x && expr_uses_context(x, name);
        return r;
}

bool expr_condition_is_text(const char *text)
{
        struct part p;
        return split_condition(text, &p) == CONDITION_TEXT;
}

int expr_condition_constant(const char *text, bool *ret, bool *ret_value, struct err *e)
{
        AUTO(expr_freep) struct expr *x = NULL;
        AUTO(value_unrefp) struct value *v = NULL;
        struct part p;
        *ret = false;
        if (split_condition(text, &p) != CONDITION_EXPRESSION)
                return 0;
        int r = parse_any(text, &p, &x, e);
        if (r < 0 || !x || !expr_is_constant(x))
                return r;
        struct err problem = ERR_INIT;
        *ret = expr_eval(x, NULL, &v, NULL, &problem) == 0;
        *ret_value = *ret && value_truthy(v);
        return 0;
}

int expr_template_notes(const char *text, size_t len, bool condition,
                        int (*fn)(void *user, const struct expr_note *note, struct err *e), void *user, struct err *e)
{
        struct part p;
        int r = 0;
        if (condition && split_condition(text, &p) == CONDITION_EXPRESSION)
                return note_part(text, &p, fn, user, e);
        for (size_t at = 0; r == 0 && at < len; at = p.next) {
                if (next_part(text, len, at, &p, NULL, NULL) < 0)
                        return 0;
                if (p.is_expression)
                        r = note_part(text, &p, fn, user, e);
        }
        return r;
}
