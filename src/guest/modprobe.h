/* When the kernel wants a module (a file system, a device that is opened), it starts a program in process 1's root,
 * where there are only the modules of the boot. This program is devdep-guest itself: it enters the job's root and
 * becomes the modprobe there, if there is one. */
#pragma once

struct err;
struct jobroot;

/* From now on, the kernel's requests go to this root. */
int modprobe_serve(const struct jobroot *j, struct err *e);
/* The program: argv as the kernel gives it, "modprobe -q -- NAME". Returns the exit status of a failure. */
int modprobe_main(char **argv);
