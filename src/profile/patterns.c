#include "profile/patterns.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"

/* As ECMAScript reads the schema: '$' is the end of the text alone. */
#define OPTIONS (PCRE2_UTF | PCRE2_NEVER_UCP | PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOLLAR_ENDONLY)

struct patterns {
        pcre2_code *code[RULE_COUNT];
        pcre2_match_data *data;
};

int patterns_new(struct patterns **ret, struct err *e)
{
        AUTO(patterns_freep) struct patterns *p = calloc(1, sizeof(*p));

        if (!p)
                return err_nomem(e);
        p->data = pcre2_match_data_create(1, NULL);
        if (!p->data)
                return err_nomem(e);
        *ret = TAKE_PTR(p);
        return 0;
}

struct patterns *patterns_free(struct patterns *p)
{
        if (!p)
                return NULL;
        for (size_t i = 0; i < RULE_COUNT; i++)
                pcre2_code_free(p->code[i]);
        pcre2_match_data_free(p->data);
        free(p);
        return NULL;
}

static int compile(struct patterns *p, enum rule rule, struct err *e)
{
        const char *text = text_rules[rule].pattern;
        PCRE2_UCHAR why[128] = "";
        PCRE2_SIZE at;
        int error;

        p->code[rule] = pcre2_compile((PCRE2_SPTR)text, strlen(text), OPTIONS, &error, &at, NULL);
        if (p->code[rule])
                return 0;
        if (error == PCRE2_ERROR_HEAP_FAILED)
                return err_nomem(e);
        pcre2_get_error_message(error, why, sizeof(why));
        return err_set(e, ERR_RESOURCES, "the pattern of '%s' is wrong at character %zu: %s", text_rules[rule].name, at,
                       (const char *)why);
}

static size_t characters(const char *text, size_t len)
{
        size_t n = 0;

        for (size_t i = 0; i < len; i++)
                n += ((unsigned char)text[i] & 0xc0) != 0x80;
        return n;
}

/* The texts are short and the patterns plain; past PCRE2's own limit of steps a text does not fit. */
int patterns_fit(struct patterns *p, enum rule rule, const char *text, size_t len, bool *ret, struct err *e)
{
        *ret = false;
        if (characters(text, len) > text_rules[rule].max)
                return 0;
        if (!p->code[rule] && compile(p, rule, e) < 0)
                return -1;
        int n = pcre2_match(p->code[rule], (PCRE2_SPTR)text, len, 0, 0, p->data, NULL);
        if (n == PCRE2_ERROR_NOMEMORY || n == PCRE2_ERROR_HEAPLIMIT)
                return err_nomem(e);
        *ret = n >= 0;
        return 0;
}
