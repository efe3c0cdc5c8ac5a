/* Names that a job looked up, and the addresses that stand for them. Entries stay for the life of the guest. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "net/address.h"

struct err;
struct hosts;

#define HOSTS_MAX 16384u /* names */
#define HOSTS_FIRST 256u /* the first address of a range that stands for a name */

struct host {
        const char *name;
        bool reached; /* may be reached: an address of IP_REACHED_*, else of IP_REFUSED_* */
        uint32_t number;
};

int hosts_new(struct hosts **ret, struct err *e);
struct hosts *hosts_free(struct hosts *h); /* always NULL */
/* NULL: not known. */
const struct host *hosts_find(const struct hosts *h, const char *name);
#define HOSTS_E_FULL 1
int hosts_add(struct hosts *h, const char *name, bool reached, const struct host **ret, struct err *e);
void hosts_address(const struct host *host, bool v6, struct address *ret);
/* The name that an address stands for; NULL: none. */
const struct host *hosts_at(const struct hosts *h, const struct address *a);
