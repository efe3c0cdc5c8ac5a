/* What a guest sent becomes files of this host, or nothing does. */
#include "archive.h"

#include <sys/file.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"
#include "blob/stage.h"
#include "blob/unpack.h"
#include "codec/hash.h"

/* A folder with `out` in it or not, and the archive that is to be unpacked there. */
struct world {
        char *folder, *out;
        struct buf archive;
        struct err e;
};

static void start(struct world *w)
{
        *w = (struct world){.folder = folder_new(), .archive = BUF_INIT, .e = ERR_INIT};
        w->out = fs_join(w->folder, "out");
}

static void finish(struct world *w)
{
        buf_done(&w->archive);
        folder_free(w->folder);
        free(w->out);
}

static void add(struct world *w, const char *name, const char *text)
{
        archive_add(&w->archive, TAR_FILE, name, text);
}

/* A header as tar_write_entry() would refuse to make it: the name is exchanged, its checksum mended. */
static void add_named(struct world *w, const char *name)
{
        size_t at = w->archive.len;
        add(w, "placeholder", "x");
        uint8_t *header = w->archive.data + at;
        unsigned sum = 0;
        memset(header, 0, 100);
        memcpy(header, name, strlen(name));
        memset(header + 148, ' ', 8);
        for (size_t i = 0; i < TAR_BLOCK; i++)
                sum += header[i];
        snprintf((char *)header + 148, 8, "%06o", sum);
}

