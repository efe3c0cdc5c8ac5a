/* File descriptors. Every descriptor that this tree makes is close-on-exec from birth. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct buf;

int fd_close(int fd); /* returns -1, keeps errno; a negative fd is ignored */
int fd_set_nonblock(int fd, bool on, struct err *e);
int fd_set_cloexec(int fd, bool on, struct err *e);
/* Blocking, whole transfers; EINTR is retried. `what` names the thing in errors. */
int fd_write_all(int fd, const void *data, size_t len, const char *what, struct err *e);
/* Read up to end of file; more than max bytes is an error (ERR_USAGE, names `what`). */
int fd_read_all(int fd, size_t max, const char *what, struct buf *ret, struct err *e);
int fd_read_exact(int fd, void *data, size_t len, const char *what, struct err *e);
/* All of len bytes from `at` on, wherever its position is. */
int fd_read_at(int fd, uint64_t at, void *data, size_t len, const char *what, struct err *e);
int fd_pipe(int ret[2], struct err *e);
int fd_socketpair(int type, int ret[2], struct err *e); /* AF_UNIX */
/* An anonymous memory file (MFD_CLOEXEC | MFD_ALLOW_SEALING). */
int fd_memfd(const char *name, int *ret, struct err *e);
/* One of `size` zero bytes that can neither grow nor shrink: what a process of ours may say while nobody reads. */
int fd_memfd_bounded(const char *name, size_t size, int *ret, struct err *e);
/* One that holds these bytes, sealed as by fd_seal(), at its beginning. `name` is also what an error calls it. */
int fd_memfd_sealed(const char *name, const void *data, size_t len, int *ret, struct err *e);
/* F_SEAL_WRITE | SHRINK | GROW | SEAL: nobody can change it any more, and it can no longer be wiped. */
int fd_seal(int fd, struct err *e);
/* A non-blocking socket is full, or has nothing: wait and try again. Only fd_send() and fd_recv() return it. */
#define FD_E_AGAIN 1
/* Send or receive one message with up to FD_MAX_PASSED descriptors. A received message with more than n_max
 * descriptors, or a truncated one, is an error, and what arrived is closed. End of file: *ret_len is 0. */
#define FD_MAX_PASSED 16
int fd_send(int sock, const void *data, size_t len, const int *fds, size_t n, struct err *e);
int fd_recv(int sock, void *data, size_t max, int *fds, size_t n_max, size_t *ret_len, size_t *ret_n, struct err *e);
/* What fs_open_beneath() is made of: the descriptor, or -1 with errno. */
int fd_open_beneath(int dirfd, const char *path, int flags, mode_t mode, bool follow);
/* Close every descriptor >= first that is not in keep[n] (sorted ascending). */
int fd_close_from(int first, const int *keep, size_t n, struct err *e);
