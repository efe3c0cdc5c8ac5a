#include "cli/command.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"

#define MAX_ARGUMENTS 4096

/* What the parser fills; struct args shows it read-only. */
struct parse {
        const struct command *command;
        char path[256];
        const char *positional[MAX_ARGUMENTS];
        size_t n_positional;
        unsigned given[MAX_ARGUMENTS];
        const char *values[MAX_ARGUMENTS];
        size_t n_given;
        bool help;
};

static unsigned option_index(const struct command *c, const char *name)
{
        unsigned i = 0;

        while (i < c->n_options && strcmp(c->options[i].name, name) != 0)
                i++;
        return i;
}

const char *args_get_nth(const struct args *a, const char *option, size_t n)
{
        unsigned index = option_index(a->command, option);

        assert(index < a->command->n_options);
        for (size_t i = 0; i < a->n_given; i++)
                if (a->given[i] == index && n-- == 0)
                        return a->values[i];
        return NULL;
}

const char *args_get(const struct args *a, const char *option)
{
        const char *last = NULL;

        for (size_t i = 0;; i++) {
                const char *value = args_get_nth(a, option, i);
                if (!value)
                        return last;
                last = value;
        }
}

bool args_has(const struct args *a, const char *option)
{
        return args_get_nth(a, option, 0) != NULL;
}

static void print_option(const struct command_option *o)
{
        char left[64];

        snprintf(left, sizeof(left), "%s%c%s--%s%s%s", o->letter ? "-" : " ", o->letter ? o->letter : ' ',
                 o->letter ? ", " : "  ", o->name, o->value ? " " : "", o->value ? o->value : "");
        printf("  %-28s %s\n", left, o->help);
}

static void print_commands(const struct command *c)
{
        puts("\nCommands:");
        for (const struct command *const *sub = c->sub; *sub; sub++)
                printf("  %-12s %s\n", (*sub)->name, (*sub)->summary);
        puts("\nEvery command has --help.");
}

/* The help text of one command, on standard output. */
static void print_help(const struct command *c, const char *path)
{
        printf("%s\n\nUsage: %s%s%s%s\n", c->summary, path, c->sub ? " COMMAND" : " [OPTIONS]",
               c->positional ? " " : "", c->positional ? c->positional : "");
        if (c->details)
                printf("\n%s\n", c->details);
        if (c->sub)
                print_commands(c);
        if (!c->sub) {
                puts("\nOptions:");
                for (unsigned i = 0; i < c->n_options; i++)
                        print_option(&c->options[i]);
                printf("  %-28s %s\n", "-h, --help", "show this text");
        }
        if (c->examples)
                printf("\nExamples:\n%s", c->examples);
}

static int unknown_option(const struct parse *p, const char *text, struct err *e)
{
        const char *names[64];
        size_t n = 0;

        for (; n < p->command->n_options && n < ARRAY_SIZE(names); n++)
                names[n] = p->command->options[n].name;
        const char *nearest = strncmp(text, "--", 2) == 0 ? str_nearest(text + 2, names, n) : NULL;
        if (nearest)
                return err_set(e, ERR_USAGE, "%s: unknown option '%s'; did you mean '--%s'?", p->path, text, nearest);
        return err_set(e, ERR_USAGE, "%s: unknown option '%s'; see '%s --help'", p->path, text, p->path);
}

static int add_option(struct parse *p, unsigned index, const char *value, struct err *e)
{
        const struct command_option *o = &p->command->options[index];

        for (size_t i = 0; i < p->n_given && !o->repeats; i++)
                if (p->given[i] == index)
                        return err_set(e, ERR_USAGE, "%s: --%s was given twice", p->path, o->name);
        p->given[p->n_given] = index;
        p->values[p->n_given++] = value;
        return 0;
}

/* An option with its value behind '=' or in the next argument: *i moves on when the next one is taken. */
static int take_value(struct parse *p, unsigned index, const char *attached, int argc, char **argv, int *i,
                      struct err *e)
{
        const struct command_option *o = &p->command->options[index];

        if (!o->value && attached)
                return err_set(e, ERR_USAGE, "%s: --%s takes no value", p->path, o->name);
        if (!o->value || attached)
                return add_option(p, index, attached ? attached : "", e);
        if (*i + 1 >= argc)
                return err_set(e, ERR_USAGE, "%s: --%s needs a value: %s", p->path, o->name, o->value);
        return add_option(p, index, argv[++*i], e);
}

