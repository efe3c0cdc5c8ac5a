/* Parses workflow files, or with -a action files, and prints their problems: one line "FILE:LINE:COLUMN: MESSAGE" each.
 * The counterpart of check.mjs. With -r rendered; with -c the files that they call are looked for in the current
 * folder. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "codec/diag.h"
#include "workflow/action.h"
#include "workflow/library.h"
#include "workflow/plan.h"

static int read_file(const char *path, struct buf *ret)
{
        char chunk[4096];
        FILE *f = fopen(path, "rb");
        if (!f)
                return -1;
        for (size_t n; (n = fread(chunk, 1, sizeof(chunk), f)) > 0;)
                buf_append(ret, chunk, n, NULL);
        fclose(f);
        return 0;
}

static int read_called(void *user, const char *path, struct buf *ret, struct err *e)
{
        (void)user, (void)e;
        return read_file(path, ret) < 0 ? LIBRARY_E_MISSING : 0;
}

static int check_calls(const struct workflow *w, const struct buf *text, struct diag_list *problems, struct err *e)
{
        AUTO(library_freep) struct library *library = NULL;
        const struct library_source source = {read_called, NULL};
        int r = library_new(&source, &library, e);
        const struct plan_options o = {.library = library, .source = (const char *)text->data, .len = text->len};
        return r < 0 ? r : plan_warn(w, &o, problems, e);
}

static int parse(const char *path, const struct buf *text, char mode, struct diag_list *problems, struct err *e)
{
        AUTO(workflow_freep) struct workflow *w = NULL;
        AUTO(action_freep) struct action *a = NULL;
        if (mode == 'a')
                return action_parse(path, text->data, text->len, problems, &a, e);
        int r = workflow_parse(path, text->data, text->len, problems, &w, e);
        return r == 0 && mode == 'c' ? check_calls(w, text, problems, e) : r;
}

static int check(const char *path, char mode)
{
        const bool rendered = mode == 'r';
        struct buf text = BUF_INIT, out = BUF_INIT;
        struct err e = ERR_INIT;
        AUTO(diag_freep) struct diag_list *problems = NULL;
        if (read_file(path, &text) < 0 || diag_new(path, &problems, &e) < 0)
                return 1;
        if (parse(path, &text, mode, problems, &e) < 0)
                printf("%s: %s\n", path, e.msg);
        if (rendered && diag_render(problems, (const char *)text.data, text.len, &out, &e) == 0 && out.len)
                fwrite(out.data, 1, out.len, stdout);
        for (size_t i = 0; !rendered && i < diag_count(problems); i++) {
                const struct diag *d = diag_at(problems, i);
                if (d->severity == DIAG_ERROR)
                        printf("%s:%u:%u: %s\n", path, d->line, d->column, d->message);
        }
        if (!rendered && !diag_errors(problems))
                printf("%s: ok\n", path);
        buf_done(&text);
        buf_done(&out);
        return 0;
}

int main(int argc, char **argv)
{
        const char mode = argc > 1 && argv[1][0] == '-' ? argv[1][1] : '\0';
        for (int i = mode ? 2 : 1; i < argc; i++)
                if (check(argv[i], mode))
                        return 1;
        return 0;
}
