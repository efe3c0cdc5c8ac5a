/* Completions are made from the command table, so that they cannot lag behind it. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cli/command.h"

/* The words that may follow: sub-commands, or options. */
static void print_words(const struct command *c)
{
        if (c->sub)
                for (const struct command *const *sub = c->sub; *sub; sub++)
                        printf("%s ", (*sub)->name);
        for (unsigned i = 0; i < c->n_options; i++)
                printf("--%s ", c->options[i].name);
        printf("--help");
}

/* One `case` arm per command: "run)", "image build)". */
static void print_bash_arms(const struct command *c, const char *path)
{
        printf("        '%s') words='", path);
        print_words(c);
        puts("' ;;");
        for (const struct command *const *sub = c->sub; sub && *sub; sub++) {
                char name[128];

                snprintf(name, sizeof(name), "%s%s%s", path, *path ? " " : "", (*sub)->name);
                print_bash_arms(*sub, name);
        }
}

/* Commands that have commands of their own. */
static void print_bash_groups(void)
{
        for (const struct command *const *sub = command_root.sub; *sub; sub++)
                if ((*sub)->sub)
                        printf(" '%s '*) path=\"%s $word\" ;;", (*sub)->name, (*sub)->name);
}

static void print_bash(void)
{
        puts("# bash completion of devdep-cli, made by: devdep-cli completion bash\n"
             "_devdep_cli() {\n"
             "    local path='' words='' word i\n"
             "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
             "        word=${COMP_WORDS[i]}\n"
             "        case $word in -*) break ;; esac\n"
             "        case \"$path $word\" in ' '*) path=$word ;;");
        print_bash_groups();
        puts(" esac\n"
             "    done\n"
             "    case $path in");
        print_bash_arms(&command_root, "");
        puts("    esac\n"
             "    COMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
             "    [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
             "}\n"
             "complete -o filenames -F _devdep_cli devdep-cli");
}

static void print_quoted(const char *text)
{
        for (; *text; text++)
                if (*text == '\'')
                        fputs("'\\''", stdout);
                else
                        putchar(*text);
}

static void print_fish_command(const struct command *c, const char *parent)
{
        for (const struct command *const *sub = c->sub; sub && *sub; sub++) {
                if (*parent)
                        printf("complete -c devdep-cli -f -n '__fish_seen_subcommand_from %s' -a %s -d '", parent,
                               (*sub)->name);
                else
                        printf("complete -c devdep-cli -f -n __fish_use_subcommand -a %s -d '", (*sub)->name);
                print_quoted((*sub)->summary);
                puts("'");
                print_fish_command(*sub, (*sub)->name);
        }
        for (unsigned i = 0; i < c->n_options; i++) {
                const struct command_option *o = &c->options[i];

                printf("complete -c devdep-cli -n '__fish_seen_subcommand_from %s' -l %s", parent, o->name);
                if (o->letter)
                        printf(" -s %c", o->letter);
                printf("%s -d '", o->value ? " -r" : "");
                print_quoted(o->help);
                puts("'");
        }
}

static int run_completion(const struct args *a, struct err *e)
{
        const char *shell = a->positional[0];

        if (strcmp(shell, "bash") == 0) {
                print_bash();
        } else if (strcmp(shell, "zsh") == 0) {
                puts("#compdef devdep-cli\nautoload -U +X bashcompinit && bashcompinit");
                print_bash();
        } else if (strcmp(shell, "fish") == 0) {
                print_fish_command(&command_root, "");
        } else {
                return err_set(e, ERR_USAGE, "%s: unknown shell '%s'; known are bash, zsh and fish", a->path, shell);
        }
        return 0;
}

const struct command command_completion = {
        .name = "completion",
        .summary = "Print the completion script of a shell",
        .positional = "bash|zsh|fish",
        .min_args = 1,
        .max_args = 1,
        .examples = "  devdep-cli completion bash > /etc/bash_completion.d/devdep-cli\n",
        .run = run_completion,
};
