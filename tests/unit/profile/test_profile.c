/* devdep.yaml: what is read, what is refused and where; environments; limits; the schema and the example. */
#include "test.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "codec/diag.h"
#include "codec/json.h"
#include "profile/profile.h"

#define HEAD "entity: web\ndomain: corp.example\n" /* two lines */

static int parse_in(const char *text, const char *environment, struct diag_list **problems, struct profile **ret,
                    struct err *e)
{
        assert_int_equal(diag_new("devdep.yaml", problems, e), 0);
        int r = profile_parse(text, strlen(text), environment, *problems, ret, e);
        assert_int_equal(r == 0, *ret != NULL);
        assert_int_equal(r == PROFILE_E_INVALID, diag_errors(*problems) > 0);
        return r;
}

static struct profile *read_in(const char *text, const char *environment)
{
        AUTO(diag_freep) struct diag_list *problems = NULL;
        struct profile *p = NULL;
        struct err e = ERR_INIT;
        int r = parse_in(text, environment, &problems, &p, &e);

        if (r < 0)
                fail_msg("%s", e.msg);
        if (r > 0)
                fail_msg("%u:%u %s", diag_at(problems, 0)->line, diag_at(problems, 0)->column,
                         diag_at(problems, 0)->message);
        return p;
}

/* Lines "LINE:COLUMN MESSAGE", each with its hint in parentheses. */
static char *problems_of(const char *text)
{
        AUTO(diag_freep) struct diag_list *problems = NULL;
        AUTO(profile_freep) struct profile *p = NULL;
        struct buf b = BUF_INIT;
        struct err e = ERR_INIT;

        assert_true(parse_in(text, NULL, &problems, &p, &e) >= 0);
        for (size_t i = 0; i < diag_count(problems); i++) {
                const struct diag *d = diag_at(problems, i);
                buf_printf(&b, NULL, "%s%u:%u %s%s%s%s\n", d->severity == DIAG_WARNING ? "warning " : "", d->line,
                           d->column, d->message, d->hint ? " (" : "", d->hint ? d->hint : "", d->hint ? ")" : "");
        }
        return buf_take_str(&b);
}

static void expect(const char *text, const char *problems)
{
        AUTO(auto_free) char *got = problems_of(text);
        assert_string_equal(got, problems);
}

static void expect_part(const char *text, const char *part)
{
        AUTO(auto_free) char *got = problems_of(text);
        assert_contains(got, part);
}

/* The value of one key is taken, or refused where it stands. */
static void one_value(const char *key, const char *value, bool taken)
{
        AUTO(auto_free) char *text = str_printf(HEAD "%s: %s\n", key, value);
        AUTO(auto_free) char *got = problems_of(text);
        AUTO(auto_free) char *place = str_printf("3:%zu ", strlen(key) + 3);

        if (taken ? *got != '\0' : !str_starts(got, place))
                fail_msg("%s: %s gave '%s'", key, value, got);
}

static const char whole[] =
        HEAD "image: default@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"
             "workflow: .github/workflows/ci.yml\n"
             "rootfs: read-only\nvcpus: 3\nmemory: 768M\nscratch: 1G\npids: 300\ntimeout: 90s\n"
             "identity:\n"
             "  - issuer: https://token.actions.githubusercontent.com\n"
             "    audience: [devdep, other]\n"
             "    claims: {ref: refs/heads/main, repository_id: '12'}\n"
             "vault: {endpoint: 'https://vault.corp.example:8200', auth: approle, role: ci, namespace: a/b, ca: "
             "deploy/ca.pem}\n"
             "secrets:\n"
             "  A: kv/web/ci#a\n"
             "  B: {ref: kv/web#b.c, key_rotation: automatic}\n"
             "  C: {ref: kv/web#c, version: 7}\n"
             "egress:\n"
             "  profile: brokered\n"
             "  on_violation: warn\n"
             "  allow: [Deb.Debian.org, 'npm.example:8080', '*.Python.org', 10.0.0.0/8:5432, '[2001:db8::]/32:53']\n"
             "hooks: {before: [echo a, echo b], after: echo c}\n";

