/* Base64 (RFC 4648), strictly: no white space, no bits beyond the data. BASE64_STANDARD (section 4) is padded with '=';
 * BASE64_URL (section 5, as JOSE uses it) is not. */
#pragma once

#include <stddef.h>

struct err;
struct buf;

enum base64_alphabet { BASE64_STANDARD, BASE64_URL };

/* Appends the bytes. Anything else than the one encoding of some bytes is ERR_USAGE, named by `what`; *ret is then
 * unchanged. */
int base64_decode(enum base64_alphabet alphabet, const char *text, size_t len, const char *what, struct buf *ret,
                  struct err *e);
