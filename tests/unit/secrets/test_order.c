#include "test.h"

#include "base/buf.h"
#include "base/err.h"
#include "secrets/limits.h"
#include "secrets/order.h"
#include "wire/guest.h"

#include <stdio.h>
#include <stdlib.h>

static struct order_secret good = {.name = "DB_PASSWORD",
                                   .provider = "vault",
                                   .reference = "kv/ci/db#password",
                                   .version = 3,
                                   .where = "devdep.yaml:12:9",
                                   .rotate = true};
static const char *networks[] = {"10.1.0.0/16", "fd00::/8"};

static struct order whole(struct order_secret *secrets, size_t n)
{
        return (struct order){.secrets = secrets,
                              .n = n,
                              .vault = {.address = "https://vault.example:8200",
                                        .namespace = "team",
                                        .ca = "PEM",
                                        .auth = ORDER_AUTH_JWT,
                                        .mount = "jwt",
                                        .role = "ci",
                                        .networks = networks,
                                        .n_networks = 2}};
}

static int parse(const struct order *o, struct order **ret, struct err *e)
{
        struct buf b = BUF_INIT;
        assert_int_equal(order_write(o, &b, e), 0);
        int r = order_parse(b.data, b.len, ret, e);
        buf_done(&b);
        return r;
}

static void an_order_is_read_as_it_was_written(void **state)
{
        struct order_secret two[] = {
                good, {.name = "TOKEN", .provider = "local", .reference = "", .where = "--secret TOKEN"}};
        const struct order o = whole(two, 2);
        struct order *r = NULL;
        (void)state;
        assert_int_equal(parse(&o, &r, NULL), 0);
        assert_int_equal(r->n, 2);
        assert_string_equal(r->secrets[0].reference, "kv/ci/db#password");
        assert_int_equal(r->secrets[0].version, 3);
        assert_string_equal(r->secrets[0].where, "devdep.yaml:12:9");
        assert_true(r->secrets[0].rotate);
        assert_string_equal(r->secrets[1].name, "TOKEN");
        assert_false(r->secrets[1].rotate);
        assert_string_equal(r->vault.namespace, "team");
        assert_int_equal(r->vault.auth, ORDER_AUTH_JWT);
        assert_int_equal(r->vault.n_networks, 2);
        assert_string_equal(r->vault.networks[1], "fd00::/8");
        order_free(r);
}

static void refuse(const struct order *o, const char *why)
{
        struct order *r = NULL;
        struct err e = ERR_INIT;
        assert_int_equal(parse(o, &r, &e), -1);
        assert_contains(e.msg, why);
        assert_null(r);
}

static void what_cannot_be_is_refused(void **state)
{
        (void)state;
        struct order_secret twins[] = {good, good};
        struct order o = whole(twins, 2);
        twins[1].name = "db_password";
        refuse(&o, "two secrets have the name");
        o.n = 1;
        twins[0].name = "../x";
        refuse(&o, "field 'name'");
        twins[0] = good;
        twins[0].provider = "cloud";
        refuse(&o, "field 'provider'");
        twins[0] = good;
        o.vault.address = "";
        refuse(&o, "field 'provider'");
}

static void secrets_are_counted(void **state)
{
        struct order_secret *many = calloc(SECRETS_MAX_COUNT + 1, sizeof(*many));
        struct order o = whole(many, SECRETS_MAX_COUNT);
        char(*names)[16] = calloc(SECRETS_MAX_COUNT + 1, sizeof(*names));
        struct order *r = NULL;
        (void)state;
        for (unsigned i = 0; i <= SECRETS_MAX_COUNT; i++) {
                snprintf(names[i], sizeof(names[i]), "S%u", i);
                many[i] = good;
                many[i].name = names[i];
        }
        assert_int_equal(parse(&o, &r, NULL), 0);
        assert_int_equal(r->n, SECRETS_MAX_COUNT);
        order_free(r);
        o.n++;
        refuse(&o, "more than 1000 secrets");
        free(names);
        free(many);
}

/* A list as it was written, with one field's value replaced, or the field left out. */
static void refuse_with_bytes(const char *key, const char *value, size_t len)
{
        struct order_secret one[] = {good};
        const struct order o = whole(one, 1);
        struct buf b = BUF_INIT, changed = BUF_INIT;
        struct fields *f = NULL;
        struct order *r = NULL;
        size_t mark;
        assert_int_equal(order_write(&o, &b, NULL), 0);
        assert_int_equal(fields_parse(b.data, b.len, &f, NULL), 0);
        assert_int_equal(fields_begin(&changed, &mark, NULL), 0);
        for (size_t i = 0; i < fields_count(f); i++) {
                const struct field *x = fields_at(f, i);
                bool is_it = strcmp(x->key, key) == 0;
                if (!is_it)
                        assert_int_equal(fields_add(&changed, x->key, x->value, x->len, NULL), 0);
                else if (value)
                        assert_int_equal(fields_add(&changed, x->key, value, len, NULL), 0);
        }
        assert_int_equal(fields_end(&changed, mark, NULL), 0);
        assert_int_equal(order_parse(changed.data, changed.len, &r, NULL), -1);
        assert_null(r);
        fields_free(f);
        buf_done(&b);
        buf_done(&changed);
}

static void refuse_with(const char *key, const char *value)
{
        refuse_with_bytes(key, value, value ? strlen(value) : 0);
}

static void every_field_is_needed_and_checked(void **state)
{
        (void)state;
        const char *const needed[] = {"order",       "vault.namespace", "vault.ca", "vault.auth",
                                      "vault.mount", "vault.role",      "provider", "reference",
                                      "version",     "where",           "rotate"};
        for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++)
                refuse_with(needed[i], NULL);
        refuse_with("order", "2");
        refuse_with("vault.auth", "ldap");
        refuse_with("version", "x");
        refuse_with("version", "4294967296");
        refuse_with("rotate", "2");
        /* What stands behind a NUL would be checked by nobody. */
        const char *const texts[] = {"name", "provider", "reference", "where", "vault.network"};
        const char *const values[] = {"A\0../x", "vault\0x", "kv/a#b\0/../x", "devdep.yaml\0x", "10.1.0.0/16\0"};
        const size_t lens[] = {6, 7, 12, 13, 12};
        for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
                refuse_with_bytes(texts[i], values[i], lens[i]);
        char where[SECRETS_MAX_WHERE + 2];
        memset(where, 'x', sizeof(where));
        refuse_with_bytes("where", where, SECRETS_MAX_WHERE + 1);
        assert_int_equal(order_parse("", 0, NULL, NULL), -1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_order_is_read_as_it_was_written),
                cmocka_unit_test(what_cannot_be_is_refused),
                cmocka_unit_test(secrets_are_counted),
                cmocka_unit_test(every_field_is_needed_and_checked),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