static int parse_long(struct parse *p, int argc, char **argv, int *i, struct err *e)
{
        const char *name = argv[*i] + 2, *equals = strchr(name, '=');
        size_t len = equals ? (size_t)(equals - name) : strlen(name);
        unsigned index = 0;

        if (strcmp(name, "help") == 0) {
                p->help = true;
                return 0;
        }
        while (index < p->command->n_options && (strlen(p->command->options[index].name) != len ||
                                                 strncmp(p->command->options[index].name, name, len) != 0))
                index++;
        if (index == p->command->n_options)
                return unknown_option(p, argv[*i], e);
        return take_value(p, index, equals ? equals + 1 : NULL, argc, argv, i, e);
}

/* A group of letters; the first that takes a value takes the rest of the word. */
static int parse_letters(struct parse *p, int argc, char **argv, int *i, struct err *e)
{
        for (const char *c = argv[*i] + 1; *c; c++) {
                unsigned index = 0;

                if (*c == 'h') {
                        p->help = true;
                        continue;
                }
                while (index < p->command->n_options && p->command->options[index].letter != *c)
                        index++;
                if (index == p->command->n_options)
                        return unknown_option(p, argv[*i], e);
                if (p->command->options[index].value)
                        return take_value(p, index, c[1] ? c + 1 : NULL, argc, argv, i, e);
                int r = add_option(p, index, "", e);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int unknown_command(const struct parse *p, const char *text, struct err *e)
{
        const char *names[64];
        size_t n = 0;

        while (p->command->sub[n] && n < ARRAY_SIZE(names)) {
                names[n] = p->command->sub[n]->name;
                n++;
        }
        const char *nearest = str_nearest(text, names, n);
        if (nearest)
                return err_set(e, ERR_USAGE, "%s: unknown command '%s'; did you mean '%s'?", p->path, text, nearest);
        return err_set(e, ERR_USAGE, "%s: unknown command '%s'; see '%s --help'", p->path, text, p->path);
}

/* Step into sub-commands while there are any. Sets p->help where the words ask for it. */
static int find_command(struct parse *p, int argc, char **argv, int *i, struct err *e)
{
        while (p->command->sub && *i < argc) {
                const char *word = argv[*i];
                const struct command *const *sub = p->command->sub;

                if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
                        p->help = true;
                        return 0;
                }
                while (*sub && strcmp((*sub)->name, word) != 0)
                        sub++;
                if (!*sub)
                        return unknown_command(p, word, e);
                p->command = *sub;
                size_t used = strlen(p->path);
                snprintf(p->path + used, sizeof(p->path) - used, " %s", word);
                (*i)++;
        }
        if (p->command->sub)
                return err_set(e, ERR_USAGE, "%s: no command given; see '%s --help'", p->path, p->path);
        return 0;
}

static int parse_words(struct parse *p, int argc, char **argv, int i, struct err *e)
{
        bool options = true;
        int r = 0;

        for (; i < argc && r == 0; i++) {
                const char *word = argv[i];

                if (options && strcmp(word, "--") == 0)
                        options = false;
                else if (options && strncmp(word, "--", 2) == 0)
                        r = parse_long(p, argc, argv, &i, e);
                else if (options && word[0] == '-' && word[1])
                        r = parse_letters(p, argc, argv, &i, e);
                else
                        p->positional[p->n_positional++] = word;
        }
        if (r < 0 || p->help)
                return r;
        if (p->n_positional < p->command->min_args)
                return err_set(e, ERR_USAGE, "%s: expected %s; see '%s --help'", p->path, p->command->positional,
                               p->path);
        if (p->n_positional > p->command->max_args)
                return err_set(e, ERR_USAGE, "%s: unexpected argument '%s'; see '%s --help'", p->path,
                               p->positional[p->command->max_args], p->path);
        return 0;
}

int command_main(const struct command *root, int argc, char **argv, struct err *e)
{
        AUTO(auto_free) struct parse *p = calloc(1, sizeof(*p));
        int i = 1, r;

        if (!p)
                return err_nomem(e);
        if (argc > MAX_ARGUMENTS)
                return err_set(e, ERR_USAGE, "more than %d arguments", MAX_ARGUMENTS);
        p->command = root;
        str_copy(p->path, sizeof(p->path), root->name);
        r = find_command(p, argc, argv, &i, e);
        if (r < 0)
                return r;
        if (!p->help)
                r = parse_words(p, argc, argv, i, e);
        if (r < 0)
                return r;
        if (p->help) {
                print_help(p->command, p->path);
                return 0;
        }
        struct args a = {p->command, p->path, p->positional, p->n_positional, p->given, p->values, p->n_given};
        return p->command->run(&a, e);
}
