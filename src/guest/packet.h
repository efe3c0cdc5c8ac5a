/* IP packets that lead nowhere: what a program tried, and the packet that tells it at once. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/address.h"

#define PACKET_MAX 65575u      /* bytes of a packet of the TUN device */
#define PACKET_MAX_REPLY 1280u /* what every IPv6 link carries */

enum packet_kind { PACKET_TCP, PACKET_UDP, PACKET_ECHO, PACKET_OTHER };

struct packet {
        enum packet_kind kind;
        unsigned protocol; /* IPPROTO_* */
        struct address from, to;
        uint16_t from_port, to_port; /* of TCP and UDP; of an echo, from_port is its id */
        bool attempt; /* a program tries to reach something: a SYN, a datagram, an echo. Not: what answers, or is the
                         kernel's own */
};

/* False: no whole packet, or none that gets an answer or a word. */
bool packet_parse(const uint8_t *data, size_t len, struct packet *ret);
/* The reset or "unreachable" that the sender of a parsed packet gets; 0 bytes: none. */
size_t packet_refuse(const uint8_t *data, size_t len, uint8_t ret[PACKET_MAX_REPLY]);
