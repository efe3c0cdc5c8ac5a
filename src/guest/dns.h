/* Questions and answers of DNS (RFC 1035), as far as a stub resolver that knows addresses only needs them. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct address;

#define DNS_MAX_QUERY 512u
#define DNS_MAX_ANSWER (DNS_MAX_QUERY + 28u) /* a question and one address */
#define DNS_MAX_NAME 254u                    /* bytes of a name as text, NUL included */
#define DNS_TTL 60u                          /* seconds */

enum dns_type { DNS_A = 1, DNS_AAAA = 28 };
enum dns_code { DNS_OK = 0, DNS_FORMAT = 1, DNS_FAILED = 2, DNS_NO_NAME = 3, DNS_UNKNOWN = 4 };

struct dns_query {
        uint8_t bytes[DNS_MAX_QUERY]; /* header and question */
        size_t len;
        char name[DNS_MAX_NAME]; /* lower case, without the final dot; '?' for what names of hosts do not have */
        uint16_t type;
};

/* DNS_OK, or the code of the answer that is due. -1: no question at all, which gets no answer. */
int dns_parse(const uint8_t *data, size_t len, struct dns_query *ret);
/* How many bytes. a: the one answer, of the type that was asked; NULL: none. */
size_t dns_answer(const struct dns_query *q, enum dns_code code, const struct address *a, uint8_t ret[DNS_MAX_ANSWER]);
