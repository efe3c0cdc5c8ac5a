#include "image_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

CLEANUP_DEFINE(struct image, image_free)

static int open_image(struct fixture *f, const char *ref, struct err *e)
{
        struct image *im = NULL;
        int r = image_open(&f->store, ref, &im, e);
        image_free(im);
        return r;
}

#define assert_refused(f, ref, part)                                                                                   \
        do {                                                                                                           \
                struct err e_ = ERR_INIT;                                                                              \
                assert_true(open_image((f), (ref), &e_) < 0);                                                          \
                assert_int_equal(e_.code, ERR_IMAGE_REFUSED);                                                          \
                assert_contains(e_.msg, (part));                                                                       \
        } while (0)

/* Change one byte of a file of the image. */
static void flip(struct fixture *f, const char *file, off_t at)
{
        char path[256];
        uint8_t c;
        snprintf(path, sizeof(path), "%s/one/%s", f->store.images, file);
        int fd = open(path, O_RDWR);
        assert_true(fd >= 0);
        assert_int_equal(pread(fd, &c, 1, at), 1);
        c ^= 1;
        assert_int_equal(pwrite(fd, &c, 1, at), 1);
        close(fd);
}

static void image_opens_with_sealed_kernel_and_read_only_root(void **state)
{
        struct fixture *f = *state;
        AUTO(image_freep) struct image *im = NULL;
        char text[16] = "";
        assert_int_equal(image_open(&f->store, "one", &im, NULL), 0);
        assert_int_equal(read(im->kernel_fd, text, sizeof(text)), 6);
        assert_string_equal(text, "kernel");
        int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
        assert_int_equal(fcntl(im->kernel_fd, F_GET_SEALS), seals);
        assert_int_equal(fcntl(im->initramfs_fd, F_GET_SEALS), seals);
        assert_int_equal(fcntl(im->root_fd, F_GETFL) & O_ACCMODE, O_RDONLY);
        assert_contains(image_cmdline(im, VM_ACCEL_TCG), "devdep.blocks=2");
        assert_true(str_starts(im->digest, "sha256:"));
        char again[160];
        snprintf(again, sizeof(again), "one@%s", im->digest);
        assert_int_equal(open_image(f, again, NULL), 0);
}

static void root_cannot_be_reopened_for_writing(void **state)
{
        struct fixture *f = *state;
        AUTO(image_freep) struct image *im = NULL;
        char path[64];
        assert_int_equal(image_open(&f->store, "one", &im, NULL), 0);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", im->root_fd);
        assert_true(open(path, O_RDWR) < 0);
        assert_int_equal(errno, EROFS);
}

static void another_digest_than_the_one_asked_for_is_refused(void **state)
{
        char ref[160];
        snprintf(ref, sizeof(ref), "one@sha256:%064d", 0);
        assert_refused(*state, ref, "asked for sha256:0000");
}

static void changed_manifest_is_refused(void **state)
{
        flip(*state, "manifest.json", 60);
        assert_refused(*state, "one", "does not fit");
}

static void changed_signature_is_refused(void **state)
{
        flip(*state, "manifest.sig", 228 - 20);
        assert_refused(*state, "one", "manifest.sig");
}

static void manifest_without_a_signature_is_refused(void **state)
{
        struct fixture *f = *state;
        char path[256];
        snprintf(path, sizeof(path), "%s/one/manifest.sig", f->store.images);
        assert_int_equal(unlink(path), 0);
        assert_refused(f, "one", "manifest.sig");
}

static void manifest_signed_by_a_stranger_is_refused(void **state)
{
        struct fixture *f = *state;
        char trusted[256];
        snprintf(trusted, sizeof(trusted), "%s/trusted", f->store.keys);
        assert_int_equal(fs_remove_tree(trusted, NULL), 0);
        assert_refused(f, "one", "not trusted");
}

static void changed_kernel_and_initramfs_are_refused(void **state)
{
        flip(*state, "kernel", 3);
        assert_refused(*state, "one", "one/kernel: its digest");
        flip(*state, "kernel", 3);
        flip(*state, "initramfs", 8);
        assert_refused(*state, "one", "one/initramfs: its digest");
}

static void files_of_another_size_or_kind_are_refused(void **state)
{
        struct fixture *f = *state;
        fixture_put(f, "one", "kernel", "kernel2", 7);
        assert_refused(f, "one", "expected 6 bytes, found 7");
        fixture_put(f, "one", "kernel", "kernel", 6);
        fixture_put(f, "one", "root.img", "short", 5);
        assert_refused(f, "one", "expected 12288 bytes, found 5");
        char path[256];
        snprintf(path, sizeof(path), "%s/one/kernel", f->store.images);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(symlink("/etc/passwd", path), 0);
        assert_refused(f, "one", "one/kernel");
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkfifo(path, 0600), 0);
        assert_refused(f, "one", "expected a regular file");
}

