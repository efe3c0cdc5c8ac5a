/* A run.json as the command writes it, for the tests of records. */
#pragma once

#include <jansson.h>

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static inline json_t *run_json(int run)
{
        return json_pack(
                "{s:i,s:i,s:i,s:s,s:s,s:s,s:s,s:b,s:s,s:s,s:[s],s:{s:s},s:[{s:s,s:s,s:s,s:s,s:{s:s},s:{s:i},s:s,"
                "s:i,s:i}],s:I,s:i,s:s,s:i}",
                "version", 1, "run", run, "attempt", 1, "title", "any text: \x1b[31m and so on", "dir",
                "/home/somebody/work", "repository", "acme/rocket", "commit",
                "0123456789abcdef0123456789abcdef01234567", "working_tree", 1, "event", "push", "ref",
                "refs/heads/main", "workflow_digests", "sha256:" HEX64, "egress", "profile", "sealed", "jobs", "key",
                "build", "name", "a name with spaces", "image", "sha256:" HEX64, "origin", "cloned", "protections",
                "vmm.own-user", "ok", "segments", "run_command", 12, "conclusion", "success", "code", 0, "ms", 1200,
                "started_ms", (json_int_t)1796090410670, "ms", 2000, "conclusion", "success", "code", 0);
}