static int unpack_from(struct world *w, const char *path, bool force, const volatile sig_atomic_t *stop)
{
        const struct unpack_options o = {.folder = w->out, .force = force, .stop = stop};
        uint8_t digest[HASH_SIZE];
        struct store_entry x = {.bytes = w->archive.len};
        assert_int_equal(hash_bytes(w->archive.data, w->archive.len, digest, NULL), 0);
        hash_hex(digest, x.digest);
        AUTO(auto_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
        w->e = (struct err)ERR_INIT;
        return unpack_artifact(fd, &x, &o, &w->e);
}

static int unpack(struct world *w, bool force)
{
        AUTO(auto_free) char *path = fs_join(w->folder, "archive");
        assert_int_equal(tar_write_end(&w->archive, NULL), 0);
        assert_int_equal(fs_write_atomic(path, w->archive.data, w->archive.len, 0600, NULL), 0);
        int r = unpack_from(w, path, force, NULL);
        assert_int_equal(unlink(path), 0);
        buf_clear(&w->archive);
        return r;
}

static void unpacks(struct world *w, bool force)
{
        if (unpack(w, force) != 0)
                fail_msg("%s", w->e.msg);
}

static void refuses(struct world *w, bool force, int code, const char *message)
{
        assert_int_equal(unpack(w, force), -1);
        assert_contains(w->e.msg, message);
        assert_int_equal(w->e.code, code);
}

static void has(const struct world *w, const char *name, const char *text)
{
        AUTO(auto_free) char *path = fs_join(w->out, name);
        AUTO(buf_done) struct buf b = BUF_INIT;
        assert_int_equal(fs_read(path, 1000, &b, NULL), 0);
        assert_string_equal(buf_cstr(&b), text);
}

static void put(const struct world *w, const char *name, const char *text)
{
        AUTO(auto_free) char *path = fs_join(w->out, name);
        assert_int_equal(fs_write_atomic(path, text, strlen(text), 0600, NULL), 0);
}

/* The names in the world's folder, or in a folder of `out`. */
static void holds(const struct world *w, const char *below, const char *names)
{
        AUTO(auto_free) char *path = below ? fs_join(w->out, below) : str_dup(w->folder);
        AUTO(strv_done) struct strv v = STRV_INIT;
        AUTO(buf_done) struct buf b = BUF_INIT;
        AUTO(auto_closedir) DIR *d = opendir(path);
        assert_non_null(d);
        assert_int_equal(fs_names(d, path, &v, NULL), 0);
        for (size_t i = 0; i < v.n; i++)
                assert_int_equal(buf_printf(&b, NULL, "%s%s", i ? " " : "", v.v[i]), 0);
        assert_string_equal(buf_cstr(&b), names);
}

/* ---- what appears ---- */

static void a_new_folder_appears_with_all_files_and_nothing_else_stays(void **state)
{
        struct world w;
        struct stat st;
        mode_t before = umask(022);
        (void)state;
        start(&w);
        free(w.out);
        w.out = fs_join(w.folder, "deep/er/out/");
        add(&w, "index.html", "hello");
        add(&w, "css/a/site.css", "body");
        add(&w, ".git/config", "in a folder of its own it changes nothing");
        add(&w, "latin-\xe4", "1");
        unpacks(&w, false);
        umask(before);
        has(&w, "index.html", "hello");
        has(&w, "css/a/site.css", "body");
        has(&w, "latin-\xe4", "1");
        holds(&w, "", ".git css index.html latin-\xe4");
        holds(&w, NULL, "deep");
        AUTO(auto_free) char *file = fs_join(w.out, "index.html");
        assert_int_equal(lstat(file, &st), 0);
        assert_int_equal(st.st_mode, S_IFREG | 0644);
        assert_int_equal(lstat(w.out, &st), 0);
        assert_int_equal(st.st_mode, S_IFDIR | 0755);
        finish(&w);
}

static void files_join_those_of_a_folder_that_is_there(void **state)
{
        struct world w;
        (void)state;
        start(&w);
        add(&w, "a/one", "1");
        unpacks(&w, false);
        add(&w, "a/two", "2");
        add(&w, "b/three", "3");
        unpacks(&w, false);
        has(&w, "a/one", "1");
        has(&w, "a/two", "2");
        has(&w, "b/three", "3");
        holds(&w, "", "a b");
        finish(&w);
}

static void nothing_is_written_when_one_file_is_there_unless_force_is_given(void **state)
{
        struct world w;
        (void)state;
        start(&w);
        add(&w, "a/zz", "old");
        unpacks(&w, false);
        add(&w, "a/aa", "new");
        add(&w, "a/zz", "new");
        refuses(&w, false, ERR_USAGE, "'a/zz' is there already; nothing was written (--force replaces files)");
        holds(&w, "a", "zz");
        has(&w, "a/zz", "old");
        add(&w, "a/aa", "new");
        add(&w, "a/zz", "new");
        unpacks(&w, true);
        has(&w, "a/aa", "new");
        has(&w, "a/zz", "new");
        holds(&w, "", "a");
        finish(&w);
}

static void a_folder_never_gives_way_to_a_file_nor_a_file_to_a_folder(void **state)
{
        struct world w;
        (void)state;
        start(&w);
        add(&w, "a/b", "1");
        unpacks(&w, false);
        add(&w, "a", "2");
        refuses(&w, true, ERR_USAGE, "'a' is there already, as a folder");
        add(&w, "a/b/c", "2");
        refuses(&w, true, ERR_USAGE, "'a/b' is there already, and is no folder");
        has(&w, "a/b", "1");
        finish(&w);
}

/* ---- links of the host ---- */

static void links_of_the_folder_are_not_followed(void **state)
{
        struct world w;
        (void)state;
        start(&w);
        AUTO(auto_free) char *secret = fs_join(w.folder, "secret");
        AUTO(auto_free) char *elsewhere = fs_join(w.folder, "elsewhere");
        AUTO(auto_free) char *link = fs_join(w.out, "file");
        AUTO(auto_free) char *way = fs_join(w.out, "way");
        assert_int_equal(mkdir(w.out, 0700) | mkdir(elsewhere, 0700), 0);
        assert_int_equal(fs_write_atomic(secret, "mine", 4, 0600, NULL), 0);
        assert_int_equal(symlink(secret, link) | symlink(elsewhere, way), 0);
        add(&w, "way/in", "x");
        refuses(&w, true, ERR_USAGE, "'way' is there already, and is no folder");
        AUTO(auto_free) char *in = fs_join(elsewhere, "in");
        assert_false(fs_exists(in));
        add(&w, "file", "x");
        refuses(&w, false, ERR_USAGE, "'file' is there already");
        add(&w, "file", "x");
        unpacks(&w, true);
        has(&w, "file", "x");
        has(&w, "../secret", "mine");
        holds(&w, NULL, "elsewhere out secret");
        finish(&w);
}

static void the_folder_itself_may_be_a_link_to_one_but_not_to_a_file(void **state)
{
        struct world w;
        (void)state;
        start(&w);
        AUTO(auto_free) char *real = fs_join(w.folder, "real");
        assert_int_equal(mkdir(real, 0700) | symlink("real", w.out), 0);
        add(&w, "a", "1");
        unpacks(&w, false);
        has(&w, "../real/a", "1");
        assert_int_equal(unlink(w.out) | symlink("real/a", w.out), 0);
        add(&w, "b", "1");
        refuses(&w, true, ERR_USAGE, "is no folder");
        assert_int_equal(unlink(w.out) | symlink("nowhere", w.out), 0);
        add(&w, "b", "1");
        refuses(&w, true, ERR_USAGE, "is there already");
        holds(&w, NULL, "out real");
        finish(&w);
}

/* ---- what is refused ---- */

static void names_of_the_archive_that_lead_out_or_hide_something_are_refused(void **state)
{
        static const struct {
                const char *name, *message;
        } rows[] = {
                {"../out2", "'..'"},
                {"a/../../x", "'..'"},
                {"/etc/x", "absolute"},
                {"a\x1b[2Jb", "'a\\x1b[2Jb', which holds a control character"},
                {"a\nb", "control"},
                {"a\xe2\x80\xae"
                 "b",
                 "control"},
        };
        struct world w;
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                start(&w);
                add(&w, "good", "1");
                add_named(&w, rows[i].name);
                refuses(&w, true, ERR_USAGE, rows[i].message);
                holds(&w, NULL, "");
                finish(&w);
        }
}

