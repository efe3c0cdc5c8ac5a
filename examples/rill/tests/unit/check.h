/* The smallest test frame that serves: named cases, counted failures, one line a program. */
#pragma once

#include <stdio.h>
#include <string.h>

static int check_failures, check_count;

#define CHECK(cond)                                                                      \
        do {                                                                             \
                check_count++;                                                           \
                if (!(cond)) {                                                           \
                        check_failures++;                                                \
                        printf("::error file=%s,line=%d::%s\n", __FILE__, __LINE__, #cond); \
                }                                                                        \
        } while (0)
#define CHECK_TEXT(found, expected)                                                                          \
        do {                                                                                                 \
                check_count++;                                                                               \
                if (strcmp((found), (expected)) != 0) {                                                      \
                        check_failures++;                                                                    \
                        printf("::error file=%s,line=%d::expected '%s', found '%s'\n", __FILE__, __LINE__, \
                               (expected), (found));                                                         \
                }                                                                                            \
        } while (0)

static inline int check_end(const char *name)
{
        printf("%-8s %d checks, %d failed\n", name, check_count, check_failures);
        return check_failures > 0;
}
