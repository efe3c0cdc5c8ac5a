/* What artifacts, caches and their scopes may be called. Pure. */
#pragma once

#include <stdbool.h>

/* NULL when it is a name as GitHub allows it (@actions/artifact: none of \ / " : < > | * ? CR LF), at most
 * STORE_MAX_NAME bytes of UTF-8 without control characters, and neither "." nor ".."; else what is wrong with it, as
 * the end of a sentence that begins with the name: "contains '/'". */
const char *artifact_name_problem(const char *name);
/* The same for the path of a file in an artifact, where it becomes one of this host: no control characters, at most
 * ARTIFACT_MAX_DEPTH folders above it, not a folder itself. Any other bytes are a name. */
const char *artifact_path_problem(const char *path);
/* The same for a cache's key or restore key (@actions/cache: no commas, at most STORE_MAX_KEY). */
const char *cache_key_problem(const char *key);
/* The scope of a cache: a full ref name, or "" (a run of no branch). */
bool cache_scope_is_valid(const char *scope);
/* 64 lower-case hexadecimal digits. */
bool digest_is_valid(const char *hex);
/* A MIME type: two tokens of RFC 9110 with a slash between them, at most STORE_MAX_TYPE bytes. */
bool artifact_type_is_valid(const char *type);
