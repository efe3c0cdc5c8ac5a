/* What the built-in actions of artifacts and caches share. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct err;
struct fileglob;
struct step;
struct strv;
struct store_item;

/* ERR_RUN_FAILED: this job has no devdep-store. */
int store_step_check(struct step *s, struct err *e);
/* Does the text hold a masked value in any form? */
int store_step_is_masked(struct step *s, const char *text, bool *ret, struct err *e);
/* An input of lines: trimmed, without empty ones. ERR_RUN_FAILED when `needed` and none is there. */
int store_step_lines(struct step *s, const char *name, bool needed, struct strv *ret, struct err *e);
/* The patterns of the input `path`: *ret_text (may be NULL) is its text. */
int store_step_patterns(struct step *s, bool descendants, struct fileglob **ret, char **ret_text, struct err *e);
/* The end of a step whose work failed: ERR_RUN_FAILED and what the host lacks refuse it, what is worse ends the job. */
int store_step_refuse(struct step *s, const struct err *why, struct err *e);
/* "12.3 MB", as GitHub counts; ret holds STORE_STEP_SIZE bytes. */
#define STORE_STEP_SIZE 24
void store_step_size(unsigned long long bytes, char ret[STORE_STEP_SIZE]);
/* The events `artifact` and `cache` (docs/events.md). what: a constant. */
int store_step_event(struct step *s, const char *type, const char *what, const struct store_item *item, struct err *e);
