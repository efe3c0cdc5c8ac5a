/* devdep-cli image: make, look at, check and remove images; sign, and trust keys. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/program.h"
#include "cli/command.h"
#include "cli/output.h"
#include "codec/hash.h"
#include "trust/signature.h"
#include "vm/image.h"
#include "vm/image_build.h"

CLEANUP_DEFINE(struct image, image_free)
CLEANUP_DEFINE(struct key, key_free)

static const struct command_option json_option = {"json", 0, NULL, "print JSON", false};

static json_t *image_json(const struct image *im)
{
        const struct image_manifest *m = &im->manifest;
        char kvm[IMAGE_REF_SIZE], tcg[IMAGE_REF_SIZE], verity[IMAGE_HEX_SHA256];
        image_measurement(im, VM_ACCEL_KVM, kvm);
        image_measurement(im, VM_ACCEL_TCG, tcg);
        num_to_hex(m->verity_root, IMAGE_SHA256, verity);
        json_t *packages = json_array();
        for (size_t i = 0; i < m->packages.n; i++)
                json_array_append_new(packages, json_string(m->packages.v[i]));
        return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:o,s:s,s:I,s:I,s:I,s:s,s:{s:s,s:s},s:{s:s,s:s}}", "name",
                         im->name, "digest", im->digest, "path", im->path, "signer", im->signer, "created", m->created,
                         "source", m->source, "suite", m->suite, "packages", packages, "kernel", m->kernel_version,
                         "kernel_bytes", (json_int_t)m->kernel_size, "initramfs_bytes", (json_int_t)m->initramfs_size,
                         "root_bytes", (json_int_t)m->root_size, "verity", verity, "cmdline", "kvm",
                         image_cmdline(im, VM_ACCEL_KVM), "tcg", image_cmdline(im, VM_ACCEL_TCG), "measurement", "kvm",
                         kvm, "tcg", tcg);
}

static void print_image(const struct image *im)
{
        const struct image_manifest *m = &im->manifest;
        char kvm[IMAGE_REF_SIZE], tcg[IMAGE_REF_SIZE];
        image_measurement(im, VM_ACCEL_KVM, kvm);
        image_measurement(im, VM_ACCEL_TCG, tcg);
        printf("name         %s\ndigest       %s\nfolder       %s\nsigned by    %s\nmade         %s (%s%s%s)\n",
               im->name, im->digest, im->path, im->signer, m->created, m->source, *m->suite ? ", Debian " : "",
               m->suite);
        printf("kernel       %s, %llu KiB\ninitramfs    %llu KiB\nroot         %llu MiB\n", m->kernel_version,
               (unsigned long long)m->kernel_size >> 10, (unsigned long long)m->initramfs_size >> 10,
               (unsigned long long)m->root_size >> 20);
        printf("measurement  kvm %s\n             tcg %s\n", kvm, tcg);
        printf("arguments    kvm %s\n             tcg %s\n", image_cmdline(im, VM_ACCEL_KVM),
               image_cmdline(im, VM_ACCEL_TCG));
        if (m->packages.n)
                printf("packages    ");
        for (size_t i = 0; i < m->packages.n; i++)
                printf(" %s", m->packages.v[i]);
        if (m->packages.n)
                putchar('\n');
}

/* image show */

static int show(const struct image_store *s, const char *ref, bool json, struct err *e)
{
        AUTO(image_freep) struct image *im = NULL;
        int r = image_open(s, ref, &im, e);
        if (r < 0)
                return r;
        if (json)
                return output_json(image_json(im), e);
        print_image(im);
        return 0;
}

static int run_show(const struct args *a, struct err *e)
{
        AUTO(image_store_done) struct image_store s = IMAGE_STORE_INIT;
        int r = image_store_init(&s, NULL, e);
        return r < 0 ? r : show(&s, a->positional[0], args_has(a, "json"), e);
}

