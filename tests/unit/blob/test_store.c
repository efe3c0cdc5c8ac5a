/* The store on a real folder; small limits, so that each is met at its edge. */
#include "archive.h"

#include <errno.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/str.h"
#include "blob/folder.h"
#include "codec/hash.h"

struct world {
        char *folder;
        struct store *s;
};

static void start(struct world *w, enum store_kind kind, const struct store_limits *l)
{
        w->folder = folder_new();
        w->s = must_open(w->folder, kind, l);
}

static void finish(struct world *w)
{
        store_free(w->s);
        folder_free(w->folder);
}

static size_t count(const char *folder, const char *sub)
{
        char *path = fs_join(folder, sub);
        size_t n = 0;
        DIR *d = opendir(path);
        assert_non_null(d);
        for (struct dirent *x; (x = readdir(d));)
                n += x->d_name[0] != '.';
        closedir(d);
        free(path);
        return n;
}

static void text_is(struct store *s, uint64_t id, const char *text)
{
        struct buf want = archive_of("file", text), got = BUF_INIT;
        struct store_entry x;
        int fd = -1;
        assert_int_equal(store_read(s, id, &x, &fd, NULL), 0);
        assert_int_equal(fd_read_all(fd, 1 << 20, "archive", &got, NULL), 0);
        assert_int_equal(got.len, want.len);
        assert_memory_equal(got.data, want.data, want.len);
        fd_close(fd);
        buf_done(&want);
        buf_done(&got);
}

static void an_artifact_is_put_listed_and_read(void **state)
{
        struct world w;
        struct store_entry x;
        struct store_list l;
        uint8_t hash[HASH_SIZE];
        char hex[HASH_HEX_SIZE];
        struct buf b = archive_of("file", "hello");
        (void)state;
        start(&w, STORE_ARTIFACTS, &small_limits);
        assert_int_equal(put_archive(w.s, &ARTIFACT("dist"), &b, &x, NULL), 0);
        hash_bytes(b.data, b.len, hash, NULL);
        hash_hex(hash, hex);
        assert_string_equal(x.digest, hex);
        assert_int_equal(x.bytes, b.len);
        assert_int_equal(x.files, 1);
        assert_int_equal(x.content, 5);
        assert_int_equal(x.expires_ms, x.created_ms + STORE_DAY_MS);
        assert_int_equal(store_list(w.s, &l, NULL), 0);
        assert_int_equal(l.n, 1);
        assert_string_equal(l.v[0].name, "dist");
        assert_string_equal(l.v[0].job, "build");
        store_list_done(&l);
        text_is(w.s, x.id, "hello");
        assert_int_equal(count(w.folder, "incoming"), 0);
        buf_done(&b);
        finish(&w);
}

