#include "job/shell.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/num.h"

#define PLACE "{0}"

/* argv of a known shell, the script's place as {0}. */
struct known {
        const char *name, *extension;
        const char *const *args; /* behind the program, NULL-terminated */
};

static const char *const bash_args[] = {"--noprofile", "--norc", "-eo", "pipefail", PLACE, NULL};
static const char *const e_args[] = {"-e", PLACE, NULL};
static const char *const plain_args[] = {PLACE, NULL};
static const char *const pwsh_args[] = {"-command", ". '" PLACE "'", NULL};

static const struct known known[] = {
        {"bash", ".sh", bash_args},
        {"sh", ".sh", e_args},
        {"python", ".py", plain_args},
        {"pwsh", ".ps1", pwsh_args},
};

static const struct known *find(const char *shell)
{
        for (size_t i = 0; i < ARRAY_SIZE(known); i++)
                if (str_ieq(known[i].name, shell))
                        return &known[i];
        return NULL;
}

const char *shell_extension(const char *shell)
{
        const struct known *k = shell ? find(shell) : find("sh");
        return k ? k->extension : "";
}

/* One word of a template with every {0} replaced. */
static int add_word(struct strv *ret, const char *word, const char *script, struct err *e)
{
        struct buf b = BUF_INIT;
        int r = 0;
        for (const char *at; r == 0 && (at = strstr(word, PLACE)); word = at + strlen(PLACE)) {
                r = buf_append(&b, word, (size_t)(at - word), e);
                if (r == 0)
                        r = buf_append_str(&b, script, e);
        }
        if (r == 0)
                r = buf_append_str(&b, word, e);
        const char *text = r == 0 ? buf_cstr(&b) : NULL;
        if (text)
                r = strv_add(ret, text, e);
        else if (r == 0)
                r = err_nomem(e);
        buf_done(&b);
        return r;
}

static int add_known(struct strv *ret, const char *program, const char *const *args, const char *script, struct err *e)
{
        int r = strv_add(ret, program, e);
        for (; r == 0 && *args; args++)
                r = add_word(ret, *args, script, e);
        return r;
}

/* The next word of a template: blanks separate, double and single quotes hold together. *at moves behind it. */
static int next_word(const char **at, struct buf *ret, struct err *e)
{
        char quote = 0;
        int r = 0;
        while (r == 0 && **at && (quote || (**at != ' ' && **at != '\t' && **at != '\n'))) {
                char c = *(*at)++;
                if (c == quote)
                        quote = 0;
                else if (!quote && (c == '"' || c == '\''))
                        quote = c;
                else
                        r = buf_append_byte(ret, (uint8_t)c, e);
        }
        if (r == 0 && quote)
                return err_set(e, ERR_RUN_FAILED, "shell: a quote is not closed");
        return r;
}

/* A name without a slash is looked up in the PATH of the step, which `env` does in the guest. */
static int add_template(struct strv *ret, const char *shell, const char *script, struct err *e)
{
        int r = 0;
        for (const char *at = shell + strspn(shell, " \t\n"); r == 0 && *at; at += strspn(at, " \t\n")) {
                struct buf word = BUF_INIT;
                r = next_word(&at, &word, e);
                const char *text = r == 0 ? buf_cstr(&word) : NULL;
                if (r == 0 && !text)
                        r = err_nomem(e);
                if (r == 0 && ret->n == 0 && !strchr(text, '/'))
                        r = strv_add(ret, "/usr/bin/env", e);
                if (r == 0)
                        r = add_word(ret, text, script, e);
                if (r == 0 && ret->n > SHELL_MAX_ARGS)
                        r = err_set(e, ERR_RUN_FAILED, "shell: at most %u words", SHELL_MAX_ARGS);
                buf_done(&word);
        }
        return r;
}

static const char *program_of(const struct shell_programs *p, const char *name)
{
        if (strcmp(name, "bash") == 0)
                return p->bash;
        if (strcmp(name, "sh") == 0)
                return p->sh;
        if (strcmp(name, "pwsh") == 0)
                return p->pwsh;
        return p->python ? p->python : p->python3;
}

static int shell_default(const struct shell_programs *p, const char *script, struct strv *ret, struct err *e)
{
        const char *program = p->bash ? p->bash : p->sh;
        if (!program)
                return err_set(e, ERR_RUN_FAILED, "the image has neither bash nor sh");
        return add_known(ret, program, e_args, script, e);
}

int shell_command(const char *shell, const struct shell_programs *p, const char *script, struct strv *ret,
                  struct err *e)
{
        const struct known *k = shell ? find(shell) : NULL;
        if (!shell)
                return shell_default(p, script, ret, e);
        if (k) {
                const char *program = program_of(p, k->name);
                if (!program)
                        return err_set(e, ERR_RUN_FAILED, "shell: the image has no %s", k->name);
                return add_known(ret, program, k->args, script, e);
        }
        if (!strstr(shell, PLACE))
                return err_set(
                        e, ERR_RUN_FAILED,
                        "shell: expected bash, sh, python, pwsh or a command with {0} for the script, found '%s'",
                        shell);
        return add_template(ret, shell, script, e);
}
