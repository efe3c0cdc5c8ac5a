/* An archive of the store goes into a folder of the guest, as it is. While the guest does not take more, the store
 * waits. */
#pragma once

#include <stdint.h>

#include "blob/client.h"

struct err;
struct step;
struct unstow;

/* failure: the store's or the guest's; what was unpacked before it stays in the guest. */
typedef int unstow_done_fn(struct unstow *u, const struct err *failure, void *user, struct err *e);

/* path: absolute, made when it is missing. The job's turn with the store is the caller's. done is called once, later,
 * when both sides have ended; it may free u. */
int unstow_start(struct step *step, enum store_what_kind kind, uint64_t id, const char *path, unstow_done_fn *done,
                 void *user, struct unstow **ret, struct err *e);
/* The guest's side ends soon, and done follows. */
void unstow_interrupt(struct unstow *u);
struct unstow *unstow_free(struct unstow *u); /* NULL is fine; always NULL */
