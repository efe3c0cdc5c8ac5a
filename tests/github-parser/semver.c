/* Lines "VERSION<tab>RANGE" in; out: "invalid version", "invalid range", "yes" or "no". The counterpart of semver.mjs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workflow/semver.h"

int main(void)
{
        char *line = NULL;
        size_t cap = 0;
        while (getline(&line, &cap, stdin) > 0) {
                struct semver v;
                line[strcspn(line, "\n")] = '\0';
                char *tab = strchr(line, '\t');
                if (!tab)
                        return 1;
                *tab = '\0';
                puts(!semver_parse(line, &v)           ? "invalid version"
                     : !semver_range_is_valid(tab + 1) ? "invalid range"
                     : semver_satisfies(&v, tab + 1)   ? "yes"
                                                       : "no");
        }
        free(line);
        return 0;
}
