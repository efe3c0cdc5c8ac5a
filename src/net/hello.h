/* The first bytes of a connection: a TLS ClientHello, and the name that it asks for (RFC 8446, RFC 6066). Pure.
 *
 * An encrypted ClientHello (RFC 9849) shows the name of its outer one here, which is what counts. */
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
};

/* data: every byte of the connection so far; at HELLO_MAX_SIZE bytes the answer is never HELLO_MORE. */
enum hello hello_parse(const uint8_t *data, size_t len, struct hello_result *ret);
