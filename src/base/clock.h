/* Time. Monotonic for deadlines, real for records; nanoseconds and milliseconds are in the names. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct err;

uint64_t clock_mono_ns(void); /* CLOCK_MONOTONIC: does not jump */
uint64_t clock_mono_ms(void);
uint64_t clock_cpu_ns(void);  /* processor time of this thread */
uint64_t clock_real_ns(void); /* CLOCK_REALTIME */
uint64_t clock_real_ms(void);
/* "2026-11-22T05:39:40.123Z" from milliseconds since the epoch; ret holds CLOCK_ISO_SIZE bytes. */
#define CLOCK_ISO_SIZE 32
void clock_iso(uint64_t real_ms, char ret[CLOCK_ISO_SIZE]);
/* The same form back, in Greenwich's time ("Z"), the fraction of any length or none; years 1970 to 9999. ERR_USAGE. */
int clock_parse_iso(const char *text, uint64_t *ret_ms, struct err *e);
/* "1m 23s", "4.2s", "310ms"; ret holds CLOCK_DURATION_SIZE bytes. */
#define CLOCK_DURATION_SIZE 32
void clock_duration(uint64_t ms, char ret[CLOCK_DURATION_SIZE]);
