/* Versions and ranges of versions as npm's `semver` (7.x) reads them, which is what the setup actions compare with.
 * Pure, no memory.
 *
 * A version is MAJOR.MINOR.PATCH[-PRERELEASE][+BUILD], a "v" in front allowed. A range is comparators that all hold, or
 * several such sets divided by "||": 1.2.3, =1.2.3, >1.2, <=1.x, 1.2 - 1.4, ~1.2, ^0.3, *, "". A version with a
 * prerelease is in a range only where a comparator of the same set names a prerelease of the same MAJOR.MINOR.PATCH. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEMVER_MAX_LENGTH 256u               /* bytes of a version, as in npm */
#define SEMVER_MAX_RANGE 1024u               /* bytes of a range */
#define SEMVER_MAX_NUMBER ((1ull << 53) - 1) /* as in npm: what JavaScript counts exactly */

struct semver {
        uint64_t number[3]; /* major, minor, patch */
        const char *pre;    /* behind the '-', points into the text; pre_len 0: none */
        size_t pre_len;
        const char *build; /* behind the '+' */
        size_t build_len;
};

/* Blanks around it are allowed. False: it is none. */
bool semver_parse(const char *text, struct semver *ret);
/* Negative, 0, positive; what is built does not count. */
int semver_compare(const struct semver *a, const struct semver *b);

bool semver_range_is_valid(const char *range);
/* False, too, when the range is none. */
bool semver_satisfies(const struct semver *version, const char *range);
