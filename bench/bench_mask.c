/* Throughput of masking: a log of ordinary lines, 16 KiB at a time as output comes, through a stream with so many
 * secrets that one of them stands in every 64 KiB. Building the automaton, which happens once per change of the
 * secrets, is a figure of its own. Prints one JSON line per figure; no VM is involved, so there is no accelerator. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/num.h"
#include "job/mask.h"

#define ROUNDS 5u
#define PIECE ((size_t)16 << 10)
#define TEXT ((size_t)16 << 20)
#define SECRET 40u /* bytes of a secret: a token of today's forges */
#define EVERY ((size_t)64 << 10)

static uint64_t seed = 1;

static uint32_t chance(uint32_t n)
{
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        return (uint32_t)(seed >> 33) % n;
}

static void must(int r, const struct err *e)
{
        if (r == 0)
                return;
        fprintf(stderr, "bench_mask: %s\n", r < 0 ? e->msg : "too many values");
        exit(1);
}

static void random_text(char *ret, size_t len)
{
        static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

        for (size_t i = 0; i < len; i++)
                ret[i] = letters[chance(sizeof(letters) - 1)];
}

/* What builds print: times, paths, flags, words, digests. */
static size_t line(char *ret, size_t size, unsigned number)
{
        static const char *const words[] = {"Compiling", "the",     "warning:", "unused",    "variable", "test",
                                            "passed",    "linking", "target",   "download",  "of",       "package",
                                            "error",     "in",      "function", "resolving", "version",  "installed"};
        char digest[33] = "";

        for (size_t i = 0; i < 32; i++)
                digest[i] = "0123456789abcdef"[chance(16)];
        int n = snprintf(
                ret, size, "2026-12-01T05:%02u:%02u.%03uZ [%u/872] %s %s src/%s/%s_%u.c -O2 -Wall %s %s sha256:%s\n",
                number / 60 % 60, number % 60, chance(1000), number % 872, words[chance(ARRAY_SIZE(words))],
                words[chance(ARRAY_SIZE(words))], words[chance(ARRAY_SIZE(words))], words[chance(ARRAY_SIZE(words))],
                number, words[chance(ARRAY_SIZE(words))], words[chance(ARRAY_SIZE(words))], digest);
        return (size_t)n;
}

static char *make_text(const char *secrets, size_t n)
{
        char *text = malloc(TEXT + 256), piece[256];
        size_t len = 0, next = EVERY;

        if (!text)
                exit(1);
        for (unsigned number = 0; len < TEXT; number++) {
                size_t k = line(piece, sizeof(piece), number);
                memcpy(text + len, piece, k);
                len += k;
                if (len >= next) {
                        memcpy(text + len - SECRET - 1, secrets + SECRET * chance((uint32_t)n), SECRET);
                        next += EVERY;
                }
        }
        return text;
}

/* Megabytes (10^6 bytes) a second of processor time: other work on the machine takes none of it. */
static double measure(struct masks *m, const char *text)
{
        struct err e = ERR_INIT;
        struct mask_stream *s = NULL;
        struct buf out = BUF_INIT;

        must(mask_stream_new(m, &s, &e), &e);
        uint64_t start = clock_cpu_ns();
        for (size_t at = 0; at < TEXT; at += PIECE) {
                must(mask_stream_feed(s, text + at, PIECE, &out, &e), &e);
                buf_clear(&out);
        }
        double seconds = (double)(clock_cpu_ns() - start) / 1e9;
        mask_stream_free(s);
        buf_done(&out);
        return TEXT / 1e6 / seconds;
}

static int by_value(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;
        return (x > y) - (x < y);
}

static void figures(size_t n)
{
        char *secrets = malloc(n * SECRET);
        struct masks *m = NULL;
        struct err e = ERR_INIT;
        double value[ROUNDS];
        bool found;

        if (!secrets)
                exit(1);
        random_text(secrets, n * SECRET);
        char *text = make_text(secrets, n);
        must(masks_new(&m, &e), &e);
        for (size_t i = 0; i < n; i++)
                must(masks_add(m, secrets + i * SECRET, SECRET, &e), &e);
        uint64_t start = clock_cpu_ns();
        must(masks_found(m, "x", 1, &found, &e), &e);
        double built = (double)(clock_cpu_ns() - start) / 1e6;
        for (unsigned i = 0; i < ROUNDS; i++)
                value[i] = measure(m, text);
        qsort(value, ROUNDS, sizeof(value[0]), by_value);
        printf("{\"figure\": \"mask_%zu_mb_s\", \"unit\": \"MB/s\", \"n\": %u, \"value\": %.0f, \"least\": %.0f, "
               "\"most\": %.0f, "
               "\"accelerator\": null}\n",
               n, ROUNDS, value[ROUNDS / 2], value[0], value[ROUNDS - 1]);
        printf("{\"figure\": \"mask_%zu_build_ms\", \"unit\": \"ms\", \"n\": 1, \"value\": %.1f, \"accelerator\": "
               "null}\n",
               n, built);
        fflush(stdout);
        masks_free(m);
        free(secrets);
        free(text);
}

int main(void)
{
        figures(100);
        figures(10000);
        return 0;
}
