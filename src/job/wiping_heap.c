/* devdep-job's own free(), realloc() and reallocarray(): the linker puts them in the place of libc's (--wrap) in all
 * that is linked into the program.
 *
 * What jobs do with secrets is made of ordinary memory on its way: values of expressions, scripts, variables, requests
 * to the guest. It is zeroed when it is freed, so that a value is nowhere once nothing refers to it, whichever code had
 * it. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/secret.h"

void __real_free(void *p);
void __wrap_free(void *p);
void *__wrap_realloc(void *p, size_t len);
void *__wrap_reallocarray(void *p, size_t n, size_t len);

void __wrap_free(void *p)
{
        secret_heap_wipe(p);
        __real_free(p);
}

/* Where it grows it moves, so that no copy stays behind. */
void *__wrap_realloc(void *p, size_t len)
{
        return secret_heap_realloc(p, len);
}

void *__wrap_reallocarray(void *p, size_t n, size_t len)
{
        size_t all;
        if (__builtin_mul_overflow(n, len, &all)) {
                errno = ENOMEM;
                return NULL;
        }
        return secret_heap_realloc(p, all);
}
