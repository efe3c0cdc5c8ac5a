#include "base/program.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

int program_path(const char *name, char **ret, struct err *e)
{
        static const char *const places[] = {"", "../libexec/devdep/"};
        char self[PATH_MAX];
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        if (n < 0)
                return err_errno(e, ERR_RESOURCES, errno, "find out where this program is");
        self[n] = 0;
        char *slash = strrchr(self, '/');
        if (!slash)
                return err_set(e, ERR_RESOURCES, "find out where this program is: '%s' is no path", self);
        slash[1] = 0;
        for (unsigned i = 0; i < 2; i++) {
                AUTO(auto_free) char *path = str_printf("%s%s%s", self, places[i], name);
                if (!path)
                        return err_nomem(e);
                if (access(path, X_OK) == 0) {
                        *ret = TAKE_PTR(path);
                        return 0;
                }
        }
        return err_set(e, ERR_RESOURCES, "the program %s is neither in %s nor in %s../libexec/devdep; install it again",
                       name, self, self);
}
