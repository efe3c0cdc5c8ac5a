/* A file as the guest's `read` gives it: one field list. Only a regular one has content. */
#pragma once

struct err;
struct field;
struct fields;

/* *ret_kind: "regular", "missing", "link", ...; *ret: the content of a regular one, else NULL. ERR_PROTOCOL: not the
 * file that was asked for, or out of form. */
int guest_file_take(const struct fields *list, const char *path, const char **ret_kind, const struct field **ret,
                    struct err *e);
/* Why what is no regular file does not count; half a sentence. */
const char *guest_file_problem(const char *kind);
