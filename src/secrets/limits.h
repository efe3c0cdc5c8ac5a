/* Limits of secrets and of devdep-secrets. Each has a row in docs/limits.md. */
#pragma once

#define SECRETS_MAX_COUNT 1000u             /* secrets of one job */
#define SECRETS_MAX_NAME 128u               /* bytes of a secret's name */
#define SECRETS_MAX_REFERENCE 1024u         /* bytes of `mount/path#key` */
#define SECRETS_MAX_WHERE 512u              /* bytes of the place that names a secret */
#define SECRETS_MAX_VALUE ((size_t)1 << 20) /* bytes of one value */
#define SECRETS_MAX_TOTAL                                                                                              \
        ((size_t)4 << 20) /* bytes of all values of a job, those that a rotation replaces included                     \
                           */
#define SECRETS_MAX_CREDENTIALS ((size_t)6 << 20) /* bytes of the credentials, the values of local secrets included */
#define SECRETS_MAX_ORDER ((size_t)4 << 20)       /* bytes of the order that devdep-secrets gets */
#define SECRETS_MAX_MESSAGE ((size_t)1 << 20)     /* bytes of one message of devdep-secrets */
#define SECRETS_ROTATE_MS 30000u  /* between two looks at the versions of secrets with key_rotation: automatic */
#define SECRETS_ANSWER_MS 120000u /* for the values, from devdep-job's request on */
#define SECRETS_RELEASE_MS 30000u /* to revoke what was lent, from the end of the job on */
