#include "text.h"

#include "check.h"

static void text_grows_and_stays_terminated(void)
{
        struct text t = {0};

        for (int i = 0; i < 1000; i++)
                text_printf(&t, "%d,", i % 10);
        CHECK(t.len == 2000);
        CHECK(t.data[2000] == '\0');
        text_clear(&t);
        CHECK(t.len == 0 && t.data[0] == '\0');
        text_free(&t);
        CHECK(t.data == NULL);
}

static void regions_give_zeroed_aligned_memory(void)
{
        struct region r = {0};
        char *big = region_alloc(&r, 1000000), *small = region_alloc(&r, 3);

        CHECK(big[0] == 0 && big[999999] == 0);
        CHECK(((size_t)small & 15) == 0);
        CHECK_TEXT(region_copy(&r, "hello world", 5), "hello");
        region_free(&r);
        CHECK(r.blocks == NULL);
}

static void width_counts_columns_not_bytes(void)
{
        CHECK(text_width("abc", 3) == 3);
        CHECK(text_width("Z\xc3\xbcrich", 7) == 6);
        CHECK(text_width("\xe6\x97\xa5\xe6\x9c\xac", 6) == 4);
        CHECK(text_width("e\xcc\x81", 3) == 1);
        CHECK(text_width("\xff\xfe", 2) == 2);
}

int main(void)
{
        text_grows_and_stays_terminated();
        regions_give_zeroed_aligned_memory();
        width_counts_columns_not_bytes();
        return check_end("text");
}
