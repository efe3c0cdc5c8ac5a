/* Expressions: whatever is parsed can be evaluated, twice with the same result; every error has a kind. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "workflow/expr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char json[] =
        "{\"github\":{\"ref\":\"refs/heads/"
        "main\",\"event\":{\"commits\":[{\"id\":1},{\"id\":\"2\"},[3]]}},\"matrix\":{\"n\":[1,\"b\",null]}}";

static int status(void *user, enum expr_status fn, const char *const *args, size_t n, bool *ret, struct err *e)
{
        (void)user, (void)args, (void)e;
        *ret = fn == EXPR_SUCCESS && n == 0;
        return 0;
}

static int hash(void *user, const char *const *patterns, size_t n, struct value **ret, struct err *e)
{
        (void)user;
        return value_str(patterns[n - 1], ret, e);
}

static void evaluate(const char *text, size_t len, const struct expr_env *env)
{
        AUTO(value_unrefp) struct value *a = NULL, *b = NULL;
        struct expr_fault fault;
        struct err e = ERR_INIT;
        int r = expr_evaluate(text, len, env, &a, &fault, &e);
        assert(r == 0 || (r == -1 && e.code == ERR_USAGE && fault.kind != EXPR_FAULT_NONE && fault.offset <= len));
        assert(expr_evaluate(text, len, env, &b, NULL, NULL) == r);
        assert(r < 0 || value_same(a, b));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        AUTO(value_unrefp) struct value *contexts = NULL, *v = NULL;
        AUTO(auto_free) char *text = malloc(size + 1);
        struct expr_fault fault;
        struct err e = ERR_INIT;
        bool holds;
        assert(text && value_parse_json(json, strlen(json), NULL, &contexts, &e) == 0);
        memcpy(text, data, size);
        text[size] = '\0';
        const struct expr_env env = {
                .contexts = contexts, .status = status, .hash_files = hash, .status_takes_jobs = true};
        evaluate(text, size, &env);
        (void)expr_template(text, size, &env, &v, &fault, &e);
        (void)expr_template_check(text, size, &env, &fault, &e);
        (void)expr_condition(text, &env, &holds, &fault, &e);
        return 0;
}
