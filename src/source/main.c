/* devdep-source: git on the host, in a jail, for one job. Started by source_start() only; man/devdep-source.8. */
#include "base/err.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "source/mirror.h"
#include "source/repo.h"
#include "source/server.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
        "usage: devdep-source --own FOLDER [--gitdir PATH --common PATH [--top PATH] --host-gitdir PATH --host-common "
        "PATH [--host-top PATH] [--back-link]] [--mirror PATH --host-mirror PATH]\n"
        "Serves docs/protocol-source.md on descriptor 3, with the mirror's pins on descriptor 4. Started by "
        "devdep-cli, "
        "in a jail.\n";

#define SOCKET_FD 3
#define PINS_FD 4

struct option {
        const char *name;
        const char **value;
};

static int take_option(const struct option *options, size_t n, char **argv, int *i, struct err *e)
{
        for (size_t k = 0; k < n; k++) {
                if (!str_eq(argv[*i], options[k].name))
                        continue;
                if (!argv[*i + 1])
                        return err_set(e, ERR_USAGE, "%s: expected a path after it", argv[*i]);
                *options[k].value = argv[++*i];
                return 0;
        }
        return err_set(e, ERR_USAGE, "unknown argument '%s'", argv[*i]);
}

static int check(const struct server_config *c, const struct repo_view *v, const struct mirror_config *m, struct err *e)
{
        bool any = v->gitdir || v->common || v->host_gitdir || v->host_common || v->top || v->host_top;
        bool whole = v->gitdir && v->common && v->host_gitdir && v->host_common && !v->top == !v->host_top;
        if (c->own && (any ? whole : m->folder != NULL) && !m->folder == !m->host_folder)
                return 0;
        return err_set(e, ERR_USAGE, "a path is missing; devdep-source is started by devdep-cli");
}

static int parse(char **argv, struct server_config *c, struct repo_view *v, struct mirror_config *m, struct err *e)
{
        const struct option options[] = {
                {"--own", &c->own},
                {"--top", &v->top},
                {"--gitdir", &v->gitdir},
                {"--common", &v->common},
                {"--host-top", &v->host_top},
                {"--host-gitdir", &v->host_gitdir},
                {"--host-common", &v->host_common},
                {"--mirror", &m->folder},
                {"--host-mirror", &m->host_folder},
        };
        for (int i = 1; argv[i]; i++) {
                if (str_eq(argv[i], "--back-link")) {
                        c->need_back_link = 1;
                        continue;
                }
                int r = take_option(options, ARRAY_SIZE(options), argv, &i, e);
                if (r < 0)
                        return r;
        }
        c->view = v->gitdir ? v : NULL;
        c->mirror = m->folder ? m : NULL;
        m->own = c->own;
        return check(c, v, m, e);
}

int main(int argc, char **argv)
{
        struct repo_view view = {0};
        struct mirror_config mirror = {.pins_fd = PINS_FD, .peer_fd = SOCKET_FD};
        struct server_config config = {.fd = SOCKET_FD};
        struct err e = ERR_INIT;
        log_init("devdep-source", LOG_WARNING);
        if (argc == 2 && str_eq(argv[1], "--help"))
                return fputs(usage, stdout) < 0;
        if (argc == 2 && str_eq(argv[1], "--version"))
                return puts("devdep-source " DEVDEP_VERSION) < 0;
        signal(SIGPIPE, SIG_IGN);
        int r = parse(argv, &config, &view, &mirror, &e);
        if (r == 0)
                r = server_run(&config, &e);
        /* A client that goes away in the middle knows why. */
        if (r < 0 && e.code == ERR_CANCELLED)
                return err_info(e.code)->status;
        return r < 0 ? log_final(&e) : 0;
}
