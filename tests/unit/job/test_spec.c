#include "test.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "job/spec.h"

static struct err err;

#define HEAD                                                                                                           \
        "{\"version\":1,\"run\":\"1\",\"attempt\":1,\"job\":{\"id\":\"b\",\"timeout_ms\":1000},\"image\":{\"name\":"   \
        "\"d\",\"digest\":\"x\"},"                                                                                     \
        "\"accelerator\":\"tcg\",\"boot_timeout_ms\":5,\"workspace\":\"/home/runner/work/a/a\""
#define COMMIT "0123456789012345678901234567890123456789"

static void accepts(const char *text, struct spec **ret)
{
        err = (struct err)ERR_INIT;
        if (spec_parse(text, strlen(text), ret, &err) < 0)
                fail_msg("%s", err.msg);
}

static void refuses(const char *text, const char *message)
{
        struct spec *s = NULL;
        err = (struct err)ERR_INIT;
        assert_true(spec_parse(text, strlen(text), &s, &err) < 0);
        assert_null(s);
        assert_int_equal(err.code, ERR_USAGE);
        assert_contains(err.msg, message);
}

static void a_whole_specification_is_read(void **state)
{
        struct spec *s = NULL;
        (void)state;
        accepts(HEAD ",\"rootfs\":\"read-only\",\"pids\":300,\"profile\":{\"digest\":\"sha256:0\",\"environment\":"
                     "\"p\"},\"protections\":{\"seccomp\":\"ok\"},\"hold_on_failure\":true,"
                     "\"env\":[{\"name\":\"A\",\"value\":\"1\",\"line\":3,\"column\":5}],"
                     "\"defaults\":{\"shell\":\"bash\",\"working_directory\":\"x\"},\"contexts\":{\"github\":{},"
                     "\"matrix\":null},"
                     "\"outputs\":{\"o\":\"v\"},\"source\":{\"commit\":\"" COMMIT
                     "\",\"tree\":\"working\"},\"mask\":[\"s\"],"
                     "\"steps\":[{\"run\":\"true\",\"with\":{},\"env\":[],\"line\":4},{\"uses\":\"actions/"
                     "checkout\",\"with\":{\"ref\":\"x\"}}]}",
                &s);
        assert_int_equal(s->n_steps, 2);
        assert_string_equal(s->steps[1].with.v[0].value, "x");
        assert_string_equal(s->env.v[0].name, "A");
        assert_int_equal(s->env.v[0].line, 3);
        assert_true(s->source_working && s->hold_on_failure);
        assert_string_equal(s->source_commit, COMMIT);
        assert_string_equal(s->mask[0], "s");
        assert_int_equal(s->pids, 300);
        assert_string_equal(s->profile_digest, "sha256:0");
        assert_string_equal(s->profile_environment, "p");
        spec_free(s);
}

static void unknown_keys_are_refused_with_their_path(void **state)
{
        (void)state;
        refuses(HEAD ",\"steps\":[],\"extra\":1}", "extra: unknown key");
        refuses(HEAD ",\"steps\":[{\"run\":\"x\"},{\"run\":\"x\",\"shel\":\"b\"}]}", "steps[1].shel: unknown key");
        refuses(HEAD ",\"steps\":[{\"run\":\"x\",\"env\":[{\"name\":\"a\",\"value\":\"b\",\"z\":1}]}]}",
                "steps[0].env[0].z: unknown key");
        refuses(HEAD ",\"steps\":[],\"contexts\":{\"secrets\":{}}}", "contexts.secrets: unknown key");
}

static void steps_beside_others_and_steps_that_wait_are_read(void **state)
{
        struct spec *s = NULL;
        (void)state;
        accepts(HEAD ",\"steps\":[{\"id\":\"a\",\"run\":\"x\",\"background\":true},{\"wait\":[\"a\",\"b\"]},"
                     "{\"wait_all\":true},{\"cancel\":\"a\"},{\"parallel\":[{\"run\":\"y\"},{\"uses\":\"./z\"}]}]}",
                &s);
        assert_true(s->steps[0].background && !s->steps[1].background && s->steps[2].wait_all);
        assert_int_equal(s->steps[1].wait.n, 2);
        assert_string_equal(s->steps[1].wait.v[1], "b");
        assert_string_equal(s->steps[3].cancel, "a");
        assert_int_equal(s->steps[4].n_parallel, 2);
        assert_string_equal(s->steps[4].parallel[1].uses, "./z");
        assert_int_equal(s->n_all_steps, 7);
        spec_free(s);
}

