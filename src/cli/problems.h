/* Problems of workflow files, for the commands that print them. */
#pragma once

#include <stddef.h>

struct buf;
struct diag_list;
struct err;
struct json_t;

/* A file that is to be checked, one byte more than the limit at most: what is too long is a problem with a place. "-"
 * is standard input. */
int problems_read(const char *path, struct buf *ret, struct err *e);
int problems_read_fd(int fd, const char *path, struct buf *ret, struct err *e);
/* To standard error, with the lines of the source that they are about. */
int problems_report(const struct diag_list *problems, const char *source, size_t len, struct err *e);
/* A JSON array of {"file", "severity", "line", "column", "width", "message", "hint", "called_from"}; NULL: no memory.
 */
struct json_t *problems_json(const struct diag_list *problems);
