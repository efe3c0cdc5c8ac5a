/* What a record holds, and what of run.json it never holds. */
#include "test.h"

#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "codec/json.h"
#include "record/record.h"
#include "run_json.h"

static char *text_of(const json_t *v)
{
        struct buf b = BUF_INIT;

        assert_int_equal(json_write(v, JSON_WRITE_SORTED, &b, NULL), 0);
        return buf_take_str(&b);
}

static void a_record_has_no_free_text(void **state)
{
        AUTO(json_decrefp) json_t *run = run_json(7);
        AUTO(json_decrefp) json_t *record = NULL;

        (void)state;
        assert_int_equal(record_make(run, &record, NULL), 0);
        AUTO(auto_free) char *text = text_of(record);
        assert_null(strstr(text, "any text"));
        assert_null(strstr(text, "somebody"));
        assert_null(strstr(text, "spaces"));
        assert_null(strchr(text, ' '));
        assert_null(strstr(text, "\\u001b"));
        assert_non_null(strstr(text, "acme/rocket"));
        assert_non_null(strstr(text, "\"vmm.own-user\":\"ok\""));
        assert_int_equal(record_check(record, NULL), 0);
}

/* A member of run.json, a value that is not of its form, and whether a record can do without it. */
static void what_is_not_of_its_form_is_left_out_or_refused(void **state)
{
        static const struct {
                const char *name, *json;
                bool optional;
        } cases[] = {
                {"repository", "\"acme/rocket/more\"", true},
                {"repository", "\"acme rocket\"", true},
                {"repository", "\"/rocket\"", true},
                {"commit", "\"0123\"", true},
                {"commit", "\"-rf\"", true},
                {"event", "\"push\\u001b[2J\"", true},
                {"event", "\"\"", true},
                {"accelerator", "\"KVM\"", true},
                {"conclusion", "\"it failed\"", false},
                {"conclusion", "\"\"", false},
                {"code", "-1", false},
                {"code", "\"0\"", false},
                {"run", "1.5", false},
                {"workflow_digests", "[\"sha256:12\"]", false},
                {"workflow_digests", "{}", false},
                {"jobs", "{}", false},
                {"jobs", "[{\"key\":\"a b\"}]", false},
                {"egress", "{\"profile\":\"any thing\"}", false},
                {"working_tree", "1", false},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                AUTO(json_decrefp) json_t *run = run_json(7);
                AUTO(json_decrefp) json_t *record = NULL;
                struct err e = ERR_INIT;
                json_t *v = json_loads(cases[i].json, JSON_DECODE_ANY, NULL);

                assert_non_null(v);
                assert_int_equal(json_object_set_new(run, cases[i].name, v), 0);
                int r = record_make(run, &record, &e);
                if (cases[i].optional) {
                        assert_int_equal(r, 0);
                        assert_null(json_object_get(record, cases[i].name));
                } else {
                        assert_int_equal(r, -1);
                        assert_int_equal(e.code, ERR_USAGE);
                        assert_null(record);
                }
        }
}

static void jobs_and_words_are_bounded(void **state)
{
        AUTO(json_decrefp) json_t *run = run_json(7);
        json_t *jobs = json_object_get(run, "jobs"), *job = json_array_get(jobs, 0);

        (void)state;
        for (unsigned i = 1; i < RECORD_MAX_JOBS; i++)
                json_array_append(jobs, job);
        json_t *record = NULL;
        assert_int_equal(record_make(run, &record, NULL), 0);
        json_decref(record);
        json_array_append(jobs, job);
        assert_int_equal(record_make(run, &record, NULL), -1);
}

static void what_a_record_does_not_know_is_none(void **state)
{
        AUTO(json_decrefp) json_t *run = run_json(7);
        AUTO(json_decrefp) json_t *record = NULL;
        struct err e = ERR_INIT;

        (void)state;
        assert_int_equal(record_make(run, &record, NULL), 0);
        json_object_set_new(record, "note", json_string("x"));
        assert_int_equal(record_check(record, &e), -1);
        assert_contains(e.msg, "what is not of its form");
}

static void the_schema_names_every_member(void **state)
{
        AUTO(json_decrefp) json_t *run = run_json(7);
        AUTO(json_decrefp) json_t *record = NULL;
        AUTO(json_decrefp) json_t *schema = record_schema();
        const char *name;
        json_t *v;

        (void)state;
        assert_non_null(schema);
        assert_int_equal(record_make(run, &record, NULL), 0);
        json_object_foreach(record, name, v)
                assert_non_null(json_object_get(json_object_get(schema, "properties"), name));
        assert_true(json_is_false(json_object_get(schema, "additionalProperties")));
}

static void the_operators_mirrors_are_names_and_kinds(void **state)
{
        static const struct {
                const char *egress;
                bool kept;
        } cases[] = {{"{\"profile\":\"sealed\",\"mirrors\":{\"npm\":\"npm\",\"deb-12\":\"plain\"}}", true},
                     {"{\"profile\":\"sealed\",\"mirrors\":{\"npm\":\"http://a:1\"}}", false},
                     {"{\"profile\":\"sealed\",\"mirrors\":[\"npm\"]}", false}};

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                AUTO(json_decrefp) json_t *run = run_json(7);
                AUTO(json_decrefp) json_t *record = NULL;
                assert_int_equal(json_object_set_new(run, "egress", json_loads(cases[i].egress, 0, NULL)), 0);
                assert_int_equal(record_make(run, &record, NULL), 0);
                const json_t *mirrors = json_object_get(json_object_get(record, "egress"), "mirrors");
                const json_t *said = json_object_get(json_object_get(run, "egress"), "mirrors");
                if (json_equal(mirrors, said) != cases[i].kept)
                        fail_msg("%s", cases[i].egress);
                assert_int_equal(record_check(record, NULL), 0);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_record_has_no_free_text),
                cmocka_unit_test(what_is_not_of_its_form_is_left_out_or_refused),
                cmocka_unit_test(jobs_and_words_are_bounded),
                cmocka_unit_test(what_a_record_does_not_know_is_none),
                cmocka_unit_test(the_schema_names_every_member),
                cmocka_unit_test(the_operators_mirrors_are_names_and_kinds),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