static void links_folders_and_devices_of_the_archive_are_refused(void **state)
{
        static const enum tar_type types[] = {TAR_SYMLINK, TAR_HARDLINK, TAR_FOLDER, TAR_CHAR, TAR_FIFO};
        struct world w;
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
                const struct tar_entry t = {.type = types[i],
                                            .name = "a",
                                            .link = types[i] <= TAR_HARDLINK && types[i] >= TAR_SYMLINK ? "b" : ""};
                start(&w);
                assert_int_equal(tar_write_entry(&t, &w.archive, NULL), 0);
                add(&w, "b", "beside it");
                refuses(&w, true, ERR_USAGE, "which is not accepted here");
                holds(&w, NULL, "");
                finish(&w);
        }
}

static void a_name_twice_is_refused(void **state)
{
        struct world w;
        (void)state;
        start(&w);
        add(&w, "a", "1");
        add(&w, "a", "2");
        refuses(&w, true, ERR_USAGE, "twice");
        add(&w, "a", "1");
        add(&w, "a/b", "2");
        refuses(&w, true, ERR_USAGE, "'a/b' twice, or as a file and as a folder");
        add(&w, "a/b", "1");
        add(&w, "a", "2");
        refuses(&w, true, ERR_USAGE, "twice");
        holds(&w, NULL, "");
        finish(&w);
}

static void folders_have_a_greatest_depth_and_names_a_greatest_length(void **state)
{
        char deep[4096] = "", part[300];
        struct world w;
        (void)state;
        start(&w);
        for (unsigned i = 0; i < ARTIFACT_MAX_DEPTH; i++)
                strcat(deep, "d/");
        strcat(deep, "f");
        add(&w, deep, "1");
        unpacks(&w, false);
        has(&w, deep, "1");
        add(&w, deep, "2");
        unpacks(&w, true);
        has(&w, deep, "2");
        memmove(deep + 2, deep, strlen(deep) + 1);
        add(&w, deep, "1");
        refuses(&w, true, ERR_USAGE, "below more than 64 folders");
        memset(part, 'n', 256);
        part[256] = '\0';
        add(&w, part, "1");
        refuses(&w, true, ERR_USAGE, "too long for this host");
        finish(&w);
}

static void nothing_gets_into_a_git_folder_that_is_there(void **state)
{
        static const char *const names[] = {".git/config", "a/.GIT/hooks/x", ".git"};
        struct world w;
        (void)state;
        start(&w);
        assert_int_equal(mkdir(w.out, 0700), 0);
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                add(&w, names[i], "1");
                refuses(&w, true, ERR_USAGE, "could change what git does");
        }
        add(&w, "a.git/.gitignore", "1");
        unpacks(&w, true);
        finish(&w);
}

