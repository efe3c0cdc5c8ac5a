/* Templates on disk: what is written is read again, and whatever is wrong with it is found. */
#include "image_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fd.h"
#include "vm/template_priv.h"

#define MEMORY (64ull << 20)
#define PAGE TEMPLATE_PAGE

static uint8_t vmm_digest[32];

static int describe(struct buf *ret_text, uint8_t ret_digest[32], struct err *e)
{
        memcpy(ret_digest, vmm_digest, 32);
        return buf_append_str(ret_text, "a VMM\n", e);
}

static const struct vm_driver with_templates = {.name = "test", .caps = VM_CAP_TEMPLATE, .describe = describe};
static const struct vm_driver without_templates = {.name = "plain", .describe = describe};

/* A store with an image, and a template of it: three pages of data, two of them behind each other. */
struct world {
        struct fixture *f;
        struct image *image;
        struct template_want want;
        struct template_folder folder;
        struct template made;
};

static int memory_file(const char *name)
{
        int fd = -1;

        assert_int_equal(fd_memfd(name, &fd, NULL), 0);
        return fd;
}

static void put_page(int fd, uint64_t page, uint8_t byte)
{
        uint8_t data[PAGE];

        memset(data, byte, sizeof(data));
        assert_int_equal(pwrite(fd, data, PAGE, (off_t)(page * PAGE)), PAGE);
}

static void write_template(struct world *w)
{
        struct err e = ERR_INIT;

        if (template_folder_make(&w->folder, &e) < 0 || template_write(&w->folder, &w->want, &w->made, &e) < 0)
                fail_msg("%s", e.msg);
}

static int setup(void **state)
{
        struct world *w = calloc(1, sizeof(*w));
        void *f = NULL;

        assert_int_equal(fixture_setup(&f), 0);
        w->f = f;
        assert_int_equal(image_open(&w->f->store, "one", &w->image, NULL), 0);
        w->want = (struct template_want){.state = w->f->state,
                                         .driver = &with_templates,
                                         .image = w->image,
                                         .accel = VM_ACCEL_KVM,
                                         .shape = {.vcpus = 1, .memory = MEMORY, .scratch = 1 << 20}};
        w->folder = (struct template_folder)TEMPLATE_FOLDER_INIT;
        w->made = (struct template)TEMPLATE_INIT;
        w->made.memory_fd = memory_file("memory");
        w->made.state_fd = memory_file("state");
        assert_int_equal(ftruncate(w->made.memory_fd, MEMORY), 0);
        put_page(w->made.memory_fd, 1, 'a');
        put_page(w->made.memory_fd, 2, 0);
        put_page(w->made.memory_fd, 100, 'b');
        put_page(w->made.memory_fd, 101, 'c');
        assert_int_equal(write(w->made.state_fd, "devices", 7), 7);
        assert_int_equal(fd_seal(w->made.memory_fd, NULL), 0);
        assert_int_equal(fd_seal(w->made.state_fd, NULL), 0);
        assert_int_equal(template_folder_init(&w->folder, &w->want, NULL), 0);
        *state = w;
        return 0;
}

static int teardown(void **state)
{
        struct world *w = *state;
        void *f = w->f;
        int r;

        template_done(&w->made);
        template_folder_done(&w->folder);
        image_free(w->image);
        r = fixture_teardown(&f);
        free(w);
        return r;
}

static char *part(const struct world *w, const char *name)
{
        char *path = fs_join(w->folder.path, name);

        assert_non_null(path);
        return path;
}

/* It may not be used, and the reason has these words. */
static void assert_missing(struct world *w, const char *words)
{
        struct template t = TEMPLATE_INIT;
        struct err why = ERR_INIT, e = ERR_INIT;

        assert_int_equal(template_open(&w->want, &t, &why, &e), TEMPLATE_E_MISSING);
        assert_contains(why.msg, words);
        assert_int_equal(t.memory_fd, -1);
        assert_int_equal(t.state_fd, -1);
}

static void assert_opens(struct world *w)
{
        struct template t = TEMPLATE_INIT;
        struct err why = ERR_INIT, e = ERR_INIT;

        if (template_open(&w->want, &t, &why, &e) != 0)
                fail_msg("%s %s", why.msg, e.msg);
        template_done(&t);
}

static void assert_sealed(int fd)
{
        const int all = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

        assert_int_equal(fcntl(fd, F_GET_SEALS) & all, all);
        assert_int_equal(pwrite(fd, "x", 1, 0), -1);
}

