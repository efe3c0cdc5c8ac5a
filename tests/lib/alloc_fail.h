/* The lane that fails the Nth allocation, for every N. A test that uses it links dep_alloc_fail, which puts malloc,
 * calloc, realloc and reallocarray of everything that is linked statically (all of src/) behind a counter;
 * after json_init(), jansson's allocations as well. */
#pragma once

#include <stdbool.h>

struct err;

/* Calls fn(user, e) with no allocation failing, then with the first one failing, the second, ... until all were tried.
 * fn releases all that it made, also on failure (the sanitizers watch). It must succeed when nothing fails, and return
 * negative with ERR_RESOURCES in *e when an allocation failed; otherwise the test fails. Returns how many allocations
 * fn makes. */
unsigned alloc_fail_each(int (*fn)(void *user, struct err *e), void *user);

/* The same for a function that may do without some memory: it may also succeed. */
unsigned alloc_fail_each_tolerant(int (*fn)(void *user, struct err *e), void *user);
