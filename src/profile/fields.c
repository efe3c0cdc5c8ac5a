#include "profile/fields.h"

#include <string.h>

#include "base/num.h"
#include "net/policy_entry.h"
#include "profile/profile.h"

/* ---- texts ---- */

#define LABEL "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
#define LAST_LABEL "[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?" /* no number: an address is none */
#define PORT "(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
#define OCTET "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
#define V4 OCTET "(?:[.]" OCTET "){3}"
#define V6 "[[][0-9A-Fa-f:.]{2,45}[\\]]"
#define NAME_OF_HOST "(?:" LABEL "[.])*" LAST_LABEL
#define NAME_LABEL "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
#define LAST_NAME_LABEL "(?!(?:[0-9]+|0[Xx][0-9A-Fa-f]*)(?::|$))" NAME_LABEL
#define NO_DOTS "(?!(?:[^#]*/)?[.][.]?(?:[/#]|$))" /* no component "." or ".." */
#define COMPONENT "[A-Za-z0-9_-][A-Za-z0-9._-]*"

static int parse_destination(const char *text, struct err *e)
{
        struct policy_entry unused;

        return policy_entry_parse(text, &unused, e);
}

const struct text_rule text_rules[RULE_COUNT] = {
        [RULE_NAME] = {"name", "[A-Za-z0-9][A-Za-z0-9._-]*", PROFILE_MAX_NAME,
                       "a name of letters, digits, '.', '_' and '-', beginning with a letter or a digit"},
        [RULE_DOMAIN] = {"domain", "(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?[.])+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?", 253,
                         "a domain name in lower case, such as corp.example"},
        [RULE_IMAGE] = {"image", "[A-Za-z0-9_][A-Za-z0-9._-]{0,63}(?:@sha256:[0-9a-f]{64})?", 136,
                        "the name of an image, with @sha256: and 64 hexadecimal digits for exactly one"},
        [RULE_WORKFLOW] = {"workflow", NO_DOTS "[A-Za-z0-9._@+-]+(?:/[A-Za-z0-9._@+-]+)*[.]ya?ml", 255,
                           "the path of a workflow file from the repository's root, or its name in a workflow folder"},
        [RULE_FILE] = {"file", NO_DOTS "[A-Za-z0-9._@+-]+(?:/[A-Za-z0-9._@+-]+)*", 255,
                       "the path of a file from the repository's root, without '..'"},
        [RULE_URL] = {"url", "https://(?:" NAME_OF_HOST "|" V4 "|" V6 ")(?::" PORT ")?(?:/" COMPONENT ")*/?", 512,
                      "an https:// address without user, query and fragment"},
        [RULE_AUDIENCE] = {"audience", "[!-~]+", 256, "printable ASCII without spaces"},
        [RULE_CLAIM] = {"claim", "[A-Za-z_][A-Za-z0-9_.:/-]*", 128, "the name of a claim"},
        [RULE_CLAIM_VALUE] = {"claim-value", "[^\\x00-\\x1f\\x7f-\\x9f]+", 512, "a text without control characters"},
        [RULE_ROLE] = {"role", "[A-Za-z0-9][A-Za-z0-9._-]*", 128,
                       "a name of letters, digits, '.', '_' and '-', beginning with a letter or a digit"},
        [RULE_NAMESPACE] = {"namespace", COMPONENT "(?:/" COMPONENT ")*/?", 256,
                            "names of letters, digits, '.', '_' and '-' with '/' between them"},
        [RULE_SECRET] = {"secret-name", "(?![Gg][Ii][Tt][Hh][Uu][Bb]_)[A-Za-z_][A-Za-z0-9_]*", PROFILE_MAX_NAME,
                         "a name of letters, digits and '_', not beginning with a digit or GITHUB_"},
        [RULE_SECRET_REF] = {"secret-reference", COMPONENT "(?:/" COMPONENT ")+#" COMPONENT, 512,
                             "mount/path#key of letters, digits, '.', '_' and '-', no part beginning with '.'"},
        [RULE_DESTINATION] = {"destination",
                              "(?:(?:" NAME_LABEL "[.])*|[*][.](?:" NAME_LABEL "[.])+)" LAST_NAME_LABEL "(?::" PORT
                              ")?|" V4 "/(?:3[0-2]|[12][0-9]|[1-9]):" PORT "|" V6
                              "/(?:12[0-8]|1[01][0-9]|[1-9][0-9]?):" PORT,
                              POLICY_MAX_ENTRY, "name[:port], *.name[:port] or address/prefix:port", parse_destination},
        [RULE_COMMAND] = {"command",
                          "(?![ \\t\\r\\n]*$)(?![\\s\\S]*[$][{][{])[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f]+",
                          PROFILE_MAX_COMMAND, "a shell command without ${{ }} and control characters"},
        [RULE_SIZE] = {"size", "[1-9][0-9]{0,7}[MGT]", 9, "a size such as 512M or 2G"},
        [RULE_SPAN] = {"duration", "[1-9][0-9]{0,7}[smhd]", 9, "a time such as 90s, 30m or 2h"},
};

