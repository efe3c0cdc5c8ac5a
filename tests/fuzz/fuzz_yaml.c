/* YAML: what is accepted keeps every limit, and its positions are in order. */
#include <assert.h>
#include <stdint.h>

#include "base/err.h"
#include "codec/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_SIZE 65536

static void walk(const struct yaml_node *n, unsigned depth)
{
        assert(depth <= YAML_MAX_DEPTH + 1);
        assert(n->expanded >= 1 && n->expanded <= YAML_MAX_EXPANDED);
        assert(n->pos.line >= 1 && n->pos.column >= 1);
        for (size_t i = 0; i < n->n; i++) {
                if (n->keys)
                        assert(n->keys[i]->text);
                if (n->items[i]->expanded < 1000)
                        walk(n->items[i], depth + 1);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        AUTO(yaml_doc_freep) struct yaml_doc *d = NULL;
        struct yaml_fault fault;
        struct err e = ERR_INIT;
        if (yaml_parse(data, size, MAX_SIZE, "MAX_SIZE", &d, &fault, &e) < 0) {
                assert(e.code == ERR_USAGE && fault.pos.line >= 1 && fault.pos.column >= 1 && fault.message[0]);
                return 0;
        }
        walk(yaml_root(d), 1);
        return 0;
}
