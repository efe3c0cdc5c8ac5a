/* Cleaning the slot of a VM that has ended, and giving it back: a process of its own (`devdep-pool --bury`), because it
 * waits for processes that take their time to die, and removes what they left.
 *
 * It gets the slot as arguments and the slot's lock as descriptor BURY_FD_LOCK. It does not end with the pool: what it
 * cleans is nobody's, and whoever takes the slot next would have to do it. */
#pragma once

#include "pool/pool.h"

enum { BURY_FD_LOCK = 3 };

/* For struct maker_ops (src/pool/pool.h), which says what they do. */
int burial_start(struct loop *l, const char *state, struct slot *slot, buried_fn *fn, void *user, struct burial **ret,
                 struct err *e);
struct burial *burial_free(struct burial *b, uint64_t deadline_ms);

/* argv[0] is the program, argv[1] "--bury"; returns the process status. */
int bury_main(int argc, char **argv);
