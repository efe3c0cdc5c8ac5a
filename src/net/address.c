#include "net/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"

#define BITS_V4 32u
#define BITS_V6 128u

bool address_parse(const char *text, struct address *ret)
{
        *ret = (struct address){0};
        if (inet_pton(AF_INET, text, ret->bytes) == 1)
                return true;
        ret->v6 = inet_pton(AF_INET6, text, ret->bytes) == 1;
        return ret->v6;
}

void address_text(const struct address *a, char ret[ADDRESS_TEXT])
{
        if (!inet_ntop(a->v6 ? AF_INET6 : AF_INET, a->bytes, ret, ADDRESS_TEXT))
                ret[0] = '\0';
}

unsigned address_bits(const struct address *a)
{
        return a->v6 ? BITS_V6 : BITS_V4;
}

bool address_eq(const struct address *a, const struct address *b)
{
        return a->v6 == b->v6 && memcmp(a->bytes, b->bytes, address_bits(a) / 8) == 0;
}

bool address_from_socket(const struct sockaddr *sa, struct address *ret)
{
        *ret = (struct address){.v6 = sa->sa_family == AF_INET6};
        if (sa->sa_family == AF_INET)
                memcpy(ret->bytes, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
        else if (sa->sa_family == AF_INET6)
                memcpy(ret->bytes, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
        else
                return false;
        return true;
}

socklen_t address_to_socket(const struct address *a, uint16_t port, struct sockaddr_storage *ret)
{
        struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

        *ret = (struct sockaddr_storage){0};
        memcpy(&v4.sin_addr, a->bytes, sizeof(v4.sin_addr));
        memcpy(&v6.sin6_addr, a->bytes, sizeof(v6.sin6_addr));
        if (a->v6)
                memcpy(ret, &v6, sizeof(v6));
        else
                memcpy(ret, &v4, sizeof(v4));
        return a->v6 ? sizeof(v6) : sizeof(v4);
}

static bool bit(const struct address *a, unsigned i)
{
        return a->bytes[i / 8] & (0x80u >> (i % 8));
}

bool prefix_has(const struct prefix *p, const struct address *a)
{
        unsigned whole = p->len / 8;

        if (p->address.v6 != a->v6 || memcmp(p->address.bytes, a->bytes, whole) != 0)
                return false;
        for (unsigned i = whole * 8; i < p->len; i++)
                if (bit(&p->address, i) != bit(a, i))
                        return false;
        return true;
}

bool prefix_covers(const struct prefix *p, const struct prefix *inner)
{
        return inner->len >= p->len && prefix_has(p, &inner->address);
}

int prefix_parse(const char *text, struct prefix *ret, struct err *e)
{
        char address[ADDRESS_TEXT];
        const char *slash = strchr(text, '/');
        uint64_t len = 0;

        if (!slash || (size_t)(slash - text) >= sizeof(address))
                return err_set(e, ERR_USAGE, "expected ADDRESS/PREFIX, as in 192.0.2.0/24");
        memcpy(address, text, (size_t)(slash - text));
        address[slash - text] = '\0';
        if (!address_parse(address, &ret->address))
                return err_set(e, ERR_USAGE, "'%s' is no address", address);
        int r = num_u64(slash + 1, 0, address_bits(&ret->address), "the length of the prefix", &len, e);
        ret->len = (unsigned)len;
        for (unsigned i = ret->len; r == 0 && i < address_bits(&ret->address); i++)
                if (bit(&ret->address, i))
                        return err_set(e, ERR_USAGE, "%s has bits behind its prefix of %u", address, ret->len);
        return r;
}

void prefix_text(const struct prefix *p, char ret[PREFIX_TEXT])
{
        char address[ADDRESS_TEXT];

        address_text(&p->address, address);
        snprintf(ret, PREFIX_TEXT, "%s/%u", address, p->len);
}

/* ---- what is special ---- */

/* IANA's registries of special addresses, and where the clouds answer their guests. The first that fits is told, so
 * that the narrower ones stand first. */
static const struct special {
        const char *prefix, *what;
        enum address_range range;
} specials[] = {
        {"169.254.169.254/32", "a metadata address"},
        {"169.254.170.2/32", "a metadata address"},
        {"169.254.170.23/32", "a metadata address"},
        {"169.254.0.23/32", "a metadata address"},
        {"169.254.42.42/32", "a metadata address"},
        {"100.100.100.200/32", "a metadata address"},
        {"192.0.0.192/32", "a metadata address"},
        {"168.63.129.16/32", "a metadata address"},
        {"0.0.0.0/8", "an address of this network"},
        {"10.0.0.0/8", "a private address", ADDRESS_PRIVATE},
        {"100.64.0.0/10", "a shared address of a provider", ADDRESS_PRIVATE},
        {"127.0.0.0/8", "a loopback address", ADDRESS_LOOPBACK},
        {"169.254.0.0/16", "a link-local address"},
        {"172.16.0.0/12", "a private address", ADDRESS_PRIVATE},
        {"192.0.0.0/24", "a protocol address"},
        {"192.0.2.0/24", "a documentation address"},
        {"192.88.99.0/24", "a 6to4 relay"},
        {"192.168.0.0/16", "a private address", ADDRESS_PRIVATE},
        {"198.18.0.0/15", "a benchmark address"},
        {"198.51.100.0/24", "a documentation address"},
        {"203.0.113.0/24", "a documentation address"},
        {"224.0.0.0/4", "a multicast address"},
        {"240.0.0.0/4", "a reserved address"},
        {"fd00:ec2::254/128", "a metadata address"},
        {"fd00:ec2::23/128", "a metadata address"},
        {"fd00:42::42/128", "a metadata address"},
        {"fd20:ce::254/128", "a metadata address"},
        {"::/128", "the unspecified address"},
        {"::1/128", "a loopback address", ADDRESS_LOOPBACK},
        {"::ffff:0:0/96", "an IPv4-mapped address"},
        {"::/96", "an IPv4-compatible address"},
        {"64:ff9b::/96", "a NAT64 address"},
        {"64:ff9b:1::/48", "a NAT64 address"},
        {"100::/64", "a discard address"},
        {"2001::/32", "a Teredo address"},
        {"2001::/23", "a protocol address"},
        {"2001:db8::/32", "a documentation address"},
        {"2002::/16", "a 6to4 address"},
        {"3fff::/20", "a documentation address"},
        {"fc00::/7", "a private address", ADDRESS_PRIVATE},
        {"fe80::/10", "a link-local address"},
        {"fec0::/10", "a site-local address"},
        {"ff00::/8", "a multicast address"},
};

static const struct special *find_special(const struct address *a, struct prefix *ret)
{
        for (size_t i = 0; i < ARRAY_SIZE(specials); i++)
                if (prefix_parse(specials[i].prefix, ret, NULL) == 0 && prefix_has(ret, a))
                        return &specials[i];
        return NULL;
}

enum address_range address_range(const struct address *a)
{
        struct prefix p;
        const struct special *found = find_special(a, &p);

        if (found)
                return found->range;
        return address_special(a, NULL) ? ADDRESS_SPECIAL : ADDRESS_PUBLIC;
}

const char *address_special(const struct address *a, struct prefix *ret)
{
        static const struct prefix global = {.address = {.v6 = true, .bytes = {0x20}}, .len = 3};
        struct prefix p;
        const struct special *found = find_special(a, &p);

        if (found) {
                if (ret)
                        *ret = p;
                return found->what;
        }
        if (!a->v6 || prefix_has(&global, a))
                return NULL;
        if (ret)
                *ret = (struct prefix){.address = *a, .len = BITS_V6};
        return "no global address";
}
