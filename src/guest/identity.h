/* What makes this guest another one than its siblings: entropy, clock, host name and the two ids. */
#pragma once

struct err;
struct seed;

#define IDENTITY_BOOT_ID "/run/boot_id" /* shown to jobs in place of the kernel's */

/* Mix the entropy in and reseed, set the clock and the host name, write the boot id. First of all, before any key is
 * made. */
int identity_apply(const struct seed *s, struct err *e);
/* Write machine-id, hostname, hosts and resolv.conf into an open folder `etc` that jobs will see, in place: also when
 * jobs see it already. */
int identity_write_etc(int etc, const struct seed *s, struct err *e);
