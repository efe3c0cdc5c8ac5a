/* The frequency of this host's time-stamp counter. Software emulation shows it to the guest as it is, without a way to
 * learn its frequency: told a wrong one the guest's clock runs wrong, told none its kernel may hang at calibration, and
 * without `tsc=reliable` it falls back to counting ticks, which drifts by percents on a busy host. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* In kHz, measured in some 15 ms; 0 when the counter is not invariant, or this processor has none. */
uint32_t tsc_khz(void);
/* Is it `khz`, to within 1 in 1,000? Some 2 ms; 0 is right where tsc_khz() is 0. */
bool tsc_is(uint32_t khz);
