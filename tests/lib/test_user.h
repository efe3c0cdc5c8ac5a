/* Tests that run as root and again as an ordinary user, and tests that need a program of the host. Each function
 * answers 0, or the status to end main() with. */
#pragma once

#define TEST_SKIPPED 77 /* Meson's status of a skipped test */

/* `who` is "user": go on as an ordinary user when root started us; others: nothing happens. Skipped, with the reason on
 * standard error, where that user cannot reach `program` (argv[0]; NULL: it need not). */
int test_become(const char *who, const char *program);
/* Skipped, with the reason, where QEMU is not installed. */
int test_needs_qemu(void);
