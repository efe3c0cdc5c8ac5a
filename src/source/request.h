/* A request of the source protocol: bytes of a less trusted client into a checked structure. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "source/client.h"

struct err;
struct fields;

enum request_op {
        REQUEST_FACTS,
        REQUEST_RESOLVE,
        REQUEST_SUBMODULES,
        REQUEST_CHANGED,
        REQUEST_CHECKOUT,
        REQUEST_ACTION,
        REQUEST_ACTION_TREE
};

/* Texts are owned by `fields`; which ones are set depends on the operation (docs/protocol-source.md). Commits, refs
 * and paths are checked for form: none can be an option or an expression. */
struct request {
        struct fields *fields;
        enum request_op op;
        const char *repository;
        const char *ref;         /* resolve, action, action_tree */
        const char *action;      /* action, action_tree: "owner/repo" */
        const char *path;        /* action */
        const char *commit;      /* submodules */
        const char *base, *head; /* changed */
        enum source_since since; /* changed */
        struct source_checkout checkout;
};

/* data holds one complete field list. ERR_PROTOCOL names the field. */
int request_parse(const uint8_t *data, size_t len, struct request *ret, struct err *e);
void request_done(struct request *r);
