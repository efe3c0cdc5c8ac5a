/* The first bytes of a connection: a TLS ClientHello, and the name that it asks for (RFC 8446, RFC 6066). Pure.
 *
 * An encrypted ClientHello (RFC 9849) shows the name of its outer one here, which is what counts. A server may ask for
 * a second one (HelloRetryRequest); servers go by the name of that one, so that whoever looks at the first looks at
 * both. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "net/name.h"

#define HELLO_MAX_SIZE 16384u /* bytes of the connection in which the hello must be complete */

enum hello {
        HELLO_MORE,    /* what is here may become one */
        HELLO_NONE,    /* no TLS */
        HELLO_BROKEN,  /* TLS, and no well-formed ClientHello at its beginning */
        HELLO_NO_NAME, /* a ClientHello that names no host */
        HELLO_NAME,    /* ... that names one: in `name` */
};

struct hello_result {
        char name[NAME_TEXT]; /* normalised (name.h) */
        const char *why;      /* with HELLO_BROKEN; static storage */
        size_t size;          /* of a whole one: bytes of the connection, its records' headers included */
};

/* data: every byte of the connection so far; at HELLO_MAX_SIZE bytes the answer is never HELLO_MORE. */
enum hello hello_parse(const uint8_t *data, size_t len, struct hello_result *ret);

/* What the client's bytes behind a hello begin with. data begins where a record does. */
enum hello_record {
        HELLO_RECORD_MORE,      /* too little is there */
        HELLO_RECORD_HANDSHAKE, /* perhaps a second hello */
        HELLO_RECORD_OTHER,     /* a record of *ret_size bytes that a second hello may follow: early data, for one */
        HELLO_RECORD_NONE,      /* no TLS */
};
enum hello_record hello_record(const uint8_t *data, size_t len, size_t *ret_size);

/* What the server's first bytes say of a second hello. */
enum hello_retry { HELLO_RETRY_MORE, HELLO_RETRY_NO, HELLO_RETRY_YES };
#define HELLO_ANSWER_SIZE 43u /* bytes of the server in which that is clear */
enum hello_retry hello_retry(const uint8_t *data, size_t len);
