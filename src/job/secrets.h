/* The secrets of a job: from devdep-secrets into the masks, the guest and the context `secrets`, and back.
 *
 * They are asked for while the machine boots. A job that does not get them is refused before its first step
 * (ERR_VAULT_MISMATCH). Before any of them reaches the guest or an expression, all are in the masks. At the job's end,
 * whichever it is, and before a failed job is held, everything is given up: the memory unmapped, the context emptied,
 * what was lent revoked; of a held guest also its files and its free memory are zeroed. Masks stay to the last event.
 *
 * Where calls of workflows around the job name one by one what they let through, the values that were asked for are
 * what theirs are made of, and the job has those alone (passed.h).
 *
 *   NONE                    the job has no secrets
 *   ASKED -> THERE          the values are known
 *   THERE -> SHOWN          the guest has their files: steps may run
 *   any   -> RELEASING      the files of a held guest go; then devdep-secrets is told
 *   RELEASING -> RELEASED   it answered, or cannot */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

struct err;
struct job;
struct job_secrets;
struct strv;

/* Where the guest shows them. */
#define JOB_SECRETS_FOLDER "/run/secrets"

/* Both descriptors are taken over on success; -1 each: the job has none. */
int job_secrets_new(struct job *j, int socket_fd, int values_fd, struct job_secrets **ret, struct err *e);
struct job_secrets *job_secrets_free(struct job_secrets *s); /* NULL is fine; always NULL */
CLEANUP_DEFINE(struct job_secrets, job_secrets_free)

/* Steps are to run: `done` is called once the guest has the files, now or later. */
typedef int job_secrets_fn(struct job *j, struct err *e);
int job_secrets_show(struct job_secrets *s, job_secrets_fn *done, struct err *e);
bool job_secrets_are_awaited(const struct job_secrets *s); /* steps wait for them */
/* The control socket's `rotate`: look at the versions now. ERR_USAGE: there is nothing to look at. */
int job_secrets_rotate(struct job_secrets *s, struct err *e);
/* Give everything up; `done` once it is. wipe: the guest lives on, and must not have them any more. May be called
 * again: the last `done` that is not NULL counts. */
int job_secrets_release(struct job_secrets *s, bool wipe, job_secrets_fn *done, struct err *e);
/* A file in the guest that our own text with a secret in it was written to: it is emptied when the guest is wiped. */
int job_secrets_taint(struct job_secrets *s, const char *path, const char *text, struct err *e);