static void template_is_read_as_it_was_written_and_sealed(void **state)
{
        struct world *w = *state;
        struct template t = TEMPLATE_INIT;
        struct err why = ERR_INIT;
        uint8_t page[PAGE];

        assert_missing(w, "there is none yet");
        write_template(w);
        assert_int_equal(template_open(&w->want, &t, &why, NULL), 0);
        assert_int_equal(t.data_bytes, 3 * PAGE);
        assert_int_equal(lseek(t.memory_fd, 0, SEEK_END), MEMORY);
        assert_int_equal(pread(t.memory_fd, page, PAGE, 101 * PAGE), PAGE);
        assert_int_equal(page[0], 'c');
        assert_int_equal(lseek(t.memory_fd, 2 * PAGE, SEEK_DATA), 100 * PAGE);
        assert_int_equal(pread(t.state_fd, page, PAGE, 0), 7);
        assert_memory_equal(page, "devices", 7);
        assert_sealed(t.memory_fd);
        assert_sealed(t.state_fd);
        template_done(&t);
}

static void a_compact_template_has_no_pages_of_zeros(void **state)
{
        struct world *w = *state;
        struct template t = TEMPLATE_INIT;
        uint8_t page[PAGE];

        t.memory_fd = memory_file("memory");
        assert_int_equal(ftruncate(t.memory_fd, MEMORY), 0);
        put_page(t.memory_fd, 7, 0);
        put_page(t.memory_fd, 100, 'x');
        assert_int_equal(template_compact(&t, w->want.shape.memory, NULL), 0);
        assert_int_equal(t.data_bytes, PAGE);
        assert_int_equal(lseek(t.memory_fd, 0, SEEK_DATA), 100 * PAGE);
        assert_int_equal(lseek(t.memory_fd, 0, SEEK_END), MEMORY);
        assert_int_equal(pread(t.memory_fd, page, PAGE, 100 * PAGE), PAGE);
        assert_int_equal(page[PAGE - 1], 'x');
        assert_sealed(t.memory_fd);
        template_done(&t);
}

static void memory_is_copied_by_a_child_that_ends_with_the_template(void **state)
{
        struct world *w = *state;
        struct template t = TEMPLATE_INIT;
        struct err why = ERR_INIT;

        write_template(w);
        assert_int_equal(template_begin(&w->want, &t, &why, NULL), 0);
        assert_true(t.copier_fd >= 0);
        assert_int_equal(template_finish(&t, &why, NULL), 0);
        assert_int_equal(t.copier_fd, -1);
        assert_int_equal(template_finish(&t, &why, NULL), 0);
        assert_sealed(t.memory_fd);
        template_done(&t);
        assert_int_equal(template_begin(&w->want, &t, &why, NULL), 0);
        template_done(&t);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        assert_int_equal(errno, ECHILD);
        struct err e = ERR_INIT;
        assert_int_equal(template_begin(&w->want, &t, &why, NULL), 0);
        kill(t.copier, SIGKILL);
        /* It may have been quicker. */
        assert_true(template_finish(&t, &why, &e) == 0 || strstr(e.msg, "was ended by signal 9"));
        template_done(&t);
}

static void files_are_the_users_alone_and_sparse(void **state)
{
        static const char *const names[] = {"memory", "state", "manifest.json", "lock"};
        struct world *w = *state;
        struct stat st;

        write_template(w);
        assert_opens(w);
        assert_int_equal(stat(w->folder.path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0700);
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                AUTO(auto_free) char *path = part(w, names[i]);
                assert_int_equal(stat(path, &st), 0);
                assert_int_equal(st.st_mode & 07777, 0600);
                if (i == 0)
                        assert_true(st.st_size == MEMORY && st.st_blocks * 512 < 16 * PAGE);
        }
}

