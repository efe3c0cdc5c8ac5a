#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static uint64_t now(clockid_t id)
{
        struct timespec t = {0};
        clock_gettime(id, &t);
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t clock_mono_ns(void)
{
        return now(CLOCK_MONOTONIC);
}

uint64_t clock_mono_ms(void)
{
        return clock_mono_ns() / 1000000u;
}

uint64_t clock_cpu_ns(void)
{
        return now(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t clock_real_ns(void)
{
        return now(CLOCK_REALTIME);
}

uint64_t clock_real_ms(void)
{
        return clock_real_ns() / 1000000u;
}

/* Records end with the year 9999: the text stays sortable and inside its buffer whatever a peer claims. */
#define CLOCK_ISO_LAST_MS 253402300799999u

void clock_iso(uint64_t real_ms, char ret[CLOCK_ISO_SIZE])
{
        if (real_ms > CLOCK_ISO_LAST_MS)
                real_ms = CLOCK_ISO_LAST_MS;
        time_t seconds = (time_t)(real_ms / 1000);
        struct tm t = {0};
        gmtime_r(&seconds, &t);
        size_t n = strftime(ret, CLOCK_ISO_SIZE, "%Y-%m-%dT%H:%M:%S", &t);
        snprintf(ret + n, CLOCK_ISO_SIZE - n, ".%03uZ", (unsigned)(real_ms % 1000));
}

void clock_duration(uint64_t ms, char ret[CLOCK_DURATION_SIZE])
{
        uint64_t s = ms / 1000;
        if (ms < 1000)
                snprintf(ret, CLOCK_DURATION_SIZE, "%" PRIu64 "ms", ms);
        else if (s < 60)
                snprintf(ret, CLOCK_DURATION_SIZE, "%" PRIu64 ".%us", s, (unsigned)(ms % 1000 / 100));
        else if (s < 3600)
                snprintf(ret, CLOCK_DURATION_SIZE, "%" PRIu64 "m %02us", s / 60, (unsigned)(s % 60));
        else
                snprintf(ret, CLOCK_DURATION_SIZE, "%" PRIu64 "h %02um", s / 3600, (unsigned)(s % 3600 / 60));
}
