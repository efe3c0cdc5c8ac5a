#include "guest/packet.h"

#include "base/num.h"

#include <netinet/in.h>
#include <string.h>

#define V4_HEADER 20u
#define V6_HEADER 40u
#define TCP_HEADER 20u
#define UDP_HEADER 8u
#define ICMP_HEADER 8u
#define MAX_EXTENSIONS 8u

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

#define ICMP_ECHO 8
#define ICMP_UNREACHABLE 3
#define ICMP_PORT 3        /* connect() and send() say "refused" */
#define ICMP_PROHIBITED 13 /* "prohibited" */
#define ICMP6_ECHO 128
#define ICMP6_UNREACHABLE 1
#define ICMP6_PORT 4
#define ICMP6_PROHIBITED 1
#define QUOTED 512u /* bytes of the packet in an "unreachable" */

/* Where the protocol's own bytes are. */
struct layout {
        bool v6;
        unsigned protocol;
        const uint8_t *body;
        size_t len; /* of the body */
};

static bool read_v4(const uint8_t *d, size_t len, struct layout *ret)
{
        size_t header = (size_t)(d[0] & 15) * 4;
        size_t total = len >= V4_HEADER ? num_be16(d + 2) : 0;
        if (header < V4_HEADER || total < header || total > len || num_be16(d + 6) & 0x1fff) /* a later fragment */
                return false;
        *ret = (struct layout){.protocol = d[9], .body = d + header, .len = total - header};
        return true;
}

/* Behind the extension headers that a sender may put in front. */
static bool read_v6(const uint8_t *d, size_t len, struct layout *ret)
{
        if (len < V6_HEADER || (size_t)num_be16(d + 4) > len - V6_HEADER)
                return false;
        *ret = (struct layout){.v6 = true, .protocol = d[6], .body = d + V6_HEADER, .len = num_be16(d + 4)};
        for (unsigned i = 0; i < MAX_EXTENSIONS; i++) {
                bool fragment = ret->protocol == IPPROTO_FRAGMENT;
                if (!fragment && ret->protocol != IPPROTO_HOPOPTS && ret->protocol != IPPROTO_DSTOPTS &&
                    ret->protocol != IPPROTO_ROUTING)
                        return true;
                size_t size = ret->len < 8 || fragment ? 8 : 8 + (size_t)ret->body[1] * 8;
                if (size > ret->len || (fragment && num_be16(ret->body + 2) & 0xfff8))
                        return false;
                ret->protocol = ret->body[0];
                ret->body += size;
                ret->len -= size;
        }
        return false;
}

static bool read_layout(const uint8_t *data, size_t len, struct layout *ret)
{
        if (!len)
                return false;
        return data[0] >> 4 == 4 ? read_v4(data, len, ret) : data[0] >> 4 == 6 && read_v6(data, len, ret);
}

static void read_addresses(const uint8_t *d, bool v6, struct packet *ret)
{
        size_t size = v6 ? 16 : 4;
        const uint8_t *from = d + (v6 ? 8 : 12);
        ret->from.v6 = ret->to.v6 = v6;
        memcpy(ret->from.bytes, from, size);
        memcpy(ret->to.bytes, from + size, size);
}

