/* Operations on files: each is a worker's. */
#include "guest/jobroot.h"
#include "guest/ops.h"
#include "guest/worker.h"

int op_put(struct guest *g, struct door_stream *s, const struct fields *header, struct err *e)
{
        return worker_start(g, s, header, JOBROOT_USER, work_put, e);
}

int op_get(struct guest *g, struct door_stream *s, const struct fields *header, struct err *e)
{
        return worker_start(g, s, header, JOBROOT_USER, work_get, e);
}

/* As root: a file command that a step wrote through sudo is read all the same. */
int op_read(struct guest *g, struct door_stream *s, const struct fields *header, struct err *e)
{
        return worker_start(g, s, header, "0", work_read, e);
}

int op_which(struct guest *g, struct door_stream *s, const struct fields *header, struct err *e)
{
        return worker_start(g, s, header, JOBROOT_USER, work_which, e);
}

int op_mkdir(struct guest *g, struct door_stream *s, const struct fields *header, struct err *e)
{
        return worker_start(g, s, header, JOBROOT_USER, work_mkdir, e);
}

int op_write(struct guest *g, struct door_stream *s, const struct fields *header, struct err *e)
{
        return worker_start(g, s, header, JOBROOT_USER, work_write, e);
}
