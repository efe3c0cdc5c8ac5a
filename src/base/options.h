/* The options of a program that other programs start: each with two words at most, `--help` and `--version` beside
 * them. */
#pragma once

#include <getopt.h>

struct err;

#define OPTIONS_MAX 16 /* of one program, `--help` and `--version` not counted */

struct options_of {
        const char *program, *usage;
        const struct option
                *known; /* getopt_long()'s, up to {0}; `val` is what take() gets: neither 'h', 'v' nor '?' */
        int (*take)(int option, const char *value, void *user, struct err *e);
};
/* 1: help or version was printed, there is nothing else to do. ERR_USAGE: an unknown option, one without its value, or
 * any other argument; and what take() refused. */
int options_read(const struct options_of *p, int argc, char **argv, void *user, struct err *e);