static void another_ingredient_is_another_key(void **state)
{
        struct world *w = *state;
        struct template_want other = w->want;
        char key[HASH_HEX_SIZE], again[HASH_HEX_SIZE];

        assert_int_equal(template_key(&w->want, key, NULL, NULL), 0);
        assert_int_equal(template_key(&other, again, NULL, NULL), 0);
        assert_string_equal(key, again);
        other.accel = VM_ACCEL_TCG;
        assert_int_equal(template_key(&other, again, NULL, NULL), 0);
        assert_string_not_equal(key, again);
        for (unsigned i = 0; i < 3; i++) {
                other = w->want;
                other.shape.vcpus += i == 0;
                other.shape.memory += (i == 1) << 20;
                other.shape.scratch += i == 2;
                assert_int_equal(template_key(&other, again, NULL, NULL), 0);
                assert_string_not_equal(key, again);
        }
        vmm_digest[5] ^= 1;
        assert_int_equal(template_key(&w->want, again, NULL, NULL), 0);
        vmm_digest[5] ^= 1;
        assert_string_not_equal(key, again);
        w->image->digest[20] ^= 1;
        assert_int_equal(template_key(&w->want, again, NULL, NULL), 0);
        w->image->digest[20] ^= 1;
        assert_string_not_equal(key, again);
}

static void change_byte(struct world *w, const char *name, off_t at)
{
        AUTO(auto_free) char *path = part(w, name);
        AUTO(auto_close) int fd = open(path, O_RDWR);
        char c;

        assert_int_equal(pread(fd, &c, 1, at), 1);
        c ^= 1;
        assert_int_equal(pwrite(fd, &c, 1, at), 1);
}

static void damaged_state_is_refused(void **state)
{
        struct world *w = *state;
        AUTO(auto_free) char *path = part(w, "state");

        write_template(w);
        change_byte(w, "state", 3);
        assert_missing(w, "its state is not the one that was saved");
        write_template(w);
        assert_opens(w);
        assert_int_equal(truncate(path, 6), 0);
        assert_missing(w, "its state");
        assert_int_equal(truncate(path, (off_t)TEMPLATE_MAX_STATE + 1), 0);
        assert_missing(w, "state");
        assert_int_equal(unlink(path), 0);
        assert_missing(w, "its state: No such file");
}

static void memory_that_lost_bytes_is_refused(void **state)
{
        struct world *w = *state;
        AUTO(auto_free) char *path = part(w, "memory");

        write_template(w);
        assert_int_equal(truncate(path, MEMORY - PAGE), 0);
        assert_missing(w, "its memory has another size");
        assert_int_equal(truncate(path, 100 * PAGE), 0);
        assert_int_equal(truncate(path, MEMORY), 0);
        assert_missing(w, "its memory lost data");
}

/* The copier may be quicker than the cut: then what it has is whole. */
static bool is_cut_as_it_is_read(struct world *w, const char *path)
{
        struct template t = TEMPLATE_INIT;
        struct err why = ERR_INIT, e = ERR_INIT;
        uint8_t last[PAGE];

        assert_int_equal(template_begin(&w->want, &t, &why, &e), 0);
        assert_int_equal(truncate(path, MEMORY / 2), 0);
        int r = template_finish(&t, &why, &e);
        if (r == 0) {
                assert_int_equal(pread(t.memory_fd, last, PAGE, MEMORY - PAGE), PAGE);
                assert_int_equal(last[0], 'd');
                template_done(&t);
                return false;
        }
        assert_int_equal(r, TEMPLATE_E_MISSING);
        assert_contains(why.msg, "lost data while it was read");
        assert_int_equal(t.memory_fd, -1);
        assert_int_equal(t.state_fd, -1);
        return true;
}

static void memory_that_is_cut_as_it_is_read_is_missing(void **state)
{
        struct world *w = *state;
        bool seen = false;

        write_template(w);
        AUTO(auto_free) char *path = part(w, "memory");
        for (int i = 0; i < 50 && !seen; i++) {
                int fd = open(path, O_WRONLY | O_CLOEXEC);
                for (uint64_t page = 0; page < MEMORY / PAGE; page++)
                        put_page(fd, page, 'd');
                fd_close(fd);
                seen = is_cut_as_it_is_read(w, path);
        }
        assert_true(seen);
}

static void memory_that_cannot_be_read_is_no_hole(void **state)
{
        int from[2], to = memory_file("copy");
        struct err e = ERR_INIT;
        uint64_t data;

        (void)state;
        assert_int_equal(fd_pipe(from, NULL), 0);
        assert_int_equal(template_copy_data(from[0], to, PAGE, &data, &e), -1);
        assert_contains(e.msg, "look for data");
        fd_close(from[0]);
        fd_close(from[1]);
        fd_close(to);
}

