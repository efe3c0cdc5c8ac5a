/* The addresses by which a job reaches the outside. All are this guest's own: 198.18.0.0/15, which is set aside for
 * benchmarks, and a unique local prefix. docs/protocol-guest.md, "The outside as a job sees it".
 *
 *   198.18.0.0/16  fd64:6576:6465:7000::/64   names that may be reached: local, so that TCP arrives at our listener
 *   198.19.0.0/16  fd64:6576:6465:7001::/64   names that may not: routed to the TUN device, which refuses and reports
 */
#pragma once

#include "net/address.h"

#define IP_RESOLVER "198.18.0.1"   /* the stub resolver, UDP port 53 */
#define IP_OWN_V4 "198.19.255.254" /* of the TUN device: what a job sends from */
#define IP_OWN_V6 "fd64:6576:6465:7002::1"
#define IP_STEERED_V4 "198.19.255.253" /* the source of connections to listed addresses, by which they are told */
#define IP_STEERED_V6 "fd64:6576:6465:7002::2"

#define IP_REACHED_V4 "198.18.0.0/16"
#define IP_REACHED_V6 "fd64:6576:6465:7000::/64"
#define IP_REFUSED_V4 "198.19.0.0/16"
#define IP_REFUSED_V6 "fd64:6576:6465:7001::/64"
