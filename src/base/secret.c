#include "base/secret.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux 4.14; the C libraries' headers agree on the value and musl's name it as well. */
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif

#define AREA_SEALS (F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

int secret_alloc(size_t len, void **ret, struct err *e)
{
        void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
                return err_errno(e, ERR_RESOURCES, errno, "map %zu bytes for a secret", len);
        const char *what = NULL;
        /* The system call itself: AddressSanitizer replaces mlock() with a function that does nothing. */
        if (syscall(SYS_mlock, p, len) < 0)
                what = "lock memory for a secret (raise RLIMIT_MEMLOCK)";
        else if (madvise(p, len, MADV_DONTDUMP) < 0)
                what = "keep a secret out of core dumps";
        else if (madvise(p, len, MADV_WIPEONFORK) < 0)
                what = "keep a secret out of child processes";
        if (what) {
                int errnum = errno;
                munmap(p, len);
                return err_errno(e, ERR_RESOURCES, errnum, "%s", what);
        }
        *ret = p;
        return 0;
}

void secret_free(void *p, size_t len)
{
        if (!p)
                return;
        secret_wipe(p, len);
        munlock(p, len);
        munmap(p, len);
}

void secret_wipe(void *p, size_t len)
{
        explicit_bzero(p, len);
}

void *secret_heap_alloc(size_t len)
{
        return malloc(len);
}

void *secret_heap_calloc(size_t n, size_t len)
{
        return calloc(n, len);
}

void secret_heap_wipe(void *p)
{
        if (p)
                explicit_bzero(p, malloc_usable_size(p));
}

void secret_heap_free(void *p)
{
        secret_heap_wipe(p);
        free(p);
}

/* realloc() would leave a copy behind where it moves. */
void *secret_heap_realloc(void *p, size_t len)
{
        size_t old = p ? malloc_usable_size(p) : 0;
        if (p && len && len <= old)
                return p;
        void *q = malloc(len);
        if (q && p)
                memcpy(q, p, old < len ? old : len);
        if (q)
                secret_heap_free(p);
        return q;
}

char *secret_heap_dup(const char *text)
{
        return strdup(text);
}

int secret_no_dumps(struct err *e)
{
        const struct rlimit none = {0, 0};
        struct rlimit now = {1, 1};
        /* A jail's filter lets a limit be read and not set; it has set this one. */
        getrlimit(RLIMIT_CORE, &now);
        if (now.rlim_max != 0 && setrlimit(RLIMIT_CORE, &none) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "set the core dump limit to 0");
        if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "make the process undumpable");
        return 0;
}

void secret_random(void *p, size_t len)
{
        uint8_t *at = p;
        while (len) {
                ssize_t n = getrandom(at, len, 0);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        abort();
                at += n;
                len -= (size_t)n;
        }
}

int secret_equal(const void *a, const void *b, size_t len)
{
        const volatile uint8_t *x = a, *y = b;
        unsigned difference = 0;
        for (size_t i = 0; i < len; i++)
                difference |= (unsigned)(x[i] ^ y[i]);
        return difference == 0;
}

/* ---- areas ---- */

/* Children must not have it at all: a shared mapping cannot be wiped for them. */
static int map_area(int fd, size_t size, void **ret, struct err *e)
{
        void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
                return err_errno(e, ERR_RESOURCES, errno, "map %zu bytes for secrets", size);
        const char *what = NULL;
        if (syscall(SYS_mlock2, p, size, MLOCK_ONFAULT) < 0)
                what = "lock memory for secrets (raise RLIMIT_MEMLOCK)";
        else if (madvise(p, size, MADV_DONTDUMP) < 0)
                what = "keep secrets out of core dumps";
        else if (madvise(p, size, MADV_DONTFORK) < 0)
                what = "keep secrets out of child processes";
        else if (fcntl(fd, F_ADD_SEALS, AREA_SEALS) < 0)
                what = "seal the memory file of secrets";
        if (what) {
                int errnum = errno;
                munmap(p, size);
                return err_errno(e, ERR_RESOURCES, errnum, "%s", what);
        }
        *ret = p;
        return 0;
}

int secret_area_take(int fd, struct secret_area *ret, struct err *e)
{
        struct stat st;
        void *data = NULL;
        if (fcntl(fd, F_GET_SEALS) != 0 || fstat(fd, &st) < 0 || st.st_size <= 0)
                return err_set(e, ERR_PROTOCOL, "descriptor %d is no unsealed memory file with a size", fd);
        int r = map_area(fd, (size_t)st.st_size, &data, e);
        if (r == 0)
                *ret = (struct secret_area){.data = data, .size = (size_t)st.st_size, .fd = fd};
        return r;
}

int secret_area_new(const char *name, size_t size, struct secret_area *ret, struct err *e)
{
        AUTO(auto_close) int fd = -1;
        int r = fd_memfd(name, &fd, e);
        if (r == 0 && ftruncate(fd, (off_t)size) < 0)
                r = err_errno(e, ERR_RESOURCES, errno, "make a memory file of %zu bytes", size);
        if (r == 0)
                r = secret_area_take(fd, ret, e);
        if (r == 0)
                (void)TAKE_FD(fd);
        return r;
}

void secret_area_done(struct secret_area *a)
{
        if (a->data) {
                secret_wipe(a->data, a->size);
                munmap(a->data, a->size);
        }
        fd_close(a->fd);
        *a = (struct secret_area)SECRET_AREA_INIT;
}

int secret_view_open(int fd, size_t max, struct secret_view *ret, struct err *e)
{
        struct stat st;
        int seals = fcntl(fd, F_GET_SEALS);
        if (seals < 0 || (seals & AREA_SEALS) != AREA_SEALS)
                return err_set(e, ERR_PROTOCOL, "the memory file of secrets is not sealed");
        if (fstat(fd, &st) < 0 || st.st_size <= 0 || (uint64_t)st.st_size > max)
                return err_set(e, ERR_PROTOCOL, "the memory file of secrets: expected 1 to %zu bytes", max);
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
                return err_errno(e, ERR_RESOURCES, errno, "map the memory file of secrets");
        if (madvise(p, (size_t)st.st_size, MADV_DONTDUMP) < 0 || madvise(p, (size_t)st.st_size, MADV_DONTFORK) < 0) {
                int errnum = errno;
                munmap(p, (size_t)st.st_size);
                return err_errno(e, ERR_RESOURCES, errnum, "keep secrets out of core dumps and child processes");
        }
        *ret = (struct secret_view){.data = p, .size = (size_t)st.st_size};
        return 0;
}

void secret_view_done(struct secret_view *v)
{
        if (v->data)
                munmap((void *)(uintptr_t)v->data, v->size);
        *v = (struct secret_view){0};
}