static void env_and_with_may_be_one_expression(void **state)
{
        struct spec *s = NULL;
        (void)state;
        accepts(HEAD ",\"env\":\"${{ vars }}\",\"steps\":[{\"uses\":\"./a\",\"with\":\"${{ inputs }}\",\"env\":\"${{ x "
                     "}}\"}]}",
                &s);
        assert_string_equal(s->env.expression, "${{ vars }}");
        assert_string_equal(s->steps[0].with.expression, "${{ inputs }}");
        assert_string_equal(s->steps[0].env.expression, "${{ x }}");
        spec_free(s);
        accepts(HEAD ",\"env\":[{\"all\":\"${{ vars }}\",\"line\":3},{\"name\":\"A\",\"value\":\"\"}],\"steps\":[]}",
                &s);
        assert_null(s->env.v[0].name);
        assert_string_equal(s->env.v[0].value, "${{ vars }}");
        assert_string_equal(s->env.v[1].name, "A");
        spec_free(s);
        refuses(HEAD ",\"env\":[{\"all\":\"x\",\"name\":\"A\"}],\"steps\":[]}",
                "env[0]: expected `name` and `value`, or `all`");
        refuses(HEAD ",\"env\":[{\"name\":\"A\"}],\"steps\":[]}", "env[0]: expected `name` and `value`, or `all`");
        refuses(HEAD ",\"env\":[{}],\"steps\":[]}", "env[0]: expected `name` and `value`, or `all`");
}

static void wrong_types_are_refused_with_what_was_expected(void **state)
{
        (void)state;
        refuses(HEAD ",\"steps\":[{\"run\":1}]}", "steps[0].run: expected a string");
        refuses(HEAD ",\"steps\":{}}", "steps: expected a list");
        refuses(HEAD ",\"steps\":[],\"outputs\":{\"a\":1}}", "outputs.a: expected a string");
        refuses(HEAD ",\"steps\":[],\"mask\":[1]}", "mask[0]: expected a string");
        refuses(HEAD ",\"steps\":[],\"hold_on_failure\":\"no\"}", "hold_on_failure: expected true or false");
        refuses(HEAD ",\"steps\":[{\"run\":\"a\",\"uses\":\"b\"}]}",
                "steps[0]: expected either `run`, `uses`, `wait`, `wait_all`, `cancel` or `parallel`");
        refuses(HEAD ",\"steps\":[],\"source\":{\"commit\":\"xyz\",\"tree\":\"commit\"}}", "source.commit");
        refuses(HEAD ",\"steps\":[],\"source\":{\"commit\":\"" COMMIT "\",\"tree\":\"none\"}}", "source.tree");
        refuses(HEAD ",\"steps\":[],\"rootfs\":\"rw\"}", "rootfs");
}

#define CALL                                                                                                           \
        "{\"file\":\"a.yml\",\"contexts\":{\"matrix\":null,\"inputs\":{}},\"pass\":[{\"name\":\"t\",\"value\":\"${{ "  \
        "secrets.S }}\",\"line\":3}]}"

static void calls_around_the_job_are_read_and_bounded(void **state)
{
        struct spec *s;
        (void)state;
        accepts(HEAD ",\"steps\":[],\"secrets\":{\"calls\":[" CALL "," CALL "],\"only\":[\"T\"]}}", &s);
        assert_int_equal(s->n_calls, 2);
        assert_string_equal(s->calls[1].file, "a.yml");
        assert_string_equal(s->calls[1].pass.v[0].name, "t");
        assert_int_equal(s->calls[1].pass.v[0].line, 3);
        assert_string_equal(s->secret_names[0], "T");
        spec_free(s);
        accepts(HEAD ",\"steps\":[],\"secrets\":{\"calls\":[" CALL "]}}", &s);
        assert_null(s->secret_names); /* all */
        spec_free(s);
        accepts(HEAD ",\"steps\":[],\"secrets\":{\"calls\":[],\"only\":[]}}", &s);
        assert_non_null(s->secret_names); /* none */
        spec_free(s);
        for (size_t n = SPEC_MAX_CALLS; n <= SPEC_MAX_CALLS + 1; n++) {
                struct buf b = BUF_INIT;
                buf_append_str(&b, HEAD ",\"steps\":[],\"secrets\":{\"calls\":[", NULL);
                for (size_t i = 0; i < n; i++)
                        buf_printf(&b, NULL, "%s%s", i ? "," : "", CALL);
                buf_append_str(&b, "]}}", NULL);
                if (n == SPEC_MAX_CALLS) {
                        accepts(buf_cstr(&b), &s);
                        spec_free(s);
                } else {
                        refuses(buf_cstr(&b), "secrets.calls: at most 10, found 11");
                }
                buf_done(&b);
        }
        refuses(HEAD ",\"steps\":[],\"secrets\":{}}", "secrets.calls: missing");
        refuses(HEAD
                ",\"steps\":[],\"secrets\":{\"calls\":[{\"file\":\"a\",\"contexts\":{},\"pass\":[{\"all\":\"x\"}]}]}}",
                "secrets.calls[0].pass: expected a list of {name, value}");
        refuses(HEAD ",\"steps\":[],\"secrets\":{\"calls\":[3]}}", "secrets.calls[0]: expected an object");
        refuses(HEAD ",\"steps\":[],\"secrets\":{\"calls\":[],\"only\":[3]}}", "secrets.only[0]: expected a string");
        refuses(HEAD
                ",\"steps\":[],\"secrets\":{\"calls\":[{\"file\":\"a\",\"contexts\":{\"github\":{}},\"pass\":[]}]}}",
                "secrets.calls[0].contexts.github: unknown key");
        refuses(HEAD ",\"steps\":[],\"secrets\":{\"calls\":[{\"file\":\"a\",\"contexts\":{},\"pass\":\"${{ x }}\"}]}}",
                "secrets.calls[0].pass: expected a list of {name, value}");
}

