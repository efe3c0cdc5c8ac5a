#include "base/log.h"

#include "base/err.h"
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_LOG_TEXT 4096 /* bytes of a line; longer text is cut with "..." */

static const char *const level_names[] = {"debug", "info", "warning", "error"};
static const char *program_name = "devdep";
static enum log_level least_level = LOG_INFO;

void log_init(const char *program, enum log_level least)
{
        program_name = program;
        least_level = least;
        const char *wanted = getenv("DEVDEP_LOG");
        for (unsigned i = 0; wanted && i < 4; i++)
                if (str_eq(wanted, level_names[i]))
                        least_level = (enum log_level)i;
}

/* One write(2) per line, so that lines of several processes on one descriptor do not mix. */
static void write_line(const char *head, const char *text)
{
        char line[MAX_LOG_TEXT];
        size_t n = 0, room = sizeof(line) - 5;
        if (!str_copy(line, room, head))
                room = strlen(line) + 1;
        n = strlen(line);
        size_t left = str_escape(line + n, room - n, text, strlen(text));
        n += strlen(line + n);
        if (left)
                n = (size_t)(stpcpy(line + n, "...") - line);
        line[n++] = '\n';
        /* A diagnostic that cannot be written has nowhere to be reported. */
        ssize_t ignored = write(STDERR_FILENO, line, n);
        (void)ignored;
}

void log_at(enum log_level level, const char *fmt, ...)
{
        if (level < least_level)
                return;
        char head[128], text[MAX_LOG_TEXT];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        snprintf(head, sizeof(head), "%s: %s: ", program_name, level_names[level]);
        write_line(head, text);
}

int log_final(const struct err *e)
{
        const struct err_info *info = err_info(e->code);
        char head[128];
        snprintf(head, sizeof(head), "devdep: error %d %s: ", (int)e->code, info->name);
        write_line(head, e->msg[0] ? e->msg : info->meaning);
        return info->status;
}
