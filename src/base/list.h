/* Intrusive doubly linked list. A head is a struct list initialised with LIST_INIT(head). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
        struct list *prev, *next;
};

#define LIST_INIT(name)                                                                                                \
        {                                                                                                              \
                .prev = &(name), .next = &(name)                                                                       \
        }
#define list_entry(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define list_for(pos, head) for (struct list *pos = (head)->next; pos != (head); pos = pos->next)
/* Safe against removal of pos. */
#define list_for_safe(pos, tmp, head)                                                                                  \
        for (struct list *pos = (head)->next, *tmp = pos->next; pos != (head); pos = tmp, tmp = pos->next)

static inline void list_init(struct list *l)
{
        l->prev = l->next = l;
}
static inline bool list_is_empty(const struct list *l)
{
        return l->next == l;
}
static inline void list_append(struct list *head, struct list *item)
{
        item->prev = head->prev;
        item->next = head;
        head->prev->next = item;
        head->prev = item;
}
/* Remove an item; it becomes a list of itself, so removing twice is harmless. */
static inline void list_remove(struct list *item)
{
        item->prev->next = item->next;
        item->next->prev = item->prev;
        list_init(item);
}
