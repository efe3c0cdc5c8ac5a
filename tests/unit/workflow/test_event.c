/* Payloads of events: refs, changed files, inputs. */
#include "test.h"

#include "base/buf.h"
#include "base/err.h"
#include "codec/diag.h"
#include "workflow/event.h"

static struct value *json(const char *text)
{
        struct value *v = NULL;
        struct err e = ERR_INIT;
        if (value_parse_json(text, strlen(text), NULL, &v, &e) < 0)
                fail_msg("%s: %s", text, e.msg);
        return v;
}

static void check(const char *name, const char *payload, const char *ref, const char *filter, const char *sha)
{
        AUTO(value_unrefp) struct value *v = json(payload);
        struct event ev;
        struct err e = ERR_INIT;
        assert_int_equal(event_read(name, v, &ev, &e), 0);
        assert_string_equal(ev.ref ? ev.ref : "-", ref);
        assert_string_equal(ev.filter_ref ? ev.filter_ref : "-", filter);
        assert_string_equal(ev.sha ? ev.sha : "-", sha);
        event_done(&ev);
}

static void refs_are_those_that_github_gives(void **state)
{
        (void)state;
        check("push", "{\"ref\": \"refs/tags/v1\", \"after\": \"a1\"}", "refs/tags/v1", "refs/tags/v1", "a1");
        check("pull_request",
              "{\"number\": 7, \"pull_request\": {\"base\": {\"ref\": \"main\"}, \"head\": {\"ref\": \"x\", \"sha\": "
              "\"h\"}}}",
              "refs/pull/7/merge", "refs/heads/main", "h");
        check("pull_request",
              "{\"pull_request\": {\"number\": 8, \"base\": {\"ref\": \"main\"}, \"merge_commit_sha\": \"m\"}}",
              "refs/pull/8/merge", "refs/heads/main", "m");
        check("pull_request_target",
              "{\"number\": 7, \"pull_request\": {\"base\": {\"ref\": \"main\", \"sha\": \"b\"}}}", "refs/heads/main",
              "refs/heads/main", "b");
        check("release", "{\"release\": {\"tag_name\": \"v2\"}}", "refs/tags/v2", "refs/tags/v2", "-");
        check("create", "{\"ref\": \"v3\", \"ref_type\": \"tag\"}", "refs/tags/v3", "refs/tags/v3", "-");
        check("issues", "{\"repository\": {\"default_branch\": \"trunk\"}}", "refs/heads/trunk", "refs/heads/trunk",
              "-");
        check("push", "{\"ref\": 7, \"after\": [], \"commits\": {\"a\": 1}}", "-", "-", "-");
        check("pull_request", "{\"number\": \"7\", \"pull_request\": []}", "-", "-", "-");
}

static void changed_files_are_those_of_all_commits(void **state)
{
        AUTO(value_unrefp)
        struct value *v =
                json("{\"commits\": [{\"added\": [\"a\"], \"removed\": [\"b\", 3]}, 4, {\"modified\": [\"c\"]}]}");
        struct workflow_trigger t;
        struct event ev;
        struct err e = ERR_INIT;
        (void)state;
        assert_int_equal(event_read("push", v, &ev, &e), 0);
        event_trigger(&ev, &t);
        assert_int_equal(t.n_paths, 3);
        assert_string_equal(t.paths[2], "c");
        event_done(&ev);
        assert_int_equal(event_read("push", NULL, &ev, &e), 0);
        event_trigger(&ev, &t);
        assert_null(t.paths); /* unknown */
        event_done(&ev);
}

static void ids_are_those_of_the_payload_as_texts(void **state)
{
        AUTO(value_unrefp)
        struct value *v =
                json("{\"repository\": {\"id\": 1296269, \"owner\": {\"id\": \"7\"}, \"git_url\": \"git://x/y\"}, "
                     "\"sender\": {\"id\": []}}");
        struct event ev;
        struct err e = ERR_INIT;
        (void)state;
        assert_int_equal(event_read("push", v, &ev, &e), 0);
        assert_string_equal(ev.repository_id, "1296269");
        assert_string_equal(ev.repository_owner_id, "7");
        assert_string_equal(ev.repository_url, "git://x/y");
        assert_null(ev.actor_id);
        event_done(&ev);
}

