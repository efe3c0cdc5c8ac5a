/* What the calls of workflows around a job let through of the secrets that it was given (`secrets` of the job
 * specification). */
#pragma once

struct context;
struct err;
struct spec;
struct value;

/* given: an object, name to text. *ret: what the job has, in the names that it knows them by; empty ones are left out.
 * An expression that cannot be evaluated is ERR_RUN_FAILED with its place. */
int passed_secrets(const struct spec *s, const struct context *c, struct value *given, struct value **ret,
                   struct err *e);
