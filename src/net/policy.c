#include "net/policy.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "net/mirror.h"

static const char *const profiles[] = {
        [POLICY_SEALED] = "sealed", [POLICY_BROKERED] = "brokered", [POLICY_AUDIT] = "audit"};
static const char *const violations[] = {[POLICY_FAIL] = "fail", [POLICY_WARN] = "warn"};

const char *policy_profile_name(enum policy_profile p)
{
        return profiles[p];
}

const char *policy_violation_name(enum policy_violation v)
{
        return violations[v];
}

/* One of `n` words. */
static int parse_word(const char *text, const char *const *words, size_t n, const char *expected, size_t *ret,
                      struct err *e)
{
        const char *nearest = str_nearest(text, words, n);

        for (*ret = 0; *ret < n; (*ret)++)
                if (str_eq(text, words[*ret]))
                        return 0;
        return err_set(e, ERR_USAGE, "expected %s, found '%.40s'%s%s%s", expected, text,
                       nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

int policy_profile_parse(const char *text, enum policy_profile *ret, struct err *e)
{
        size_t i;
        int r = parse_word(text, profiles, ARRAY_SIZE(profiles), "sealed, brokered or audit", &i, e);

        if (r == 0)
                *ret = (enum policy_profile)i;
        return r;
}

int policy_violation_parse(const char *text, enum policy_violation *ret, struct err *e)
{
        size_t i;
        int r = parse_word(text, violations, ARRAY_SIZE(violations), "fail or warn", &i, e);

        if (r == 0)
                *ret = (enum policy_violation)i;
        return r;
}

/* ---- from JSON ---- */

struct policy *policy_free(struct policy *p)
{
        if (p) {
                free(p->entries);
                free(p->mirrors);
                strv_done(&p->authorities);
        }
        free(p);
        return NULL;
}

static int read_word(const json_t *object, const char *key, const char **ret, struct err *e)
{
        const json_t *v = json_object_get(object, key);

        if (!v)
                return 0;
        *ret = json_string_value(v);
        return *ret ? 0 : err_set(e, ERR_USAGE, "egress.%s: expected a string", key);
}

static int read_profile(const json_t *object, struct policy *p, struct err *e)
{
        const char *profile = policy_profile_name(POLICY_SEALED), *violation = policy_violation_name(POLICY_FAIL);
        int r = read_word(object, "profile", &profile, e);

        if (r == 0)
                r = read_word(object, "on_violation", &violation, e);
        if (r < 0)
                return r;
        r = policy_profile_parse(profile, &p->profile, e);
        if (r < 0)
                return err_wrap(e, r, "egress.profile");
        r = policy_violation_parse(violation, &p->on_violation, e);
        return r < 0 ? err_wrap(e, r, "egress.on_violation") : 0;
}

static int read_entries(const json_t *list, struct policy *p, struct err *e)
{
        if (!list)
                return 0;
        if (!json_is_array(list) || json_array_size(list) > POLICY_MAX_ENTRIES)
                return err_set(e, ERR_USAGE, "egress.allow: expected a list of at most %u entries", POLICY_MAX_ENTRIES);
        p->entries = calloc(json_array_size(list) + 1, sizeof(*p->entries));
        if (!p->entries)
                return err_nomem(e);
        for (; p->n < json_array_size(list); p->n++) {
                const char *text = json_string_value(json_array_get(list, p->n));
                if (!text)
                        return err_set(e, ERR_USAGE, "egress.allow[%zu]: expected a string", p->n);
                int r = policy_entry_parse(text, &p->entries[p->n], e);
                if (r < 0)
                        return err_wrap(e, r, "egress.allow[%zu]", p->n);
        }
        return 0;
}

/* What is none of `known` is refused. where: "egress", for messages. */
static int check_keys(json_t *object, const char *where, const char *const *known, size_t n, struct err *e)
{
        const char *key;
        json_t *v;

        json_object_foreach(object, key, v)
        {
                bool found = false;
                for (size_t i = 0; i < n; i++)
                        found = found || str_eq(key, known[i]);
                if (!found)
                        return err_set(e, ERR_USAGE, "%s: unknown key '%.40s'", where, key);
        }
        return 0;
}

static int read_mirror(json_t *object, struct mirror *m, struct err *e)
{
        static const char *const known[] = {"name", "server", "kind", "authority"};
        const json_t *authority = json_object_get(object, "authority");
        const char *name = json_string_value(json_object_get(object, "name"));
        const char *server = json_string_value(json_object_get(object, "server"));
        const char *kind = json_string_value(json_object_get(object, "kind"));
        size_t at;

        if (!name || !server)
                return err_set(e, ERR_USAGE, "expected an object with a name and a server");
        int r = check_keys(object, "a mirror", known, ARRAY_SIZE(known), e);
        if (r == 0)
                r = mirror_name_check(name, e);
        if (r == 0)
                r = mirror_server_parse(server, m, &at, e);
        if (r == 0 && json_object_get(object, "kind"))
                r = mirror_kind_parse(kind ? kind : "", &m->kind, e);
        if (r == 0 && authority &&
            (!json_is_integer(authority) || (uint64_t)json_integer_value(authority) >= MIRROR_MAX))
                r = err_set(e, ERR_USAGE, "authority: expected a number below %u", MIRROR_MAX);
        if (r < 0)
                return r;
        m->authority = (unsigned)json_integer_value(authority);
        str_copy(m->name, sizeof(m->name), name);
        return 0;
}

static int read_mirrors(const json_t *list, struct policy *p, struct err *e)
{
        char name[NAME_TEXT];

        if (!list)
                return 0;
        if (!json_is_array(list) || json_array_size(list) > MIRROR_MAX)
                return err_set(e, ERR_USAGE, "egress.mirrors: expected a list of at most %u mirrors", MIRROR_MAX);
        p->mirrors = calloc(json_array_size(list) + 1, sizeof(*p->mirrors));
        if (!p->mirrors)
                return err_nomem(e);
        for (; p->n_mirrors < json_array_size(list); p->n_mirrors++) {
                struct mirror *m = &p->mirrors[p->n_mirrors];
                int r = read_mirror(json_array_get(list, p->n_mirrors), m, e);
                if (r < 0)
                        return err_wrap(e, r, "egress.mirrors[%zu]", p->n_mirrors);
                snprintf(name, sizeof(name), "%s" NAME_INTERNAL, m->name);
                if (policy_mirror(p, name))
                        return err_set(e, ERR_USAGE, "egress.mirrors[%zu]: '%s' stands twice", p->n_mirrors, m->name);
        }
        return 0;
}

static int read_authorities(const json_t *list, struct policy *p, struct err *e)
{
        int r = 0;

        if (list && (!json_is_array(list) || json_array_size(list) > MIRROR_MAX))
                return err_set(e, ERR_USAGE, "egress.authorities: expected a list of at most %u texts", MIRROR_MAX);
        for (size_t i = 0; r == 0 && i < json_array_size(list); i++) {
                const char *text = json_string_value(json_array_get(list, i));
                r = text ? strv_add(&p->authorities, text, e)
                         : err_set(e, ERR_USAGE, "egress.authorities[%zu]: expected a string", i);
        }
        return r;
}

struct json_t *policy_mirror_json(const struct mirror *m)
{
        char server[MIRROR_SERVER_TEXT];
        const char *kind = mirror_kind_name(m->kind);

        mirror_server_text(m, server);
        return json_pack("{s:s,s:s+,s:s*,s:o*}", "name", m->name, "server", server, m->path, "kind",
                         *kind ? kind : NULL, "authority", m->tls ? json_integer(m->authority) : NULL);
}

int policy_from_json(struct json_t *object, struct policy **ret, struct err *e)
{
        static const char *const known[] = {"profile", "on_violation", "allow", "mirrors", "authorities"};
        AUTO(policy_freep) struct policy *p = calloc(1, sizeof(*p));

        if (!p)
                return err_nomem(e);
        if (!json_is_object(object))
                return err_set(e, ERR_USAGE, "egress: expected an object");
        int r = check_keys(object, "egress", known, ARRAY_SIZE(known), e);
        if (r == 0)
                r = read_profile(object, p, e);
        if (r == 0)
                r = read_entries(json_object_get(object, "allow"), p, e);
        if (r == 0)
                r = read_mirrors(json_object_get(object, "mirrors"), p, e);
        if (r == 0)
                r = read_authorities(json_object_get(object, "authorities"), p, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(p);
        return 0;
}

/* ---- what it says ---- */

const struct mirror *policy_mirror(const struct policy *p, const char *name)
{
        for (size_t i = 0; i < p->n_mirrors; i++) {
                size_t len = strlen(p->mirrors[i].name);
                if (strncmp(name, p->mirrors[i].name, len) == 0 && str_eq(name + len, NAME_INTERNAL))
                        return &p->mirrors[i];
        }
        return NULL;
}

static bool entry_has_name(const struct policy_entry *entry, const char *name)
{
        if (entry->kind == POLICY_NAME)
                return str_eq(entry->name, name);
        if (entry->kind != POLICY_BELOW)
                return false;
        size_t below = strlen(entry->name), len = strlen(name);
        return len > below + 1 && name[len - below - 1] == '.' && str_ends(name, entry->name);
}

static void add_match(struct policy_match *m, const struct policy_entry *entry)
{
        m->weak = policy_entry_is_weak(entry);
        m->allowed = true;
}

bool policy_knows_name(const struct policy *p, const char *name)
{
        for (size_t i = 0; i < p->n; i++)
                if (entry_has_name(&p->entries[i], name))
                        return true;
        return false;
}

struct policy_match policy_match_name(const struct policy *p, const char *name, uint16_t port)
{
        struct policy_match m = {0};

        for (size_t i = 0; i < p->n && !m.allowed; i++)
                if (p->entries[i].port == port && entry_has_name(&p->entries[i], name))
                        add_match(&m, &p->entries[i]);
        return m;
}

struct policy_match policy_match_address(const struct policy *p, const struct address *a, uint16_t port)
{
        struct policy_match m = {0};

        for (size_t i = 0; i < p->n && !m.allowed; i++) {
                const struct policy_entry *entry = &p->entries[i];
                if (entry->port == port && entry->kind == POLICY_PREFIX && prefix_has(&entry->prefix, a))
                        add_match(&m, entry);
        }
        return m;
}

struct policy_match policy_match(const struct policy *p, const char *name, const struct address *a, uint16_t port)
{
        struct policy_match m = *name ? policy_match_name(p, name, port) : policy_match_address(p, a, port);

        m.allowed = p->profile == POLICY_AUDIT || (p->profile == POLICY_BROKERED && m.allowed);
        return m;
}

/* Does an entry name this special address, and not only a range so large that it happens to hold it? */
static bool is_named(const struct policy *p, const struct address *a, uint16_t port, const struct prefix *special)
{
        for (size_t i = 0; i < p->n; i++) {
                const struct policy_entry *entry = &p->entries[i];
                if (entry->port == port && entry->kind == POLICY_PREFIX && prefix_has(&entry->prefix, a) &&
                    prefix_covers(special, &entry->prefix))
                        return true;
        }
        return false;
}

const char *policy_address_refusal(const struct policy *p, const struct address *a, uint16_t port, bool own)
{
        struct prefix special;
        const char *what = address_special(a, &special);

        if (what)
                return is_named(p, a, port, &special) ? NULL : what;
        return own && !policy_match_address(p, a, port).allowed ? "an address of this host" : NULL;
}
