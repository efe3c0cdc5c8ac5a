/* The profile of a repository, devdep.yaml: what its runs get and what they may reach (docs/profile.md,
 * devdep.yaml(5)).
 *
 * The file comes from the repository and is not trusted: it is read strictly, every value within a documented limit.
 * Keys, types, ranges and patterns stand in one table (fields.c), from which the parser, the JSON Schema
 * (profile_schema()) and the commented example (profile_example()) are made; rules between keys are in rules.c.
 *
 * An environment is a mapping of the same keys. What it gives takes the place of what the profile gives: a value or a
 * list as a whole, members of `vault`, `egress` and `hooks` one by one, secrets by name. A struct profile is the merged
 * profile of one environment, or of none.
 *
 * Every value begins with its place: line 0 says that the file does not give it. Numbers are 0 then, which of the named
 * ones is the default. All belongs to the struct profile and is constant. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "codec/yaml.h"

struct buf;
struct diag_list;
struct err;
struct json_t;

#define PROFILE_FILE "devdep.yaml"
#define PROFILE_MAX_SIZE ((size_t)256 << 10) /* bytes of a file */
#define PROFILE_MAX_NAME 64u                 /* characters of an entity, an environment, a secret's name */
#define PROFILE_MAX_ENVIRONMENTS 32u
#define PROFILE_MAX_BINDINGS 16u /* entries of `identity` */
#define PROFILE_MAX_AUDIENCES 16u
#define PROFILE_MAX_CLAIMS 32u
#define PROFILE_MAX_SECRETS 1000u
#define PROFILE_MAX_VERSION 1000000000u /* of a secret */
#define PROFILE_MAX_ALLOWED 1000u       /* entries of egress.allow */
#define PROFILE_MAX_HOOKS 50u           /* commands before, and after */
#define PROFILE_MAX_COMMAND 16384u      /* characters of one of them */
#define PROFILE_MAX_VCPUS 64u
#define PROFILE_MIN_MEMORY ((uint64_t)128 << 20) /* bytes */
#define PROFILE_MAX_MEMORY ((uint64_t)1 << 40)
#define PROFILE_MIN_SCRATCH ((uint64_t)64 << 20) /* bytes */
#define PROFILE_MAX_SCRATCH ((uint64_t)256 << 30)
#define PROFILE_MIN_PIDS 16u
#define PROFILE_MAX_PIDS 16384u
#define PROFILE_MIN_TIMEOUT_MS 1000u
#define PROFILE_MAX_TIMEOUT_MS ((uint64_t)5 * 24 * 3600 * 1000)

enum profile_swap { PROFILE_SWAP_REFUSE, PROFILE_SWAP_ALLOW };
enum profile_rootfs { PROFILE_ROOTFS_OVERLAY, PROFILE_ROOTFS_READ_ONLY };
enum profile_auth { PROFILE_AUTH_JWT, PROFILE_AUTH_APPROLE, PROFILE_AUTH_TOKEN };
enum profile_rotation { PROFILE_ROTATION_MANUAL, PROFILE_ROTATION_AUTOMATIC };
enum profile_reach { PROFILE_SEALED, PROFILE_BROKERED, PROFILE_AUDIT };
enum profile_violation { PROFILE_VIOLATION_FAILS, PROFILE_VIOLATION_WARNS };

struct profile_str {
        struct yaml_pos pos;
        const char *text; /* NULL: not given */
};

/* A number; a size in bytes; a time in milliseconds; one of the enums above. */
struct profile_num {
        struct yaml_pos pos;
        uint64_t value;
};

struct profile_list {
        struct yaml_pos pos;
        void *v; /* n structs of the kind that the member's comment names */
        size_t n;
};

/* A named text. */
struct profile_pair {
        struct profile_str name, value;
};

/* Whose tokens stand for this entity. */
struct profile_binding {
        struct yaml_pos pos;
        struct profile_str issuer;
        struct profile_list audience; /* struct profile_str */
        struct profile_list claims;   /* struct profile_pair */
};

struct profile_vault {
        struct yaml_pos pos;
        struct profile_str endpoint;
        struct profile_num auth; /* enum profile_auth */
        struct profile_str role, namespace, ca;
};

struct profile_secret {
        struct profile_str name;
        struct profile_str ref;      /* "mount/path#key" */
        struct profile_num rotation; /* enum profile_rotation */
        struct profile_num version;  /* 0: the newest */
};

struct profile_egress {
        struct yaml_pos pos;
        struct profile_num reach;        /* enum profile_reach */
        struct profile_num on_violation; /* enum profile_violation */
        struct profile_list allow;       /* struct profile_str: policy_entry_parse() takes each */
};

struct profile_hooks {
        struct yaml_pos pos;
        struct profile_list before, after; /* struct profile_str */
};

struct profile {
        struct yaml_pos pos;
        const char *environment; /* NULL: none was chosen */
        struct profile_str entity, domain;
        struct profile_str image, workflow;
        struct profile_num rootfs; /* enum profile_rootfs */
        struct profile_num swap;   /* enum profile_swap */
        struct profile_num vcpus, memory, scratch, pids, timeout;
        struct profile_list identity; /* struct profile_binding */
        struct profile_vault vault;
        struct profile_list secrets; /* struct profile_secret */
        struct profile_egress egress;
        struct profile_hooks hooks;
        struct profile_list environments; /* struct profile_environment */
};

struct profile_environment {
        struct profile_str name;
        const struct yaml_node *node; /* the overrides, as they were read */
};

/* Parse a file, all its environments as well, and merge the one that is named (NULL: none). Problems, warnings too, are
 * added to `problems`.
 * 0: *ret is a profile of a file without errors. PROFILE_E_INVALID: `problems` has errors, *ret is NULL. Negative: no
 * memory; or ERR_USAGE: there is no such environment (the message names the known ones, without the file). */
#define PROFILE_E_INVALID 1
int profile_parse(const void *data, size_t len, const char *environment, struct diag_list *problems,
                  struct profile **ret, struct err *e);
struct profile *profile_free(struct profile *p); /* NULL is fine; always NULL */
CLEANUP_DEFINE(struct profile, profile_free)

/* Is this text a profile, whatever its name? A mapping with `entity` or `domain` and without a workflow's keys. */
bool profile_is_one(const void *data, size_t len);

/* The JSON Schema (2020-12) of a file; a new reference. */
int profile_schema(struct json_t **ret, struct err *e);

/* A commented file with these two, which validates. ERR_USAGE: one of them is not what its key takes. */
int profile_example(const char *entity, const char *domain, struct buf *ret, struct err *e);
