#include "profile/measure.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/num.h"
#include "base/str.h"

struct unit {
        char letter;
        uint64_t factor;
};

/* The largest first. */
struct units {
        const struct unit *v;
        size_t n;
};

static struct units units_of(enum field_kind kind)
{
        static const struct unit sizes[] = {
                {'T', (uint64_t)1 << 40}, {'G', (uint64_t)1 << 30}, {'M', (uint64_t)1 << 20}};
        static const struct unit spans[] = {{'d', 86400000}, {'h', 3600000}, {'m', 60000}, {'s', 1000}};

        return kind == FIELD_SIZE ? (struct units){sizes, ARRAY_SIZE(sizes)} : (struct units){spans, ARRAY_SIZE(spans)};
}

uint64_t measure_read(enum field_kind kind, const char *text)
{
        const struct units units = units_of(kind);
        uint64_t v = 0;

        for (; *text >= '0' && *text <= '9'; text++)
                v = v * 10 + (uint64_t)(*text - '0');
        for (size_t i = 0; i < units.n; i++)
                if (units.v[i].letter == *text)
                        return v * units.v[i].factor;
        return 0;
}

void measure_text(enum field_kind kind, uint64_t v, char ret[MEASURE_TEXT_SIZE])
{
        const struct units units = units_of(kind);
        size_t i = 0;

        while (i + 1 < units.n && v % units.v[i].factor != 0)
                i++;
        snprintf(ret, MEASURE_TEXT_SIZE, "%" PRIu64 "%c", v / units.v[i].factor, units.v[i].letter);
}

char *measure_about(const struct field *f)
{
        char low[MEASURE_TEXT_SIZE], high[MEASURE_TEXT_SIZE];

        if (f->kind != FIELD_SIZE && f->kind != FIELD_SPAN)
                return str_dup(f->about);
        measure_text(f->kind, f->min, low);
        measure_text(f->kind, f->max, high);
        return str_printf("%s From %s to %s.", f->about, low, high);
}