static void a_whole_profile_is_read(void **state)
{
        AUTO(profile_freep) struct profile *p = read_in(whole, NULL);
        (void)state;

        assert_string_equal(p->entity.text, "web");
        assert_string_equal(p->domain.text, "corp.example");
        assert_int_equal(p->image.pos.line, 3);
        assert_int_equal(p->image.pos.column, 8);
        assert_string_equal(p->workflow.text, ".github/workflows/ci.yml");
        assert_int_equal(p->rootfs.value, PROFILE_ROOTFS_READ_ONLY);
        assert_int_equal(p->vcpus.value, 3);
        assert_int_equal(p->memory.value, 768ull << 20);
        assert_int_equal(p->scratch.value, 1ull << 30);
        assert_int_equal(p->pids.value, 300);
        assert_int_equal(p->timeout.value, 90000);
        assert_string_equal(p->vault.endpoint.text, "https://vault.corp.example:8200");
        assert_int_equal(p->vault.auth.value, PROFILE_AUTH_APPROLE);
        assert_string_equal(p->vault.namespace.text, "a/b");
        assert_null(p->environment);
}

static void lists_are_read(void **state)
{
        AUTO(profile_freep) struct profile *p = read_in(whole, NULL);
        const struct profile_binding *binding = p->identity.v;
        const struct profile_str *audience = binding->audience.v, *before = p->hooks.before.v;
        const struct profile_pair *claim = binding->claims.v;
        const struct profile_secret *s = p->secrets.v;
        (void)state;

        assert_int_equal(p->identity.n, 1);
        assert_int_equal(binding->audience.n, 2);
        assert_string_equal(audience[1].text, "other");
        assert_string_equal(claim[1].name.text, "repository_id");
        assert_string_equal(claim[1].value.text, "12");
        assert_int_equal(p->secrets.n, 3);
        assert_string_equal(s[0].ref.text, "kv/web/ci#a");
        assert_int_equal(s[1].rotation.value, PROFILE_ROTATION_AUTOMATIC);
        assert_int_equal(s[2].version.value, 7);
        assert_int_equal(p->hooks.before.n, 2);
        assert_string_equal(before[1].text, "echo b");
        assert_int_equal(p->hooks.after.n, 1);
}

static void destinations_are_kept_as_they_are_written(void **state)
{
        AUTO(profile_freep) struct profile *p = read_in(whole, NULL);
        const struct profile_str *allowed = p->egress.allow.v;
        (void)state;

        assert_int_equal(p->egress.reach.value, PROFILE_BROKERED);
        assert_int_equal(p->egress.on_violation.value, PROFILE_VIOLATION_WARNS);
        assert_int_equal(p->egress.allow.n, 5);
        assert_string_equal(allowed[0].text, "Deb.Debian.org");
        assert_string_equal(allowed[4].text, "[2001:db8::]/32:53");
}

static void the_least_profile_is_sealed(void **state)
{
        AUTO(profile_freep) struct profile *p = read_in(HEAD, NULL);
        (void)state;

        assert_int_equal(p->egress.reach.value, PROFILE_SEALED);
        assert_int_equal(p->egress.on_violation.value, PROFILE_VIOLATION_FAILS);
        assert_int_equal(p->rootfs.value, PROFILE_ROOTFS_OVERLAY);
        assert_int_equal(p->memory.value, 0);
        assert_int_equal(p->memory.pos.line, 0);
        assert_null(p->image.text);
}

#define ENVIRONMENTS                                                                                                   \
        "memory: 1G\nvcpus: 2\nvault: {endpoint: 'https://v.example', role: ci}\n"                                     \
        "secrets: {A: kv/x#a, B: kv/x#b}\nhooks: {before: [echo a], after: [echo b]}\n"                                \
        "environments:\n"                                                                                              \
        "  production:\n    memory: 4G\n    vault: {role: prod}\n    secrets: {B: kv/prod#b, C: kv/prod#c}\n"          \
        "    hooks: {before: [echo p]}\n"                                                                              \
        "  2020: {vcpus: 1}\n"

static void an_environment_takes_the_place_of_what_it_gives(void **state)
{
        AUTO(profile_freep) struct profile *p = read_in(HEAD ENVIRONMENTS, "production");
        const struct profile_secret *s = p->secrets.v;
        (void)state;

        assert_string_equal(p->environment, "production");
        assert_int_equal(p->memory.value, 4ull << 30);
        assert_int_equal(p->memory.pos.line, 10);
        assert_int_equal(p->vcpus.value, 2);
        assert_string_equal(p->vault.endpoint.text, "https://v.example");
        assert_string_equal(p->vault.role.text, "prod");
        assert_int_equal(p->secrets.n, 3);
        assert_string_equal(s[0].ref.text, "kv/x#a");
        assert_string_equal(s[1].ref.text, "kv/prod#b");
        assert_string_equal(s[2].name.text, "C");
        assert_string_equal(((const struct profile_str *)p->hooks.before.v)->text, "echo p");
        assert_string_equal(((const struct profile_str *)p->hooks.after.v)->text, "echo b");
}

