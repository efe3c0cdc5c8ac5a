#include "test.h"

#include "base/cleanup.h"
#include "base/list.h"
#include "base/map.h"

#include <stdio.h>
#include <stdlib.h>

static int freed;

static void count_free(void *p)
{
        free(p);
        freed++;
}

static void keeps_insertion_order_through_growth(void **state)
{
        (void)state;
        AUTO(map_freep) struct map *m = NULL;
        assert_int_equal(map_new(NULL, &m, NULL), 0);
        char key[16];
        static int values[1000];
        for (int i = 0; i < 1000; i++) {
                snprintf(key, sizeof(key), "key%d", i);
                assert_int_equal(map_set(m, key, &values[i], NULL), 0);
        }
        assert_int_equal(map_count(m), 1000);
        for (size_t i = 0; i < 1000; i++) {
                snprintf(key, sizeof(key), "key%zu", i);
                assert_string_equal(map_key_at(m, i), key);
                assert_ptr_equal(map_value_at(m, i), &values[i]);
                assert_ptr_equal(map_get(m, key), &values[i]);
        }
        assert_null(map_get(m, "key1000"));
        assert_null(map_get(m, ""));
}

static void values_are_destroyed_once(void **state)
{
        (void)state;
        struct map *m = NULL;
        freed = 0;
        assert_int_equal(map_new(count_free, &m, NULL), 0);
        void *kept = malloc(1);
        assert_int_equal(map_set(m, "a", malloc(1), NULL), 0);
        assert_int_equal(map_set(m, "a", malloc(1), NULL), 0);
        assert_int_equal(freed, 1);
        assert_int_equal(map_set(m, "b", kept, NULL), 0);
        assert_int_equal(map_set(m, "b", kept, NULL), 0);
        assert_int_equal(freed, 1);
        assert_null(map_free(m));
        assert_int_equal(freed, 3);
        assert_null(map_free(NULL));
}

static void empty_map_answers(void **state)
{
        (void)state;
        AUTO(map_freep) struct map *m = NULL;
        assert_int_equal(map_new(NULL, &m, NULL), 0);
        assert_null(map_get(m, "x"));
        assert_int_equal(map_count(m), 0);
}

static void list_survives_removal_while_walking(void **state)
{
        (void)state;
        struct item {
                int n;
                struct list link;
        } items[4];
        struct list head = LIST_INIT(head);
        for (int i = 0; i < 4; i++) {
                items[i].n = i;
                list_append(&head, &items[i].link);
        }
        int sum = 0;
        list_for_safe (pos, next, &head) {
                struct item *item = list_entry(pos, struct item, link);
                sum = sum * 10 + item->n;
                list_remove(pos);
                list_remove(pos);
        }
        assert_int_equal(sum, 123);
        assert_true(list_is_empty(&head));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(keeps_insertion_order_through_growth),
                cmocka_unit_test(values_are_destroyed_once),
                cmocka_unit_test(empty_map_answers),
                cmocka_unit_test(list_survives_removal_while_walking),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