static bool is_icmp(const struct layout *l)
{
        return l->protocol == (l->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
}

static bool read_icmp(const struct layout *l, struct packet *ret)
{
        if (l->len < ICMP_HEADER || l->body[0] != (l->v6 ? ICMP6_ECHO : ICMP_ECHO))
                return false;
        ret->kind = PACKET_ECHO;
        ret->from_port = num_be16(l->body + 4);
        ret->attempt = true;
        return true;
}

static bool read_ports(const struct layout *l, struct packet *ret)
{
        bool tcp = l->protocol == IPPROTO_TCP;
        if (l->len < (tcp ? TCP_HEADER : UDP_HEADER))
                return false;
        ret->kind = tcp ? PACKET_TCP : PACKET_UDP;
        ret->from_port = num_be16(l->body);
        ret->to_port = num_be16(l->body + 2);
        ret->attempt = !tcp || (l->body[13] & (TCP_SYN | TCP_ACK)) == TCP_SYN;
        return !tcp || !(l->body[13] & TCP_RST);
}

/* What is sent to a group of this link is the kernel's own, and nobody's loss. */
static bool is_group(const struct address *a)
{
        return a->v6 ? a->bytes[0] == 0xff : a->bytes[0] >= 224;
}

bool packet_parse(const uint8_t *data, size_t len, struct packet *ret)
{
        struct layout l;
        *ret = (struct packet){.kind = PACKET_OTHER};
        if (!read_layout(data, len, &l))
                return false;
        ret->protocol = l.protocol;
        read_addresses(data, l.v6, ret);
        if (l.protocol == IPPROTO_TCP || l.protocol == IPPROTO_UDP)
                return read_ports(&l, ret);
        if (is_icmp(&l))
                return read_icmp(&l, ret);
        ret->attempt = !is_group(&ret->to);
        return ret->attempt;
}

/* ---- answers ---- */

static void put16(uint8_t *p, size_t v)
{
        p[0] = (uint8_t)(v >> 8);
        p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
        put16(p, v >> 16);
        put16(p + 2, v & 0xffff);
}

static uint32_t sum(const uint8_t *p, size_t len, uint32_t start)
{
        for (size_t i = 0; i + 1 < len; i += 2)
                start += num_be16(p + i);
        return len % 2 ? start + (uint32_t)(p[len - 1] << 8) : start;
}

static void put_checksum(uint8_t *at, uint32_t total)
{
        while (total >> 16)
                total = (total & 0xffff) + (total >> 16);
        put16(at, ~total & 0xffff);
}

/* The IP header of an answer with `len` bytes behind it; how long it is. */
static size_t put_header(const uint8_t *data, bool v6, unsigned protocol, size_t len, uint8_t *ret)
{
        size_t header = v6 ? V6_HEADER : V4_HEADER, size = v6 ? 16 : 4;
        memset(ret, 0, header);
        uint8_t *from = ret + (v6 ? 8 : 12);
        memcpy(from, data + (v6 ? 24 : 16), size);
        memcpy(from + size, data + (v6 ? 8 : 12), size);
        ret[0] = v6 ? 0x60 : 0x45;
        if (v6) {
                put16(ret + 4, len);
                ret[6] = (uint8_t)protocol;
                ret[7] = 64;
                return header;
        }
        put16(ret + 2, header + len);
        ret[8] = 64;
        ret[9] = (uint8_t)protocol;
        put_checksum(ret + 10, sum(ret, header, 0));
        return header;
}

/* Over the addresses, the protocol and the length, which both families put in front of the body. */
static void put_body_checksum(uint8_t *reply, size_t header, unsigned protocol, size_t len, size_t at)
{
        bool v6 = header == V6_HEADER, plain = protocol == IPPROTO_ICMP;
        uint32_t start = plain ? 0 : sum(reply + (v6 ? 8 : 12), v6 ? 32 : 8, protocol + (uint32_t)len);
        put_checksum(reply + header + at, sum(reply + header, len, start));
}

/* RFC 9293, 3.10.7.1: the reset of a connection that does not exist. */
static size_t refuse_tcp(const uint8_t *data, const struct layout *l, uint8_t *ret)
{
        const uint8_t *tcp = l->body;
        size_t offset = (size_t)(tcp[12] >> 4) * 4;
        uint32_t used = (uint32_t)(l->len - MIN(MAX(offset, TCP_HEADER), l->len));
        size_t header = put_header(data, l->v6, IPPROTO_TCP, TCP_HEADER, ret);
        uint8_t *reset = ret + header;
        memset(reset, 0, TCP_HEADER);
        memcpy(reset, tcp + 2, 2);
        memcpy(reset + 2, tcp, 2);
        reset[12] = TCP_HEADER / 4 << 4;
        reset[13] = TCP_RST;
        if (tcp[13] & TCP_ACK) {
                memcpy(reset + 4, tcp + 8, 4);
        } else {
                used += (tcp[13] & TCP_SYN ? 1u : 0u) + (tcp[13] & TCP_FIN ? 1u : 0u);
                put32(reset + 8, num_be32(tcp + 4) + used);
                reset[13] |= TCP_ACK;
        }
        put_body_checksum(ret, header, IPPROTO_TCP, TCP_HEADER, 16);
        return header + TCP_HEADER;
}

static size_t refuse_other(const uint8_t *data, size_t len, const struct layout *l, uint8_t *ret)
{
        bool udp = l->protocol == IPPROTO_UDP;
        unsigned protocol = l->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
        size_t quoted = MIN(len, QUOTED);
        size_t header = put_header(data, l->v6, protocol, ICMP_HEADER + quoted, ret);
        uint8_t *icmp = ret + header;
        memset(icmp, 0, ICMP_HEADER);
        icmp[0] = l->v6 ? ICMP6_UNREACHABLE : ICMP_UNREACHABLE;
        icmp[1] = l->v6 ? (udp ? ICMP6_PORT : ICMP6_PROHIBITED) : (udp ? ICMP_PORT : ICMP_PROHIBITED);
        memcpy(icmp + ICMP_HEADER, data, quoted);
        put_body_checksum(ret, header, protocol, ICMP_HEADER + quoted, 2);
        return header + ICMP_HEADER + quoted;
}

size_t packet_refuse(const uint8_t *data, size_t len, uint8_t ret[PACKET_MAX_REPLY])
{
        struct layout l;
        struct packet p;
        if (!packet_parse(data, len, &p) || !read_layout(data, len, &l) || is_group(&p.to))
                return 0;
        return p.kind == PACKET_TCP ? refuse_tcp(data, &l, ret) : refuse_other(data, len, &l, ret);
}
