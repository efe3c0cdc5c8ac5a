#include "vm/image_manifest.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/secret.h"
#include "codec/hash.h"
#include "vm/image_file.h"

#define FORMAT "devdep-image"
#define VERSION 1
#define MEASUREMENT_PREFIX "devdep-measurement-v1" /* with its NUL */

/* What every guest is booted with; the emulated time stamp counter cannot always be calibrated, and
 * mitigations in an emulated guest protect nothing that the emulator itself does not expose. */
#define CMDLINE_COMMON "console=hvc0 quiet loglevel=1 panic=-1 reboot=t random.trust_cpu=on cryptomgr.notests"
#define CMDLINE_TCG CMDLINE_COMMON " mitigations=off tsc_early_khz=2000000 lpj=8000000"
#define CMDLINE_KVM CMDLINE_COMMON

static const enum vm_accel accels[] = {VM_ACCEL_KVM, VM_ACCEL_TCG};

void image_manifest_done(struct image_manifest *m)
{
        strv_done(&m->packages);
        for (size_t i = 0; i < ARRAY_SIZE(m->cmdline); i++)
                free(m->cmdline[i]);
        *m = (struct image_manifest)IMAGE_MANIFEST_INIT;
}

static const char *accel_text(enum vm_accel a)
{
        return a == VM_ACCEL_KVM ? "kvm" : "tcg";
}

int image_measure(const struct image_manifest *m, enum vm_accel accel, const char *cmdline, uint8_t ret[IMAGE_SHA256],
                  struct err *e)
{
        AUTO(buf_done) struct buf b = BUF_INIT;
        const char *name = accel_text(accel);
        int r = buf_append(&b, MEASUREMENT_PREFIX, sizeof(MEASUREMENT_PREFIX), e);
        if (r >= 0)
                r = buf_append_be32(&b, (uint32_t)strlen(name), e);
        if (r >= 0)
                r = buf_append_str(&b, name, e);
        if (r >= 0)
                r = buf_append(&b, m->kernel_sha256, IMAGE_SHA256, e);
        if (r >= 0)
                r = buf_append(&b, m->initramfs_sha256, IMAGE_SHA256, e);
        if (r >= 0)
                r = buf_append_be32(&b, (uint32_t)strlen(cmdline), e);
        if (r >= 0)
                r = buf_append_str(&b, cmdline, e);
        if (r >= 0)
                r = buf_append(&b, m->verity_root, IMAGE_SHA256, e);
        return r < 0 ? r : hash_bytes(b.data, b.len, ret, e);
}

/* The text for an accelerator that follows from the root (malloc'd); NULL when out of memory. */
static char *make_cmdline(const struct image_manifest *m, enum vm_accel accel)
{
        char root[IMAGE_HEX_SHA256], salt[IMAGE_HEX_SHA256];
        num_to_hex(m->verity_root, IMAGE_SHA256, root);
        num_to_hex(m->verity_salt, IMAGE_SHA256, salt);
        return str_printf("%s devdep.root=%s devdep.salt=%s devdep.blocks=%llu",
                          accel == VM_ACCEL_KVM ? CMDLINE_KVM : CMDLINE_TCG, root, salt,
                          (unsigned long long)m->data_blocks);
}

int image_manifest_seal(struct image_manifest *m, struct err *e)
{
        for (size_t i = 0; i < ARRAY_SIZE(accels); i++) {
                enum vm_accel a = accels[i];
                free(m->cmdline[a]);
                m->cmdline[a] = make_cmdline(m, a);
                if (!m->cmdline[a])
                        return err_nomem(e);
                int r = image_measure(m, a, m->cmdline[a], m->measurement[a], e);
                if (r < 0)
                        return r;
        }
        return 0;
}

bool image_manifest_is_current(const struct image_manifest *m)
{
        for (size_t i = 0; i < ARRAY_SIZE(accels); i++) {
                AUTO(auto_free) char *now = make_cmdline(m, accels[i]);
                if (!now || !str_eq(now, m->cmdline[accels[i]]))
                        return false;
        }
        return true;
}