/* ---- keys ---- */

static const char *const rootfs_words[] = {
        [PROFILE_ROOTFS_OVERLAY] = "overlay", [PROFILE_ROOTFS_READ_ONLY] = "read-only"};
static const char *const swap_words[] = {[PROFILE_SWAP_REFUSE] = "refuse", [PROFILE_SWAP_ALLOW] = "allow"};
static const char *const auth_words[] = {
        [PROFILE_AUTH_JWT] = "jwt", [PROFILE_AUTH_APPROLE] = "approle", [PROFILE_AUTH_TOKEN] = "token"};
static const char *const rotation_words[] = {
        [PROFILE_ROTATION_MANUAL] = "manual", [PROFILE_ROTATION_AUTOMATIC] = "automatic"};
static const char *const reach_words[] = {
        [PROFILE_SEALED] = "sealed", [PROFILE_BROKERED] = "brokered", [PROFILE_AUDIT] = "audit"};
static const char *const violation_words[] = {[PROFILE_VIOLATION_FAILS] = "fail", [PROFILE_VIOLATION_WARNS] = "warn"};

#define AT(type, member) .at = offsetof(struct type, member)
#define WORDS(list) .kind = FIELD_WORD, .words = (list), .n_words = ARRAY_SIZE(list)
#define TEXT(of) .kind = FIELD_TEXT, .rule = (of)
#define TEXTS(of, least, most, type)                                                                                   \
        .kind = FIELD_TEXTS, .rule = (of), .min = (least), .max = (most), .size = sizeof(struct type)
#define SET(id, type, fields)                                                                                          \
        {                                                                                                              \
                .name = (id), .size = sizeof(struct type), .v = (fields), .n = ARRAY_SIZE(fields)                      \
        }

static const struct field binding_fields[] = {
        {.key = "issuer",
         TEXT(RULE_URL),
         .required = true,
         AT(profile_binding, issuer),
         .about = "Who makes the tokens, as their claim `iss` says it."},
        {.key = "audience",
         TEXTS(RULE_AUDIENCE, 1, PROFILE_MAX_AUDIENCES, profile_str),
         .required = true,
         AT(profile_binding, audience),
         .about = "For whom they are made; a token names one of these as `aud`."},
        {.key = "claims",
         .kind = FIELD_PAIRS,
         .rule = RULE_CLAIM,
         .value_rule = RULE_CLAIM_VALUE,
         .max = PROFILE_MAX_CLAIMS,
         AT(profile_binding, claims),
         .about = "Further claims and what each has to be, exactly."},
};
static const struct field_set binding_set = SET("binding", profile_binding, binding_fields);

static const struct field vault_fields[] = {
        {.key = "endpoint",
         TEXT(RULE_URL),
         .required = true,
         AT(profile_vault, endpoint),
         .about = "Its address; https only.",
         .example = "https://vault.corp.example:8200"},
        {.key = "auth",
         WORDS(auth_words),
         AT(profile_vault, auth),
         .about = "How a run proves who it is: jwt (the default), approle or token.",
         .example = "jwt"},
        {.key = "role",
         TEXT(RULE_ROLE),
         AT(profile_vault, role),
         .about = "The role of jwt and approle.",
         .example = "web-ci"},
        {.key = "namespace",
         TEXT(RULE_NAMESPACE),
         AT(profile_vault, namespace),
         .about = "The namespace that all of it is in.",
         .example = "engineering/web"},
        {.key = "ca",
         TEXT(RULE_FILE),
         AT(profile_vault, ca),
         .about = "A file of the repository with the certificates (PEM) that the server's has to come from.",
         .example = "deploy/vault-ca.pem"},
};
static const struct field_set vault_set = SET("vault", profile_vault, vault_fields);

