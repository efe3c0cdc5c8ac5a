/* A field list: what parses is written again and must give the same bytes. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "wire/guest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_again(const struct fields *f, const uint8_t *data, size_t size)
{
        struct buf b = BUF_INIT;
        size_t mark;
        assert(fields_begin(&b, &mark, NULL) == 0);
        for (size_t i = 0; i < fields_count(f); i++) {
                const struct field *x = fields_at(f, i);
                assert(x->value[x->len] == 0);
                assert(fields_add(&b, x->key, x->value, x->len, NULL) == 0);
        }
        assert(fields_end(&b, mark, NULL) == 0);
        assert(b.len == size && memcmp(b.data, data, size) == 0);
        buf_done(&b);
}

static void read_typed(const struct fields *f)
{
        const char *text;
        uint64_t n;
        (void)fields_str(f, "op", &text, NULL);
        (void)fields_u64(f, "port", 65535, &n, NULL);
        (void)fields_get(f, "arg");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct fields *f = NULL;
        if (fields_parse(data, size, &f, NULL) == 0) {
                write_again(f, data, size);
                read_typed(f);
        }
        fields_free(f);

        /* The streaming reader, fed in pieces, must find the same lists. */
        struct fields_reader *r = NULL;
        if (fields_reader_new(4096, &r, NULL) < 0)
                return 0;
        for (size_t at = 0; at < size;) {
                size_t used, len = size - at < 5 ? size - at : 5;
                if (fields_reader_feed(r, data + at, len, &used, &f, NULL) < 0)
                        break;
                assert(used > 0 && used <= len);
                at += used;
                fields_free(f);
        }
        fields_reader_free(r);
        return 0;
}
