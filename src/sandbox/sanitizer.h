/* Whether this is a build with AddressSanitizer: the one condition by which the jails of such a build differ from those
 * of every other.
 *
 * Its leak checker works at the program's end, from a process of its own (LeakSanitizer's tracer) that shares the
 * program's memory, finds its threads in /proc and stops them with ptrace. So such a build has a filter that allows
 * what both call, has /proc, and has no limit on processes in the way.
 *
 * The tracer makes calls that the C library does not (getdents). Where a filter kills it, it dies alone, for it is no
 * thread, and the program waits for its word for ever. Only the kernel's log tells (audit type 1326): the tracer is
 * cloned with CLONE_UNTRACED, strace does not see it. */
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define SANDBOX_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANDBOX_SANITIZED 1
#endif
#endif
#ifndef SANDBOX_SANITIZED
#define SANDBOX_SANITIZED 0
#endif
