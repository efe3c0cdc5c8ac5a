/* Diagnostics of our own programs, on standard error, one line each: "devdep-job: warning: text".
 * Control characters in the text are written escaped, so a foreign name cannot forge a line. Never for output of jobs,
 * never for secrets. */
#pragma once

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

struct err;

void log_init(const char *program, enum log_level least); /* DEVDEP_LOG=debug|info|warning|error overrides */
void log_at(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_warning(...) log_at(LOG_WARNING, __VA_ARGS__)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
/* The last line of a failed program: "devdep: error 401 ERR_EGRESS_VIOLATION: message". Returns the process status. */
int log_final(const struct err *e);