static const struct command command_show = {
        .name = "show",
        .summary = "Show an image: digest, signer, measurements, kernel arguments, packages",
        .positional = "NAME[@sha256:DIGEST]",
        .min_args = 1,
        .max_args = 1,
        .options = &json_option,
        .n_options = 1,
        .examples = "  devdep-cli image show default\n  devdep-cli image show --json default | jq -r .digest\n",
        .run = run_show,
};

/* image build */

static int read_packages_file(const char *path, struct image_conf *conf, struct err *e)
{
        AUTO(buf_done) struct buf text = BUF_INIT_MAX(IMAGE_MAX_CONF);
        int r = fs_read(path, IMAGE_MAX_CONF, &text, e);
        if (r == FS_E_MISSING)
                return err_set(e, ERR_USAGE, "--packages-file: there is no %s", path);
        if (r < 0)
                return err_wrap(e, r, "--packages-file");
        return image_conf_add_packages(conf, text.data ? (const char *)text.data : "", text.len, path, e);
}

/* The definition of the name, else the smallest one, and what the options add. */
static int collect(const struct args *a, const char *name, struct image_conf *conf, struct err *e)
{
        const char *file = args_get(a, "packages-file"), *suite = args_get(a, "suite");
        bool own = file || args_get(a, "package");
        int r = image_conf_load(name, conf, e);
        if (r == IMAGE_CONF_E_MISSING && !own)
                return err_set(e, ERR_USAGE,
                               "there is no definition of an image '%s': name its packages with --package or "
                               "--packages-file, or build 'default', 'containers', 'devdep', 'rust' or 'small'",
                               name);
        if (r == IMAGE_CONF_E_MISSING)
                r = image_conf_load("small", conf, e);
        if (r >= 0 && file)
                r = read_packages_file(file, conf, e);
        const char *package;
        for (size_t i = 0; r >= 0 && (package = args_get_nth(a, "package", i)); i++)
                r = image_conf_add_packages(conf, package, strlen(package), "--package", e);
        if (r >= 0 && suite)
                r = image_conf_set_suite(conf, suite, "--suite", e);
        return r < 0 ? r : 0;
}

/* devdep-guest for the initramfs. */
static int agent_path(const struct args *a, char **ret, struct err *e)
{
        const char *given = args_get(a, "agent");
        if (!given)
                return program_path("devdep-guest", ret, e);
        *ret = str_dup(given);
        return *ret ? 0 : err_nomem(e);
}

static int run_build(const struct args *a, struct err *e)
{
        AUTO(image_store_done) struct image_store s = IMAGE_STORE_INIT;
        AUTO(image_conf_done) struct image_conf conf = IMAGE_CONF_INIT;
        AUTO(auto_free) char *agent = NULL;
        const char *name = a->positional[0];
        if (!str_is_name(name, IMAGE_MAX_NAME))
                return err_set(e, ERR_USAGE,
                               "image '%.80s': expected 1 to 64 of [A-Za-z0-9._-], not starting with '.' or '-'", name);
        fprintf(stderr, "image: %s\n", name);
        int r = image_store_init(&s, NULL, e);
        if (r >= 0)
                r = collect(a, name, &conf, e);
        if (r >= 0)
                r = agent_path(a, &agent, e);
        if (r < 0)
                return r;
        struct image_build b = {
                .store = &s, .name = name, .conf = &conf, .agent = agent, .if_missing = args_has(a, "if-missing")};
        enum image_built built;
        r = image_build(&b, &built, e);
        if (r < 0)
                return r;
        static const char *const done[] = {[IMAGE_BUILT_NOTHING] = "is there already",
                                           [IMAGE_BUILT_AGENT] = "has this devdep-guest now",
                                           [IMAGE_BUILT_ALL] = "is made"};
        fprintf(stderr, "image: %s %s\n", name, done[built]);
        return show(&s, name, args_has(a, "json"), e);
}

