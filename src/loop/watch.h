/* Be told when a file grows (inotify). Part of src/loop because it needs a Linux header. */
#pragma once

struct err;
struct loop;
struct loop_watch;

/* Called at least once after each change; several changes may be told together. */
typedef int loop_watch_fn(struct loop_watch *w, void *user, struct err *e);
int loop_watch_new(struct loop *l, const char *path, loop_watch_fn *fn, void *user, struct loop_watch **ret,
                   struct err *e);
struct loop_watch *loop_watch_free(struct loop_watch *w); /* always NULL */
