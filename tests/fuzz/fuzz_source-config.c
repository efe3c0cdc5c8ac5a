/* The listed configuration of a repository; a URL that is taken over names no remote helper ("NAME::ADDRESS") and holds
 * no byte that would need quoting. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "source/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct repo_config c;
        struct err e = ERR_INIT;
        if (repo_config_parse(data, size, &c, &e) == 0 && c.remote_url) {
                const char *after_name = c.remote_url;
                while ((*after_name >= 'a' && *after_name <= 'z') || (*after_name >= '0' && *after_name <= '9'))
                        after_name++;
                assert(strncmp(after_name, "::", 2) != 0 && c.remote_url[0] != '-');
                assert(!strpbrk(c.remote_url, "\n\"\\;#$`? "));
        }
        repo_config_done(&c);
        return 0;
}
