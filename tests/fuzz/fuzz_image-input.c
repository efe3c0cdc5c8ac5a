/* What else of an image comes from outside, by the first byte: s: a signature file, e: the head of an ext4 file, k: a
 * public key, c: a definition, l and d: apt sources in their two formats. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "trust/signature.h"
#include "vm/ext4.h"
#include "vm/image_conf.h"
#include "vm/image_sources.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int no_include(const char *name, void *user, struct err *e)
{
        (void)user;
        assert(str_is_name(name, IMAGE_MAX_NAME));
        return err_set(e, ERR_USAGE, "not here");
}

static void try_sources(char kind, const uint8_t *data, size_t size)
{
        AUTO(image_sources_done) struct image_sources s = IMAGE_SOURCES_INIT;
        AUTO(buf_done) struct buf out = BUF_INIT;
        AUTO(auto_free) char *text = str_ndup((const char *)data, size);
        struct err e = ERR_INIT;
        assert(text);
        assert((kind == 'l' ? image_sources_add_list(&s, text, &e) : image_sources_add_deb822(&s, text, &e)) == 0);
        image_sources_write(&s, "bookworm", &out, &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct err e = ERR_INIT;
        if (size == 0)
                return 0;
        char kind = (char)*data++;
        size--;
        if (kind == 's') {
                struct signature sig;
                signature_parse(data, size, "x", &sig, &e);
        } else if (kind == 'e') {
                ext4_check(data, size, size, "x", &e);
        } else if (kind == 'k') {
                struct key *k = NULL;
                key_parse_public(data, size, "x", &k, &e);
                key_free(k);
        } else if (kind == 'c') {
                AUTO(image_conf_done) struct image_conf c = IMAGE_CONF_INIT;
                image_conf_parse((const char *)data, size, "x", no_include, NULL, &c, &e);
        } else {
                try_sources(kind, data, size);
        }
        return 0;
}
