/* Throughput of yamux in memory: two sessions joined by a copy, streams that all send at once, everything consumed.
 * Prints one JSON line per figure; no VM is involved, so there is no accelerator. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "wire/yamux.h"

#define STREAMS 8u
#define ROUNDS 5u

struct run {
        struct yamux *from, *to;
        uint32_t stream[STREAMS];
        uint64_t left[STREAMS];
        size_t write_size;
        uint64_t received;
};

static void must(int r, const struct err *e)
{
        if (r == 0)
                return;
        fprintf(stderr, "bench_wire: %s\n", e->msg);
        exit(1);
}

static void drain(struct run *run, struct yamux *y)
{
        struct yamux_event ev;
        for (yamux_next(y, &ev); ev.type != YAMUX_NONE; yamux_next(y, &ev)) {
                if (ev.type != YAMUX_DATA)
                        continue;
                run->received += ev.len;
                yamux_consumed(y, ev.stream, ev.len);
        }
}

static void carry(struct run *run, struct yamux *from, struct yamux *to)
{
        struct err e = ERR_INIT;
        const uint8_t *out;
        for (size_t n; (n = yamux_output(from, &out)) > 0; yamux_output_done(from, n)) {
                for (size_t at = 0, taken; at < n; at += taken) {
                        must(yamux_input(to, out + at, n - at, &taken, &e), &e);
                        drain(run, to);
                }
        }
        drain(run, from);
}

static void write_all(struct run *run)
{
        static const uint8_t bytes[65536];
        for (unsigned i = 0; i < STREAMS; i++) {
                while (run->left[i] >= run->write_size &&
                       yamux_write_space(run->from, run->stream[i]) >= run->write_size)
                        run->left[i] -= yamux_write(run->from, run->stream[i], bytes, run->write_size, NULL);
        }
}

/* Megabytes (10^6 bytes) a second. */
static double measure(size_t write_size, uint64_t per_stream)
{
        struct err e = ERR_INIT;
        struct run run = {.write_size = write_size};
        must(yamux_new(YAMUX_CLIENT, NULL, &run.from, &e), &e);
        must(yamux_new(YAMUX_SERVER, NULL, &run.to, &e), &e);
        for (unsigned i = 0; i < STREAMS; i++) {
                must(yamux_open(run.from, &run.stream[i], &e), &e);
                run.left[i] = per_stream / write_size * write_size;
        }
        uint64_t total = STREAMS * run.left[0], start = clock_mono_ns();
        while (run.received < total) {
                write_all(&run);
                carry(&run, run.from, run.to);
                carry(&run, run.to, run.from);
        }
        double seconds = (double)(clock_mono_ns() - start) / 1e9;
        yamux_free(run.from);
        yamux_free(run.to);
        return (double)total / 1e6 / seconds;
}

static int by_value(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;
        return (x > y) - (x < y);
}

static void figure(const char *name, size_t write_size, uint64_t per_stream)
{
        double value[ROUNDS];
        for (unsigned i = 0; i < ROUNDS; i++)
                value[i] = measure(write_size, per_stream);
        qsort(value, ROUNDS, sizeof(value[0]), by_value);
        printf("{\"figure\": \"%s\", \"unit\": \"MB/s\", \"n\": %u, \"value\": %.0f, \"accelerator\": null}\n", name,
               ROUNDS, value[ROUNDS / 2]);
        fflush(stdout);
}

int main(void)
{
        figure("yamux_mb_s", 64 * 1024, 32 << 20);
        figure("yamux_lines_mb_s", 100, 4 << 20);
        return 0;
}
