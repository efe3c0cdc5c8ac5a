/* The addresses of this host. */
#pragma once

#include <stdbool.h>

struct address;
struct err;

/* Is it an address of one of this host's interfaces, at this moment? */
int own_has(const struct address *a, bool *ret, struct err *e);