static const struct command_option build_options[] = {
        {"suite", 0, "SUITE", "Debian suite in place of the definition's", false},
        {"package", 'p', "NAME", "one more package", true},
        {"packages-file", 0, "FILE", "more packages, divided by spaces or lines; # begins a comment", false},
        {"if-missing", 0, NULL, "do nothing when an image of this definition is there", false},
        {"agent", 0, "FILE", "another devdep-guest", false},
        {"json", 0, NULL, "print the image as JSON", false},
};

static const struct command command_build = {
        .name = "build",
        .summary = "Make an image from Debian packages",
        .positional = "NAME",
        .min_args = 1,
        .max_args = 1,
        .options = build_options,
        .n_options = ARRAY_SIZE(build_options),
        .details = "NAME is one of the definitions (default, containers, devdep, rust, small) or a new name with packages of your own.\n"
                   "Packages come from this host's own Debian sources, through its proxy. An ordinary user needs the\n"
                   "package uidmap and a line in /etc/subuid.",
        .examples = "  devdep-cli image build default\n"
                    "  devdep-cli image build default --if-missing\n"
                    "  devdep-cli image build go --package golang-go --package git\n",
        .run = run_build,
};

/* image ls */

struct printing {
        json_t *rows; /* NULL: text */
        unsigned n;
};

static int add_row(json_t *rows, const struct image_entry *x, struct err *e)
{
        json_t *row = x->image ? image_json(x->image)
                               : json_pack("{s:s,s:s,s:s}", "name", x->name, "path", x->path, "refused", x->refused);
        return json_array_append_new(rows, row) < 0 ? err_nomem(e) : 0;
}

static int print_entry(const struct image_entry *x, void *user, struct err *e)
{
        struct printing *p = user;
        if (p->rows)
                return add_row(p->rows, x, e);
        if (p->n++ == 0)
                printf("%-16s %8s  %-20s %-20s %s\n", "name", "MiB", "made", "digest", "folder");
        if (x->image)
                printf("%-16s %8llu  %.19sZ %.19s  %s\n", x->name,
                       (unsigned long long)x->image->manifest.root_size >> 20, x->image->manifest.created,
                       x->image->digest, x->path);
        else
                printf("%-16s refused: %s\n", x->name, x->refused);
        return 0;
}

static int run_ls(const struct args *a, struct err *e)
{
        AUTO(image_store_done) struct image_store s = IMAGE_STORE_INIT;
        struct printing p = {.rows = args_has(a, "json") ? json_array() : NULL};
        int r = image_store_init(&s, NULL, e);
        if (r >= 0)
                r = image_list(&s, print_entry, &p, e);
        if (r < 0) {
                json_decref(p.rows);
                return r;
        }
        if (p.rows)
                return output_json(p.rows, e);
        if (!p.n)
                printf("there are no images; make one: devdep-cli image build default\n");
        return 0;
}

static const struct command command_ls = {
        .name = "ls",
        .summary = "List images, also those that a run would refuse",
        .options = &json_option,
        .n_options = 1,
        .examples = "  devdep-cli image ls\n  devdep-cli image ls --json | jq -r '.[].name'\n",
        .run = run_ls,
};

/* image rm */

static int run_rm(const struct args *a, struct err *e)
{
        AUTO(image_store_done) struct image_store s = IMAGE_STORE_INIT;
        int r = image_store_init(&s, NULL, e);
        for (size_t i = 0; r >= 0 && i < a->n_positional; i++)
                r = image_remove(&s, a->positional[i], e);
        return r;
}

static const struct command command_rm_image = {
        .name = "rm",
        .summary = "Remove images; guests that run keep what they opened",
        .positional = "NAME...",
        .min_args = 1,
        .max_args = 64,
        .examples = "  devdep-cli image rm go\n",
        .run = run_rm,
};

/* image verify */

