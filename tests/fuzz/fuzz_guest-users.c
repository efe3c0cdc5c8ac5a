/* /etc/passwd and /etc/group as a job may leave them: name, NUL, passwd, NUL, group. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "guest/users.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct err e = ERR_INIT;
        struct user u;
        char *text = calloc(1, size + 3); /* three NULs at the end: three texts whatever the input */
        if (!text)
                return 0;
        if (size)
                memcpy(text, data, size);
        const char *passwd = text + strlen(text) + 1;
        const char *group = passwd + strlen(passwd) + 1;
        if (users_find(passwd, group, text, &u, &e) == 0 && (u.n_groups < 1 || u.n_groups > USERS_MAX_GROUPS))
                abort();
        free(text);
        return 0;
}