static void without_an_environment_the_profile_is_as_it_stands(void **state)
{
        AUTO(profile_freep) struct profile *p = read_in(HEAD ENVIRONMENTS, NULL);
        const struct profile_secret *s = p->secrets.v;
        (void)state;

        assert_int_equal(p->memory.value, 1ull << 30);
        assert_int_equal(p->secrets.n, 2);
        assert_string_equal(s[1].ref.text, "kv/x#b");
        assert_string_equal(p->vault.role.text, "ci");
        assert_string_equal(((const struct profile_str *)p->hooks.before.v)->text, "echo a");
}

static void unknown_environment(const char *text, const char *name, const char *message)
{
        AUTO(diag_freep) struct diag_list *problems = NULL;
        AUTO(profile_freep) struct profile *p = NULL;
        struct err e = ERR_INIT;

        assert_int_equal(parse_in(text, name, &problems, &p, &e), -1);
        assert_int_equal(e.code, ERR_USAGE);
        assert_string_equal(e.msg, message);
}

static void an_unknown_environment_names_the_known_ones(void **state)
{
        (void)state;
        unknown_environment(HEAD ENVIRONMENTS, "prodction",
                            "there is no environment 'prodction'; did you mean 'production'?");
        unknown_environment(HEAD ENVIRONMENTS, "x",
                            "there is no environment 'x'; the environments are: production, 2020");
        unknown_environment(HEAD, "x", "there is no environment 'x'; none is defined");
}

static void an_unknown_key_names_the_nearest(void **state)
{
        (void)state;
        expect(HEAD "memry: 1G\n", "3:1 unknown key 'memry' (did you mean 'memory'?)\n");
        expect(HEAD "hooks:\n  befor: [a]\n", "4:3 unknown key 'befor' (did you mean 'before'?)\n");
        expect(HEAD "hooks: {zzzzzzzz: a}\n", "3:9 unknown key 'zzzzzzzz' (known keys here: before, after)\n");
        expect(HEAD "environments: {a: {entity: b}}\n",
               "3:20 unknown key 'entity' (it is the repository's: no environment changes it)\n");
}

static void what_is_missing_is_said(void **state)
{
        (void)state;
        expect("memory: 1G\n", "1:1 the key 'entity' is missing\n1:1 the key 'domain' is missing\n");
        expect(HEAD "vault: {role: a}\n", "3:8 the key 'endpoint' is missing\n");
        expect(HEAD "identity: [{issuer: 'https://a.b'}]\n", "3:12 the key 'audience' is missing\n");
        expect(HEAD "vault: {endpoint: 'https://a.b'}\n",
               "3:8 vault: the key 'role' is missing, which jwt and approle need\n");
        expect_part(HEAD "secrets: {A: {version: 3}}\n", "3:14 the key 'ref' is missing\n");
        expect_part(HEAD "environments: {p: {vault: {role: a}}}\n", "3:27 the key 'endpoint' is missing\n");
}

static void every_problem_is_reported_once(void **state)
{
        (void)state;
        expect("entity: [a]\ndomain: 5\nvcpus: two\negress: on\n",
               "1:9 entity: expected a name of letters, digits, '.', '_' and '-', beginning with a letter or a digit; "
               "found a list\n"
               "2:9 domain: expected a domain name in lower case, such as corp.example; found the number 5 (write it "
               "in "
               "quotes)\n"
               "3:8 vcpus: expected a whole number from 1 to 64; found 'two'\n"
               "4:9 egress: expected a mapping; found 'on'\n");
        expect(HEAD "x: &x {memory: 1}\nenvironments: {a: *x, b: *x}\n",
               "3:1 unknown key 'x' (known keys here: entity, domain, environments, workflow, image, rootfs, swap, "
               "vcpus, "
               "memory, scratch, pids, timeout, hooks, egress, identity, vault, secrets)\n"
               "3:16 memory: expected a size such as 512M or 2G, from 128M to 1T; found the number 1\n");
}

