#include "test.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/str.h"
#include "cli/scopes.h"
#include "workflow/value.h"

static void scopes_are(const char *github, const char *want)
{
        struct value *v = NULL;
        struct strv scopes = STRV_INIT;
        char joined[2048] = "";
        assert_int_equal(value_parse_json(github, strlen(github), NULL, &v, NULL), 0);
        int r = scopes_of(v, &scopes, NULL);
        for (size_t i = 0; i < scopes.n; i++) {
                strcat(joined, *scopes.v[i] ? scopes.v[i] : "-");
                strcat(joined, " ");
        }
        if (want) {
                assert_int_equal(r, 0);
                assert_string_equal(joined, want);
        } else {
                assert_int_equal(r, SCOPES_E_NONE);
        }
        strv_done(&scopes);
        value_unref(v);
}

static void a_branch_reads_its_own_caches_and_the_default_branchs(void **state)
{
        (void)state;
        scopes_are("{\"event_name\":\"push\",\"ref\":\"refs/heads/x\"}",
                   "refs/heads/x refs/heads/main refs/heads/master ");
        scopes_are("{\"event_name\":\"push\",\"ref\":\"refs/heads/main\"}", "refs/heads/main refs/heads/master ");
        scopes_are("{\"event_name\":\"push\",\"ref\":\"refs/tags/"
                   "v1\",\"event\":{\"repository\":{\"default_branch\":\"trunk\"}}}",
                   "refs/tags/v1 refs/heads/trunk ");
        scopes_are("{\"event_name\":\"push\",\"ref\":\"\"}", "- refs/heads/main refs/heads/master ");
}

static void a_pull_request_writes_only_its_own_and_reads_the_bases(void **state)
{
        (void)state;
        scopes_are("{\"event_name\":\"pull_request\",\"ref\":\"refs/pull/7/merge\",\"base_ref\":\"release\"}",
                   "refs/pull/7/merge refs/heads/release refs/heads/main refs/heads/master ");
        scopes_are("{\"event_name\":\"pull_request\",\"ref\":\"refs/heads/main\",\"base_ref\":\"\"}",
                   "refs/pull/main/merge refs/heads/main refs/heads/master ");
}

static void a_ref_that_is_no_scope_gives_none(void **state)
{
        (void)state;
        scopes_are("{\"event_name\":\"push\",\"ref\":\"refs/heads/a\\u0007b\"}", NULL);
        scopes_are("{\"event_name\":\"push\",\"ref\":\"main\"}", NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_branch_reads_its_own_caches_and_the_default_branchs),
                cmocka_unit_test(a_pull_request_writes_only_its_own_and_reads_the_bases),
                cmocka_unit_test(a_ref_that_is_no_scope_gives_none),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
