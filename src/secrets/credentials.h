/* What devdep-secrets gets to know in secret: names and values one after another in an area (base/secret.h), which its
 * starter zeroes when the job is over. They are read in place and never copied. Pure.
 *
 *     u32 length of the name, the name, u32 length of the value, the value; a name of no bytes, or the end, is the end
 *
 * Big-endian. Names: "token", "jwt", "role_id", "secret_id", "wrapped_secret_id", and "value.NAME" of a local secret.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct err;

#define CREDENTIALS_LOCAL "value."

/* Write one at *used of an area of `size` bytes, and move *used. ERR_RESOURCES when it does not fit. */
int credentials_add(void *area, size_t size, size_t *used, const char *name, const void *value, size_t len,
                    struct err *e);
/* How many bytes credentials_add() needs for it. */
size_t credentials_size(const char *name, size_t len);

#define CREDENTIALS_E_NONE 1 /* there is none of that name */
/* *ret points into the area. ERR_PROTOCOL for an area that breaks the format before that name. */
int credentials_find(const void *area, size_t size, const char *name, const uint8_t **ret, size_t *ret_len,
                     struct err *e);