static void a_file_that_is_no_profile_has_one_problem(void **state)
{
        (void)state;
        expect("- a\n", "1:1 expected a mapping with the keys 'entity' and 'domain' (devdep-cli init writes one to "
                        "begin with)\n");
        expect("", "1:1 expected a mapping with the keys 'entity' and 'domain' (devdep-cli init writes one to begin "
                   "with)\n");
        expect_part("a: [\n", "2:1 invalid YAML");
        expect(HEAD "domain: b.c\n", "3:1 'domain' is already defined at line 2, column 1\n");
}

static void sizes_are_within_their_limits(void **state)
{
        (void)state;
        one_value("memory", "128M", true);
        one_value("memory", "127M", false);
        one_value("memory", "1T", true);
        one_value("memory", "1025G", false);
        one_value("memory", "0128M", false);
        one_value("memory", "1g", false);
        one_value("memory", "512", false);
        one_value("memory", "99999999T", false);
        one_value("memory", "131072K", false);
        one_value("scratch", "64M", true);
        one_value("scratch", "63M", false);
        one_value("scratch", "256G", true);
        one_value("scratch", "257G", false);
}

static void numbers_are_within_their_limits(void **state)
{
        (void)state;
        one_value("vcpus", "1", true);
        one_value("vcpus", "0", false);
        one_value("vcpus", "64", true);
        one_value("vcpus", "65", false);
        one_value("vcpus", "2.0", true);
        one_value("vcpus", "2.5", false);
        one_value("vcpus", "'2'", false);
        one_value("vcpus", ".nan", false);
        one_value("pids", "16", true);
        one_value("pids", "15", false);
        one_value("pids", "16384", true);
        one_value("pids", "16385", false);
        one_value("timeout", "1s", true);
        one_value("timeout", "0s", false);
        one_value("timeout", "5d", true);
        one_value("timeout", "121h", false);
        one_value("timeout", "500ms", false);
}

/* "key: aaaa...", n characters. */
static void text_of_length(const char *key, const char *before, size_t n, const char *behind, bool taken)
{
        AUTO(auto_free) char *letters = malloc(n + 1);

        memset(letters, 'a', n);
        letters[n] = '\0';
        AUTO(auto_free) char *value = str_printf("%s%s%s", before, letters, behind);
        one_value(key, value, taken);
}

static void names_are_within_their_limits(void **state)
{
        static const char digest[] = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        (void)state;

        text_of_length("image", "", 64, digest, true);
        text_of_length("image", "", 65, "", false);
        text_of_length("workflow", "", 251, ".yml", true);
        text_of_length("workflow", "", 252, ".yml", false);
        text_of_length("hooks", "{before: ", PROFILE_MAX_COMMAND, "}", true);
        AUTO(auto_free) char *long_name = str_printf("%064d", 0);
        AUTO(auto_free) char *fits = str_printf("entity: 'a%s'\ndomain: b.c\n", long_name + 1);
        AUTO(auto_free) char *longer = str_printf("entity: 'a%s'\ndomain: b.c\n", long_name);
        expect(fits, "");
        expect_part(longer, "1:9 entity: expected");
}

static void a_longer_command_is_refused_where_it_stands(void **state)
{
        AUTO(auto_free) char *letters = malloc(PROFILE_MAX_COMMAND + 2);
        (void)state;

        memset(letters, 'a', PROFILE_MAX_COMMAND + 1);
        letters[PROFILE_MAX_COMMAND + 1] = '\0';
        AUTO(auto_free) char *text = str_printf(HEAD "hooks:\n  before: %s\n", letters);
        expect_part(text, "4:11 before: expected a shell command");
}

/* A profile with n entries made by a printf format with one %u. */
static char *with_entries(const char *head, const char *fmt, unsigned n)
{
        struct buf b = BUF_INIT;

        buf_append_str(&b, HEAD, NULL);
        buf_append_str(&b, head, NULL);
        for (unsigned i = 0; i < n; i++) {
                const char *number = strstr(fmt, "%u");
                buf_printf(&b, NULL, "%.*s%u%s\n", (int)(number - fmt), fmt, i, number + 2);
        }
        return buf_take_str(&b);
}

static void entries(const char *head, const char *fmt, unsigned max, const char *refused)
{
        AUTO(auto_free) char *most = with_entries(head, fmt, max);
        AUTO(auto_free) char *more = with_entries(head, fmt, max + 1);

        expect(most, "");
        expect_part(more, refused);
}

