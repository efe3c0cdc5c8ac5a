/* Two yamux sessions joined by pipes that cut the bytes wherever a seeded generator says. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/secret.h"
#include "wire/yamux_internal.h"

struct rng {
        uint64_t state;
};

static inline uint32_t rng_next(struct rng *r)
{
        r->state ^= r->state << 13;
        r->state ^= r->state >> 7;
        r->state ^= r->state << 17;
        return (uint32_t)(r->state >> 16);
}

static inline uint32_t rng_below(struct rng *r, uint32_t n)
{
        return rng_next(r) % n;
}

/* The seed of a test: DEVDEP_SEED when given, else a new one; printed, so that a failure can be repeated. */
static inline uint64_t rng_seed(const char *test)
{
        const char *given = getenv("DEVDEP_SEED");
        uint64_t seed = 0;
        if (given)
                seed = strtoull(given, NULL, 10);
        else
                secret_random(&seed, sizeof(seed));
        seed |= 1;
        print_message("%s: DEVDEP_SEED=%llu\n", test, (unsigned long long)seed);
        return seed;
}

static inline void frame_put(uint8_t *ret, unsigned type, unsigned flags, uint32_t stream, uint32_t value)
{
        const uint8_t h[YAMUX_HEADER] = {
                0,
                (uint8_t)type,
                (uint8_t)(flags >> 8),
                (uint8_t)flags,
                (uint8_t)(stream >> 24),
                (uint8_t)(stream >> 16),
                (uint8_t)(stream >> 8),
                (uint8_t)stream,
                (uint8_t)(value >> 24),
                (uint8_t)(value >> 16),
                (uint8_t)(value >> 8),
                (uint8_t)value,
        };
        memcpy(ret, h, sizeof(h));
}
