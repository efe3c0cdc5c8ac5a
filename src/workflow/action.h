/* An action file (action.yml), parsed and checked: GitHub's syntax, as its runner reads it, which is laxer than its
 * editors are: unknown keys beside `name`, `inputs`, `runs` are left alone.
 *
 * Strings keep their ${{ }} parts; they were checked for being well-formed, with the contexts that GitHub allows at
 * that place. Everything below belongs to the struct action and is constant. Optional strings have text NULL when the
 * key is absent. */
#pragma once

#include "workflow/workflow.h"

struct action;

#define ACTION_MAX_SIZE ((size_t)500 << 10) /* bytes of a file; WORKFLOW_MAX_STEPS bounds its steps */

enum action_kind { ACTION_COMPOSITE, ACTION_NODE, ACTION_DOCKER };

struct action_input {
        struct wf_str name, description, default_value, deprecation;
        bool required; /* GitHub's runner does not look at it */
};

struct action_output {
        struct wf_str name, description;
        struct wf_str value; /* composite: an expression over its steps */
};

struct action {
        const char *file;
        struct wf_str name, description;
        enum action_kind kind;
        struct wf_str using; /* as written: "node20", "composite", "docker" */
        struct wf_str main;  /* node; there, as `pre` and `post`, a path below the action's folder */
        struct wf_str pre, pre_if, post, post_if; /* node; an absent condition means always() */
        struct wf_str image;                      /* docker */
        struct wf_step *steps;                    /* composite: run and uses steps alone */
        size_t n_steps;
        struct action_input *inputs; /* in the order of the file */
        size_t n_inputs;
        struct action_output *outputs;
        size_t n_outputs;
};

/* Parse a file. file: the name for messages. Problems are added to `problems`, warnings too.
 * 0: *ret is an action without errors. ACTION_E_INVALID: `problems` has errors, *ret is NULL. Negative: no memory. */
#define ACTION_E_INVALID WORKFLOW_E_INVALID
int action_parse(const char *file, const void *data, size_t len, struct diag_list *problems, struct action **ret,
                 struct err *e);
struct action *action_free(struct action *a); /* NULL is fine; always NULL */
CLEANUP_DEFINE(struct action, action_free)

const struct action_input *action_input(const struct action *a, const char *name); /* case-insensitive; NULL: none */