static void damaged_manifest_is_refused(void **state)
{
        struct world *w = *state;
        AUTO(auto_free) char *path = part(w, "manifest.json");
        struct buf text = BUF_INIT;

        write_template(w);
        assert_int_equal(fs_read(path, TEMPLATE_MAX_MANIFEST, &text, NULL), 0);
        for (size_t cut = 0; cut + 2 < text.len; cut += 97) {
                assert_int_equal(truncate(path, (off_t)cut), 0);
                assert_missing(w, "manifest.json");
                assert_int_equal(fs_write_atomic(path, text.data, text.len, 0600, NULL), 0);
        }
        const char *line = strstr(buf_cstr(&text), "\"vcpus\": 1");
        assert_non_null(line);
        change_byte(w, "manifest.json", line - (const char *)text.data + 9);
        assert_missing(w, "another key's");
        assert_int_equal(unlink(path), 0);
        assert_missing(w, "its manifest.json: No such file");
        buf_done(&text);
}

static void what_others_may_write_is_refused_and_replaced(void **state)
{
        static const char *const names[] = {"memory", "state", "manifest.json"};
        struct world *w = *state;

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                AUTO(auto_free) char *path = part(w, names[i]);
                write_template(w);
                assert_opens(w);
                assert_int_equal(chmod(path, 0620), 0);
                assert_missing(w, "open to others");
                assert_int_equal(unlink(path), 0);
                assert_int_equal(symlink("/dev/zero", path), 0);
                assert_missing(w, names[i]);
        }
        assert_int_equal(chmod(w->folder.path, 0770), 0);
        assert_missing(w, "its folder");
        write_template(w);
        assert_opens(w);
        assert_int_equal(fs_remove_tree(w->folder.path, NULL), 0);
        assert_int_equal(symlink("/tmp", w->folder.path), 0);
        assert_missing(w, "no folder of ours");
        write_template(w);
        assert_opens(w);
}

static void another_users_template_is_refused_and_replaced(void **state)
{
        struct world *w = *state;
        AUTO(auto_free) char *path = part(w, "memory");

        if (geteuid() != 0)
                skip();
        write_template(w);
        assert_int_equal(chown(path, 65534, 65534), 0);
        assert_missing(w, "its memory belongs to another user");
        assert_int_equal(chown(w->folder.path, 65534, 65534), 0);
        assert_missing(w, "its folder belongs to another user");
        write_template(w);
        assert_opens(w);
}

static void another_frequency_of_the_counter_is_refused(void **state)
{
        struct world *w = *state;

        w->want.accel = VM_ACCEL_TCG;
        template_folder_done(&w->folder);
        assert_int_equal(template_folder_init(&w->folder, &w->want, NULL), 0);
        w->made.tsc_khz = 1000;
        write_template(w);
        assert_missing(w, "another frequency");
}

static void a_template_that_is_being_made_is_not_opened(void **state)
{
        struct world *w = *state;
        AUTO(auto_close) int lock_fd = -1;

        write_template(w);
        assert_int_equal(fs_lock(w->folder.lock_path, false, &lock_fd, NULL), 0);
        assert_missing(w, "it is being made");
}

static int let_go(const char *what, uint64_t ms, void *user, struct err *e)
{
        int *lock_fd = user;

        (void)what;
        (void)ms;
        (void)e;
        *lock_fd = fd_close(*lock_fd);
        return 0;
}

static int only_once(const char *what, uint64_t ms, void *user, struct err *e)
{
        unsigned *calls = user;

        (void)what;
        (void)ms;
        return ++*calls > 1 ? err_set(e, ERR_CANCELLED, "it still waits") : 0;
}

static void whoever_makes_it_is_waited_for_but_not_for_ever(void **state)
{
        struct world *w = *state;
        struct err e = ERR_INIT;
        unsigned calls = 0;
        int lock_fd = -1;

        assert_int_equal(template_folder_make(&w->folder, NULL), 0);
        assert_int_equal(fs_lock(w->folder.lock_path, false, &lock_fd, NULL), 0);
        assert_true(template_folder_lock(&w->folder, 0, only_once, &calls, &e) < 0);
        assert_int_equal(e.code, ERR_RESOURCES);
        assert_non_null(strstr(e.msg, "another process makes it"));
        assert_int_equal(template_folder_lock(&w->folder, TEMPLATE_WAIT_MS, let_go, &lock_fd, NULL), 0);
        assert_int_equal(lock_fd, -1);
}