static int verify_tick(const char *what, uint64_t done, uint64_t total, void *user, struct err *e)
{
        (void)e;
        fprintf(stderr, "image: %s: reading %s, %llu of %llu MiB\n", (const char *)user, what,
                (unsigned long long)done >> 20, (unsigned long long)total >> 20);
        return 0;
}

static int run_verify(const struct args *a, struct err *e)
{
        AUTO(image_store_done) struct image_store s = IMAGE_STORE_INIT;
        char name[IMAGE_MAX_NAME + 80];
        int r = image_store_init(&s, NULL, e);
        for (size_t i = 0; r >= 0 && i < a->n_positional; i++) {
                str_copy(name, sizeof(name), a->positional[i]);
                r = image_verify(&s, a->positional[i], verify_tick, name, e);
                if (r >= 0)
                        printf("%s: every byte is what was signed\n", name);
        }
        return r;
}

static const struct command command_verify = {
        .name = "verify",
        .summary = "Check an image's signature and read every byte of it",
        .positional = "NAME[@sha256:DIGEST]...",
        .min_args = 1,
        .max_args = 64,
        .details = "A run checks signature, kernel and initramfs, and its guest each block of the root that it reads;\n"
                   "this reads all of it now. Damage ends with status 7 and names the first damaged block.",
        .examples = "  devdep-cli image verify default\n",
        .run = run_verify,
};

/* image import */

static int run_import(const struct args *a, struct err *e)
{
        AUTO(image_store_done) struct image_store s = IMAGE_STORE_INIT;
        AUTO(auto_free) char *agent = NULL;
        const char *name = args_get(a, "name"), *base = args_get(a, "kernel-from");
        if (!name)
                return err_set(e, ERR_USAGE, "devdep-cli image import: --name NAME says what the new image is called");
        if (!str_is_name(name, IMAGE_MAX_NAME))
                return err_set(e, ERR_USAGE, "--name: expected 1 to 64 of [A-Za-z0-9._-], found '%.80s'", name);
        fprintf(stderr, "image: importing %s as %s\n", a->positional[0], name);
        int r = image_store_init(&s, NULL, e);
        if (r >= 0)
                r = agent_path(a, &agent, e);
        if (r < 0)
                return r;
        struct image_import b = {.store = &s,
                                 .name = name,
                                 .file = a->positional[0],
                                 .signature = args_get(a, "signature"),
                                 .base = base ? base : "default",
                                 .agent = agent};
        r = image_import(&b, e);
        return r < 0 ? r : show(&s, name, args_has(a, "json"), e);
}

static const struct command_option import_options[] = {
        {"name", 0, "NAME", "what the image is called here", false},
        {"signature", 0, "FILE", "the signature over FILE.ext4 by a key that is trusted here", false},
        {"kernel-from", 0, "IMAGE", "whose kernel it gets (default: default)", false},
        {"agent", 0, "FILE", "another devdep-guest", false},
        {"json", 0, NULL, "print the image as JSON", false},
};

static const struct command command_import = {
        .name = "import",
        .summary = "Make an image from an ext4 file of somebody else",
        .positional = "FILE.ext4",
        .min_args = 1,
        .max_args = 1,
        .options = import_options,
        .n_options = ARRAY_SIZE(import_options),
        .details = "The file is an uncompressed, clean ext4 file system with blocks of 4096 bytes; it is examined in a "
                   "jail.\n"
                   "Its maker signs it with 'image sign --key KEY FILE'; 'image trust KEY.pub' trusts the maker here.",
        .examples = "  devdep-cli image trust vendor.pub\n"
                    "  devdep-cli image import alpine.ext4 --name alpine --signature alpine.ext4.sig\n",
        .run = run_import,
};

/* image sign */

