/* Every allocation of the profile's parser, schema and example fails once. */
#include "test.h"

#include <jansson.h>

#include "alloc_fail.h"
#include "base/buf.h"
#include "base/err.h"
#include "codec/diag.h"
#include "codec/json.h"
#include "profile/profile.h"

static const char text[] =
        "entity: web\ndomain: corp.example\nmemory: 1G\nvcpus: 2\nhooks: {before: [a, b], after: c}\n"
        "identity: [{issuer: 'https://a.b', audience: [c], claims: {d: e}}]\nvault: {endpoint: 'https://a.b', role: "
        "c}\n"
        "secrets: {A: kv/x#y, B: {ref: kv/x#z, version: 3}}\n"
        "egress: {profile: brokered, allow: [a.b, '*.c.d', 10.0.0.0/8:1]}\n"
        "environments: {p: {secrets: {A: kv/p#y}, memory: 2G}, q: {}}\n";

static int use_profile(void *user, struct err *e)
{
        AUTO(diag_freep) struct diag_list *problems = NULL;
        AUTO(profile_freep) struct profile *p = NULL;
        int r = diag_new("devdep.yaml", &problems, e);

        if (r == 0)
                r = profile_parse(text, strlen(text), user, problems, &p, e);
        return r;
}

static int use_problems(void *user, struct err *e)
{
        static const char bad[] = "entity: web\nmemry: 1G\negress: {profile: x}\nsecrets: {A: b, '*': c}\nvcpus: 1.5\n";
        AUTO(diag_freep) struct diag_list *problems = NULL;
        struct profile *p = NULL;
        int r = diag_new("devdep.yaml", &problems, e);

        (void)user;
        if (r == 0)
                r = profile_parse(bad, strlen(bad), NULL, problems, &p, e);
        assert_null(p);
        return r < 0 ? r : 0;
}

static int use_schema(void *user, struct err *e)
{
        AUTO(json_decrefp) json_t *schema = NULL;

        (void)user;
        return profile_schema(&schema, e);
}

static int use_example(void *user, struct err *e)
{
        struct buf b = BUF_INIT;
        int r = profile_example("web", "corp.example", &b, e);

        (void)user;
        buf_done(&b);
        return r;
}

static void every_allocation_may_fail(void **state)
{
        static char environment[] = "p";
        (void)state;

        json_init();
        assert_true(alloc_fail_each(use_profile, NULL) > 10);
        assert_true(alloc_fail_each(use_profile, environment) > 10);
        assert_true(alloc_fail_each(use_problems, NULL) > 10);
        assert_true(alloc_fail_each(use_schema, NULL) > 100);
        assert_true(alloc_fail_each(use_example, NULL) > 2);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_allocation_may_fail),
        };
        return cmocka_run_group_tests_name("profile alloc", tests, NULL, NULL);
}
