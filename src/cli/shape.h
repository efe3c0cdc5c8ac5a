/* The size of a guest: --cpus, --memory, --scratch. */
#pragma once

struct args;
struct err;
struct vm_shape;

/* What is given goes into *ret; the rest stays. */
int shape_parse(const struct args *a, struct vm_shape *ret, struct err *e);
/* What is 0 in *ret is taken from another one. */
void shape_fill(struct vm_shape *ret, const struct vm_shape *from);
