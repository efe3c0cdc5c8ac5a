/* A list of steps, one after another: the job's, or those of one run of a composite action. Behind the job's own steps
 * come the post parts (posts.h), then its end. */
#pragma once

#include <stddef.h>

#include "base/cleanup.h"

struct err;
struct job;
struct scope;
struct sequence;
struct spec_step;
struct step;

/* Further steps than the specification has, in a job: those of composite actions. */
#define SEQUENCE_MAX_NESTED 1000u

/* owner: the step whose action it is; NULL: the job's. steps are borrowed; scope: a reference is taken. */
int sequence_new(struct job *j, struct step *owner, struct scope *scope, const struct spec_step *steps, size_t n,
                 struct sequence **ret, struct err *e);
struct sequence *sequence_free(struct sequence *q); /* NULL is fine; always NULL */
CLEANUP_DEFINE(struct sequence, sequence_free)

struct scope *sequence_scope(const struct sequence *q);
/* How many steps without an id it has named, this one included. */
unsigned sequence_count_nameless(struct sequence *q);
/* A step that was made has its turn. */
void sequence_begin(struct step *s);
/* The next step begins; behind the last one, or when the owner was stopped, what comes behind the list. */
int sequence_next(struct sequence *q, struct err *e);