static void a_damaged_or_cut_archive_leaves_nothing(void **state)
{
        struct world w;
        (void)state;
        start(&w);
        AUTO(auto_free) char *path = fs_join(w.folder, "archive");
        put((&(struct world){.out = w.folder}), "keep", "1");
        add(&w, "a", "one");
        assert_int_equal(tar_write_end(&w.archive, NULL), 0);
        w.archive.data[TAR_BLOCK] = 'O';
        assert_int_equal(fs_write_atomic(path, w.archive.data, w.archive.len, 0600, NULL), 0);
        w.archive.data[TAR_BLOCK] = 'o';
        assert_int_equal(unpack_from(&w, path, false, NULL), -1);
        assert_contains(w.e.msg, "damaged");
        assert_int_equal(truncate(path, 700), 0);
        assert_int_equal(unpack_from(&w, path, false, NULL), -1);
        const volatile sig_atomic_t stop = 1;
        assert_int_equal(unpack_from(&w, path, false, &stop), -1);
        assert_int_equal(w.e.code, ERR_CANCELLED);
        holds(&w, NULL, "archive keep");
        finish(&w);
}

/* ---- what a killed one leaves ---- */

static void what_a_killed_one_left_is_removed_and_what_is_under_way_is_not(void **state)
{
        struct world w;
        (void)state;
        start(&w);
        AUTO(auto_free) char *left = fs_join(w.folder, ".devdep-0123456789abcdef");
        AUTO(auto_free) char *alive = fs_join(w.folder, ".devdep-aaaaaaaaaaaaaaaa");
        AUTO(auto_free) char *foreign = fs_join(w.folder, ".devdep-notes");
        AUTO(auto_free) char *file = fs_join(left, "half");
        assert_int_equal(mkdir(left, 0700) | mkdir(alive, 0700) | mkdir(foreign, 0700), 0);
        assert_int_equal(fs_write_atomic(file, "x", 1, 0600, NULL), 0);
        AUTO(auto_close) int lock = open(alive, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(flock(lock, LOCK_EX), 0);
        add(&w, "a", "1");
        unpacks(&w, false);
        holds(&w, NULL, ".devdep-aaaaaaaaaaaaaaaa .devdep-notes out");
        finish(&w);
}

static void a_stage_is_locked_and_goes_with_its_maker(void **state)
{
        struct stage s = STAGE_INIT, other = STAGE_INIT;
        struct world w;
        (void)state;
        start(&w);
        assert_int_equal(stage_make(w.folder, &s, NULL), 0);
        assert_int_equal(stage_make(w.folder, &other, NULL), 0);
        assert_true(fs_exists(s.path));
        stage_done(&other);
        assert_true(fs_exists(s.path));
        stage_done(&s);
        holds(&w, NULL, "");
        finish(&w);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_new_folder_appears_with_all_files_and_nothing_else_stays),
                cmocka_unit_test(files_join_those_of_a_folder_that_is_there),
                cmocka_unit_test(nothing_is_written_when_one_file_is_there_unless_force_is_given),
                cmocka_unit_test(a_folder_never_gives_way_to_a_file_nor_a_file_to_a_folder),
                cmocka_unit_test(links_of_the_folder_are_not_followed),
                cmocka_unit_test(the_folder_itself_may_be_a_link_to_one_but_not_to_a_file),
                cmocka_unit_test(names_of_the_archive_that_lead_out_or_hide_something_are_refused),
                cmocka_unit_test(links_folders_and_devices_of_the_archive_are_refused),
                cmocka_unit_test(a_name_twice_is_refused),
                cmocka_unit_test(folders_have_a_greatest_depth_and_names_a_greatest_length),
                cmocka_unit_test(nothing_gets_into_a_git_folder_that_is_there),
                cmocka_unit_test(a_damaged_or_cut_archive_leaves_nothing),
                cmocka_unit_test(what_a_killed_one_left_is_removed_and_what_is_under_way_is_not),
                cmocka_unit_test(a_stage_is_locked_and_goes_with_its_maker),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
