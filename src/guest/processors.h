/* Work that has to be done once by each processor, for the kernel keeps lists for each. */
#pragma once

/* Call `work` on every processor in turn; this process stays on the last. One that cannot be had is left out. */
void processors_each(void (*work)(void));