static const struct field secret_fields[] = {
        {.key = "ref",
         TEXT(RULE_SECRET_REF),
         .required = true,
         AT(profile_secret, ref),
         .about = "Where the value is: mount/path#key."},
        {.key = "key_rotation",
         WORDS(rotation_words),
         AT(profile_secret, rotation),
         .about = "automatic: a newer version replaces the value while the job runs; manual (the default): it does "
                  "not."},
        {.key = "version",
         .kind = FIELD_NUMBER,
         .min = 1,
         .max = PROFILE_MAX_VERSION,
         AT(profile_secret, version),
         .about = "This version and no other; the default is the newest."},
};
static const struct field_set secret_set = {.name = "secret",
                                            .size = sizeof(struct profile_secret),
                                            .v = secret_fields,
                                            .n = ARRAY_SIZE(secret_fields),
                                            .shorthand = "ref"};

static const struct field egress_fields[] = {
        {.key = "profile",
         WORDS(reach_words),
         AT(profile_egress, reach),
         .about = "sealed (the default): a guest reaches nothing; brokered: what `allow` lists; audit: anything, and "
                  "all is "
                  "recorded.",
         .example = "brokered"},
        {.key = "on_violation",
         WORDS(violation_words),
         AT(profile_egress, on_violation),
         .about = "What an attempt to reach something else does to the run: fail (the default) or warn.",
         .example = "fail"},
        {.key = "allow",
         TEXTS(RULE_DESTINATION, 0, PROFILE_MAX_ALLOWED, profile_str),
         AT(profile_egress, allow),
         .about = "name[:port], *.name[:port] (names below it) and address/prefix:port; the port is 443 where none is "
                  "written.",
         .example = "\n- deb.debian.org:80\n- \"*.pythonhosted.org\"\n- 192.0.2.0/24:5432\n- \"[2001:db8::]/32:443\""},
};
static const struct field_set egress_set = SET("egress", profile_egress, egress_fields);

static const struct field hooks_fields[] = {
        {.key = "before",
         TEXTS(RULE_COMMAND, 0, PROFILE_MAX_HOOKS, profile_str),
         AT(profile_hooks, before),
         .about = "Before the first step; one that fails fails the job.",
         .example = "\n- uname -a"},
        {.key = "after",
         TEXTS(RULE_COMMAND, 0, PROFILE_MAX_HOOKS, profile_str),
         AT(profile_hooks, after),
         .about = "After the last step, whatever happened before.",
         .example = "\n- df -h /home/runner/work"},
};
static const struct field_set hooks_set = SET("hooks", profile_hooks, hooks_fields);

