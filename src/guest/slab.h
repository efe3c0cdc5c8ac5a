/* The small pieces of the kernel's memory that were given back: what a job wrote to a pipe, a socket or its output passed
 * through some, and nothing zeroes them. */
#pragma once

/* Zero those that are free, as far as the kernel lets itself be made to: each is taken once, as a key or a message of
 * zero bytes, and given back. Run by a process that ends afterwards. */
void slab_scrub(void);
