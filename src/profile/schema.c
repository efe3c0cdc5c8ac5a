/* The JSON Schema of devdep.yaml, from the same table as the parser. What the table does not say it does not say
 * either: the range of sizes and times (it is in their descriptions), and the rules between keys. */
#include <jansson.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "codec/json.h"
#include "profile/fields.h"
#include "profile/measure.h"
#include "profile/profile.h"

/* `partial`: of an environment, whose mappings are merged into others, so nothing in them is required. */
static json_t *field_schema(const struct field *f, bool partial);

static json_t *ref_to(const char *name, bool partial)
{
        AUTO(auto_free) char *path = str_printf("#/$defs/%s%s", name, partial ? "-part" : "");

        return path ? json_pack("{s:s}", "$ref", path) : NULL;
}

static json_t *rule_ref(enum rule rule)
{
        return ref_to(text_rules[rule].name, false);
}

static json_t *rule_schema(const struct text_rule *rule)
{
        AUTO(auto_free) char *pattern = str_printf("^(?:%s)$", rule->pattern);
        AUTO(auto_free) char *description = str_printf("Expected: %s.", rule->expected);

        if (!pattern || !description)
                return NULL;
        return json_pack("{s:s,s:s,s:s,s:i}", "description", description, "type", "string", "pattern", pattern,
                         "maxLength", (int)rule->max);
}

static json_t *set_schema(const struct field_set *set, bool partial)
{
        AUTO(json_decrefp) json_t *properties = json_object();
        AUTO(json_decrefp) json_t *required = json_array();

        for (size_t i = 0; i < set->n; i++) {
                if (json_object_set_new(properties, set->v[i].key, field_schema(&set->v[i], partial)) < 0)
                        return NULL;
                if (set->v[i].required && !partial && json_array_append_new(required, json_string(set->v[i].key)) < 0)
                        return NULL;
        }
        return json_pack("{s:s,s:O,s:O,s:b}", "type", "object", "properties", properties, "required", required,
                         "additionalProperties", 0);
}

static json_t *words_schema(const struct field *f)
{
        AUTO(json_decrefp) json_t *words = json_array();

        for (size_t i = 0; i < f->n_words; i++)
                if (json_array_append_new(words, json_string(f->words[i])) < 0)
                        return NULL;
        return json_pack("{s:O}", "enum", words);
}

static json_t *list_schema(const struct field *f, json_t *items)
{
        return json_pack("{s:s,s:o,s:I,s:I}", "type", "array", "items", items, "minItems", (json_int_t)f->min,
                         "maxItems", (json_int_t)f->max);
}

static json_t *names_schema(const struct field *f, json_t *values)
{
        return json_pack("{s:s,s:o,s:o,s:I,s:I}", "type", "object", "propertyNames", rule_ref(f->rule),
                         "additionalProperties", values, "minProperties", (json_int_t)f->min, "maxProperties",
                         (json_int_t)f->max);
}

static json_t *entry_schema(const struct field *f)
{
        const struct field *only = field_find(f->set, f->set->shorthand);

        return json_pack("{s:[o,o]}", "anyOf", rule_ref(only->rule), ref_to(f->set->name, false));
}

static json_t *type_schema(const struct field *f, bool partial)
{
        switch (f->kind) {
        case FIELD_TEXT:
        case FIELD_SIZE:
        case FIELD_SPAN:
                return rule_ref(f->rule);
        case FIELD_WORD:
                return words_schema(f);
        case FIELD_NUMBER:
                return json_pack("{s:s,s:I,s:I}", "type", "integer", "minimum", (json_int_t)f->min, "maximum",
                                 (json_int_t)f->max);
        case FIELD_TEXTS:
                return json_pack("{s:[o,o]}", "anyOf", rule_ref(f->rule), list_schema(f, rule_ref(f->rule)));
        case FIELD_PAIRS:
                return names_schema(f, rule_ref(f->value_rule));
        case FIELD_MAP:
                return ref_to(f->set->name, partial);
        case FIELD_MAPS:
                return list_schema(f, ref_to(f->set->name, false));
        case FIELD_NAMED:
                return names_schema(f, entry_schema(f));
        case FIELD_ENVIRONMENTS:
                return names_schema(f, ref_to(field_environment.name, true));
        }
        return NULL;
}

static json_t *field_schema(const struct field *f, bool partial)
{
        AUTO(auto_free) char *about = measure_about(f);
        AUTO(json_decrefp) json_t *o = type_schema(f, partial);

        if (!about || json_object_set_new(o, "description", json_string(about)) < 0)
                return NULL;
        return json_incref(o);
}

static int define(json_t *defs, const char *name, bool partial, json_t *schema)
{
        AUTO(auto_free) char *key = str_printf("%s%s", name, partial ? "-part" : "");

        if (key)
                return json_object_set_new(defs, key, schema);
        json_decref(schema);
        return -1;
}

/* The mappings of a set, whole and in part. */
static int define_sets(json_t *defs, const struct field_set *set)
{
        for (size_t i = 0; i < set->n; i++) {
                const struct field_set *of = set->v[i].set;

                if (of && (define(defs, of->name, false, set_schema(of, false)) < 0 || define_sets(defs, of) < 0))
                        return -1;
                if (set->v[i].kind == FIELD_MAP && define(defs, of->name, true, set_schema(of, true)) < 0)
                        return -1;
        }
        return 0;
}

static json_t *definitions(void)
{
        AUTO(json_decrefp) json_t *defs = json_object();

        for (size_t i = 0; i < RULE_COUNT; i++)
                if (define(defs, text_rules[i].name, false, rule_schema(&text_rules[i])) < 0)
                        return NULL;
        if (define_sets(defs, &field_root) < 0 ||
            define(defs, field_environment.name, true, set_schema(&field_environment, true)) < 0)
                return NULL;
        return json_incref(defs);
}

int profile_schema(struct json_t **ret, struct err *e)
{
        AUTO(json_decrefp)
        json_t *schema = json_pack("{s:s,s:s,s:s,s:s}", "$schema", "https://json-schema.org/draft/2020-12/schema",
                                   "$id", "urn:devdep:profile:1", "title", PROFILE_FILE, "description",
                                   "The profile of a repository: what its runs get and what they may reach.");
        AUTO(json_decrefp) json_t *root = set_schema(&field_root, false);

        if (!schema || !root || json_object_update(schema, root) < 0 ||
            json_object_set_new(schema, "$defs", definitions()) < 0)
                return err_nomem(e);
        *ret = TAKE_PTR(schema);
        return 0;
}
