/* A driver without a machine, for tests of state machines only: the VMM is a process of ours behind the same
 * descriptors. It speaks QMP as QEMU does and, on the channel, as the guest of tests/unit/vm/guest_init.c does; the
 * kernel command line says how it misbehaves:
 *
 *   fake=silent       never greets          fake=garbage     a line that is no JSON
 *   fake=endless      a line without end    fake=greets-twice
 *   fake=wrong-id     answers to nothing    fake=hangs-up    closes the control connection after the greeting
 *   fake=ends         ends at once          fake=no-boot     never sends the ready record
 *   fake=deep         JSON nested 1000 deep
 *   fake=full         reports a full host disk twice
 *   fake=save-refused does not begin to save fake=save-fails  begins and fails
 *   fake=load-fails   a clone that ends before its processor runs
 *   fake=loads-late   a clone that is loaded and not yet started when it is asked
 *
 * It proves nothing about a jail or a guest. */
#pragma once

struct vm_driver;

extern const struct vm_driver vm_driver_fake;
