/* What holds between keys, of a profile that was read. Only src/profile includes this. */
#pragma once

struct profile;
struct reader;

/* Completes the values that only now can be (destinations). Problems are added; negative: no memory. */
int rules_check(struct reader *r, struct profile *p);
