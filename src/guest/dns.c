#include "guest/dns.h"

#include "base/num.h"
#include "net/address.h"

#include <string.h>

#define HEADER 12u
#define FLAG_ANSWER 0x80 /* of byte 2 */
#define OPCODE 0x78
#define RECURSION_DESIRED 0x01
#define RECURSION_AVAILABLE 0x80 /* of byte 3 */
#define CLASS_IN 1
#define MAX_LABEL 63u
#define TO_QUESTION_NAME 0xc00c /* a name that stands at the question's */

static char visible(uint8_t c)
{
        if (c >= 'A' && c <= 'Z')
                return (char)(c - 'A' + 'a');
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ? (char)c : '?';
}

/* The name at data[*at], which is moved behind it. -1: it does not fit. */
static int read_name(const uint8_t *data, size_t len, size_t *at, char ret[DNS_MAX_NAME])
{
        size_t n = 0;
        while (*at < len && data[*at]) {
                size_t label = data[*at];
                if (label > MAX_LABEL || *at + 1 + label >= len || n + (n > 0) + label >= DNS_MAX_NAME)
                        return -1;
                if (n)
                        ret[n++] = '.';
                for (size_t i = 0; i < label; i++)
                        ret[n++] = visible(data[*at + 1 + i]);
                *at += 1 + label;
        }
        ret[n] = '\0';
        return *at < len ? (++*at, 0) : -1;
}

int dns_parse(const uint8_t *data, size_t len, struct dns_query *ret)
{
        size_t at = HEADER;
        *ret = (struct dns_query){.len = HEADER};
        if (len < HEADER || len > DNS_MAX_QUERY || data[2] & FLAG_ANSWER)
                return -1;
        memcpy(ret->bytes, data, len);
        if (data[2] & OPCODE)
                return DNS_UNKNOWN;
        if (num_be16(data + 4) != 1 || read_name(data, len, &at, ret->name) < 0 || len - at < 4)
                return DNS_FORMAT;
        ret->type = num_be16(data + at);
        ret->len = at + 4;
        return num_be16(data + at + 2) == CLASS_IN ? DNS_OK : DNS_UNKNOWN;
}

static uint8_t *be16(uint8_t *p, unsigned v)
{
        p[0] = (uint8_t)(v >> 8);
        p[1] = (uint8_t)v;
        return p + 2;
}

size_t dns_answer(const struct dns_query *q, enum dns_code code, const struct address *a, uint8_t ret[DNS_MAX_ANSWER])
{
        memcpy(ret, q->bytes, q->len);
        ret[2] = (uint8_t)(FLAG_ANSWER | (q->bytes[2] & (OPCODE | RECURSION_DESIRED)));
        ret[3] = (uint8_t)(RECURSION_AVAILABLE | code);
        be16(ret + 4, q->len > HEADER);
        be16(ret + 6, a != NULL);
        memset(ret + 8, 0, 4);
        if (!a)
                return q->len;
        size_t size = address_bits(a) / 8;
        uint8_t *p = be16(ret + q->len, TO_QUESTION_NAME);
        p = be16(p, q->type);
        p = be16(p, CLASS_IN);
        p = be16(p, 0);
        p = be16(p, DNS_TTL);
        p = be16(p, (unsigned)size);
        memcpy(p, a->bytes, size);
        return (size_t)(p - ret) + size;
}