static void leftovers_of_a_crash_are_no_template_and_in_nobodys_way(void **state)
{
        struct world *w = *state;
        AUTO(auto_free) char *path = part(w, "memory");

        assert_int_equal(template_folder_make(&w->folder, NULL), 0);
        assert_int_equal(fs_write_atomic(path, "half", 4, 0600, NULL), 0);
        assert_missing(w, "its manifest.json");
        write_template(w);
        assert_opens(w);
}

static void full_disk_leaves_nothing(void **state)
{
        struct world *w = *state;
        char *templates = fs_join(w->f->state, "templates");
        struct err e = ERR_INIT;
        struct template t = TEMPLATE_INIT;

        if (geteuid() != 0)
                skip();
        assert_int_equal(mkdir(templates, 0700), 0);
        assert_int_equal(mount("none", templates, "tmpfs", 0, "size=16k,mode=0700"), 0);
        assert_int_equal(template_folder_make(&w->folder, NULL), 0);
        assert_true(template_write(&w->folder, &w->want, &w->made, &e) < 0);
        assert_int_equal(e.code, ERR_RESOURCES);
        for (size_t i = 0; i < 3; i++) {
                static const char *const names[] = {"memory", "state", "manifest.json"};
                AUTO(auto_free) char *path = part(w, names[i]);
                assert_false(fs_exists(path));
        }
        template_folder_done(&w->folder);
        assert_int_equal(umount(templates), 0);
        template_done(&t);
        free(templates);
}

