#include "base/clock.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "base/err.h"

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

int clock_parse_iso(const char *text, uint64_t *ret_ms, struct err *e)
{
        static const char form[] = "0000-00-00T00:00:00";
        unsigned v[6] = {0}, n = 0, ms = 0, scale = 100;
        const char *p = text;
        bool ok = true;
        for (const char *f = form; ok && *f; f++, p++) {
                ok = *f == '0' ? *p >= '0' && *p <= '9' : *p == *f;
                if (ok && *f == '0')
                        v[n] = v[n] * 10 + (unsigned)(*p - '0');
                else
                        n++;
        }
        if (ok && *p == '.')
                for (p++, ok = *p >= '0' && *p <= '9'; *p >= '0' && *p <= '9'; p++, scale /= 10)
                        ms += scale * (unsigned)(*p - '0');
        struct tm t = {.tm_year = (int)v[0] - 1900,
                       .tm_mon = (int)v[1] - 1,
                       .tm_mday = (int)v[2],
                       .tm_hour = (int)v[3],
                       .tm_min = (int)v[4],
                       .tm_sec = (int)v[5]};
        const struct tm asked = t;
        time_t seconds = ok && p[0] == 'Z' && !p[1] ? timegm(&t) : -1;
        /* A day that no month has is another one afterwards. */
        if (seconds < 0 || t.tm_mday != asked.tm_mday || t.tm_mon != asked.tm_mon || t.tm_hour != asked.tm_hour ||
            t.tm_min != asked.tm_min || t.tm_sec != asked.tm_sec)
                return err_set(e, ERR_USAGE, "expected a time as 2026-11-22T05:39:40Z");
        *ret_ms = (uint64_t)seconds * 1000 + ms;
        return 0;
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
