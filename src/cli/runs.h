/* Names of runs as people type them. */
#pragma once

#include <stdint.h>

struct err;

/* "12" or "12/build": *ret_job points behind the slash, or is NULL. */
int runs_parse_name(const char *text, uint64_t *ret, const char **ret_job, struct err *e);
/* ERR_USAGE: there is no such run. */
int runs_missing(uint64_t number, struct err *e);