#define VAULT "vault: {endpoint: 'https://a.b', role: c}\n"

static void lists_are_within_their_limits(void **state)
{
        (void)state;
        entries("environments:\n", "  e%u: {vcpus: 1}", PROFILE_MAX_ENVIRONMENTS,
                "environments: expected 0 to 32 entries; found 33");
        entries(VAULT "secrets:\n", "  S%u: kv/x#y", PROFILE_MAX_SECRETS,
                "secrets: expected 0 to 1000 entries; found 1001");
        entries("egress:\n  profile: brokered\n  allow:\n", "    - n%u.example", PROFILE_MAX_ALLOWED,
                "allow: expected 0 to 1000 entries; found 1001");
        entries("hooks:\n  after:\n", "    - echo %u", PROFILE_MAX_HOOKS, "after: expected 0 to 50 entries; found 51");
        entries("identity:\n", "  - {issuer: 'https://a%u.b', audience: c}", PROFILE_MAX_BINDINGS,
                "identity: expected 0 to 16 entries; found 17");
        entries("identity:\n - issuer: https://a.b\n   audience:\n", "    - a%u", PROFILE_MAX_AUDIENCES,
                "audience: expected 1 to 16 entries; found 17");
        entries("identity:\n - issuer: https://a.b\n   audience: c\n   claims:\n", "    c%u: d", PROFILE_MAX_CLAIMS,
                "claims: expected 0 to 32 entries; found 33");
        expect(HEAD "identity: [{issuer: 'https://a.b', audience: []}]\n",
               "3:46 audience: expected 1 to 16 entries; found 0\n");
}

static void secrets_of_an_environment_count_with_the_profiles(void **state)
{
        AUTO(auto_free) char *most = with_entries(VAULT "secrets:\n", "  S%u: kv/x#y", PROFILE_MAX_SECRETS);
        AUTO(auto_free) char *same = str_printf("%senvironments: {p: {secrets: {S0: kv/z#y}}}\n", most);
        AUTO(auto_free) char *more = str_printf("%senvironments: {p: {secrets: {T: kv/z#y}}}\n", most);
        (void)state;

        expect(same, "");
        expect_part(more, "secrets: expected 0 to 1000 entries; found 1001");
}

/* 250 KB of names, and an alias for them in each of the most environments. */
static void the_largest_list_fits_into_every_environment(void **state)
{
        AUTO(auto_free) char *name = str_printf("%0230d", 0);
        struct buf b = BUF_INIT;
        (void)state;

        for (size_t i = 0; i < 230; i++)
                name[i] = i % 50 == 49 ? '.' : 'A';
        buf_append_str(&b, HEAD "egress:\n  profile: brokered\n  allow: &all\n", NULL);
        for (unsigned i = 0; i < PROFILE_MAX_ALLOWED; i++)
                buf_printf(&b, NULL, "   - n%u.%s\n", i, name);
        buf_append_str(&b, "environments:\n", NULL);
        for (unsigned i = 0; i < PROFILE_MAX_ENVIRONMENTS; i++)
                buf_printf(&b, NULL, "  e%u: {egress: {allow: *all}}\n", i);
        AUTO(auto_free) char *text = buf_take_str(&b);
        assert_true(strlen(text) > PROFILE_MAX_SIZE * 9 / 10);
        expect(text, "");
}

static void a_file_is_within_its_limit(void **state)
{
        AUTO(auto_free) char *text = malloc(PROFILE_MAX_SIZE + 2);
        (void)state;

        memset(text, '#', PROFILE_MAX_SIZE + 1);
        memcpy(text, HEAD, strlen(HEAD));
        text[PROFILE_MAX_SIZE] = '\0';
        expect(text, "");
        text[PROFILE_MAX_SIZE] = '#';
        text[PROFILE_MAX_SIZE + 1] = '\0';
        expect(text, "1:1 the file has 262145 bytes, more than the limit of 262144 (PROFILE_MAX_SIZE)\n");
}

static void names_of_secrets_are_names(void **state)
{
        static const char *const bad[] = {"'../a'", "'a/b'", "'%2e%2e'", "'a?b'",    "'a#b'",    "\"a\\nb\"", "1a",
                                          "a-b",    "' '",   "''",       "GITHUB_X", "gitHub_x", "\xc3\xa9"};
        (void)state;

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                AUTO(auto_free) char *text = str_printf(HEAD VAULT "secrets: {%s: kv/x#y}\n", bad[i]);
                expect_part(text, "4:11 secrets: expected a name");
        }
}

