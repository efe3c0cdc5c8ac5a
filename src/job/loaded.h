/* An action as it was read from the guest: its action.yml, parsed once, and where its files are. It is counted: the
 * step that uses it, its composite steps and its post part keep it, and nobody reads the file again: what an action
 * writes over its own action.yml afterwards changes nothing.
 *
 * The host holds at most LOADED_MAX_BYTES of action files at a time; a parsed file takes up to some 60 times its size.
 */
#pragma once

#include <stddef.h>

#include "base/cleanup.h"

struct action;
struct err;
struct loaded;
struct scope_action;
struct spec_step;

#define LOADED_MAX_BYTES ((size_t)2 << 20)

/* total: the caller's count of bytes held, which outlives it. name: the file's, for messages. what: folder, repository
 * and ref; copied. ERR_RUN_FAILED: the file is none of an action, or too much is held. */
int loaded_new(const struct scope_action *what, const char *name, const void *data, size_t len, size_t *total,
               struct loaded **ret, struct err *e);
struct loaded *loaded_ref(struct loaded *l);
struct loaded *loaded_unref(struct loaded *l); /* NULL is fine; always NULL */
CLEANUP_DEFINE(struct loaded, loaded_unref)

const struct action *loaded_action(const struct loaded *l);
const struct scope_action *loaded_place(const struct loaded *l);
/* The steps of a composite action as those of a specification; borrowed from it. */
const struct spec_step *loaded_steps(const struct loaded *l, size_t *ret_n);
