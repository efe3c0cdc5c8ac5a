/* Answers of devdep-source about commits, as fields appended to an answer. */
#pragma once

struct err;
struct buf;
struct repo;

int facts_add_head(const struct repo *r, struct buf *answer, struct err *e);
/* A commit from what a person writes for `ref:`; the fields `commit` and `ref`. */
int facts_add_resolved(const struct repo *r, const char *ref, struct buf *answer, struct err *e);
/* base may be "": the first parent. */
int facts_add_changed(const struct repo *r, const char *base, const char *head, struct buf *answer, struct err *e);
/* ERR_USAGE when the id is not that of a commit which is here. */
int facts_need_commit(const struct repo *r, const char *id, struct err *e);
