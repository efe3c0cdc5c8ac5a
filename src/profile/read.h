/* Reading by the table: a YAML node into a struct, over what is in it. Only src/profile includes this. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "codec/diag.h"
#include "codec/yaml.h"
#include "profile/fields.h"

struct arena;
struct err;
struct patterns;

struct reader {
        struct arena *arena;
        struct patterns *patterns;
        struct diag_list *problems;
        struct err *e;
};

/* A mapping into the struct of its set: what it gives takes the place of what is there. A wrong value is a problem; of
 * a text it leaves the place, without the text. Negative: no memory. */
int profile_read(struct reader *r, const struct yaml_node *n, const struct field_set *set, void *into);

/* Report a problem, once: the same node may be read for several environments. */
int profile_complain(struct reader *r, enum diag_severity severity, struct yaml_pos pos, unsigned width,
                     const char *hint, const char *fmt, ...) __attribute__((format(printf, 6, 7)));