/* What a push or a pull request is compared with. */
static void the_commits_to_compare_are_those_that_the_payload_names(void **state)
{
        static const struct {
                const char *event, *payload, *base;
                enum event_base base_is;
                const char *head;
                bool known;
        } cases[] = {
                {"push", "{\"before\": \"b1\", \"after\": \"a1\"}", "b1", EVENT_BASE_COMMIT, "a1", false},
                {"push", "{\"before\": \"000\", \"after\": \"a1\", \"commits\": [{\"id\": \"c1\"}, {\"id\": \"a1\"}]}",
                 "c1", EVENT_BASE_FIRST, "a1", false},
                {"push", "{\"before\": \"000\", \"after\": \"a1\", \"commits\": []}", NULL, EVENT_BASE_FIRST, "a1",
                 true},
                {"push", "{\"before\": \"000\", \"commits\": [3]}", NULL, EVENT_BASE_FIRST, NULL, false},
                {"push", "{\"before\": 3, \"commits\": 3}", NULL, EVENT_BASE_COMMIT, NULL, false},
                {"pull_request", "{\"pull_request\": {\"head\": {\"sha\": \"h\"}, \"base\": {\"sha\": \"b\"}}}", "b",
                 EVENT_BASE_BRANCH, "h", false},
                {"pull_request_target", "{\"pull_request\": {\"base\": {\"ref\": \"main\"}}}", "main",
                 EVENT_BASE_BRANCH, NULL, false},
        };
        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                AUTO(value_unrefp) struct value *v = json(cases[i].payload);
                struct workflow_trigger t;
                struct event ev;
                struct err e = ERR_INIT;
                assert_int_equal(event_read(cases[i].event, v, &ev, &e), 0);
                event_trigger(&ev, &t);
                assert_true(str_eq(ev.base ? ev.base : "-", cases[i].base ? cases[i].base : "-"));
                assert_true(str_eq(ev.head ? ev.head : "-", cases[i].head ? cases[i].head : "-"));
                assert_int_equal(ev.base_is, cases[i].base_is);
                assert_int_equal(t.paths != NULL, cases[i].known);
                assert_int_equal(t.n_paths, 0);
                event_done(&ev);
        }
}

static const char workflow_text[] =
        "on:\n  workflow_dispatch:\n    inputs:\n      level: {type: choice, options: [a, b], default: b}\n"
        "      n: {type: number, default: 3}\n      dry: {type: boolean}\n"
        "      tag: {required: true}\n      note: {}\n"
        "jobs:\n  a:\n    runs-on: x\n    steps: [{run: a}]\n";

static void check_inputs(const char *given, const char *expected)
{
        AUTO(diag_freep) struct diag_list *problems = NULL;
        AUTO(workflow_freep) struct workflow *w = NULL;
        AUTO(value_unrefp) struct value *v = given ? json(given) : NULL, *inputs = NULL;
        struct buf b = BUF_INIT;
        struct err e = ERR_INIT;
        assert_int_equal(diag_new("ci.yml", &problems, &e), 0);
        assert_int_equal(workflow_parse("ci.yml", workflow_text, strlen(workflow_text), problems, &w, &e), 0);
        if (event_inputs(workflow_event(w, "workflow_dispatch"), v, &inputs, &e) < 0)
                buf_append_str(&b, e.msg, NULL);
        else
                assert_int_equal(value_to_json_text(inputs, 0, &b, NULL), 0);
        assert_string_equal(buf_cstr(&b), expected);
        buf_done(&b);
}

static void inputs_have_their_types_and_defaults(void **state)
{
        (void)state;
        check_inputs("{\"tag\": \"v1\"}", "{\"level\":\"b\",\"n\":3,\"dry\":false,\"tag\":\"v1\",\"note\":\"\"}");
        check_inputs("{\"TAG\": \"v1\", \"n\": \"0x10\", \"dry\": \"true\", \"level\": \"a\", \"note\": null}",
                     "{\"level\":\"a\",\"n\":16,\"dry\":true,\"tag\":\"v1\",\"note\":\"\"}");
}

static void inputs_that_do_not_fit_are_refused(void **state)
{
        (void)state;
        check_inputs(NULL, "the input 'tag' is required and was not given");
        check_inputs("{\"tag\": \"v\", \"level\": \"c\"}", "the input 'level': expected one of its options, found 'c'");
        check_inputs("{\"tag\": \"v\", \"n\": \"many\"}", "the input 'n': expected a number, found 'many'");
        check_inputs("{\"tag\": \"v\", \"dry\": \"yes\"}", "the input 'dry': expected true or false, found 'yes'");
        check_inputs("{\"tag\": \"v\", \"lvl\": \"a\"}", "the workflow has no input 'lvl'");
        check_inputs("[]", "the event's `inputs` are no object");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(refs_are_those_that_github_gives),
                cmocka_unit_test(changed_files_are_those_of_all_commits),
                cmocka_unit_test(ids_are_those_of_the_payload_as_texts),
                cmocka_unit_test(the_commits_to_compare_are_those_that_the_payload_names),
                cmocka_unit_test(inputs_have_their_types_and_defaults),
                cmocka_unit_test(inputs_that_do_not_fit_are_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
