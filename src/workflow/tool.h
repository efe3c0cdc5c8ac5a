/* The tools of the setup actions (node, python, go, java): what a workflow asks for, what a guest says it has, and
 * which of these it gets. Pure; every byte may be hostile.
 *
 * A wish is what the action's input or a version file says ("20", "lts/iron", ">=3.9 <4", "1.8"); it becomes a range of
 * semver.h. Versions that are written in another way become versions of semver.h: "3.13.0rc1" is 3.13.0-rc1, go's
 * "1.21" is 1.21.0, java's "1.8.0_392-b08" is 8.0.392. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "workflow/semver.h"

struct err;

enum tool { TOOL_NODE, TOOL_PYTHON, TOOL_GO, TOOL_JAVA };

#define TOOL_MAX_WISH 256u                 /* bytes of a wish */
#define TOOL_MAX_FILE ((size_t)256 << 10)  /* bytes of a version file */
#define TOOL_MAX_OUTPUT ((size_t)64 << 10) /* bytes that the guest tells of what it has */
#define TOOL_MAX_FOUND 32u                 /* installations; further ones are left out */
#define TOOL_MAX_PATH 1024u                /* bytes of a path */

/* ---- wishes ---- */

/* *ret_why (static) says what is wrong; else ret is a valid range. */
bool tool_range(enum tool t, const char *wish, char ret[SEMVER_MAX_RANGE + 1], const char **ret_why);
/* What a version file says; name: its name without folders. TOOL_E_NONE: nothing. *ret is malloc'd. */
#define TOOL_E_NONE 1
int tool_read_file(enum tool t, const char *name, const void *data, size_t len, char **ret, struct err *e);

/* ---- what there is ---- */

struct tool_found {
        char *kind;    /* a word that the guest's script says of it */
        char *path;    /* absolute, printable */
        char *version; /* as it says itself, printable */
        struct semver semver;
        char text[64]; /* what semver points into */
};

struct tool_list {
        struct tool_found v[TOOL_MAX_FOUND];
        size_t n;
};

/* Lines "KIND<tab>PATH<tab>VERSION"; any other line is left out. */
int tool_list_parse(enum tool t, const void *data, size_t len, struct tool_list *ret, struct err *e);
void tool_list_done(struct tool_list *l);
/* The highest version of the range, the first of equals; NULL: there is none. kind NULL: any. */
const struct tool_found *tool_choose(enum tool t, const struct tool_list *l, const char *kind, const char *range);
