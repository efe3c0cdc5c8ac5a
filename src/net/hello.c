#include "net/hello.h"

#include <stdbool.h>
#include <string.h>

#include "base/num.h"

#define RECORD_HEADER 5u
#define RECORD_MAX 16384u
#define RECORD_CHANGE_CIPHER_SPEC 20
#define RECORD_ALERT 21
#define RECORD_HANDSHAKE 22
#define RECORD_APPLICATION_DATA 23
#define RECORD_HEARTBEAT 24 /* a server should pass over one within a handshake (RFC 6520, 3) */
#define HANDSHAKE_HEADER 4u
#define HANDSHAKE_CLIENT_HELLO 1
#define HANDSHAKE_SERVER_HELLO 2
#define EXTENSION_SERVER_NAME 0
#define SERVER_NAME_HOST 0
#define RANDOM_SIZE 32u

/* What is left of a structure to be read. `bad` stays set: one check at the end is enough. */
struct reader {
        const uint8_t *p;
        size_t len;
        bool bad;
};

static struct reader take(struct reader *r, size_t n)
{
        struct reader part = {.p = r->p, .len = n, .bad = r->bad || n > r->len};

        if (part.bad) {
                r->bad = true;
                return (struct reader){.bad = true};
        }
        r->p += n;
        r->len -= n;
        return part;
}

static size_t number(struct reader *r, size_t bytes)
{
        struct reader part = take(r, bytes);
        size_t v = 0;

        for (size_t i = 0; i < part.len; i++)
                v = v << 8 | part.p[i];
        return v;
}

/* A vector with its length in front. */
static struct reader vector(struct reader *r, size_t length_bytes)
{
        return take(r, number(r, length_bytes));
}

static enum hello broken(struct hello_result *ret, const char *why)
{
        ret->why = why;
        return HELLO_BROKEN;
}

/* RFC 6066: a list, of which at most one may be a host's name; no other type was ever defined. */
static enum hello read_server_name(struct reader extension, struct hello_result *ret)
{
        struct reader list = vector(&extension, 2);
        size_t type = number(&list, 1);
        struct reader name = vector(&list, 2);

        if (extension.bad || list.bad || extension.len || list.len || type != SERVER_NAME_HOST)
                return broken(ret, "its server_name is not one name of a host");
        if (name_normalise(name.p, name.len, ret->name, NULL) < 0)
                return broken(ret, "its server_name is no name of a host");
        return HELLO_NAME;
}

static enum hello read_extensions(struct reader list, struct hello_result *ret)
{
        enum hello found = HELLO_NO_NAME;

        while (list.len && !list.bad) {
                size_t type = number(&list, 2);
                struct reader extension = vector(&list, 2);
                if (list.bad)
                        break;
                if (type != EXTENSION_SERVER_NAME)
                        continue;
                if (found != HELLO_NO_NAME)
                        return broken(ret, "it has more than one server_name");
                found = read_server_name(extension, ret);
                if (found == HELLO_BROKEN)
                        return found;
        }
        return list.bad ? broken(ret, "an extension is longer than the message") : found;
}

static enum hello read_hello(struct reader body, struct hello_result *ret)
{
        take(&body, 2 + RANDOM_SIZE);
        vector(&body, 1); /* session */
        vector(&body, 2); /* cipher suites */
        vector(&body, 1); /* compression methods */
        if (body.bad)
                return broken(ret, "it is too short");
        if (!body.len)
                return HELLO_NO_NAME;
        struct reader extensions = vector(&body, 2);
        if (body.bad || body.len)
                return broken(ret, "its extensions do not fill it");
        return read_extensions(extensions, ret);
}

/* The handshake's bytes out of the records, as far as they are there. HELLO_NAME: `hello` is whole. */
static enum hello collect(const uint8_t *data, size_t len, uint8_t *hello, size_t *ret_len, struct hello_result *ret)
{
        const uint8_t *const begin = data;
        size_t have = 0, want = HANDSHAKE_HEADER;

