#include "vm/tsc.h"

#include "base/clock.h"

#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define SAMPLES 3
#define SAMPLE_NS 5000000L
#define GLANCE_NS 1000000L
#define GLANCES 5

#ifdef __x86_64__
#include <cpuid.h>
#include <x86intrin.h>

/* The same rate in every power state, on every processor (leaf 0x80000007, EDX bit 8). */
static bool is_invariant(void)
{
        unsigned eax, ebx, ecx, edx;
        return __get_cpuid(0x80000007u, &eax, &ebx, &ecx, &edx) && edx & (1u << 8);
}

static uint32_t sample(long length_ns)
{
        uint64_t ns = clock_mono_ns(), ticks = __rdtsc();
        nanosleep(&(struct timespec){.tv_nsec = length_ns}, NULL);
        uint64_t ns_end = clock_mono_ns(), ticks_end = __rdtsc();
        return (uint32_t)((ticks_end - ticks) * 1000000u / (ns_end - ns));
}

static int by_value(const void *a, const void *b)
{
        uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
        return x < y ? -1 : x > y;
}

uint32_t tsc_khz(void)
{
        uint32_t found[SAMPLES];
        if (!is_invariant())
                return 0;
        for (unsigned i = 0; i < SAMPLES; i++)
                found[i] = sample(SAMPLE_NS);
        /* The median: a sample that was interrupted between its two clocks is off. */
        qsort(found, SAMPLES, sizeof(*found), by_value);
        return found[SAMPLES / 2];
}

/* A glance that was interrupted is off: one that agrees is enough. */
bool tsc_is(uint32_t khz)
{
        if (!is_invariant() || khz == 0)
                return khz == 0 && !is_invariant();
        for (unsigned i = 0; i < GLANCES; i++) {
                uint32_t found = sample(GLANCE_NS);
                if (found >= khz - khz / 1000 && found <= khz + khz / 1000)
                        return true;
        }
        return false;
}
#else
uint32_t tsc_khz(void)
{
        return 0;
}

bool tsc_is(uint32_t khz)
{
        return khz == 0;
}
#endif
