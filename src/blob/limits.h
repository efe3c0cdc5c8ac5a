/* Limits of the store and of its protocol. Each has a row in docs/limits.md. */
#pragma once

#include <stdint.h>

#define STORE_PROTOCOL 1
#define STORE_MAX_REQUEST (64u * 1024u) /* bytes of a request's field list */
#define STORE_MAX_CHUNK (64u * 1024u)   /* bytes of one chunk of a stream */
#define STORE_MAX_NAME 255u             /* bytes of an artifact's name */
#define STORE_MAX_TYPE 127u             /* bytes of the type of an artifact that is one file */
#define STORE_MAX_KEY 512u              /* bytes of a cache's key */
#define STORE_MAX_KEYS 10u              /* keys of one lookup */
#define STORE_MAX_SCOPE 1024u           /* bytes of a scope: a full ref name */
#define STORE_MAX_SCOPES 8u             /* scopes that a job may read, its own included */
#define STORE_MAX_JOB 255u              /* bytes of the job's key in a manifest */
#define STORE_MAX_RUN 20u               /* digits of a run's number */
#define STORE_MAX_MANIFEST 8192u        /* bytes of a manifest */
#define STORE_MAX_ID ((UINT64_C(1) << 53) - 1)
#define STORE_MAX_TIME_MS UINT64_C(253402300799999) /* the end of the year 9999 */
#define STORE_DAY_MS UINT64_C(86400000)
#define STORE_MAX_DAYS 400u                    /* of an artifact's retention */
#define STORE_DEFAULT_DAYS 90u                 /* where `retention-days` is not given */
#define STORE_CHECK_BYTES (UINT64_C(64) << 20) /* between two looks at the free space while an archive is written */

/* What one folder may hold. */
struct store_limits {
        uint64_t max_bytes;     /* of one archive */
        uint64_t max_files;     /* entries of one archive */
        uint64_t max_entries;   /* artifacts of a run, caches of a repository */
        uint64_t max_total;     /* bytes of all archives of the folder that manifests name */
        uint64_t max_unused_ms; /* since a cache was last used; 0: entries end by their own date */
        uint64_t min_free;      /* bytes that stay free on the file system */
};

#define ARTIFACT_MAX_BYTES (UINT64_C(10) << 30)
#define ARTIFACT_MAX_FILES UINT64_C(500000)
#define ARTIFACT_MAX_DEPTH 64u                  /* folders above a file that `artifacts get` makes */
#define ARTIFACT_MAX_ENTRIES UINT64_C(500)      /* of one run */
#define ARTIFACT_MAX_TOTAL (UINT64_C(20) << 30) /* of one run */
#define CACHE_MAX_BYTES (UINT64_C(10) << 30)
#define CACHE_MAX_FILES UINT64_C(2000000)
#define CACHE_MAX_ENTRIES UINT64_C(1000)     /* of one repository */
#define CACHE_MAX_TOTAL (UINT64_C(10) << 30) /* of one repository: past it the least recently used go */
#define CACHE_MAX_UNUSED_DAYS UINT64_C(7)
#define STORE_MIN_FREE (UINT64_C(1) << 30)

#define STORE_LIMITS_ARTIFACTS                                                                                         \
        {                                                                                                              \
                .max_bytes = ARTIFACT_MAX_BYTES, .max_files = ARTIFACT_MAX_FILES, .max_entries = ARTIFACT_MAX_ENTRIES, \
                .max_total = ARTIFACT_MAX_TOTAL, .min_free = STORE_MIN_FREE                                            \
        }
#define STORE_LIMITS_CACHES                                                                                            \
        {                                                                                                              \
                .max_bytes = CACHE_MAX_BYTES, .max_files = CACHE_MAX_FILES, .max_entries = CACHE_MAX_ENTRIES,          \
                .max_total = CACHE_MAX_TOTAL, .max_unused_ms = CACHE_MAX_UNUSED_DAYS * STORE_DAY_MS,                   \
                .min_free = STORE_MIN_FREE                                                                             \
        }

/* Over all runs and repositories of one STATE, held by devdep-cli after each run. */
#define STORE_ALL_ARTIFACTS (UINT64_C(50) << 30) /* bytes: past it the oldest runs' artifacts go */
#define STORE_ALL_CACHES (UINT64_C(40) << 30)    /* bytes: past it the least recently used caches go */
#define STORE_MAX_REPOSITORIES 256u              /* with caches: past it the one unused for the longest goes */
