/* What every first step reads of the image, read once before the ready record: a template then has it in its page
 * cache, checked by verity, and its clones need neither the disk nor the hashes. Read, never executed. */
#pragma once

#define WARM_MAX_FILE (4u << 20) /* bytes read of one file */

/* `image` is the mounted root file system. What is not there is left out. */
void warm_up(const char *image);
