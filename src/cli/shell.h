/* A person's terminal joined to a terminal in a guest, over devdep-job's control socket (docs/control.md, `pty`).
 *
 * While it lasts the terminal is raw and belongs to the guest's shell: this is the one place where more than colours
 * reaches it, because the person asked for it with --shell-on-failure. */
#pragma once

struct err;
struct loop;
struct shell;

/* Called once, when the guest's shell or the connection ended; frees the shell. */
typedef int shell_end_fn(void *user, struct err *e);
/* fd: from process_connect(), taken over also on failure. Standard input and output must be a terminal. */
int shell_start(struct loop *l, int fd, shell_end_fn *fn, void *user, struct shell **ret, struct err *e);
/* Restores the terminal; always NULL. */
struct shell *shell_free(struct shell *s);
