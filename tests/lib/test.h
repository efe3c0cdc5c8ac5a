/* What every unit test includes: cmocka and the headers that it wants before itself. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define assert_contains(text, part)                                                                                    \
        do {                                                                                                           \
                const char *text_ = (text), *part_ = (part);                                                           \
                if (!strstr(text_, part_))                                                                             \
                        fail_msg("expected '%s' in '%s'", part_, text_);                                               \
        } while (0)
