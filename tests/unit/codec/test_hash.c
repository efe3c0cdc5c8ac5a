#include "test.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "codec/hash.h"

#include <unistd.h>

static void known_digests(void **state)
{
        (void)state;
        uint8_t digest[HASH_SIZE];
        char hex[HASH_HEX_SIZE];
        assert_int_equal(hash_bytes("", 0, digest, NULL), 0);
        hash_hex(digest, hex);
        assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_int_equal(hash_bytes("abc", 3, digest, NULL), 0);
        hash_hex(digest, hex);
        assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void pieces_give_the_digest_of_the_whole(void **state)
{
        (void)state;
        uint8_t whole[HASH_SIZE], pieces[HASH_SIZE];
        struct hash *h = NULL;
        assert_int_equal(hash_bytes("abcdef", 6, whole, NULL), 0);
        assert_int_equal(hash_new(&h, NULL), 0);
        for (int i = 0; i < 6; i++)
                assert_int_equal(hash_add(h, &"abcdef"[i], 1, NULL), 0);
        assert_int_equal(hash_finish(h, pieces, NULL), 0);
        assert_memory_equal(whole, pieces, HASH_SIZE);
        assert_null(hash_free(h));
        assert_null(hash_free(NULL));
}

static void descriptor_is_read_from_its_beginning(void **state)
{
        (void)state;
        AUTO(auto_close) int fd = -1;
        static char data[600000];
        uint8_t a[HASH_SIZE], b[HASH_SIZE];
        uint64_t size = 0;
        struct err e = ERR_INIT;
        assert_int_equal(fd_memfd("x", &fd, NULL), 0);
        assert_int_equal(fd_write_all(fd, data, sizeof(data), "x", NULL), 0);
        assert_int_equal(hash_bytes(data, sizeof(data), a, NULL), 0);
        assert_int_equal(hash_fd(fd, "x", b, &size, &e), 0);
        assert_memory_equal(a, b, HASH_SIZE);
        assert_int_equal(size, sizeof(data));
        assert_int_equal(hash_fd(-1, "kernel", b, NULL, &e), -1);
        assert_contains(e.msg, "read kernel");
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(known_digests),
                                           cmocka_unit_test(pieces_give_the_digest_of_the_whole),
                                           cmocka_unit_test(descriptor_is_read_from_its_beginning)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
