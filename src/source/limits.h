/* Limits of the source protocol and of what is read from a repository. Each has a row in docs/limits.md. */
#pragma once

#define SOURCE_PROTOCOL 1
#define SOURCE_MAX_REQUEST (64u * 1024u)    /* bytes of a request's field list */
#define SOURCE_MAX_REF_NAME 1024u           /* bytes of a ref or of an expression that names a commit */
#define SOURCE_MAX_REFS 100000u             /* refs of one repository */
#define SOURCE_MAX_PACKED_REFS (32u << 20)  /* bytes of packed-refs */
#define SOURCE_MAX_SHALLOW (8u << 20)       /* bytes of a repository's file `shallow` */
#define SOURCE_MAX_GITFILE 8192u            /* bytes of a `.git` file, `commondir`, `gitdir` */
#define SOURCE_MAX_CONFIG (1u << 20)        /* bytes that git prints of a configuration file */
#define SOURCE_MAX_DEPTH 1000000u           /* commits of a fetch-depth */
#define SOURCE_MAX_SHALLOW_COMMITS 1000000u /* commits of a history that is cut to a depth */
#define SOURCE_MAX_SUBMODULES 512u          /* of one checkout, nested ones included */
#define SOURCE_MAX_ENTRIES 4000000u         /* files of a working tree */
#define SOURCE_MAX_PATH 4096u               /* bytes of a path inside the repository */
#define SOURCE_MAX_CHANGED 300u             /* paths of an answer to `changed`; GitHub's own limit of path filters */
#define SOURCE_MAX_COUNTED 1001u            /* commits that are counted for it */
#define SOURCE_MAX_NOTES 20u                /* notes of one checkout; further ones are counted */
#define SOURCE_MAX_ACTIONS 128u             /* repositories of a mirror that one connection asks about */
#define SOURCE_MAX_MANIFEST (512u << 10)    /* bytes of an action file */
#define SOURCE_MAX_PROCESSES 64u            /* of the jail: git and its helpers */
#define SOURCE_MAX_SCRATCH (8ull << 30)     /* bytes of one spooled pack */