static void everything_is_its_owners_alone(void **state)
{
        static const char *const folders[] = {"objects", "entries", "incoming"};
        struct world w;
        struct store_entry x;
        struct stat st;
        (void)state;
        mode_t before = umask(0);
        start(&w, STORE_ARTIFACTS, &small_limits);
        assert_int_equal(put_text(w.s, &ARTIFACT("dist"), "hello", &x, NULL), 0);
        umask(before);
        for (size_t i = 0; i < 3; i++) {
                char *path = fs_join(w.folder, folders[i]);
                assert_int_equal(lstat(path, &st), 0);
                assert_int_equal(st.st_mode & 07777, 0700);
                free(path);
        }
        char path[256];
        snprintf(path, sizeof(path), "%s/objects/%s", w.folder, x.digest);
        assert_int_equal(lstat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        snprintf(path, sizeof(path), "%s/entries/%llu.json", w.folder, (unsigned long long)x.id);
        assert_int_equal(lstat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        finish(&w);
}

static void a_name_is_given_once_unless_overwriting_is_asked_for(void **state)
{
        struct world w;
        struct store_entry x, y;
        struct store_what over = ARTIFACT("dist");
        (void)state;
        start(&w, STORE_ARTIFACTS, &small_limits);
        assert_int_equal(put_text(w.s, &ARTIFACT("dist"), "one", &x, NULL), 0);
        assert_int_equal(put_text(w.s, &ARTIFACT("dist"), "two", &y, NULL), STORE_E_EXISTS);
        text_is(w.s, x.id, "one");
        over.overwrite = true;
        assert_int_equal(put_text(w.s, &over, "two", &y, NULL), 0);
        assert_true(y.id > x.id);
        assert_int_equal(store_read(w.s, x.id, NULL, &(int){-1}, NULL), STORE_E_MISSING);
        text_is(w.s, y.id, "two");
        assert_int_equal(count(w.folder, "entries"), 1);
        assert_int_equal(count(w.folder, "objects"), 1);
        /* The same bytes again: the one archive stays. */
        assert_int_equal(put_text(w.s, &over, "two", &x, NULL), 0);
        text_is(w.s, x.id, "two");
        assert_int_equal(count(w.folder, "objects"), 1);
        finish(&w);
}

static void equal_archives_are_kept_once_and_until_the_last_entry_goes(void **state)
{
        struct world w;
        struct store_entry x, y;
        (void)state;
        start(&w, STORE_ARTIFACTS, &small_limits);
        assert_int_equal(put_text(w.s, &ARTIFACT("a"), "same", &x, NULL), 0);
        assert_int_equal(put_text(w.s, &ARTIFACT("b"), "same", &y, NULL), 0);
        assert_int_equal(count(w.folder, "objects"), 1);
        assert_int_equal(store_remove(w.s, x.id, NULL), 0);
        text_is(w.s, y.id, "same");
        assert_int_equal(store_remove(w.s, y.id, NULL), 0);
        assert_int_equal(count(w.folder, "objects"), 0);
        assert_int_equal(store_remove(w.s, y.id, NULL), STORE_E_MISSING);
        finish(&w);
}

static void of_two_puts_of_one_key_the_first_to_end_wins(void **state)
{
        struct world w;
        struct store_put *a = NULL, *b = NULL;
        struct store_entry x;
        struct buf one = archive_of("file", "one"), two = archive_of("file", "two");
        const struct store_what key = CACHE("refs/heads/main", "key");
        (void)state;
        start(&w, STORE_CACHES, &small_limits);
        struct store *other = must_open(w.folder, STORE_CACHES, &small_limits);
        assert_int_equal(store_put_new(w.s, &key, &a, NULL), 0);
        assert_int_equal(store_put_new(other, &key, &b, NULL), 0);
        assert_int_equal(store_put_write(a, one.data, one.len, NULL), 0);
        assert_int_equal(store_put_write(b, two.data, two.len, NULL), 0);
        assert_int_equal(store_put_commit(b, &x, NULL), 0);
        assert_int_equal(store_put_commit(a, &x, NULL), STORE_E_EXISTS);
        assert_int_equal(store_put_new(w.s, &key, &(struct store_put *){NULL}, NULL), STORE_E_EXISTS);
        store_put_free(a);
        store_put_free(b);
        store_free(other);
        struct store_list l;
        assert_int_equal(store_list(w.s, &l, NULL), 0);
        assert_int_equal(l.n, 1);
        text_is(w.s, l.v[0].id, "two");
        store_list_done(&l);
        assert_int_equal(count(w.folder, "incoming"), 0);
        assert_int_equal(count(w.folder, "objects"), 1);
        buf_done(&one);
        buf_done(&two);
        finish(&w);
}

/* ---- lookup ---- */

static void find_is(struct store *s, const char *scopes, const char *keys, const char *version, const char *want)
{
        const char *scope[STORE_MAX_SCOPES], *key[STORE_MAX_KEYS];
        struct store_lookup l = {.scopes = scope, .keys = key, .version = version};
        char *a = strdup(scopes), *b = strdup(keys), *at;
        struct store_entry x;
        for (at = strtok(a, " "); at; at = strtok(NULL, " "))
                scope[l.n_scopes++] = at;
        for (at = strtok(b, " "); at; at = strtok(NULL, " "))
                key[l.n_keys++] = at;
        int r = store_find(s, &l, &x, NULL);
        if (!want) {
                assert_int_equal(r, STORE_E_MISSING);
        } else {
                char found[2000];
                assert_int_equal(r, 0);
                snprintf(found, sizeof(found), "%s %s", x.scope, x.name);
                assert_string_equal(found, want);
        }
        free(a);
        free(b);
}

static void put_cache(struct store *s, const char *scope, const char *key, const char *version)
{
        struct store_what w = CACHE(scope, key);
        struct store_entry x;
        w.version = version;
        assert_int_equal(put_text(s, &w, "x", &x, NULL), 0);
}

static void a_lookup_is_exact_then_by_prefix_newest_first_then_in_the_next_scope(void **state)
{
        const struct store_limits l = {.max_bytes = 4096, .max_files = 4, .max_entries = 20, .max_total = 1 << 20};
        struct world w;
        (void)state;
        start(&w, STORE_CACHES, &l);
        put_cache(w.s, "refs/heads/x", "npm-2", VERSION_A);
        put_cache(w.s, "refs/heads/x", "npm-10", VERSION_A);
        put_cache(w.s, "refs/heads/x", "npm-1", VERSION_A);
        put_cache(w.s, "refs/heads/x", "pip-1", VERSION_B);
        put_cache(w.s, "refs/heads/main", "npm-3", VERSION_A);
        put_cache(w.s, "refs/heads/main", "pip-9", VERSION_A);
        find_is(w.s, "refs/heads/x refs/heads/main", "npm-10", VERSION_A, "refs/heads/x npm-10");
        find_is(w.s, "refs/heads/x refs/heads/main", "npm-1", VERSION_A, "refs/heads/x npm-1");
        find_is(w.s, "refs/heads/x refs/heads/main", "npm-", VERSION_A, "refs/heads/x npm-1");
        find_is(w.s, "refs/heads/x refs/heads/main", "no npm-2", VERSION_A, "refs/heads/x npm-2");
        find_is(w.s, "refs/heads/x refs/heads/main", "npm-3", VERSION_A, "refs/heads/main npm-3");
        find_is(w.s, "refs/heads/x refs/heads/main", "npm-3 npm-", VERSION_A, "refs/heads/x npm-1");
        find_is(w.s, "refs/heads/x refs/heads/main", "pip-", VERSION_A, "refs/heads/main pip-9");
        find_is(w.s, "refs/heads/x", "pip-", VERSION_A, NULL);
        find_is(w.s, "refs/heads/main", "npm-2", VERSION_A, NULL);
        find_is(w.s, "refs/heads/x", "npm-1", VERSION_B, NULL);
        finish(&w);
}

/* ---- archives ---- */

static void archive_is_refused(struct store *s, const struct buf *b, const char *message)
{
        struct store_entry x;
        struct err e = ERR_INIT;
        assert_true(put_archive(s, &ARTIFACT("dist"), b, &x, &e) < 0);
        assert_int_equal(e.code, ERR_USAGE);
        assert_contains(e.msg, message);
}

/* As the writer would never make it: only the name, or the type, of a good header is changed. */
static struct buf forged(const char *name, char type)
{
        struct buf b = archive_of("file", "");
        unsigned sum = 0;
        memset(b.data, 0, 100);
        memcpy(b.data, name, strlen(name));
        b.data[156] = (uint8_t)type;
        memset(b.data + 148, ' ', 8);
        for (size_t i = 0; i < TAR_BLOCK; i++)
                sum += b.data[i];
        snprintf((char *)b.data + 148, 8, "%06o", sum);
        b.data[155] = ' ';
        return b;
}

static void what_is_no_archive_of_files_is_refused(void **state)
{
        static const struct {
                const char *name;
                char type;
                const char *message;
        } cases[] = {{"../x", '0', ".."},   {"/etc/passwd", '0', "absolute"}, {"link", '2', "symbolic link"},
                     {"hard", '1', "hard"}, {"dev", '3', "device"},           {"dev", '4', "device"},
                     {"fifo", '6', "fifo"}, {"folder", '5', "folder"},        {"sparse", 'S', "sparse"},
                     {"a/../b", '0', ".."}};
        struct world w;
        (void)state;
        start(&w, STORE_ARTIFACTS, &small_limits);
        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                struct buf b = forged(cases[i].name, cases[i].type);
                archive_is_refused(w.s, &b, cases[i].message);
                buf_done(&b);
        }
        struct buf cut = archive_of("file", "hello");
        cut.len -= TAR_BLOCK;
        archive_is_refused(w.s, &cut, "early");
        cut.len = 0;
        archive_is_refused(w.s, &cut, "early");
        buf_done(&cut);
        struct buf nothing = BUF_INIT;
        tar_write_end(&nothing, NULL);
        archive_is_refused(w.s, &nothing, "without a file");
        buf_done(&nothing);
        assert_int_equal(count(w.folder, "incoming"), 0);
        assert_int_equal(count(w.folder, "entries"), 0);
        finish(&w);
}

static void a_cache_may_hold_folders_and_links(void **state)
{
        struct world w;
        struct store_entry x;
        struct buf b = BUF_INIT;
        (void)state;
        start(&w, STORE_CACHES, &small_limits);
        archive_add(&b, TAR_FOLDER, "home", "");
        archive_add(&b, TAR_SYMLINK, "home/link", "/etc/passwd");
        tar_write_end(&b, NULL);
        assert_int_equal(put_archive(w.s, &CACHE("refs/heads/main", "key"), &b, &x, NULL), 0);
        assert_int_equal(x.files, 0);
        buf_done(&b);
        struct buf dev = forged("dev", '3');
        struct err e = ERR_INIT;
        assert_true(put_archive(w.s, &CACHE("refs/heads/main", "key2"), &dev, &x, &e) < 0);
        assert_contains(e.msg, "device");
        buf_done(&dev);
        finish(&w);
}

/* ---- limits ---- */

static void an_archive_has_a_size_and_a_number_of_entries(void **state)
{
        struct store_limits l = small_limits;
        struct world w;
        struct buf b = BUF_INIT;
        struct store_entry x;
        (void)state;
        for (int i = 0; i < 4; i++)
                archive_add(&b, TAR_FILE, (const char *[]){"a", "b", "c", "d"}[i], "");
        size_t four = b.len;
        tar_write_end(&b, NULL);
        l.max_bytes = b.len;
        start(&w, STORE_ARTIFACTS, &l);
        assert_int_equal(put_archive(w.s, &ARTIFACT("four"), &b, &x, NULL), 0);
        assert_int_equal(x.files, 4);
        finish(&w);

        l.max_bytes = b.len - 1;
        start(&w, STORE_ARTIFACTS, &l);
        archive_is_refused(w.s, &b, "larger than");
        finish(&w);

        b.len = four;
        archive_add(&b, TAR_FILE, "e", "");
        tar_write_end(&b, NULL);
        l.max_bytes = 1 << 20;
        start(&w, STORE_ARTIFACTS, &l);
        archive_is_refused(w.s, &b, "more than 4 entries");
        finish(&w);
        buf_done(&b);
}

static void a_huge_announced_size_takes_no_room(void **state)
{
        struct buf b = archive_of("file", "");
        struct world w;
        unsigned sum = 0;
        (void)state;
        memcpy(b.data + 124, "77777777777", 12); /* 8 GiB */
        memset(b.data + 148, ' ', 8);
        for (size_t i = 0; i < TAR_BLOCK; i++)
                sum += b.data[i];
        snprintf((char *)b.data + 148, 8, "%06o", sum);
        b.data[155] = ' ';
        start(&w, STORE_ARTIFACTS, &small_limits);
        archive_is_refused(w.s, &b, "bytes, more than 4096");
        finish(&w);
        buf_done(&b);
}

static void a_run_has_a_number_of_artifacts_and_of_bytes(void **state)
{
        static const char *const names[] = {"a", "b", "c", "d"};
        struct store_limits l = small_limits;
        struct store_entry x;
        struct err e = ERR_INIT;
        struct world w;
        (void)state;
        start(&w, STORE_ARTIFACTS, &l);
        for (int i = 0; i < 3; i++)
                assert_int_equal(put_text(w.s, &ARTIFACT(names[i]), names[i], &x, NULL), 0);
        assert_true(put_text(w.s, &ARTIFACT("d"), "d", &x, &e) < 0);
        assert_contains(e.msg, "3 artifacts");
        struct store_what over = ARTIFACT("c");
        over.overwrite = true;
        assert_int_equal(put_text(w.s, &over, "new", &x, NULL), 0);
        finish(&w);

        struct buf b = archive_of("file", "a");
        l.max_entries = 100;
        l.max_total = 2 * b.len;
        buf_done(&b);
        start(&w, STORE_ARTIFACTS, &l);
        assert_int_equal(put_text(w.s, &ARTIFACT("a"), "a", &x, NULL), 0);
        assert_int_equal(put_text(w.s, &ARTIFACT("b"), "b", &x, NULL), 0);
        e = (struct err)ERR_INIT;
        assert_true(put_text(w.s, &ARTIFACT("c"), "c", &x, &e) < 0);
        assert_int_equal(e.code, ERR_USAGE);
        assert_contains(e.msg, "artifacts of the run");
        finish(&w);
}

static void set_used(struct world *w, uint64_t id, time_t at)
{
        const struct timespec times[2] = {{.tv_sec = at}, {.tv_sec = at}};
        char path[256];
        snprintf(path, sizeof(path), "%s/entries/%llu.json", w->folder, (unsigned long long)id);
        assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void caches_give_way_least_recently_used_first_by_bytes_and_by_number(void **state)
{
        struct store_limits l = small_limits;
        struct store_entry a, b, c, d;
        struct buf one = archive_of("file", "1");
        struct world w;
        (void)state;
        l.max_total = 3 * one.len;
        for (int by_number = 0; by_number < 2; by_number++) {
                l.max_entries = by_number ? 3 : 100;
                l.max_total = by_number ? 1 << 20 : 3 * one.len;
                start(&w, STORE_CACHES, &l);
                assert_int_equal(put_text(w.s, &CACHE("refs/heads/x", "a"), "1", &a, NULL), 0);
                assert_int_equal(put_text(w.s, &CACHE("refs/heads/x", "b"), "2", &b, NULL), 0);
                assert_int_equal(put_text(w.s, &CACHE("refs/heads/x", "c"), "3", &c, NULL), 0);
                set_used(&w, a.id, 1000);
                set_used(&w, b.id, 2000);
                set_used(&w, c.id, 3000);
                text_is(w.s, a.id, "1"); /* used now */
                assert_int_equal(put_text(w.s, &CACHE("refs/heads/x", "d"), "4", &d, NULL), 0);
                assert_int_equal(store_read(w.s, b.id, NULL, &(int){-1}, NULL), STORE_E_MISSING);
                text_is(w.s, a.id, "1");
                text_is(w.s, c.id, "3");
                text_is(w.s, d.id, "4");
                assert_int_equal(count(w.folder, "objects"), 3);
                finish(&w);
        }
        buf_done(&one);
}

static void a_cache_that_is_evicted_while_it_is_read_is_read_to_its_end(void **state)
{
        struct store_limits l = small_limits;
        struct buf one = archive_of("file", "1"), got = BUF_INIT;
        struct store_entry a, b;
        struct world w;
        int fd = -1;
        (void)state;
        l.max_total = one.len;
        l.max_bytes = one.len;
        start(&w, STORE_CACHES, &l);
        assert_int_equal(put_text(w.s, &CACHE("refs/heads/x", "a"), "1", &a, NULL), 0);
        assert_int_equal(store_read(w.s, a.id, NULL, &fd, NULL), 0);
        assert_int_equal(put_text(w.s, &CACHE("refs/heads/x", "b"), "2", &b, NULL), 0);
        assert_int_equal(store_read(w.s, a.id, NULL, &(int){-1}, NULL), STORE_E_MISSING);
        assert_int_equal(fd_read_all(fd, 1 << 20, "archive", &got, NULL), 0);
        assert_int_equal(got.len, one.len);
        assert_memory_equal(got.data, one.data, one.len);
        fd_close(fd);
        buf_done(&one);
        buf_done(&got);
        finish(&w);
}

static void entries_end_with_their_time(void **state)
{
        struct store_limits l = small_limits;
        struct store_entry a, b;
        struct world w;
        (void)state;
        l.max_unused_ms = STORE_DAY_MS;
        start(&w, STORE_CACHES, &l);
        assert_int_equal(put_text(w.s, &CACHE("refs/heads/x", "a"), "1", &a, NULL), 0);
        assert_int_equal(put_text(w.s, &CACHE("refs/heads/x", "b"), "2", &b, NULL), 0);
        time_t now = (time_t)(clock_real_ms() / 1000);
        set_used(&w, a.id, now - 86400 + 60);
        set_used(&w, b.id, now - 86400 - 1);
        text_is(w.s, a.id, "1");
        assert_int_equal(store_read(w.s, b.id, NULL, &(int){-1}, NULL), STORE_E_MISSING);
        find_is(w.s, "refs/heads/x", "b", VERSION_A, NULL);
        /* Its key is free again, and the next start removes it. */
        assert_int_equal(put_text(w.s, &CACHE("refs/heads/x", "b"), "3", &b, NULL), 0);
        assert_int_equal(count(w.folder, "entries"), 2);
        finish(&w);

        struct store_what gone = ARTIFACT("gone");
        gone.days = 0;
        start(&w, STORE_ARTIFACTS, &small_limits);
        assert_int_equal(put_text(w.s, &gone, "1", &a, NULL), 0);
        assert_int_equal(store_read(w.s, a.id, NULL, &(int){-1}, NULL), STORE_E_MISSING);
        assert_int_equal(store_clean(w.s, NULL), 0);
        assert_int_equal(count(w.folder, "entries"), 0);
        assert_int_equal(count(w.folder, "objects"), 0);
        finish(&w);
}

static void a_host_without_room_is_no_place_for_more(void **state)
{
        struct store_limits l = small_limits;
        struct store_entry x;
        struct err e = ERR_INIT;
        struct world w;
        (void)state;
        l.min_free = UINT64_MAX;
        start(&w, STORE_CACHES, &l);
        assert_true(put_text(w.s, &CACHE("refs/heads/x", "a"), "1", &x, &e) < 0);
        assert_int_equal(e.code, ERR_RESOURCES);
        assert_contains(e.msg, "make room");
        assert_int_equal(count(w.folder, "incoming"), 0);
        finish(&w);
}

/* A real file system that is full. */
static void a_full_disk_leaves_nothing_behind(void **state)
{
        struct store_limits l = small_limits;
        struct store_entry x;
        struct err e = ERR_INIT;
        char *folder = folder_new();
        (void)state;
        if (geteuid() != 0 || mount("tmpfs", folder, "tmpfs", 0, "size=256k") < 0) {
                folder_free(folder);
                skip();
        }
        l.max_bytes = l.max_total = 1 << 20;
        struct store *s = must_open(folder, STORE_CACHES, &l);
        char *text = malloc(300 << 10);
        memset(text, 'x', 300 << 10);
        text[(300 << 10) - 1] = '\0';
        assert_int_equal(put_text(s, &CACHE("refs/heads/x", "small"), "1", &x, NULL), 0);
        assert_true(put_text(s, &CACHE("refs/heads/x", "large"), text, &x, &e) < 0);
        assert_int_equal(e.errnum, ENOSPC);
        assert_int_equal(count(folder, "incoming"), 0);
        assert_int_equal(put_text(s, &CACHE("refs/heads/x", "small2"), "2", &x, NULL), 0);
        free(text);
        store_free(s);
        assert_int_equal(umount(folder), 0);
        folder_free(folder);
}

/* ---- what strangers and crashes leave ---- */

static void plant(const char *folder, const char *name, const char *text)
{
        char *path = fs_join(folder, name);
        assert_int_equal(fs_write_atomic(path, text, strlen(text), 0600, NULL), 0);
        free(path);
}

static void leftovers_are_removed_and_what_is_being_written_is_not(void **state)
{
        struct world w;
        struct store_entry x;
        struct store_put *p = NULL;
        (void)state;
        start(&w, STORE_ARTIFACTS, &small_limits);
        assert_int_equal(put_text(w.s, &ARTIFACT("good"), "1", &x, NULL), 0);
        plant(w.folder, "incoming/archive-dead", "half");
        plant(w.folder, "objects/" VERSION_A, "nobody names it");
        plant(w.folder, "entries/7.json", "{\"no\":\"manifest\"}");
        plant(w.folder, "entries/notes.txt", "?");
        assert_int_equal(store_put_new(w.s, &ARTIFACT("under way"), &p, NULL), 0);
        struct store *other = must_open(w.folder, STORE_ARTIFACTS, &small_limits);
        assert_int_equal(count(w.folder, "incoming"), 1);
        assert_int_equal(count(w.folder, "objects"), 1);
        assert_int_equal(count(w.folder, "entries"), 1);
        text_is(other, x.id, "1");
        store_put_free(p);
        store_free(other);
        finish(&w);
}

static void an_archive_that_is_gone_or_cut_is_no_entry(void **state)
{
        struct world w;
        struct store_entry x;
        struct store_list l;
        char path[256];
        (void)state;
        start(&w, STORE_ARTIFACTS, &small_limits);
        assert_int_equal(put_text(w.s, &ARTIFACT("cut"), "1", &x, NULL), 0);
        snprintf(path, sizeof(path), "%s/objects/%s", w.folder, x.digest);
        assert_int_equal(truncate(path, 100), 0);
        assert_int_equal(store_list(w.s, &l, NULL), 0);
        assert_int_equal(l.n, 0);
        store_list_done(&l);
        assert_int_equal(store_read(w.s, x.id, NULL, &(int){-1}, NULL), STORE_E_MISSING);
        assert_int_equal(put_text(w.s, &ARTIFACT("cut"), "1", &x, NULL), 0);
        text_is(w.s, x.id, "1");
        finish(&w);
}

static void no_link_is_followed(void **state)
{
        struct world w;
        struct store_entry x;
        char path[300], *outside = folder_new();
        (void)state;
        start(&w, STORE_ARTIFACTS, &small_limits);
        assert_int_equal(put_text(w.s, &ARTIFACT("good"), "1", &x, NULL), 0);
        plant(outside, "secret", "x");
        /* The archive, then a folder, then the lock become links. */
        snprintf(path, sizeof(path), "%s/objects/%s", w.folder, x.digest);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(symlink("/etc/passwd", path), 0);
        assert_int_equal(store_read(w.s, x.id, NULL, &(int){-1}, NULL), STORE_E_MISSING);
        snprintf(path, sizeof(path), "%s/incoming/link", w.folder);
        assert_int_equal(symlink(outside, path), 0);
        assert_int_equal(store_clean(w.s, NULL), 0);
        assert_int_equal(count(outside, "."), 1);
        w.s = store_free(w.s);
        snprintf(path, sizeof(path), "%s/entries", w.folder);
        assert_int_equal(fs_remove_tree(path, NULL), 0);
        assert_int_equal(symlink(outside, path), 0);
        struct err e = ERR_INIT;
        const struct store_config c = {
                .folder = w.folder, .kind = STORE_ARTIFACTS, .limits = small_limits, .writer = true};
        assert_true(store_open(&c, &w.s, &e) < 0);
        assert_int_equal(count(outside, "."), 1);
        finish(&w);
        folder_free(outside);
}

static void a_fifo_in_an_archives_place_does_not_hang(void **state)
{
        struct world w;
        struct store_entry x;
        char path[256];
        (void)state;
        start(&w, STORE_ARTIFACTS, &small_limits);
        assert_int_equal(put_text(w.s, &ARTIFACT("good"), "1", &x, NULL), 0);
        snprintf(path, sizeof(path), "%s/objects/%s", w.folder, x.digest);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkfifo(path, 0600), 0);
        assert_int_equal(store_read(w.s, x.id, NULL, &(int){-1}, NULL), STORE_E_MISSING);
        finish(&w);
}

static void a_reader_makes_nothing(void **state)
{
        char *folder = folder_new();
        struct store *s = NULL;
        const struct store_config c = {.folder = folder, .kind = STORE_ARTIFACTS, .limits = small_limits};
        const struct store_config none = {.folder = "/nonexistent/x", .kind = STORE_ARTIFACTS};
        (void)state;
        assert_int_equal(store_open(&c, &s, NULL), STORE_E_MISSING);
        assert_int_equal(count(folder, "."), 0);
        assert_int_equal(store_open(&none, &s, NULL), STORE_E_MISSING);
        folder_free(folder);
}

static void a_name_more_than_the_limit_in_a_folder_is_an_error_and_no_memory(void **state)
{
        struct world w;
        struct err e = ERR_INIT;
        struct store_list l;
        char name[64];
        (void)state;
        start(&w, STORE_ARTIFACTS, &small_limits);
        for (size_t i = 0; i <= 2 * small_limits.max_entries + 64; i++) {
                snprintf(name, sizeof(name), "entries/x%zu", i);
                plant(w.folder, name, "x");
                int r = store_list(w.s, &l, &e);
                assert_int_equal(r, i < 2 * small_limits.max_entries + 64 ? 0 : -1);
                if (r == 0)
                        store_list_done(&l);
        }
        assert_contains(e.msg, "more than 70 names");
        finish(&w);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_artifact_is_put_listed_and_read),
                cmocka_unit_test(everything_is_its_owners_alone),
                cmocka_unit_test(a_name_is_given_once_unless_overwriting_is_asked_for),
                cmocka_unit_test(equal_archives_are_kept_once_and_until_the_last_entry_goes),
                cmocka_unit_test(of_two_puts_of_one_key_the_first_to_end_wins),
                cmocka_unit_test(a_lookup_is_exact_then_by_prefix_newest_first_then_in_the_next_scope),
                cmocka_unit_test(what_is_no_archive_of_files_is_refused),
                cmocka_unit_test(a_cache_may_hold_folders_and_links),
                cmocka_unit_test(an_archive_has_a_size_and_a_number_of_entries),
                cmocka_unit_test(a_huge_announced_size_takes_no_room),
                cmocka_unit_test(a_run_has_a_number_of_artifacts_and_of_bytes),
                cmocka_unit_test(caches_give_way_least_recently_used_first_by_bytes_and_by_number),
                cmocka_unit_test(a_cache_that_is_evicted_while_it_is_read_is_read_to_its_end),
                cmocka_unit_test(entries_end_with_their_time),
                cmocka_unit_test(a_host_without_room_is_no_place_for_more),
                cmocka_unit_test(a_full_disk_leaves_nothing_behind),
                cmocka_unit_test(leftovers_are_removed_and_what_is_being_written_is_not),
                cmocka_unit_test(an_archive_that_is_gone_or_cut_is_no_entry),
                cmocka_unit_test(no_link_is_followed),
                cmocka_unit_test(a_fifo_in_an_archives_place_does_not_hang),
                cmocka_unit_test(a_reader_makes_nothing),
                cmocka_unit_test(a_name_more_than_the_limit_in_a_folder_is_an_error_and_no_memory),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