static void processes_are_bounded_by_what_a_guest_takes(void **state)
{
        struct spec *s = NULL;
        (void)state;
        accepts(HEAD ",\"steps\":[],\"pids\":16384}", &s);
        spec_free(s);
        refuses(HEAD ",\"steps\":[],\"pids\":16385}", "pids: expected at most 16384, found 16385");
        refuses(HEAD ",\"steps\":[],\"profile\":{}}", "profile.digest: missing");
        refuses(HEAD ",\"steps\":[],\"environment\":{\"url\":\"x\"}}", "environment.name: missing");
        refuses(HEAD ",\"steps\":[],\"environment\":\"p\"}", "environment: expected an object");
        refuses(HEAD ",\"steps\":[],\"profile\":{\"digest\":\"x\",\"name\":\"y\"}}", "profile.name: unknown key");
}

static void missing_parts_and_broken_json_are_refused(void **state)
{
        (void)state;
        refuses("", "expected");
        refuses("[]", "expected an object");
        refuses("{\"version\":2}", "version: expected 1");
        refuses(HEAD "}", "steps: missing");
        refuses(HEAD ",\"steps\":[],\"steps\":[]}", "duplicate");
        refuses(HEAD ",\"steps\":[]} x", "line 1");
}

static void a_workspace_cannot_climb(void **state)
{
        static const char *const bad[] = {"", "/", "work", "/a/../b", "/a/./b", "/a//b", "/a/b/"};
        (void)state;
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                char *text = str_printf(
                        "{\"version\":1,\"run\":\"1\",\"attempt\":1,\"job\":{\"id\":\"b\",\"timeout_ms\":1},"
                        "\"image\":{\"name\":\"d\",\"digest\":\"x\"},\"accelerator\":\"t\",\"boot_timeout_ms\":1,"
                        "\"workspace\":\"%s\",\"steps\":[]}",
                        bad[i]);
                refuses(text, "workspace: expected an absolute path");
                free(text);
        }
}

static char *with_steps(unsigned n)
{
        char *text = str_dup(HEAD ",\"steps\":[");
        for (unsigned i = 0; i < n; i++) {
                char *more = str_printf("%s%s{\"run\":\"x\"}", text, i ? "," : "");
                free(text);
                text = more;
        }
        char *whole = str_printf("%s]}", text);
        free(text);
        return whole;
}

static void the_number_of_steps_is_bounded(void **state)
{
        struct spec *s = NULL;
        (void)state;
        char *most = with_steps(SPEC_MAX_STEPS), *more = with_steps(SPEC_MAX_STEPS + 1);
        accepts(most, &s);
        spec_free(s);
        refuses(more, "steps: at most 1100 steps, found 1101");
        free(most);
        free(more);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_whole_specification_is_read),
                cmocka_unit_test(processes_are_bounded_by_what_a_guest_takes),
                cmocka_unit_test(calls_around_the_job_are_read_and_bounded),
                cmocka_unit_test(unknown_keys_are_refused_with_their_path),
                cmocka_unit_test(steps_beside_others_and_steps_that_wait_are_read),
                cmocka_unit_test(env_and_with_may_be_one_expression),
                cmocka_unit_test(wrong_types_are_refused_with_what_was_expected),
                cmocka_unit_test(missing_parts_and_broken_json_are_refused),
                cmocka_unit_test(a_workspace_cannot_climb),
                cmocka_unit_test(the_number_of_steps_is_bounded),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
