/* Workflow commands in a job's output: `::error file=a.c,line=3::text` and the older `##[error]text`.
 *
 * One call per line of output, in order; the parser keeps which token has stopped commands. What a command does is the
 * caller's business. Rules as actions/runner has them: blanks before `::` are skipped; nothing else may precede it;
 * names are case-insensitive; only known names are commands, every other line is output; `##[` may stand anywhere in a
 * line. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct err;

#define COMMAND_MAX_LINE ((size_t)1 << 20) /* longer lines are never commands */
#define COMMAND_MAX_TOKEN 1024

enum command_kind {
        COMMAND_NONE, /* an ordinary line */
        COMMAND_ERROR,
        COMMAND_WARNING,
        COMMAND_NOTICE,
        COMMAND_DEBUG,
        COMMAND_GROUP,
        COMMAND_ENDGROUP,
        COMMAND_ADD_MASK,
        COMMAND_STOP,   /* stop-commands::TOKEN, or a refused token: see `problem` */
        COMMAND_RESUME, /* ::TOKEN:: */
        COMMAND_ECHO,   /* value "on" or "off" */
        COMMAND_SAVE_STATE,
        COMMAND_ADD_MATCHER,
        COMMAND_REMOVE_MATCHER,
        COMMAND_ADD_PATH,   /* refused at GitHub: `problem` says what to use */
        COMMAND_SET_ENV,    /* refused at GitHub */
        COMMAND_SET_OUTPUT, /* works, deprecated: `problem` is a warning */
};

enum command_problem { COMMAND_PROBLEM_NONE, COMMAND_PROBLEM_WARNING, COMMAND_PROBLEM_ERROR };

struct command {
        enum command_kind kind;
        /* Unescaped, malloc'd, valid until command_done(); NULL when absent. */
        char *data;
        char *file, *title, *name; /* name: save-state, set-output, set-env; owner of remove-matcher */
        unsigned line, end_line, column, end_column; /* 0 when absent or no number */
        enum command_problem problem;                /* an error fails the step, as at GitHub */
        const char *message;                         /* static: text of the problem */
        bool echo; /* the line itself is shown too (echo is on, or this kind is always shown) */
};

struct command_parser {
        char stop_token[COMMAND_MAX_TOKEN]; /* "" when commands are processed */
        bool echo;
};

void command_parser_init(struct command_parser *p);
/* line without its newline (a trailing CR is ignored). 0 with ret->kind, or negative for no memory. Always
 * command_done() what was filled. */
int command_parse(struct command_parser *p, const char *line, size_t len, struct command *ret, struct err *e);
void command_done(struct command *c);
