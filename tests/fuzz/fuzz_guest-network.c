/* What a job sends to its agent: questions of DNS, and packets that lead nowhere. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "guest/dns.h"
#include "guest/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void dns(const uint8_t *data, size_t size)
{
        uint8_t answer[DNS_MAX_ANSWER];
        struct dns_query q, again;
        struct address a = {.bytes = {198, 18, 1, 0}};
        int code = dns_parse(data, size, &q);
        if (code < 0)
                return;
        size_t len = dns_answer(&q, (enum dns_code)code, code == DNS_OK ? &a : NULL, answer);
        assert(len >= q.len && len <= sizeof(answer) && strlen(q.name) < DNS_MAX_NAME);
        answer[2] &= 0x7f;
        assert(code != DNS_OK || dns_parse(answer, q.len, &again) == DNS_OK);
}

static void packet(const uint8_t *data, size_t size)
{
        uint8_t reply[PACKET_MAX_REPLY], more[PACKET_MAX_REPLY];
        struct packet p;
        bool known = packet_parse(data, size, &p);
        size_t len = packet_refuse(data, size, reply);
        assert(len <= sizeof(reply) && (known || len == 0));
        /* An answer never gets an answer: nothing goes round. */
        assert(len == 0 || packet_refuse(reply, len, more) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        dns(data, size);
        packet(data, size);
        return 0;
}