/* The first ones are those that an environment does not have. */
static const struct field root_fields[] = {
        {.key = "entity",
         TEXT(RULE_NAME),
         .required = true,
         AT(profile, entity),
         .about = "Whose runs these are: the name that the repository is registered under."},
        {.key = "domain",
         TEXT(RULE_DOMAIN),
         .required = true,
         AT(profile, domain),
         .about = "The domain of the people who may run it."},
        {.key = "environments",
         .kind = FIELD_ENVIRONMENTS,
         .rule = RULE_NAME,
         .max = PROFILE_MAX_ENVIRONMENTS,
         AT(profile, environments),
         .about = "Named environments (`devdep-cli run --environment NAME`). What one gives takes the place of the "
                  "same key of the "
                  "profile; members of vault, egress and hooks do so one by one, secrets by name.",
         .example = "\nproduction:\n  memory: 4G\n  vault:\n    role: web-production"},
        {.key = "workflow",
         TEXT(RULE_WORKFLOW),
         AT(profile, workflow),
         .about = "The workflow to run, whatever events it names; without it those that the event selects.",
         .example = ".github/workflows/ci.yml"},
        {.key = "image",
         TEXT(RULE_IMAGE),
         AT(profile, image),
         .about = "The image of every job, whatever runs-on says. With NAME@sha256:DIGEST another one is refused.",
         .example = "default"},
        {.key = "rootfs",
         WORDS(rootfs_words),
         AT(profile, rootfs),
         .about = "The guest's root: overlay (the default; changes go to the scratch disk) or read-only.",
         .example = "overlay"},
        {.key = "swap",
         WORDS(swap_words),
         AT(profile, swap),
         .about = "What a job that names secrets does where its guest's memory can reach swap that is not encrypted: "
                  "refuse (the default) or allow.",
         .example = "refuse"},
        {.key = "vcpus",
         .kind = FIELD_NUMBER,
         .min = 1,
         .max = PROFILE_MAX_VCPUS,
         AT(profile, vcpus),
         .about = "Virtual processors of each guest.",
         .example = "2"},
        {.key = "memory",
         .kind = FIELD_SIZE,
         .rule = RULE_SIZE,
         .min = PROFILE_MIN_MEMORY,
         .max = PROFILE_MAX_MEMORY,
         AT(profile, memory),
         .about = "Memory of each guest.",
         .example = "2G"},
        {.key = "scratch",
         .kind = FIELD_SIZE,
         .rule = RULE_SIZE,
         .min = PROFILE_MIN_SCRATCH,
         .max = PROFILE_MAX_SCRATCH,
         AT(profile, scratch),
         .about = "The disk of each guest: the workspace, /tmp, and changes of the root.",
         .example = "16G"},
        {.key = "pids",
         .kind = FIELD_NUMBER,
         .min = PROFILE_MIN_PIDS,
         .max = PROFILE_MAX_PIDS,
         AT(profile, pids),
         .about = "Processes and threads of a job at a time.",
         .example = "4096"},
        {.key = "timeout",
         .kind = FIELD_SPAN,
         .rule = RULE_SPAN,
         .min = PROFILE_MIN_TIMEOUT_MS,
         .max = PROFILE_MAX_TIMEOUT_MS,
         AT(profile, timeout),
         .about = "The longest that a job may take; a smaller timeout-minutes holds.",
         .example = "1h"},
        {.key = "hooks",
         .kind = FIELD_MAP,
         .set = &hooks_set,
         AT(profile, hooks),
         .about = "Commands for the guest around the steps of each job, run by bash in the workspace."},
        {.key = "egress",
         .kind = FIELD_MAP,
         .set = &egress_set,
         AT(profile, egress),
         .about = "What the guests can reach."},
        {.key = "identity",
         .kind = FIELD_MAPS,
         .set = &binding_set,
         .max = PROFILE_MAX_BINDINGS,
         AT(profile, identity),
         .about = "Whose tokens stand for this entity.",
         .example = "\n- issuer: https://token.actions.githubusercontent.com\n  audience: devdep\n"
                    "  claims:\n    repository_id: \"123456\"\n    ref: refs/heads/main"},
        {.key = "vault",
         .kind = FIELD_MAP,
         .set = &vault_set,
         AT(profile, vault),
         .about = "The Vault or OpenBao server that the secrets are in."},
        {.key = "secrets",
         .kind = FIELD_NAMED,
         .rule = RULE_SECRET,
         .set = &secret_set,
         .max = PROFILE_MAX_SECRETS,
         AT(profile, secrets),
         .about =
                 "NAME: mount/path#key, or a mapping of ref, key_rotation (automatic or manual) and version. A job has "
                 "only those that its workflow names.",
         .example = "\nNPM_TOKEN: kv/web/ci#npm_token\nSIGNING_KEY:\n  ref: kv/web/ci#signing_key\n  key_rotation: "
                    "manual\n"
                    "  version: 3"},
};

#define ROOT_ONLY 3

const struct field_set field_root = SET("profile", profile, root_fields);
const struct field_set field_environment = {.name = "environment",
                                            .size = sizeof(struct profile),
                                            .v = root_fields + ROOT_ONLY,
                                            .n = ARRAY_SIZE(root_fields) - ROOT_ONLY};

const struct field *field_find(const struct field_set *s, const char *key)
{
        for (size_t i = 0; i < s->n; i++)
                if (strcmp(s->v[i].key, key) == 0)
                        return &s->v[i];
        return NULL;
}
