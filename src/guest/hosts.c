#include "guest/hosts.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/map.h"
#include "base/num.h"
#include "base/str.h"
#include "guest/ip.h"

#include <stdlib.h>
#include <string.h>

struct hosts {
        struct map *by_name;
        struct host *v[HOSTS_MAX];
        uint32_t n;
};

static void host_free(void *host)
{
        free((void *)(uintptr_t)((struct host *)host)->name);
        free(host);
}

struct hosts *hosts_free(struct hosts *h)
{
        if (h)
                map_free(h->by_name);
        free(h);
        return NULL;
}
CLEANUP_DEFINE(struct hosts, hosts_free)

int hosts_new(struct hosts **ret, struct err *e)
{
        AUTO(hosts_freep) struct hosts *h = calloc(1, sizeof(*h));
        if (!h)
                return err_nomem(e);
        int r = map_new(host_free, &h->by_name, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(h);
        return 0;
}

const struct host *hosts_find(const struct hosts *h, const char *name)
{
        return map_get(h->by_name, name);
}

int hosts_add(struct hosts *h, const char *name, bool reached, const struct host **ret, struct err *e)
{
        if (h->n == HOSTS_MAX)
                return HOSTS_E_FULL;
        struct host *host = calloc(1, sizeof(*host));
        if (!host)
                return err_nomem(e);
        *host = (struct host){.name = str_dup(name), .reached = reached, .number = HOSTS_FIRST + h->n};
        if (!host->name) {
                host_free(host);
                return err_nomem(e);
        }
        int r = map_set(h->by_name, name, host, e);
        if (r < 0) {
                host_free(host);
                return r;
        }
        h->v[h->n++] = host;
        *ret = host;
        return 0;
}

static void range_of(bool reached, bool v6, struct prefix *ret)
{
        const char *const ranges[2][2] = {{IP_REFUSED_V4, IP_REFUSED_V6}, {IP_REACHED_V4, IP_REACHED_V6}};
        prefix_parse(ranges[reached][v6], ret, NULL);
}

void hosts_address(const struct host *host, bool v6, struct address *ret)
{
        struct prefix range;
        range_of(host->reached, v6, &range);
        *ret = range.address;
        uint8_t *last = ret->bytes + (v6 ? 14 : 2);
        last[0] = (uint8_t)(host->number >> 8);
        last[1] = (uint8_t)host->number;
}

const struct host *hosts_at(const struct hosts *h, const struct address *a)
{
        const uint8_t *last = a->bytes + (a->v6 ? 14 : 2);
        uint32_t number = num_be16(last);
        if (number < HOSTS_FIRST || number - HOSTS_FIRST >= h->n)
                return NULL;
        const struct host *host = h->v[number - HOSTS_FIRST];
        struct address expected;
        hosts_address(host, a->v6, &expected);
        return address_eq(a, &expected) ? host : NULL;
}
