/* Inside of the parsers of workflow and action files. Only workflow*.c and action.c include this. The readers run after
 * (and in spite of) the schema check: what has the wrong type was reported there and is left out here. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "codec/arena.h"
#include "codec/diag.h"
#include "codec/yaml.h"
#include "workflow/workflow.h"

struct reader {
        const char *source; /* the file's text */
        size_t len;
        struct arena *arena; /* what is read belongs to it */
        struct diag_list *problems;
        struct err *e;
};

/* A file that was read, and what was made of it. */
struct document {
        struct yaml_doc *doc;
        struct arena *arena;
};

struct document_kind {
        size_t max_size;
        const char *limit; /* its name */
        const uint16_t *schema;
};

/* Read the reader's source as YAML and check it; the reader gets the document's arena. 0 with complaints, too;
 * WORKFLOW_E_INVALID: it is no YAML, which was reported; negative: no memory. Done by document_done() in each case. */
int document_open(struct document *d, struct reader *r, const struct document_kind *kind);
void document_done(struct document *d);

/* A scalar as text: numbers and booleans as GitHub writes them (1.20 is "1.2", True is "true"). Nothing and lists give
 * text NULL. */
int read_str(struct reader *r, const struct yaml_node *n, struct wf_str *ret);
/* The same, but nothing is "". */
int read_text(struct reader *r, const struct yaml_node *n, struct wf_str *ret);
/* The member of a mapping; absent gives text NULL. */
int read_member(struct reader *r, const struct yaml_node *map, const char *key, struct wf_str *ret);
/* One scalar or a list of them. */
int read_strs(struct reader *r, const struct yaml_node *n, struct wf_strs *ret);
/* A mapping of scalars, or one ${{ }}. */
int read_pairs(struct reader *r, const struct yaml_node *n, struct wf_pairs *ret);
int read_defaults(struct reader *r, const struct yaml_node *n, struct wf_defaults *ret);
int read_permissions(struct reader *r, const struct yaml_node *n, struct wf_permissions *ret);
int read_concurrency(struct reader *r, const struct yaml_node *n, struct wf_concurrency *ret);
int read_events(struct reader *r, const struct yaml_node *n, struct workflow *ret);
int read_jobs(struct reader *r, const struct yaml_node *n, struct workflow *ret);
int read_steps(struct reader *r, const struct yaml_node *n, struct wf_step **ret, size_t *ret_n);

/* The tree that the workflow was read from; it belongs to the workflow. */
const struct yaml_node *workflow_root(const struct workflow *w);
/* Report an error at a position. */
int complain(struct reader *r, struct yaml_pos pos, size_t width, const char *hint, const char *fmt, ...)
        __attribute__((format(printf, 5, 6)));
/* Is it an identifier of a job or step? Complains if not. */
int check_id(struct reader *r, const struct wf_str *id, bool *ret_valid);
/* Warn about a condition that is always true. */
int check_condition(struct reader *r, const struct wf_str *condition);
