/* The head of a request of HTTP/1.1 (RFC 9112), and the two texts that Azure's clients send: bytes of a guest into
 * values. Pure. Strict where leniency is how requests are smuggled: lines end in CRLF, a head has at most one
 * Content-Length and no Transfer-Encoding, a target is a path. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/limits.h"

struct err;

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT };

struct http_head {
        enum http_method method;
        char path[1024]; /* as it was sent, without the query */
        char query[2048];
        uint64_t length; /* of the body; 0: none */
        bool close;      /* no further request follows */
        bool expects;    /* 100-continue */
        bool has_range;
        uint64_t first, last; /* bytes asked for; last UINT64_MAX: to the end */
};

/* How many bytes the head at the beginning of data has, its empty line included; 0: it is not whole yet. */
size_t http_head_length(const uint8_t *data, size_t len);
/* Exactly one head. ERR_USAGE: it is none that is served. */
int http_head_parse(const uint8_t *data, size_t len, struct http_head *ret, struct err *e);
/* A parameter of the query, percent-decoded; false: there is none, or not in size bytes. */
bool http_query(const struct http_head *h, const char *name, char *ret, size_t size);

/* <BlockList><Latest>ID</Latest>...</BlockList>: fn is called for each id, in order. ERR_USAGE. */
int http_block_list(const uint8_t *data, size_t len, int (*fn)(const char *id, void *user, struct err *e), void *user,
                    struct err *e);
