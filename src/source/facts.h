/* Answers of devdep-source about commits, as fields appended to an answer. */
#pragma once

struct err;
struct buf;
struct repo;
struct request;

int facts_add_head(const struct repo *r, struct buf *answer, struct err *e);
/* A commit from what a person writes for `ref:`; the fields `commit` and `ref`. */
int facts_add_resolved(const struct repo *r, const char *ref, struct buf *answer, struct err *e);
/* The paths that differ between two commits (source_changed()); of the request base, since and head count. */
int facts_add_changed(const struct repo *r, const struct request *q, struct buf *answer, struct err *e);
/* ERR_USAGE when the id is not that of a commit which is here. */
int facts_need_commit(const struct repo *r, const char *id, struct err *e);
