#include "base/options.h"

#include <assert.h>
#include <stdio.h>

#include "base/err.h"

static const struct option common[] = {{"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'v'}, {0}};

/* The program's own and the common ones, with the {0} at their end. */
static void collect(const struct option *known, struct option *ret)
{
        size_t n = 0;

        for (; known[n].name; n++) {
                assert(n < OPTIONS_MAX);
                ret[n] = known[n];
        }
        for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
                ret[n++] = common[i];
}

int options_read(const struct options_of *p, int argc, char **argv, void *user, struct err *e)
{
        struct option all[OPTIONS_MAX + sizeof(common) / sizeof(common[0])];
        int c, r = 0;

        collect(p->known, all);
        opterr = 0;
        while (r == 0 && (c = getopt_long(argc, argv, "h", all, NULL)) != -1) {
                if (c == 'h')
                        return fputs(p->usage, stdout) < 0 ? -1 : 1;
                if (c == 'v')
                        return printf("%s %s\n", p->program, DEVDEP_VERSION) < 0 ? -1 : 1;
                r = c == '?' ? err_set(e, ERR_USAGE, "unknown or incomplete option '%s'; see --help", argv[optind - 1])
                             : p->take(c, optarg, user, e);
        }
        if (r == 0 && optind < argc)
                return err_set(e, ERR_USAGE, "unexpected argument '%s'; see --help", argv[optind]);
        return r;
}
