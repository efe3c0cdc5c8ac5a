/* Scalar functions: a name, how many arguments, what they give. */
#pragma once

#include "value.h"

#define FUNCTION_MAX_ARGS 8

/* End the program when there is no such function or it does not take n arguments. */
void function_check(const char *name, size_t n);
struct value function_call(const char *name, const struct value *args, size_t n, struct region *r);
