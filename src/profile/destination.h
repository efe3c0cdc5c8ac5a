/* An entry of egress.allow, from its text to values. Only src/profile includes this. */
#pragma once

struct profile_destination;
struct reader;

/* The text fits RULE_DESTINATION. A second time nothing happens. */
int destination_read(struct reader *r, struct profile_destination *d);
