/* Files of pins: parsed; what is accepted is changed, and parsed again. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "codec/uses.h"
#include "source/pins.h"

#define ID "0123456789abcdef0123456789abcdef01234567"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void change(const uint8_t *data, size_t size, const struct pins *p)
{
        AUTO(buf_done) struct buf with = BUF_INIT, without = BUF_INIT;
        AUTO(pins_freep) struct pins *more = NULL, *less = NULL;
        struct err e = ERR_INIT;
        if (pins_count(p) == PINS_MAX || size > PINS_MAX_SIZE / 2)
                return;
        assert(pins_edit(data, size, "o/r", "v1", ID, &with, &e) == 0);
        assert(pins_parse(with.data, with.len, "pins", &more, &e) == 0);
        assert(strcmp(pins_get(more, "o/r", "v1"), ID) == 0);
        assert(pins_edit(with.data, with.len, "o/r", "v1", NULL, &without, &e) == 0);
        assert(pins_parse(without.data, without.len, "pins", &less, &e) == 0);
        assert(pins_count(less) == pins_count(more) - 1 && !pins_get(less, "o/r", "v1"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        AUTO(pins_freep) struct pins *p = NULL;
        struct err e = ERR_INIT;
        if (pins_parse(data, size, "pins", &p, &e) < 0) {
                assert(e.code == ERR_USAGE);
                return 0;
        }
        for (size_t i = 0; i < pins_count(p); i++) {
                const struct pin *pin = pins_at(p, i);
                assert(uses_is_repository(pin->repository) && uses_is_ref(pin->ref) && strlen(pin->commit) >= 40);
                assert(pins_get(p, pin->repository, pin->ref) == pin->commit);
        }
        change(data, size, p);
        return 0;
}
