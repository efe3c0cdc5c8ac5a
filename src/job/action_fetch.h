/* Actions of other repositories: making their folder present in the guest, below `_actions` beside RUNNER_TEMP. They
 * come from the operator's mirror (docs/actions-mirror.md); the event `action` says which commit it was. */
#pragma once

struct action_fetch;
struct err;
struct step;

/* folder: of the action itself in the guest, absolute, the path behind owner/repo included; NULL when it could not be
 * had, and refusal says why. May be called from within action_fetch(). */
typedef int action_fetch_done_fn(struct step *s, const char *folder, const char *refusal, struct err *e);

/* The action that s->spec->uses names: owner/repo[/path]@ref. Calls done exactly once, unless it returns negative:
 * ERR_RUN_FAILED refuses the step. Once the step is interrupted, done comes soon. */
int action_fetch(struct step *s, action_fetch_done_fn *done, struct err *e);
struct action_fetch *action_fetch_free(struct action_fetch *f); /* the step's; NULL is fine; always NULL */