static void references_of_secrets_lead_nowhere_else(void **state)
{
        static const char *const bad[] = {"kv/../x#y", "../x#y",    "kv/x/..#y", "kv/%2e%2e/x#y", "kv/x?version=2#y",
                                          "kv/x#y#z",  "kv/x",      "kv#y",      "'#y'",          "kv/x#",
                                          "/kv/x#y",   "kv//x#y",   "kv/x/#y",   "kv/./x#y",      "\"kv/x\\n#y\"",
                                          "kv/x y#z",  "kv/x#../y", "kv/.x#y",   "kv/x#\xc3\xa9"};
        (void)state;

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                AUTO(auto_free) char *text = str_printf(HEAD VAULT "secrets: {A: %s}\n", bad[i]);
                expect_part(text, "4:14 A: expected mount/path#key");
        }
}

/* What is no entry, in the words of policy_entry_parse(), which has tests of its own. */
static void destinations_are_names_or_prefixes(void **state)
{
        static const char *const bad[][2] = {
                {"'*'", "a bare '*' is every name"},
                {"10.0.0.1", "192.0.2.7/32:443"},
                {"10.0.0.0/8", "has its port behind the prefix"},
                {"10.0.0.1/8:443", "has bits behind its prefix"},
                {"'fe80::/10:443'", "stands in brackets"},
                {"'*.com'", "at least two parts"},
                {"''", "1 to 253 bytes"},
                {"\xc3\xa9.example", "xn--"},
        };
        (void)state;

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                AUTO(auto_free)
                char *text = str_printf(HEAD "egress: {profile: brokered, allow: [a.b, %s]}\n", bad[i][0]);
                expect_part(text, "3:42 allow: '");
                expect_part(text, bad[i][1]);
        }
        expect_part(HEAD "egress: {allow: [1]}\n", "expected name[:port], *.name[:port] or address/prefix:port");
}

static void secrets_and_audit_do_not_go_together(void **state)
{
        static const char message[] =
                "a run with secrets cannot have the egress profile 'audit', which lets them go anywhere";
        AUTO(auto_free) char *in_profile = str_printf("4:19 %s", message);
        AUTO(auto_free) char *in_environment = str_printf("4:38 %s", message);
        (void)state;

        expect_part(HEAD "secrets: {A: kv/x#y}\negress: {profile: audit}\n", in_profile);
        expect_part(HEAD "secrets: {A: kv/x#y}\nenvironments: {p: {egress: {profile: audit}}}\n", in_environment);
        expect_part(HEAD "environments: {p: {secrets: {A: kv/x#y}}}\negress: {profile: audit}\n", in_profile);
        expect(HEAD "egress: {profile: audit}\n", "");
}

static void what_has_no_effect_is_a_warning(void **state)
{
        (void)state;
        expect(HEAD "egress: {allow: a.b}\n", "warning 3:17 the list has no effect: the egress profile is 'sealed' "
                                              "(write 'profile: brokered' for what is listed to be reached)\n");
        expect(HEAD "egress: {profile: brokered}\n", "warning 3:19 nothing can be reached: `allow` lists nothing\n");
        expect(HEAD "vault: {endpoint: 'https://a.b', auth: token, role: c}\n",
               "warning 3:53 vault: the role has no effect: a token has its own\n");
        expect(HEAD "secrets: {A: kv/x#y}\n", "warning 3:10 there is no `vault` that these secrets could come from\n");
}

static void secrets_contradict_neither_themselves_nor_each_other(void **state)
{
        (void)state;
        expect(HEAD VAULT "secrets: {A: {ref: kv/x#y, version: 3, key_rotation: automatic}, a: kv/x#z}\n",
               "4:37 A: one version cannot be rotated automatically (leave one of them out)\n"
               "4:66 the secret 'a' is already defined at line 4, column 11 (names that differ only in case are one "
               "name)\n");
        expect(HEAD VAULT "secrets: {A: kv/x#y}\nenvironments: {p: {secrets: {a: kv/x#z}}}\n",
               "5:30 the secret 'a' is already defined at line 4, column 11 (names that differ only in case are one "
               "name)\n");
}

