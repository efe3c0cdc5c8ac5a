/* A manifest is parsed or refused; one that is accepted is written again and gives the same bytes when that is
 * repeated. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "vm/image_manifest.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct err e = ERR_INIT;
        AUTO(image_manifest_done) struct image_manifest m = IMAGE_MANIFEST_INIT, again = IMAGE_MANIFEST_INIT;
        AUTO(buf_done) struct buf one = BUF_INIT, two = BUF_INIT;
        if (image_manifest_parse(data, size, "manifest.json", &m, &e) < 0) {
                assert(e.code == ERR_IMAGE_REFUSED);
                return 0;
        }
        assert(str_is_name(m.name, IMAGE_MAX_NAME));
        assert(image_manifest_write(&m, &one, &e) == 0);
        assert(image_manifest_parse(one.data, one.len, "manifest.json", &again, &e) == 0);
        assert(image_manifest_write(&again, &two, &e) == 0);
        assert(one.len == two.len && memcmp(one.data, two.data, one.len) == 0);
        return 0;
}
