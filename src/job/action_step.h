/* Steps that use an action which is read from the guest. */
#pragma once

struct err;
struct step;

/* Enter STEP_LOAD. */
int action_step_start(struct step *s, struct err *e);

/* Its action is loaded and its inputs are complete: begin what it is, which ends STEP_LOAD. */
int composite_begin(struct step *s, struct err *e); /* composite.c */
int node_step_begin(struct step *s, struct err *e); /* node_step.c */
/* The pre part of a JavaScript action is over: the main part goes on. */
int node_step_pre_over(struct step *pre, struct err *e);
/* No step of the composite action is left. */
int composite_end(struct step *s, struct err *e);
