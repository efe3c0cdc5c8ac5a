/* What devdep-source takes over from a repository's configuration: parsed from the output of
 * `git config --file F --no-includes --null --list`, so that git's own reader decides what the file says and nothing it
 * says has an effect. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct err;

struct repo_config {
        size_t hex_len; /* digits of an object id: 40 (sha1) or 64 (sha256) */
        bool bare;
        bool partial;     /* a partial clone: objects may be missing */
        char *worktree;   /* core.worktree as written, or NULL */
        char *remote_url; /* of origin, already public (source/names.h), or NULL */
};
/* Each entry is "key\nvalue\0", or "key\0" for a key without value. ERR_USAGE for a format version or an extension that
 * is not known: such a repository may be read wrongly. */
int repo_config_parse(const void *data, size_t len, struct repo_config *ret, struct err *e);
void repo_config_done(struct repo_config *c);
