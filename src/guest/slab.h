/* The small pieces of the kernel's memory that were given back: what a job wrote to a pipe, a socket or its output
 * passed through some, and nothing zeroes them. */
#pragma once

/* Slabs without a piece in use become free pages, and no processor keeps any for itself. */
void slab_shrink(void);
/* Zero the pieces that are free, as far as the kernel lets itself be made to: each is taken once, as a key, a message
 * or a datagram of zero bytes, and given back. Once free pages are zero, for new slabs are made of those. By a process that ends
 * afterwards. */
void slab_scrub(void);