/* A good image under the name of another one is not that other one. */
static void signed_image_under_another_name_is_refused(void **state)
{
        struct fixture *f = *state;
        char from[256], to[256];
        snprintf(from, sizeof(from), "%s/one", f->store.images);
        snprintf(to, sizeof(to), "%s/two", f->store.images);
        assert_int_equal(rename(from, to), 0);
        assert_refused(f, "two", "signed as image 'one'");
}

static void image_that_is_nowhere_names_the_folders_and_the_command(void **state)
{
        struct fixture *f = *state;
        struct err e = ERR_INIT;
        assert_true(open_image(f, "missing", &e) < 0);
        assert_int_equal(e.code, ERR_NO_RUNNER);
        assert_contains(e.msg, f->store.images);
        assert_contains(e.msg, IMAGE_SYSTEM_STORE);
        assert_contains(e.msg, "devdep-cli image build missing");
}

static void names_cannot_leave_the_store(void **state)
{
        static const char *const names[] = {"",   ".",       "..",  "../one",      "one/",       "/etc",
                                            "-x", ".hidden", "a b", "one@sha256:", "one@md5:00", "one\nimage"};
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                struct err e = ERR_INIT;
                assert_true(open_image(*state, names[i], &e) < 0);
                assert_int_equal(e.code, ERR_USAGE);
        }
        char name[IMAGE_MAX_NAME + 2] = "";
        memset(name, 'a', IMAGE_MAX_NAME + 1);
        struct err e = ERR_INIT;
        assert_true(open_image(*state, name, &e) < 0);
        assert_int_equal(e.code, ERR_USAGE);
        name[IMAGE_MAX_NAME] = 0;
        assert_true(open_image(*state, name, &e) < 0);
        assert_int_equal(e.code, ERR_NO_RUNNER);
}

static void verify_reads_every_byte_and_names_the_damaged_block(void **state)
{
        struct fixture *f = *state;
        struct err e = ERR_INIT;
        assert_int_equal(image_verify(&f->store, "one", NULL, NULL, &e), 0);
        flip(f, "root.img", IMAGE_BLOCK + 5);
        assert_int_equal(open_image(f, "one", NULL), 0); /* a run leaves the root to verity */
        assert_true(image_verify(&f->store, "one", NULL, NULL, &e) < 0);
        assert_int_equal(e.code, ERR_IMAGE_REFUSED);
        assert_contains(e.msg, "block 1 (from byte 4096)");
        flip(f, "root.img", IMAGE_BLOCK + 5);
        flip(f, "root.img", FIXTURE_BLOCKS * IMAGE_BLOCK + 4000);
        assert_true(image_verify(&f->store, "one", NULL, NULL, &e) < 0);
        assert_contains(e.msg, "hash tree");
}

struct seen {
        unsigned good, refused;
};

static int count(const struct image_entry *x, void *user, struct err *e)
{
        (void)e;
        struct seen *s = user;
        if (!str_eq(x->name, "one") && !str_eq(x->name, "two"))
                return 0; /* of this machine */
        s->good += x->image != NULL;
        s->refused += x->refused != NULL;
        return 0;
}

static void list_shows_refused_images_too_and_remove_removes(void **state)
{
        struct fixture *f = *state;
        struct seen s = {0};
        struct err e = ERR_INIT;
        fixture_image(f, "two");
        flip(f, "kernel", 0);
        assert_int_equal(image_list(&f->store, count, &s, NULL), 0);
        assert_int_equal(s.good, 1);
        assert_int_equal(s.refused, 1);
        assert_int_equal(image_remove(&f->store, "one", &e), 0);
        assert_true(image_remove(&f->store, "one", &e) < 0);
        assert_int_equal(e.code, ERR_USAGE);
        assert_true(image_remove(&f->store, "../keys", &e) < 0);
        assert_true(fs_exists(f->store.keys));
        s = (struct seen){0};
        assert_int_equal(image_list(&f->store, count, &s, NULL), 0);
        assert_int_equal(s.good + s.refused, 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                WITH_IMAGE(image_opens_with_sealed_kernel_and_read_only_root),
                WITH_IMAGE(root_cannot_be_reopened_for_writing),
                WITH_IMAGE(another_digest_than_the_one_asked_for_is_refused),
                WITH_IMAGE(changed_manifest_is_refused),
                WITH_IMAGE(changed_signature_is_refused),
                WITH_IMAGE(manifest_without_a_signature_is_refused),
                WITH_IMAGE(manifest_signed_by_a_stranger_is_refused),
                WITH_IMAGE(changed_kernel_and_initramfs_are_refused),
                WITH_IMAGE(files_of_another_size_or_kind_are_refused),
                WITH_IMAGE(signed_image_under_another_name_is_refused),
                WITH_IMAGE(image_that_is_nowhere_names_the_folders_and_the_command),
                WITH_IMAGE(names_cannot_leave_the_store),
                WITH_IMAGE(verify_reads_every_byte_and_names_the_damaged_block),
                WITH_IMAGE(list_shows_refused_images_too_and_remove_removes),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
