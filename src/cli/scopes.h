/* The scopes of caches of a run (docs/workflow.md, "Caches"): which branches' caches its jobs may read, and the one
 * that they write. From the context `github`. */
#pragma once

struct err;
struct strv;
struct value;

#define SCOPES_E_NONE 1 /* the ref is no name that a scope may have: the run has no caches */

/* The first one is written. A branch or tag: its own, then the default branch's. A pull request: one of its own, which
 * nobody else reads, then the base branch's and the default branch's. */
int scopes_of(const struct value *github, struct strv *ret, struct err *e);