        while (have < want) {
                if (len < RECORD_HEADER)
                        return HELLO_MORE;
                size_t size = num_be16(data + 3);
                if (data[0] != RECORD_HANDSHAKE || data[1] != 3 || !size || size > RECORD_MAX)
                        return broken(ret, "another record is where the ClientHello should go on");
                size_t there = MIN(size, len - RECORD_HEADER);
                memcpy(hello + have, data + RECORD_HEADER, there);
                have += there;
                if (have >= HANDSHAKE_HEADER)
                        want = HANDSHAKE_HEADER + (size_t)((hello[1] << 16) | (hello[2] << 8) | hello[3]);
                if (have && hello[0] != HANDSHAKE_CLIENT_HELLO)
                        return broken(ret, "the first message is no ClientHello");
                if (want > HELLO_MAX_SIZE)
                        return broken(ret, "it is longer than 16 KiB");
                if (have >= HANDSHAKE_HEADER && have - there + size > want)
                        return broken(ret, "another message follows in its record");
                if (there < size)
                        return HELLO_MORE;
                data += RECORD_HEADER + size;
                len -= RECORD_HEADER + size;
        }
        *ret_len = want;
        ret->size = (size_t)(data - begin);
        return HELLO_NAME;
}

/* Servers look at no more of the version than this. */
static bool may_be_tls(const uint8_t *data, size_t len)
{
        return (len < 1 || data[0] == RECORD_HANDSHAKE) && (len < 2 || data[1] == 3);
}

enum hello hello_parse(const uint8_t *data, size_t len, struct hello_result *ret)
{
        uint8_t hello[HELLO_MAX_SIZE];
        size_t hello_len = 0;

        *ret = (struct hello_result){.why = ""};
        if (!may_be_tls(data, len))
                return HELLO_NONE;
        len = MIN(len, HELLO_MAX_SIZE);
        enum hello r = collect(data, len, hello, &hello_len, ret);
        if (r == HELLO_MORE && len == HELLO_MAX_SIZE)
                return broken(ret, "it is longer than 16 KiB");
        if (r != HELLO_NAME)
                return r;
        return read_hello((struct reader){.p = hello + HANDSHAKE_HEADER, .len = hello_len - HANDSHAKE_HEADER}, ret);
}

enum hello_record hello_record(const uint8_t *data, size_t len, size_t *ret_size)
{
        if (!len)
                return HELLO_RECORD_MORE;
        switch (data[0]) {
        case RECORD_HANDSHAKE:
                return HELLO_RECORD_HANDSHAKE;
        case RECORD_CHANGE_CIPHER_SPEC:
        case RECORD_ALERT:
        case RECORD_APPLICATION_DATA:
        case RECORD_HEARTBEAT:
                if (len < RECORD_HEADER)
                        return HELLO_RECORD_MORE;
                *ret_size = RECORD_HEADER + num_be16(data + 3);
                return HELLO_RECORD_OTHER;
        default:
                return HELLO_RECORD_NONE;
        }
}

/* RFC 8446, 4.1.3: a ServerHello with this random value. */
enum hello_retry hello_retry(const uint8_t *data, size_t len)
{
        static const uint8_t retry[RANDOM_SIZE] = {0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
                                                   0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
                                                   0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};

        if (len && data[0] != RECORD_HANDSHAKE)
                return HELLO_RETRY_NO;
        if (len < HELLO_ANSWER_SIZE)
                return HELLO_RETRY_MORE;
        bool is = data[RECORD_HEADER] == HANDSHAKE_SERVER_HELLO &&
                  memcmp(data + HELLO_ANSWER_SIZE - RANDOM_SIZE, retry, RANDOM_SIZE) == 0;
        return is ? HELLO_RETRY_YES : HELLO_RETRY_NO;
}