static void addresses_are_https(void **state)
{
        static const char *const bad[] = {"http://a.b",        "a.b",
                                          "https://",          "https://u:p@a.b",
                                          "https://a.b?c",     "https://a.b/#c",
                                          "https://a.b/../c",  "https://a.b:0",
                                          "https://a b",       "HTTPS://a.b",
                                          "https://999.1.1.1", "file:///a"};
        static const char *const good[] = {"https://a", "https://a.b:8200", "https://a.b/c/d/", "https://127.0.0.1",
                                           "https://[::1]:8200"};
        (void)state;

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                AUTO(auto_free) char *text = str_printf(HEAD "vault: {role: a, endpoint: '%s'}\n", bad[i]);
                expect_part(text, "3:28 endpoint: expected an https:// address");
        }
        for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
                AUTO(auto_free) char *text = str_printf(HEAD "vault: {role: a, endpoint: '%s'}\n", good[i]);
                expect(text, "");
        }
}

static void paths_stay_in_the_repository(void **state)
{
        (void)state;
        one_value("workflow", "ci.yml", true);
        one_value("workflow", ".forgejo/workflows/a.yaml", true);
        one_value("workflow", "a..b.yml", true);
        one_value("workflow", "../ci.yml", false);
        one_value("workflow", "a/../../ci.yml", false);
        one_value("workflow", "./ci.yml", false);
        one_value("workflow", "/ci.yml", false);
        one_value("workflow", "a//ci.yml", false);
        one_value("workflow", "ci.json", false);
        expect_part(HEAD "vault: {endpoint: 'https://a.b', role: c, ca: ../ca.pem}\n", "3:47 ca: expected the path");
        expect_part(HEAD "vault: {endpoint: 'https://a.b', role: c, namespace: ../d}\n", "3:54 namespace: expected");
}

static void hooks_are_commands_without_expressions(void **state)
{
        (void)state;
        expect(HEAD "hooks:\n  before: |\n    echo $HOME\n    echo ${X:-\xc3\xa9}\n", "");
        expect_part(HEAD "hooks: {before: 'echo ${{ github.sha }}'}\n", "$GITHUB_SHA");
        expect_part(HEAD "hooks: {before: \"a\\nb ${{\"}\n", "3:17 before: expected a shell command");
        expect_part(HEAD "hooks: {before: ''}\n", "3:17 before: expected");
        expect_part(HEAD "hooks: {before: \" \\n\\t\"}\n", "3:17 before: expected");
        expect_part(HEAD "hooks: {before: \"a\\x1b[2J\"}\n", "3:17 before: expected");
        expect_part(HEAD "hooks: {before: [{run: a}]}\n", "3:18 before: expected");
}

static bool is_one(const char *text)
{
        return profile_is_one(text, strlen(text));
}

static void a_profile_is_known_by_its_keys(void **state)
{
        (void)state;
        assert_true(is_one(HEAD));
        assert_true(is_one("domain: a.b\nmemry: 1\n"));
        assert_false(is_one("on: push\njobs: {}\n"));
        assert_false(is_one("on: push\ndomain: a.b\n"));
        assert_false(is_one("- entity\n"));
        assert_false(is_one("entity: [\n"));
        assert_false(is_one(""));
}

/* Every "#" that hides a key or an example taken away. */
static char *uncommented(const char *text)
{
        struct buf b = BUF_INIT;

        for (const char *line = text; *line;) {
                size_t len = strcspn(line, "\n");
                bool hidden = line[0] == '#' && line[1] != ' ';
                if (line[0] == '#' && line[1] == ' ' && line[2] == ' ')
                        hidden = true;
                buf_append(&b, line + hidden, len + 1 - hidden, NULL);
                line += len + 1;
        }
        return buf_take_str(&b);
}

static void the_example_is_valid_with_and_without_its_comments(void **state)
{
        struct buf text = BUF_INIT;
        (void)state;

        assert_int_equal(profile_example("123", "corp.example", &text, NULL), 0);
        AUTO(auto_free) char *commented = buf_take_str(&text);
        AUTO(auto_free) char *bare = uncommented(commented);
        expect(commented, "");
        expect(bare, "");
        AUTO(profile_freep) struct profile *least = read_in(commented, NULL);
        AUTO(profile_freep) struct profile *most = read_in(bare, "production");
        assert_string_equal(least->entity.text, "123");
        assert_int_equal(least->memory.pos.line, 0);
        assert_int_equal(most->memory.value, 4ull << 30);
        assert_int_equal(most->secrets.n, 2);
        assert_int_equal(most->hooks.after.n, 1);
        assert_int_equal(most->egress.allow.n, 4);
        assert_int_equal(most->identity.n, 1);
}