static void age(const char *path, unsigned days)
{
        time_t then = (time_t)(clock_real_ms() / 1000) - (time_t)days * 24 * 3600;
        const struct timespec times[2] = {{.tv_sec = then}, {.tv_sec = then}};

        assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* A second template beside the one of the world, last asked for `days` ago. */
static char *neighbour(struct world *w, unsigned days)
{
        struct template_want other = w->want;
        struct template_folder f = TEMPLATE_FOLDER_INIT;
        struct template t = TEMPLATE_INIT;
        struct err why = ERR_INIT;

        other.shape.scratch += 4096 + days;
        assert_int_equal(template_folder_init(&f, &other, NULL), 0);
        assert_int_equal(template_folder_make(&f, NULL), 0);
        assert_int_equal(template_write(&f, &other, &w->made, NULL), 0);
        assert_int_equal(template_open(&other, &t, &why, NULL), 0);
        template_done(&t);
        age(f.lock_path, days);
        char *path = str_dup(f.path);
        template_folder_done(&f);
        return path;
}

/* Sizes are the client's of a pool to choose, and each has a template of its own. */
static void past_a_number_the_longest_unused_template_goes(void **state)
{
        struct world *w = *state;
        char *others[TEMPLATE_MOST_KEPT + 1];
        unsigned left = 0;

        write_template(w);
        for (unsigned i = 0; i <= TEMPLATE_MOST_KEPT; i++) {
                others[i] = neighbour(w, i);
                AUTO(auto_free) char *lock = fs_join(others[i], "lock");
                age(lock, i == 7 ? 9 : i == 8 ? 10 : 1);
        }
        AUTO(auto_free) char *held = fs_join(others[8], "lock");
        AUTO(auto_close) int lock_fd = -1;
        assert_int_equal(fs_lock_shared(held, &lock_fd, NULL), 0);
        assert_int_equal(template_collect(&w->folder, NULL), 0);
        assert_false(fs_exists(others[7]));
        assert_int_equal(template_collect(&w->folder, NULL), 0);
        assert_int_equal(template_collect(&w->folder, NULL), 0);
        assert_true(fs_exists(others[8]));
        for (unsigned i = 0; i <= TEMPLATE_MOST_KEPT; i++) {
                left += fs_exists(others[i]);
                free(others[i]);
        }
        assert_int_equal(left, TEMPLATE_MOST_KEPT - 1);
        assert_opens(w);
}

static void unused_templates_are_collected_and_no_others(void **state)
{
        struct world *w = *state;
        AUTO(auto_free) char *recent = neighbour(w, TEMPLATE_UNUSED_DAYS - 1);
        AUTO(auto_free) char *old = neighbour(w, TEMPLATE_UNUSED_DAYS + 1);
        AUTO(auto_free) char *used = neighbour(w, TEMPLATE_UNUSED_DAYS + 2);
        AUTO(auto_free) char *lock = fs_join(used, "lock"), *half = neighbour(w, 0);
        AUTO(auto_free) char *manifest = fs_join(half, "manifest.json");
        AUTO(auto_free) char *stranger = str_printf("%s/templates/notes", w->f->state);
        AUTO(auto_close) int lock_fd = -1;

        assert_int_equal(unlink(manifest), 0);
        assert_int_equal(mkdir(stranger, 0700), 0);
        assert_int_equal(fs_lock_shared(lock, &lock_fd, NULL), 0);
        write_template(w);
        age(w->folder.path, 100);
        assert_int_equal(template_collect(&w->folder, NULL), 0);
        assert_true(fs_exists(recent));
        assert_false(fs_exists(old));
        assert_true(fs_exists(used));
        assert_false(fs_exists(half));
        assert_true(fs_exists(stranger));
        assert_opens(w);
        /* Asked for again: it is young. */
        age(w->folder.lock_path, 100);
        assert_opens(w);
        struct stat st;
        assert_int_equal(stat(w->folder.lock_path, &st), 0);
        assert_true(st.st_mtime > (time_t)(clock_real_ms() / 1000) - 1000);
}

static void stock_counts_templates_and_what_they_take(void **state)
{
        struct world *w = *state;
        struct template_stock stock;
        struct err e = ERR_INIT;

        assert_int_equal(template_stock(w->f->state, &stock, &e), 0);
        assert_int_equal(stock.n, 0);
        write_template(w);
        free(neighbour(w, 1));
        assert_int_equal(template_stock(w->f->state, &stock, &e), 0);
        assert_int_equal(stock.n, 2);
        assert_true(stock.bytes >= 6 * PAGE && stock.bytes < 64 * PAGE);
}

static void a_removed_template_does_no_harm_to_who_has_it(void **state)
{
        struct world *w = *state;
        struct template t = TEMPLATE_INIT;
        struct err why = ERR_INIT;
        uint8_t page[PAGE];

        write_template(w);
        assert_int_equal(template_open(&w->want, &t, &why, NULL), 0);
        assert_int_equal(fs_remove_tree(w->folder.path, NULL), 0);
        assert_int_equal(pread(t.memory_fd, page, PAGE, 100 * PAGE), PAGE);
        assert_int_equal(page[0], 'b');
        template_done(&t);
        assert_missing(w, "there is none yet");
}

static void driver_without_templates_says_so(void **state)
{
        struct world *w = *state;
        struct template t = TEMPLATE_INIT;
        struct err why = ERR_INIT, unkept, e = ERR_INIT;

        w->want.driver = &without_templates;
        assert_true(template_open(&w->want, &t, &why, &e) < 0);
        assert_contains(e.msg, "the driver plain has no templates");
        assert_true(template_build(&w->want, NULL, NULL, &t, &unkept, &e) < 0);
}

#define WITH_TEMPLATE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                WITH_TEMPLATE(template_is_read_as_it_was_written_and_sealed),
                WITH_TEMPLATE(a_compact_template_has_no_pages_of_zeros),
                WITH_TEMPLATE(memory_is_copied_by_a_child_that_ends_with_the_template),
                WITH_TEMPLATE(files_are_the_users_alone_and_sparse),
                WITH_TEMPLATE(another_ingredient_is_another_key),
                WITH_TEMPLATE(damaged_state_is_refused),
                WITH_TEMPLATE(memory_that_lost_bytes_is_refused),
                WITH_TEMPLATE(memory_that_is_cut_as_it_is_read_is_missing),
                cmocka_unit_test(memory_that_cannot_be_read_is_no_hole),
                WITH_TEMPLATE(damaged_manifest_is_refused),
                WITH_TEMPLATE(what_others_may_write_is_refused_and_replaced),
                WITH_TEMPLATE(another_users_template_is_refused_and_replaced),
                WITH_TEMPLATE(another_frequency_of_the_counter_is_refused),
                WITH_TEMPLATE(a_template_that_is_being_made_is_not_opened),
                WITH_TEMPLATE(whoever_makes_it_is_waited_for_but_not_for_ever),
                WITH_TEMPLATE(leftovers_of_a_crash_are_no_template_and_in_nobodys_way),
                WITH_TEMPLATE(full_disk_leaves_nothing),
                WITH_TEMPLATE(unused_templates_are_collected_and_no_others),
                WITH_TEMPLATE(past_a_number_the_longest_unused_template_goes),
                WITH_TEMPLATE(stock_counts_templates_and_what_they_take),
                WITH_TEMPLATE(a_removed_template_does_no_harm_to_who_has_it),
                WITH_TEMPLATE(driver_without_templates_says_so),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
