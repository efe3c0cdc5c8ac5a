/* devdep-cli: what people type. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "cli/command.h"

int main(int argc, char **argv)
{
        struct err e = ERR_INIT;

        log_init("devdep-cli", LOG_INFO);
        /* Where our caller ignored it, the kernel would reap our children before we ask how they ended. */
        signal(SIGCHLD, SIG_DFL);
        if (argc == 2 && strcmp(argv[1], "--version") == 0) {
                puts("devdep-cli " DEVDEP_VERSION);
                return 0;
        }
        int status = command_main(&command_root, argc, argv, &e);
        return status < 0 ? log_final(&e) : status;
}
