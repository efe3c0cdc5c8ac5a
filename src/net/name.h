/* Names of hosts, as the egress policy compares them. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct err;

#define NAME_MAX_LENGTH 253u /* bytes, without the final dot */
#define NAME_MAX_LABEL 63u
#define NAME_TEXT (NAME_MAX_LENGTH + 1)

/* Lower case, without the final dot, into ret: labels of 1 to 63 of [a-z0-9_-] that begin and end with none of '-'. An
 * internationalised name must come in its ASCII form (xn--...). What some program reads as an address (last label a
 * number, decimal, octal or hexadecimal) is no name. ERR_USAGE says why; the name itself is not in the message. */
int name_normalise(const void *name, size_t len, char ret[NAME_TEXT], struct err *e);

/* The host's own services in the guest. */
#define NAME_INTERNAL ".devdep.internal"
#define NAME_RESULTS "results" NAME_INTERNAL
#define NAME_RESULTS_PORT 80u
/* What the token of a job calls its run and itself to it. */
#define NAME_RESULTS_RUN "run"
#define NAME_RESULTS_JOB "job"
/* Is it one of the host's own services in the guest: below devdep.internal? A normalised name. */
bool name_is_internal(const char *name);
