/* Numbers from text and checked arithmetic. No function here depends on the locale. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/* Decimal digits only (a '-' for the signed form); the whole string; range [min, max].
 * `what` names the field in the error (ERR_USAGE): "--jobs: expected a number from 1 to 64, found '0'". */
int num_u64(const char *s, uint64_t min, uint64_t max, const char *what, uint64_t *ret, struct err *e);
int num_i64(const char *s, int64_t min, int64_t max, const char *what, int64_t *ret, struct err *e);
/* A size with an optional suffix K, M, G, T (powers of 1024, optional "iB"/"B"). */
int num_size(const char *s, uint64_t max, const char *what, uint64_t *ret, struct err *e);
/* A length of time as people type it: digits and one of s, m, h, d, w; in milliseconds, at most max_ms. */
int num_duration(const char *s, uint64_t max_ms, const char *what, uint64_t *ret_ms, struct err *e);
/* Hexadecimal, exactly 2 * len digits, either case. */
int num_hex(const char *s, uint8_t *ret, size_t len, const char *what, struct err *e);
void num_to_hex(const void *data, size_t len, char *ret); /* writes 2 * len digits and a NUL */

static inline uint16_t num_be16(const uint8_t *p)
{
        return (uint16_t)((p[0] << 8) | p[1]);
}
static inline uint32_t num_be32(const uint8_t *p)
{
        return ((uint32_t)p[0] << 24) | ((uint32_t)p[1] << 16) | ((uint32_t)p[2] << 8) | p[3];
}

/* a + b and a * b into *ret; true when it fitted. */
#define num_add(a, b, ret) (!__builtin_add_overflow((a), (b), (ret)))
#define num_mul(a, b, ret) (!__builtin_mul_overflow((a), (b), (ret)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
/* The arguments are evaluated twice: no calls in them. */
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
