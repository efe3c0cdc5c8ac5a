/* Internet addresses as values, and which of them are no public address of somebody else's. Pure.
 *
 * A version 6 address that only wraps a version 4 one (::ffff:a.b.c.d) stays what it is: the wrapping is a form that
 * is refused, never unwrapped into an address that is allowed. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct err;

struct address {
        bool v6;
        uint8_t bytes[16]; /* network order; the first 4 of a version 4 address, the rest zero */
};
struct prefix {
        struct address address; /* the bits behind `len` are zero */
        unsigned len;           /* 0 to 32, or to 128 */
};

#define ADDRESS_TEXT INET6_ADDRSTRLEN /* bytes of an address as text, NUL included */
#define PREFIX_TEXT (ADDRESS_TEXT + 4)

/* Numeric forms that inet_pton(3) knows and no others: no octal, hexadecimal or short ones. False: it is none. */
bool address_parse(const char *text, struct address *ret);
void address_text(const struct address *a, char ret[ADDRESS_TEXT]);
bool address_eq(const struct address *a, const struct address *b);
unsigned address_bits(const struct address *a); /* 32 or 128 */
/* False for a family that is neither. */
bool address_from_socket(const struct sockaddr *sa, struct address *ret);
socklen_t address_to_socket(const struct address *a, uint16_t port, struct sockaddr_storage *ret);

/* "ADDRESS/LEN"; ERR_USAGE says what is wrong, also where bits behind LEN are set. */
int prefix_parse(const char *text, struct prefix *ret, struct err *e);
void prefix_text(const struct prefix *p, char ret[PREFIX_TEXT]);
bool prefix_has(const struct prefix *p, const struct address *a);
/* Is every address of `inner` one of p? */
bool prefix_covers(const struct prefix *p, const struct prefix *inner);

/* What kind of address it is when it is none that anybody on the internet has: "a loopback address"; and *ret, when it
 * is not NULL, the range that makes it one. NULL: a public address. */
const char *address_special(const struct address *a, struct prefix *ret);
/* Where it leads: private ones are somebody's own network (RFC 1918, RFC 4193, RFC 6598). */
enum address_range { ADDRESS_SPECIAL, ADDRESS_PUBLIC, ADDRESS_PRIVATE, ADDRESS_LOOPBACK };
enum address_range address_range(const struct address *a);
