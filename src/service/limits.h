/* Limits of devdep-service. Each has a row in docs/limits.md. */
#pragma once

#include <stdint.h>

#define SERVICE_MAX_CONNECTIONS 128u           /* at once */
#define SERVICE_MAX_HEADER ((size_t)4 << 10)   /* bytes of a stream's header */
#define SERVICE_MAX_HEADERS ((size_t)64 << 10) /* of all that are not complete */
#define SERVICE_MAX_HEAD ((size_t)16 << 10)    /* bytes of a request's head */
#define SERVICE_MAX_FIELDS 64u                 /* lines of a head */
#define SERVICE_MAX_MESSAGE ((size_t)64 << 10) /* bytes of a request in JSON */
#define SERVICE_MAX_LIST ((size_t)1 << 20)     /* bytes of a list of blocks */
#define SERVICE_MAX_BLOCKS 4096u               /* of one upload */
#define SERVICE_MAX_BLOCK_ID 88u               /* characters: 64 bytes in base64 */
#define SERVICE_MAX_UPLOADS 8u                 /* of a job, at once */
#define SERVICE_MAX_DOWNLOADS 256u             /* entries that a job was told of; past it the oldest is forgotten */
#define SERVICE_MAX_NAMES ((size_t)48 << 20)   /* bytes of the names in a zip that becomes an artifact */
#define SERVICE_MAX_ZIPS 16u                   /* artifacts that are being sent as a zip, at once */
#define SERVICE_CHUNK ((size_t)64 << 10)       /* bytes of an archive in memory, for each connection */
