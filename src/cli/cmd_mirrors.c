/* devdep-cli mirrors: the operator's package mirrors. */
#include <stdio.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/mirrors.h"
#include "cli/output.h"
#include "cli/state.h"
#include "codec/json.h"

static int add_variable(const char *name, const char *value, void *user, struct err *e)
{
        return json_object_set_new(user, name, json_string(value)) < 0 ? err_nomem(e) : 0;
}

static int add_row(const struct mirror *m, const char *ca, json_t *rows, struct err *e)
{
        char url[MIRROR_URL_TEXT], server[MIRROR_SERVER_TEXT];
        const char *kind = mirror_kind_name(m->kind);
        AUTO(json_decrefp) json_t *environment = json_object();
        int r = environment ? mirror_variables(m, add_variable, environment, e) : err_nomem(e);

        if (r < 0)
                return r;
        mirror_url(m, url);
        mirror_server_text(m, server);
        json_t *row = json_pack("{s:s,s:s?,s:s,s:s,s:s?,s:O}", "name", m->name, "kind", *kind ? kind : NULL, "url", url,
                                "server", server, "ca", *ca ? ca : NULL, "environment", environment);
        return json_array_append_new(rows, row) < 0 ? err_nomem(e) : 0;
}

static int print_json(const struct mirrors *x, const char *origin, struct err *e)
{
        AUTO(json_decrefp) json_t *rows = json_array();
        int r = rows ? 0 : err_nomem(e);

        for (size_t i = 0; r == 0 && i < x->n; i++)
                r = add_row(&x->v[i], x->ca[i], rows, e);
        return r < 0 ? r : output_json(json_pack("{s:s?,s:O}", "file", origin, "mirrors", rows), e);
}

static void print_text(const struct mirrors *x, const char *origin)
{
        char url[MIRROR_URL_TEXT], server[MIRROR_SERVER_TEXT];

        if (!origin)
                printf("no mirrors: there is no mirrors.conf; see devdep-mirrors.conf(5)\n");
        for (size_t i = 0; i < x->n; i++) {
                mirror_url(&x->v[i], url);
                mirror_server_text(&x->v[i], server);
                printf("%-6s %s  (%s)\n", mirror_kind_name(x->v[i].kind), url, server);
        }
}

static int run_ls(const struct args *a, struct err *e)
{
        AUTO(auto_free) char *state = NULL, *origin = NULL;
        AUTO(json_decrefp) json_t *policy = json_object(), *authorities = NULL;
        struct mirrors x = {.n = 0};
        int r = policy ? state_path(&state, e) : err_nomem(e);

        if (r == 0)
                r = mirrors_open(state, args_get(a, "mirrors"), &x, &origin, e);
        /* What a run would refuse is refused here, too. */
        if (r == 0)
                r = mirrors_add(&x, policy, &authorities, e);
        if (r < 0)
                return r;
        if (args_has(a, "json"))
                return print_json(&x, origin, e);
        print_text(&x, origin);
        return 0;
}

static const struct command_option ls_options[] = {
        {"json", 0, NULL, "print JSON, with the variables that steps have", false},
        {"mirrors", 0, "FILE", "the file that names them (default: STATE/mirrors.conf)", false},
};

static const struct command command_ls = {
        .name = "ls",
        .summary = "List the mirrors: their URLs in every guest, and the servers behind them",
        .options = ls_options,
        .n_options = ARRAY_SIZE(ls_options),
        .examples = "  devdep-cli mirrors ls\n  devdep-cli mirrors ls --json | jq '.mirrors[].environment'\n",
        .run = run_ls,
};

static const struct command *const mirrors_commands[] = {&command_ls, NULL};

const struct command command_mirrors = {
        .name = "mirrors",
        .summary = "Show the package mirrors that every guest reaches by name",
        .sub = mirrors_commands,
};
