/* What reading a matcher file and matching share. */
#pragma once

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdbool.h>

#include "workflow/matcher.h"

enum matcher_field {
        MATCHER_FILE,
        MATCHER_LINE,
        MATCHER_COLUMN,
        MATCHER_SEVERITY,
        MATCHER_CODE,
        MATCHER_MESSAGE,
        MATCHER_FROM_PATH,
        MATCHER_FIELDS
};

struct matcher_pattern {
        pcre2_code *code;
        int group[MATCHER_FIELDS]; /* which group is the field; -1: none */
        bool loop;
};

/* What the patterns so far have found; NULL where nothing set it. */
struct matcher_found {
        char *value[MATCHER_FIELDS];
};

struct matcher {
        char *owner, *severity; /* severity: the default, or NULL */
        struct matcher_pattern pattern[MATCHER_MAX_PATTERNS];
        unsigned n, strikes;
        uint64_t serial;  /* in its list: no other one had it before */
        uint64_t used_ns; /* processor time */
        bool is_removed;
};

struct matcher *matcher_free(struct matcher *m); /* always NULL */
/* The matchers of a file, checked; ret holds MATCHER_MAX_COUNT. */
int matcher_file_read(const void *file, size_t len, struct matcher **ret, size_t *ret_n, struct err *e);
