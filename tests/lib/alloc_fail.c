#include "alloc_fail.h"

#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define MAX_ALLOCATIONS 100000

static unsigned count;   /* allocations since the last arm() */
static unsigned failing; /* the one that fails; 0: none */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);

static bool fails_now(void)
{
        if (++count != failing)
                return false;
        errno = ENOMEM;
        return true;
}

void *__wrap_malloc(size_t size)
{
        return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
        return fails_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
        return fails_now() ? NULL : __real_realloc(p, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
        return fails_now() ? NULL : __real_reallocarray(p, n, size);
}

static void arm(unsigned nth)
{
        count = 0;
        failing = nth;
}

static unsigned each(int (*fn)(void *user, struct err *e), void *user, bool tolerant)
{
        for (unsigned nth = 0; nth < MAX_ALLOCATIONS; nth++) {
                struct err e = ERR_INIT;
                arm(nth);
                int r = fn(user, &e);
                unsigned made = count;
                arm(0);
                if (nth == 0 && r != 0)
                        fail_msg("it fails with all the memory it wants: %s", e.msg);
                if (nth > made)
                        return nth - 1;
                if (nth && r >= 0 && !tolerant)
                        fail_msg("it succeeds although allocation %u failed", nth);
                if (r < 0 && e.code != ERR_RESOURCES)
                        fail_msg("after allocation %u failed it reports: %s", nth, e.msg);
        }
        fail_msg("it never gets by with less than %d allocations", MAX_ALLOCATIONS);
        return 0;
}

unsigned alloc_fail_each(int (*fn)(void *user, struct err *e), void *user)
{
        return each(fn, user, false);
}

unsigned alloc_fail_each_tolerant(int (*fn)(void *user, struct err *e), void *user)
{
        return each(fn, user, true);
}
