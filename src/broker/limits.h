/* Limits of devdep-broker. Each has a row in docs/limits.md. */
#pragma once

#define BROKER_MAX_CONNECTIONS 128u /* at once */
#define BROKER_RATE 100u            /* new connections a second, in the long run */
#define BROKER_BURST 400u           /* and so many at once after a silence */
#define BROKER_HELLO_MS 1000u       /* from the first byte of TLS to the end of its ClientHello */
#define BROKER_MAX_RECORDS 256u     /* records that wait until devdep-job takes them: no connection is begun past it */
#define BROKER_MAX_WAITING ((size_t)1 << 20) /* bytes of them: whoever takes none of so many is cut off */
#define BROKER_MAX_HEADER 4096u              /* bytes of one request */
#define BROKER_MAX_HEADERS 65536u            /* of all requests that are not complete */
#define BROKER_MAX_POLICY ((size_t)3 << 20)  /* with the certificates of its mirrors' authorities */
#define BROKER_TLS_MS 5000u                  /* for a mirror's TLS handshake */
