/* In devdep-jail's place beside test-intruder: executes the real devdep-jail, two folders up, with `intruder` as the
 * VMM. Its arguments are the words of /tmp/devdep-intruder.PARENT, because neither environment nor arguments of the
 * starter reach this far. Descriptors stay as they are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_ARGS 64

int main(int argc, char **argv)
{
        static char folder[4096], real[8192], intruder[8192], words[4096], path[64];
        static char *args[MAX_ARGS];
        ssize_t n = readlink("/proc/self/exe", folder, sizeof(folder) - 1);
        FILE *f;
        int k = 0;

        if (n < 0)
                return 120;
        *strrchr(folder, '/') = '\0';
        snprintf(real, sizeof(real), "%s/../../devdep-jail", folder);
        snprintf(intruder, sizeof(intruder), "%s/intruder", folder);
        snprintf(path, sizeof(path), "/tmp/devdep-intruder.%d", (int)getppid());
        f = fopen(path, "re");
        if (!f || !fgets(words, sizeof(words), f))
                return 121;
        fclose(f);
        for (int i = 0; i < argc && k < MAX_ARGS - 8; i++) {
                args[k++] = argv[i];
                if (strcmp(argv[i], "--") == 0)
                        break;
        }
        args[k++] = intruder;
        for (char *w = strtok(words, " \n"); w && k < MAX_ARGS - 1; w = strtok(NULL, " \n"))
                args[k++] = w;
        execv(real, args);
        return 122;
}
