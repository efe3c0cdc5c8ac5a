/* What the files of src/sandbox share: the stages of a jail. Each stage runs in the process that is being jailed. */
#pragma once

#include "sandbox/sandbox.h"

/* Report helpers: state of one protection; `missing` turns into an error when s->required asks for it. */
void sandbox_held_ok(struct sandbox_report *r, enum sandbox_protection p);
void sandbox_held_less(struct sandbox_report *r, enum sandbox_protection p, enum sandbox_state state, const char *fmt,
                       ...) __attribute__((format(printf, 4, 5)));
/* 0, or ERR_RESOURCES naming the first required protection that is missing. */
int sandbox_check_required(const struct sandbox *s, const struct sandbox_report *r, struct err *e);

/* ids.c */
/* Map the process's one id into the user namespace that it is already in. proc_fd: the host's /proc. */
int sandbox_map_self(int proc_fd, uid_t uid, gid_t gid, struct err *e);
/* As root: no groups, s->gid, s->uid, then a user namespace that owns nothing. For others: nothing to do but report. */
int sandbox_take_ids(const struct sandbox *s, bool root, int proc_fd, struct sandbox_report *r, struct err *e);
int sandbox_drop_caps(struct sandbox_report *r, struct err *e);
/* A user namespace descriptor that maps owner -> (uid, gid), for idmapped mounts. */
int sandbox_idmap_ns(uid_t owner, gid_t owner_gid, uid_t uid, gid_t gid, int *ret, struct err *e);

/* root.c */
struct sandbox_root; /* detached mounts, made before the old root is left */
int sandbox_root_new(const struct sandbox *s, bool root, struct sandbox_root **ret, struct sandbox_report *r,
                     struct err *e);
struct sandbox_root *sandbox_root_free(struct sandbox_root *t);
/* Attach everything, make the tree read-only, pivot into it and drop the old root. */
int sandbox_root_enter(struct sandbox_root *t, struct sandbox_report *r, struct err *e);
