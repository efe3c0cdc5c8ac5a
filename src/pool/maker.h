/* The real maker: a process `devdep-pool --make` (src/pool/make.h) for each preparation, `devdep-pool --bury`
 * (src/pool/bury.h) for each slot that is given back. */
#pragma once

#include "pool/pool.h"

extern const struct maker_ops maker_process;