static int sign_file(const struct key *k, const char *path, struct buf *ret, struct err *e)
{
        AUTO(auto_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
        uint8_t digest[HASH_SIZE];
        if (fd < 0)
                return err_errno(e, ERR_USAGE, errno, "%s", path);
        int r = hash_fd(fd, path, digest, NULL, e);
        return r < 0 ? r : signature_make(k, KEY_DOMAIN_ROOT, digest, sizeof(digest), ret, e);
}

static int signing_key(const struct args *a, struct key **ret, struct err *e)
{
        AUTO(image_store_done) struct image_store s = IMAGE_STORE_INIT;
        const char *path = args_get(a, "key");
        if (path) {
                int r = key_load_secret(path, ret, e);
                return r == KEY_E_MISSING ? err_set(e, ERR_USAGE,
                                                    "--key: there is no %s; make one: openssl genpkey "
                                                    "-algorithm ed25519 -out %s; chmod 600 %s",
                                                    path, path, path)
                                          : r;
        }
        int r = image_store_init(&s, NULL, e);
        return r < 0 ? r : trust_own_key(s.keys, ret, e);
}

static int run_sign(const struct args *a, struct err *e)
{
        AUTO(key_freep) struct key *k = NULL;
        AUTO(buf_done) struct buf line = BUF_INIT;
        const char *out = args_get(a, "output");
        AUTO(auto_free) char *path = out ? str_dup(out) : str_printf("%s.sig", a->positional[0]);
        if (!path)
                return err_nomem(e);
        int r = signing_key(a, &k, e);
        if (r >= 0)
                r = sign_file(k, a->positional[0], &line, e);
        if (r >= 0)
                r = fs_write_atomic(path, line.data, line.len, 0644, e);
        if (r < 0)
                return r;
        printf("%s: signed by key %s\n", path, key_id(k));
        return 0;
}

static const struct command_option sign_options[] = {
        {"key", 0, "FILE", "an Ed25519 secret key (PEM, mode 0600); default: this installation's own", false},
        {"output", 'o', "FILE", "where the signature goes (default: FILE.sig)", false},
};

static const struct command command_sign = {
        .name = "sign",
        .summary = "Sign an ext4 file for image import",
        .positional = "FILE",
        .min_args = 1,
        .max_args = 1,
        .options = sign_options,
        .n_options = ARRAY_SIZE(sign_options),
        .examples = "  openssl genpkey -algorithm ed25519 -out vendor.key; chmod 600 vendor.key\n"
                    "  openssl pkey -in vendor.key -pubout -out vendor.pub\n"
                    "  devdep-cli image sign --key vendor.key alpine.ext4\n",
        .run = run_sign,
};

/* image trust */

static int run_trust(const struct args *a, struct err *e)
{
        AUTO(image_store_done) struct image_store s = IMAGE_STORE_INIT;
        char id[KEY_ID_SIZE];
        int r = image_store_init(&s, NULL, e);
        if (r >= 0)
                r = trust_add(s.keys, a->positional[0], id, e);
        if (r < 0)
                return r;
        printf("trusted: key %s in %s/trusted; to undo: rm %s/trusted/%s.pub\n", id, s.keys, s.keys, id);
        return 0;
}

static const struct command command_trust = {
        .name = "trust",
        .summary = "Trust the maker of images: a public key",
        .positional = "KEY",
        .min_args = 1,
        .max_args = 1,
        .details = "KEY is an Ed25519 public key (PEM). Who holds its secret half can sign images that run here.",
        .examples = "  devdep-cli image trust vendor.pub\n",
        .run = run_trust,
};

static const struct command *const image_commands[] = {
        &command_build,  &command_import, &command_ls,    &command_show, &command_rm_image,
        &command_verify, &command_sign,   &command_trust, NULL,
};

const struct command command_image = {
        .name = "image",
        .summary = "Make, check and remove the images that guests boot",
        .sub = image_commands,
        .examples = "  devdep-cli image build default      make the default image\n"
                    "  devdep-cli image ls                 what there is\n"
                    "  devdep-cli image verify default     read every byte of it\n",
};
