/* The patterns of text_rules, compiled when they are first asked for. Only src/profile includes this. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "profile/fields.h"

struct err;
struct patterns;

int patterns_new(struct patterns **ret, struct err *e);
struct patterns *patterns_free(struct patterns *p); /* NULL is fine; always NULL */
CLEANUP_DEFINE(struct patterns, patterns_free)
/* Does the whole text (UTF-8) fit the rule, its length as well? */
int patterns_fit(struct patterns *p, enum rule rule, const char *text, size_t len, bool *ret, struct err *e);