static void an_example_is_made_of_names_only(void **state)
{
        struct buf text = BUF_INIT;
        struct err e = ERR_INIT;
        (void)state;

        assert_int_equal(profile_example("a\"\nb: c", "corp.example", &text, &e), -1);
        assert_int_equal(e.code, ERR_USAGE);
        assert_contains(e.msg, "entity: expected a name");
        buf_clear(&text);
        assert_int_equal(profile_example("a", "corp", &text, &e), -1);
        assert_contains(e.msg, "domain: expected a domain name");
        buf_done(&text);
}

static void the_schema_has_every_key_with_its_limits(void **state)
{
        AUTO(json_decrefp) json_t *schema = NULL;
        const char *id = NULL, *pattern = NULL;
        int most = 0, vcpus = 0, extra = 1;
        (void)state;

        assert_int_equal(profile_schema(&schema, NULL), 0);
        assert_int_equal(json_unpack(schema, "{s:s, s:b, s:{s:{s:i}, s:{s:i}}, s:{s:{s:s}}}", "$schema", &id,
                                     "additionalProperties", &extra, "properties", "secrets", "maxProperties", &most,
                                     "vcpus", "maximum", &vcpus, "$defs", "size", "pattern", &pattern),
                         0);
        assert_string_equal(id, "https://json-schema.org/draft/2020-12/schema");
        assert_false(extra);
        assert_int_equal(most, PROFILE_MAX_SECRETS);
        assert_int_equal(vcpus, PROFILE_MAX_VCPUS);
        assert_string_equal(pattern, "^(?:[1-9][0-9]{0,7}[MGT])$");
        assert_contains(json_string_value(json_object_get(
                                json_object_get(json_object_get(schema, "properties"), "memory"), "description")),
                        "From 128M to 1T.");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_whole_profile_is_read),
                cmocka_unit_test(lists_are_read),
                cmocka_unit_test(destinations_are_kept_as_they_are_written),
                cmocka_unit_test(the_least_profile_is_sealed),
                cmocka_unit_test(an_environment_takes_the_place_of_what_it_gives),
                cmocka_unit_test(without_an_environment_the_profile_is_as_it_stands),
                cmocka_unit_test(an_unknown_environment_names_the_known_ones),
                cmocka_unit_test(an_unknown_key_names_the_nearest),
                cmocka_unit_test(what_is_missing_is_said),
                cmocka_unit_test(every_problem_is_reported_once),
                cmocka_unit_test(a_file_that_is_no_profile_has_one_problem),
                cmocka_unit_test(sizes_are_within_their_limits),
                cmocka_unit_test(numbers_are_within_their_limits),
                cmocka_unit_test(names_are_within_their_limits),
                cmocka_unit_test(a_longer_command_is_refused_where_it_stands),
                cmocka_unit_test(lists_are_within_their_limits),
                cmocka_unit_test(secrets_of_an_environment_count_with_the_profiles),
                cmocka_unit_test(the_largest_list_fits_into_every_environment),
                cmocka_unit_test(a_file_is_within_its_limit),
                cmocka_unit_test(names_of_secrets_are_names),
                cmocka_unit_test(references_of_secrets_lead_nowhere_else),
                cmocka_unit_test(destinations_are_names_or_prefixes),
                cmocka_unit_test(secrets_and_audit_do_not_go_together),
                cmocka_unit_test(what_has_no_effect_is_a_warning),
                cmocka_unit_test(secrets_contradict_neither_themselves_nor_each_other),
                cmocka_unit_test(addresses_are_https),
                cmocka_unit_test(paths_stay_in_the_repository),
                cmocka_unit_test(hooks_are_commands_without_expressions),
                cmocka_unit_test(a_profile_is_known_by_its_keys),
                cmocka_unit_test(the_example_is_valid_with_and_without_its_comments),
                cmocka_unit_test(an_example_is_made_of_names_only),
                cmocka_unit_test(the_schema_has_every_key_with_its_limits),
        };
        return cmocka_run_group_tests_name("profile", tests, NULL, NULL);
}