/* What json_unpack found, before it is checked; text belongs to the document. */
struct raw {
        const char *name, *created, *source, *suite, *definition, *kernel_version;
        const char *kernel, *initramfs, *agent, *root, *verity, *salt, *cmdline[2], *measurement[2];
        json_int_t kernel_size, initramfs_size, modules_size, root_size, data_blocks;
        json_t *packages;
};

static int unpack(json_t *doc, const char *what, struct raw *x, struct err *e)
{
        json_error_t why;
        const char *format;
        int version;
        /* The version first: a later one may have any other keys. */
        if (json_unpack_ex(doc, &why, 0, "{s:s, s:i}", "format", &format, "version", &version) < 0)
                return err_set(e, ERR_IMAGE_REFUSED, "%s: %s", what, why.text);
        if (!str_eq(format, FORMAT) || version != VERSION)
                return err_set(e, ERR_IMAGE_REFUSED,
                               "%s: expected format " FORMAT " version %d, found %.32s version %d", what, VERSION,
                               format, version);
        if (json_unpack_ex(doc, &why, JSON_STRICT,
                           "{s:s, s:i, s:s, s:s, s:{s:s, s:s, s:s, s:o}, s:{s:s, s:I, s:s}, s:{s:I, s:s, s:I, s:s},"
                           " s:{s:I, s:s, s:I, s:s, s:s}, s:{s:s, s:s}, s:{s:s, s:s}}",
                           "format", &format, "version", &version, "name", &x->name, "created", &x->created, "source",
                           "kind", &x->source, "suite", &x->suite, "definition", &x->definition, "packages",
                           &x->packages, "kernel", "version", &x->kernel_version, "size", &x->kernel_size, "sha256",
                           &x->kernel, "initramfs", "size", &x->initramfs_size, "sha256", &x->initramfs, "modules_size",
                           &x->modules_size, "agent_sha256", &x->agent, "root", "size", &x->root_size, "sha256",
                           &x->root, "data_blocks", &x->data_blocks, "verity", &x->verity, "salt", &x->salt, "cmdline",
                           "kvm", &x->cmdline[0], "tcg", &x->cmdline[1], "measurement", "kvm", &x->measurement[0],
                           "tcg", &x->measurement[1]) < 0)
                return err_set(e, ERR_IMAGE_REFUSED, "%s: %s", what, why.text);
        return 0;
}

static int bad(struct err *e, const char *what, const char *field, const char *expected)
{
        return err_set(e, ERR_IMAGE_REFUSED, "%s: field %s: expected %s", what, field, expected);
}

/* A word of at most size - 1 bytes of letters, digits and ".+:~_-"; may be empty. */
static bool take_word(char *ret, size_t size, const char *s)
{
        static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.+:~_-";
        return strspn(s, allowed) == strlen(s) && str_copy(ret, size, s);
}

