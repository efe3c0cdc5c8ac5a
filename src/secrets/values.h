/* The values of a job in their memory file: which byte belongs to whom. A value is written once, at a place of its own;
 * one that replaces it gets another place, and the old one's bytes are zeroed when it is dropped. */
#pragma once

#include <stddef.h>

struct err;
struct values;

/* `area` is the writable mapping of `size` bytes; borrowed. */
int values_new(void *area, size_t size, struct values **ret, struct err *e);
struct values *values_free(struct values *v); /* zeroes every value; NULL is fine; always NULL */
/* Copy a value in; a value of no bytes has a place, too. ERR_RESOURCES when there is no room for it. */
int values_put(struct values *v, const void *value, size_t len, size_t *ret_at, struct err *e);
/* Zero the value that was put at this place. */
void values_drop(struct values *v, size_t at);
