/* The host's memory. */
#pragma once

#include <stdint.h>

struct err;

/* MemAvailable of /proc/meminfo, in bytes. */
int memory_available(uint64_t *ret, struct err *e);