static int take_words(const struct raw *x, const char *what, struct image_manifest *m, struct err *e)
{
        if (!str_is_name(x->name, IMAGE_MAX_NAME) || !str_copy(m->name, sizeof(m->name), x->name))
                return bad(e, what, "name", "1 to 64 bytes of [A-Za-z0-9._-], not starting with '.' or '-'");
        if (!take_word(m->created, sizeof(m->created), x->created))
                return bad(e, what, "created", "a time like 2026-11-22T05:39:40.123Z");
        if ((!str_eq(x->source, "build") && !str_eq(x->source, "import")) ||
            !str_copy(m->source, sizeof(m->source), x->source))
                return bad(e, what, "source.kind", "'build' or 'import'");
        if (!take_word(m->suite, sizeof(m->suite), x->suite))
                return bad(e, what, "source.suite", "a name of at most 31 bytes");
        if (!take_word(m->kernel_version, sizeof(m->kernel_version), x->kernel_version))
                return bad(e, what, "kernel.version", "a version of at most 63 bytes");
        if (!take_word(m->definition, sizeof(m->definition), x->definition))
                return bad(e, what, "source.definition", "a SHA-256 in hexadecimal digits, or nothing");
        if (!json_is_array(x->packages) || json_array_size(x->packages) > IMAGE_MAX_PACKAGES)
                return bad(e, what, "source.packages", "a list of at most 1024 names");
        for (size_t i = 0; i < json_array_size(x->packages); i++) {
                char word[128];
                const char *s = json_string_value(json_array_get(x->packages, i));
                if (!s || !take_word(word, sizeof(word), s))
                        return bad(e, what, "source.packages", "names of packages");
                int r = strv_add(&m->packages, s, e);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int take_digests(const struct raw *x, const char *what, struct image_manifest *m, struct err *e)
{
        const struct {
                const char *field, *text;
                uint8_t *to;
        } all[] = {
                {"kernel.sha256", x->kernel, m->kernel_sha256},
                {"initramfs.sha256", x->initramfs, m->initramfs_sha256},
                {"initramfs.agent_sha256", x->agent, m->agent_sha256},
                {"root.sha256", x->root, m->root_sha256},
                {"root.verity", x->verity, m->verity_root},
                {"root.salt", x->salt, m->verity_salt},
                {"measurement.kvm", x->measurement[0], m->measurement[VM_ACCEL_KVM]},
                {"measurement.tcg", x->measurement[1], m->measurement[VM_ACCEL_TCG]},
        };
        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
                if (num_hex(all[i].text, all[i].to, IMAGE_SHA256, all[i].field, NULL) < 0)
                        return bad(e, what, all[i].field, "64 hexadecimal digits");
        return 0;
}

static bool in_range(json_int_t v, uint64_t max)
{
        return v > 0 && (uint64_t)v <= max;
}

static int take_sizes(const struct raw *x, const char *what, struct image_manifest *m, struct err *e)
{
        if (!in_range(x->kernel_size, IMAGE_MAX_KERNEL))
                return bad(e, what, "kernel.size", "1 byte to 64 MiB");
        if (!in_range(x->initramfs_size, IMAGE_MAX_INITRAMFS))
                return bad(e, what, "initramfs.size", "1 byte to 256 MiB");
        if (x->modules_size < 0 || x->modules_size >= x->initramfs_size || x->modules_size % 4)
                return bad(e, what, "initramfs.modules_size", "a multiple of 4 below initramfs.size");
        if (x->data_blocks < 2 || !in_range(x->data_blocks, IMAGE_MAX_ROOT / IMAGE_BLOCK))
                return bad(e, what, "root.data_blocks", "2 blocks to 1 TiB");
        uint64_t blocks = (uint64_t)x->data_blocks;
        if ((uint64_t)x->root_size != (blocks + image_tree_blocks(blocks)) * IMAGE_BLOCK)
                return bad(e, what, "root.size", "the data blocks and their hash tree");
        m->kernel_size = (uint64_t)x->kernel_size;
        m->initramfs_size = (uint64_t)x->initramfs_size;
        m->modules_size = (uint64_t)x->modules_size;
        m->root_size = (uint64_t)x->root_size;
        m->data_blocks = blocks;
        return 0;
}

static bool is_printable(const char *s)
{
        for (; *s; s++)
                if (*s < 0x20 || *s > 0x7e)
                        return false;
        return true;
}

static int take_cmdlines(const struct raw *x, const char *what, struct image_manifest *m, struct err *e)
{
        for (size_t i = 0; i < ARRAY_SIZE(accels); i++) {
                enum vm_accel a = accels[i];
                const char *text = x->cmdline[i];
                if (!*text || strlen(text) > IMAGE_MAX_CMDLINE || !is_printable(text))
                        return bad(e, what, "cmdline", "1 to 2047 printable characters");
                m->cmdline[a] = str_dup(text);
                if (!m->cmdline[a])
                        return err_nomem(e);
                uint8_t found[IMAGE_SHA256];
                int r = image_measure(m, a, text, found, e);
                if (r < 0)
                        return r;
                if (!secret_equal(found, m->measurement[a], IMAGE_SHA256))
                        return bad(e, what, "measurement",
                                   "the digest that follows from kernel, initramfs, command line and root");
        }
        return 0;
}

int image_manifest_parse(const void *json, size_t len, const char *what, struct image_manifest *ret, struct err *e)
{
        if (len > IMAGE_MAX_MANIFEST)
                return err_set(e, ERR_IMAGE_REFUSED, "%s: at most %u bytes, found %zu", what, IMAGE_MAX_MANIFEST, len);
        json_error_t why;
        AUTO(json_decrefp) json_t *doc = json_loadb(json, len, JSON_REJECT_DUPLICATES, &why);
        if (!doc)
                return err_set(e, ERR_IMAGE_REFUSED, "%s:%d:%d: %s", what, why.line, why.column, why.text);
        struct raw x = {0};
        AUTO(image_manifest_done) struct image_manifest m = IMAGE_MANIFEST_INIT;
        int r = unpack(doc, what, &x, e);
        if (r >= 0)
                r = take_words(&x, what, &m, e);
        if (r >= 0)
                r = take_digests(&x, what, &m, e);
        if (r >= 0)
                r = take_sizes(&x, what, &m, e);
        if (r >= 0)
                r = take_cmdlines(&x, what, &m, e);
        if (r < 0)
                return r;
        *ret = m;
        m = (struct image_manifest)IMAGE_MANIFEST_INIT;
        return 0;
}

static json_t *hex_json(const uint8_t digest[IMAGE_SHA256])
{
        char hex[IMAGE_HEX_SHA256];
        num_to_hex(digest, IMAGE_SHA256, hex);
        return json_string(hex);
}

static json_t *packages_json(const struct image_manifest *m)
{
        json_t *list = json_array();
        for (size_t i = 0; i < m->packages.n; i++)
                json_array_append_new(list, json_string(m->packages.v[i]));
        return list;
}

int image_manifest_write(const struct image_manifest *m, struct buf *ret, struct err *e)
{
        AUTO(json_decrefp)
        json_t *doc = json_pack(
                "{s:s, s:i, s:s, s:s, s:{s:s, s:s, s:s, s:o}, s:{s:s, s:I, s:o}, s:{s:I, s:o, s:I, s:o},"
                " s:{s:I, s:o, s:I, s:o, s:o}, s:{s:s, s:s}, s:{s:o, s:o}}",
                "format", FORMAT, "version", VERSION, "name", m->name, "created", m->created, "source", "kind",
                m->source, "suite", m->suite, "definition", m->definition, "packages", packages_json(m), "kernel",
                "version", m->kernel_version, "size", (json_int_t)m->kernel_size, "sha256", hex_json(m->kernel_sha256),
                "initramfs", "size", (json_int_t)m->initramfs_size, "sha256", hex_json(m->initramfs_sha256),
                "modules_size", (json_int_t)m->modules_size, "agent_sha256", hex_json(m->agent_sha256), "root", "size",
                (json_int_t)m->root_size, "sha256", hex_json(m->root_sha256), "data_blocks", (json_int_t)m->data_blocks,
                "verity", hex_json(m->verity_root), "salt", hex_json(m->verity_salt), "cmdline", "kvm",
                m->cmdline[VM_ACCEL_KVM], "tcg", m->cmdline[VM_ACCEL_TCG], "measurement", "kvm",
                hex_json(m->measurement[VM_ACCEL_KVM]), "tcg", hex_json(m->measurement[VM_ACCEL_TCG]));
        if (!doc)
                return err_nomem(e);
        char *text = json_dumps(doc, JSON_INDENT(2));
        if (!text)
                return err_nomem(e);
        int r = buf_append_str(ret, text, e);
        if (r >= 0)
                r = buf_append_byte(ret, '\n', e);
        free(text);
        return r;
}
