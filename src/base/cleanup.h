/* Ownership made visible: variables that release what they hold when they leave scope.
 *
 *   AUTO(auto_close) int fd = -1;
 *   AUTO(job_freep) struct job *job = NULL;
 *   return TAKE_PTR(job);
 *
 * A destructor takes NULL (or -1) and half-built objects. A variable moves only through TAKE_*. */
#pragma once

#include <stdlib.h>

#define AUTO(fn) __attribute__((cleanup(fn)))

#define TAKE_PTR(p)                                                                                                    \
        ({                                                                                                             \
                __auto_type take_ = (p);                                                                               \
                (p) = NULL;                                                                                            \
                take_;                                                                                                 \
        })
#define TAKE_FD(fd)                                                                                                    \
        ({                                                                                                             \
                int take_ = (fd);                                                                                      \
                (fd) = -1;                                                                                             \
                take_;                                                                                                 \
        })

/* Define NAME_freep() for AUTO from a free function that returns NULL or nothing. */
#define CLEANUP_DEFINE(type, free_fn)                                                                                  \
        static inline void free_fn##p(type **p)                                                                        \
        {                                                                                                              \
                if (*p)                                                                                                \
                        free_fn(*p);                                                                                   \
                *p = NULL;                                                                                             \
        }

static inline void auto_free(void *p)
{
        free(*(void **)p);
        *(void **)p = NULL;
}

/* Close *fd when it is not negative; errno is kept. Defined in fd.c. */
void auto_close(int *fd);
