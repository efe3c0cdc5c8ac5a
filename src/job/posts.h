/* Post parts of actions: what is to run at the end of the job, in the reverse order in which the
 * main parts began. */
#pragma once

struct err;
struct job;
struct step;

/* The step is over and wants a post part: what that needs of it is kept. */
int posts_keep(struct step *s, struct err *e);
/* The last one that was kept as a step of its own; there must be one. */
int posts_take(struct job *j, struct step **ret, struct err *e);
void posts_done(struct job *j);
