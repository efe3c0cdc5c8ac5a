/* Zeroing of the guest's free memory: processes that had a secret left it there, and so did the kernel's own work for
 * them. */
#pragma once

/* Zero what memory is free, in pages and in the kernel's small pieces. Takes the time that this takes and all free
 * memory meanwhile; for a process of its own, which ends afterwards. */
void scrub_memory(void);
