/* The kernel's random generator, made this guest's own. Alone in its file: the tests build an agent in which this file
 * is another one, to see that they notice when it is left out (tests/lib/unseeded_guest.c). */
#pragma once

#include "wire/guest.h"

#include <stdint.h>

struct err;

/* Mix the entropy in and have the generator's key made anew from it. */
int reseed_kernel(const uint8_t entropy[GUEST_ENTROPY_SIZE], struct err *e);
