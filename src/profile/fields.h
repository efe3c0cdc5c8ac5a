/* The table of devdep.yaml: keys, types, ranges, patterns, and what each is for. Only src/profile includes this.
 *
 * A pattern is one for PCRE2 and for ECMAScript (JSON Schema) alike: character classes, groups, quantifiers and
 * look-ahead, no dot, no escape but those that both know. It holds for the whole text. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rule {
        RULE_NAME,
        RULE_DOMAIN,
        RULE_IMAGE,
        RULE_WORKFLOW,
        RULE_FILE,
        RULE_URL,
        RULE_AUDIENCE,
        RULE_CLAIM,
        RULE_CLAIM_VALUE,
        RULE_ROLE,
        RULE_NAMESPACE,
        RULE_SECRET,
        RULE_SECRET_REF,
        RULE_DESTINATION,
        RULE_COMMAND,
        RULE_SIZE,
        RULE_SPAN,
        RULE_COUNT,
};

struct err;

struct text_rule {
        const char *name; /* of the definition in the schema */
        const char *pattern;
        unsigned max;         /* characters */
        const char *expected; /* "expected ..." */
        /* NULL: the pattern decides. Else this does, with a sentence, and the pattern is what the schema says of it. */
        int (*parse)(const char *text, struct err *e);
};
extern const struct text_rule text_rules[RULE_COUNT];

enum field_kind {
        FIELD_TEXT,   /* struct profile_str */
        FIELD_WORD,   /* struct profile_num: which of `words` */
        FIELD_NUMBER, /* struct profile_num, min to max */
        FIELD_SIZE,   /* struct profile_num: bytes, min to max, from a text such as 2G */
        FIELD_SPAN,   /* struct profile_num: milliseconds, min to max, from a text such as 30m */
        FIELD_TEXTS,  /* struct profile_list of entries that begin with a profile_str: a text or a list of them */
        FIELD_PAIRS,  /* struct profile_list of profile_pair: a mapping of texts */
        FIELD_MAP,    /* a struct that begins with its place: a mapping of `set` */
        FIELD_MAPS,   /* struct profile_list of such structs */
        FIELD_NAMED,  /* struct profile_list of structs that begin with their name: a mapping of mappings of `set` */
        FIELD_ENVIRONMENTS, /* struct profile_list of profile_environment */
};

struct field_set;

struct field {
        const char *key;
        enum field_kind kind;
        bool required;
        size_t at;            /* where its struct begins in that of its mapping; its place comes first there */
        enum rule rule;       /* TEXT, TEXTS: of the text; SIZE, SPAN; PAIRS, NAMED, ENVIRONMENTS: of the names */
        enum rule value_rule; /* PAIRS: of the values */
        const char *const *words;
        size_t n_words;
        uint64_t min, max; /* of the number; lists and mappings of names: most entries, at least `min` */
        size_t size;       /* TEXTS: of an entry */
        const struct field_set *set;
        const char *about;   /* what it is for, a sentence */
        const char *example; /* YAML behind the colon; begins with a newline where it is a block */
};

/* The keys of a mapping. */
struct field_set {
        const char *name; /* of the definition in the schema */
        size_t size;      /* of its struct */
        const struct field *v;
        size_t n;
        const char *shorthand; /* of a NAMED's set: a text instead of the mapping is this key's; else NULL */
};

extern const struct field_set field_root, field_environment; /* both of struct profile */

const struct field *field_find(const struct field_set *s, const char *key); /* NULL: unknown */
