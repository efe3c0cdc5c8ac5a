/* One archive made of several that the guest sends. The guest's are read as a stranger's bytes; what comes out is of
 * our own making: names below the part's place, owner 0, and of types and modes what the rules say. No I/O.
 *
 * Every error is ERR_RUN_FAILED: whatever the guest sends is the step's affair. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct pack;

struct pack_rules {
        unsigned types;                  /* enum tar_type, or'ed; others are an error */
        bool plain;                      /* mode 0644 for every file, as GitHub has it in an artifact */
        uint64_t max_entries, max_bytes; /* of all parts */
};

typedef int pack_out_fn(const void *data, size_t len, void *user, struct err *e);

int pack_new(const struct pack_rules *rules, pack_out_fn *out, void *user, struct pack **ret, struct err *e);
struct pack *pack_free(struct pack *p); /* always NULL */

/* An archive begins. place: relative, without '.' and '..', or "" for names as they are. An archive whose first entry
 * is a folder "." is the folder `place`; else its one file takes the place of `place`'s last part. */
int pack_part(struct pack *p, const char *place, struct err *e);
int pack_feed(struct pack *p, const void *data, size_t len, struct err *e);
int pack_part_end(struct pack *p, struct err *e);
int pack_end(struct pack *p, struct err *e); /* the archive's own end */
uint64_t pack_entries(const struct pack *p); /* so far */
bool pack_part_is_empty(const struct pack *p);
