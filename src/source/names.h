/* Names that a repository chooses: refs, object ids, paths, remote URLs. Pure: bytes to verdicts, no I/O. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct err;

#define OID_MAX_HEX 64u /* digits of the longest object id (sha256) */

/* Exactly hex_len lower-case hexadecimal digits and nothing else. */
bool oid_is_valid(const char *s, size_t hex_len);
/* What a full or abbreviated id may be: 4..hex_len hexadecimal digits. */
bool oid_is_prefix(const char *s, size_t hex_len);

/* The rules of git-check-ref-format(1) for a full name below "refs/", at most SOURCE_MAX_REF_NAME bytes.
 * Such a name is never an option and never a revision expression. */
bool ref_name_is_valid(const char *name);

/* A path inside a repository that may become an entry of the guest's tar: relative, at most SOURCE_MAX_PATH bytes, no
 * empty, "." or ".." component, and none that is ".git" in any case. */
bool tree_path_is_valid(const char *path);

/* Join and tidy by text alone ("a/./b", "a/../b"): base is absolute, path absolute or relative to it. The result is
 * absolute, without a final '/'; ".." at the root stays at the root. NULL when out of memory. */
char *path_tidy(const char *base, const char *path);
/* What follows `folder` in `path`: "" when equal, "b/c" for "/a/b/c" beneath "/a"; NULL when it is not beneath. */
const char *path_beneath(const char *folder, const char *path);

/* A remote's URL as others may see it: https, http, ssh, git or user@host:path, without user and password (the user of
 * ssh forms stays), query and fragment. *ret is NULL when it is none of these or holds odd bytes. */
int url_public(const char *url, char **ret, struct err *e);

/* Foreign text as one line of UTF-8: invalid bytes and control characters become '?', cut at max bytes. malloc'd. */
char *text_line(const char *s, size_t len, size_t max);
