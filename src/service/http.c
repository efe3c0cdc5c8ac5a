#include "service/http.h"

#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"

#define MAX_RANGE_TEXT 64

size_t http_head_length(const uint8_t *data, size_t len)
{
        const uint8_t *end = memmem(data, len, "\r\n\r\n", 4);
        return end ? (size_t)(end - data) + 4 : 0;
}

static int bad(const char *why, struct err *e)
{
        return err_set(e, ERR_USAGE, "the request is malformed: %s", why);
}

/* ---- the first line ---- */

/* A part of a target: visible ASCII. */
static int take_target(const char *text, size_t len, struct http_head *h, struct err *e)
{
        size_t path = 0;
        if (len == 0 || text[0] != '/')
                return bad("its target is no path", e);
        for (size_t i = 0; i < len; i++)
                if (text[i] <= ' ' || text[i] >= 0x7f || text[i] == '#')
                        return bad("its target holds a forbidden character", e);
        while (path < len && text[path] != '?')
                path++;
        size_t query = path < len ? len - path - 1 : 0;
        if (path >= sizeof(h->path) || query >= sizeof(h->query))
                return bad("its target is too long", e);
        memcpy(h->path, text, path);
        memcpy(h->query, text + len - query, query);
        return 0;
}

static int take_first(const char *line, size_t len, struct http_head *h, struct err *e)
{
        static const char *const methods[] = {
                [HTTP_GET] = "GET ", [HTTP_HEAD] = "HEAD ", [HTTP_POST] = "POST ", [HTTP_PUT] = "PUT "};
        static const char version[] = " HTTP/1.1";
        for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
                size_t n = strlen(methods[i]);
                if (len < n + sizeof(version) - 1 || memcmp(line, methods[i], n) != 0)
                        continue;
                size_t target = len - n - (sizeof(version) - 1);
                if (memcmp(line + n + target, version, sizeof(version) - 1) != 0)
                        return bad("it is not HTTP/1.1", e);
                h->method = (enum http_method)i;
                return take_target(line + n, target, h, e);
        }
        return bad("its method is none of GET, HEAD, POST and PUT", e);
}

/* ---- fields ---- */

static bool is_token(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               (c && strchr("!#$%&'*+-.^_`|~", c));
}

struct field {
        const char *name, *value; /* not terminated */
        size_t name_len, value_len;
};

static int split(const char *line, size_t len, struct field *ret, struct err *e)
{
        size_t n = 0;
        while (n < len && is_token(line[n]))
                n++;
        if (n == 0 || n == len || line[n] != ':')
                return bad("a line is no field", e);
        *ret = (struct field){.name = line, .name_len = n, .value = line + n + 1, .value_len = len - n - 1};
        while (ret->value_len && (*ret->value == ' ' || *ret->value == '\t')) {
                ret->value++;
                ret->value_len--;
        }
        while (ret->value_len && strchr(" \t", ret->value[ret->value_len - 1]))
                ret->value_len--;
        for (size_t i = 0; i < ret->value_len; i++)
                if (((unsigned char)ret->value[i] < ' ' && ret->value[i] != '\t') || ret->value[i] == 0x7f)
                        return bad("a field holds a control character", e);
        return 0;
}

static bool is_named(const struct field *f, const char *name)
{
        return f->name_len == strlen(name) && strncasecmp(f->name, name, f->name_len) == 0;
}

static bool is_value(const struct field *f, const char *value)
{
        return f->value_len == strlen(value) && strncasecmp(f->value, value, f->value_len) == 0;
}

static int take_number(const char *text, size_t len, uint64_t *ret, struct err *e)
{
        char digits[24] = "";
        if (len == 0 || len >= sizeof(digits))
                return bad("a number is none", e);
        memcpy(digits, text, len);
        return num_u64(digits, 0, INT64_MAX, "a number of the request", ret, e);
}

/* "bytes=FIRST-" or "bytes=FIRST-LAST"; others are passed over, as RFC 9110 allows. */
static void take_range(const struct field *f, struct http_head *h)
{
        char text[MAX_RANGE_TEXT] = "";
        if (f->value_len >= sizeof(text) || f->value_len < 6 || strncasecmp(f->value, "bytes=", 6) != 0)
                return;
        memcpy(text, f->value + 6, f->value_len - 6);
        char *dash = strchr(text, '-');
        if (!dash || take_number(text, (size_t)(dash - text), &h->first, NULL) < 0)
                return;
        h->last = UINT64_MAX;
        if (dash[1] && take_number(dash + 1, strlen(dash + 1), &h->last, NULL) < 0)
                return;
        h->has_range = h->first <= h->last;
}

/* What a request may have once. */
struct seen {
        bool host, length;
};

static int take_field(const struct field *f, struct http_head *h, struct seen *seen, struct err *e)
{
        if (is_named(f, "transfer-encoding"))
                return bad("a body comes with its length (Content-Length) here", e);
        if (is_named(f, "host")) {
                if (seen->host)
                        return bad("it has two hosts", e);
                seen->host = true;
        }
        if (is_named(f, "content-length")) {
                if (seen->length)
                        return bad("it has two lengths", e);
                seen->length = true;
                return take_number(f->value, f->value_len, &h->length, e);
        }
        if (is_named(f, "connection"))
                h->close |= is_value(f, "close");
        else if (is_named(f, "expect"))
                h->expects |= is_value(f, "100-continue");
        else if (is_named(f, "range"))
                take_range(f, h);
        return 0;
}

int http_head_parse(const uint8_t *data, size_t len, struct http_head *ret, struct err *e)
{
        const char *at = (const char *)data, *end = at + len;
        struct seen seen = {0};
        *ret = (struct http_head){0};
        for (unsigned lines = 0;; lines++) {
                const char *cr = memmem(at, (size_t)(end - at), "\r\n", 2);
                size_t n = cr ? (size_t)(cr - at) : 0;
                struct field f = {0};
                if (!cr)
                        return bad("a line does not end in CRLF", e);
                if (n == 0 && lines)
                        return cr + 2 == end ? 0 : bad("something follows its head", e);
                if (lines > SERVICE_MAX_FIELDS)
                        return bad("it has too many fields", e);
                int r = lines == 0 ? take_first(at, n, ret, e) : split(at, n, &f, e);
                if (r == 0 && lines)
                        r = take_field(&f, ret, &seen, e);
                if (r < 0)
                        return r;
                at = cr + 2;
        }
}

/* ---- the query ---- */

static bool decode(const char *text, size_t len, char *ret, size_t size)
{
        size_t n = 0;
        for (size_t i = 0; i < len; i++, n++) {
                char pair[3] = {0};
                uint8_t byte = (uint8_t)text[i];
                if (byte == '%') {
                        if (len - i < 3)
                                return false;
                        memcpy(pair, text + i + 1, 2);
                        if (num_hex(pair, &byte, 1, "", NULL) < 0 || byte == 0)
                                return false;
                        i += 2;
                }
                if (n + 1 >= size)
                        return false;
                ret[n] = (char)byte;
        }
        ret[n] = '\0';
        return true;
}

bool http_query(const struct http_head *h, const char *name, char *ret, size_t size)
{
        size_t n = strlen(name);
        for (const char *at = h->query; *at;) {
                size_t len = strcspn(at, "&");
                if (len > n && at[n] == '=' && memcmp(at, name, n) == 0)
                        return decode(at + n + 1, len - n - 1, ret, size);
                at += len + (at[len] == '&');
        }
        return false;
}

/* ---- lists of blocks ---- */

struct cursor {
        const char *at, *end;
};

static void skip_blanks(struct cursor *c)
{
        while (c->at < c->end && *c->at && strchr(" \t\r\n", *c->at))
                c->at++;
}

static bool eat(struct cursor *c, const char *text)
{
        size_t n = strlen(text);
        if ((size_t)(c->end - c->at) < n || memcmp(c->at, text, n) != 0)
                return false;
        c->at += n;
        return true;
}

static bool is_base64(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '/' ||
               c == '=';
}

static int take_id(struct cursor *c, char ret[SERVICE_MAX_BLOCK_ID + 1], struct err *e)
{
        size_t n = 0;
        while (n < SERVICE_MAX_BLOCK_ID && c->at < c->end && is_base64(*c->at))
                ret[n++] = *c->at++;
        ret[n] = '\0';
        return n && eat(c, "</Latest>") ? 0 : bad("a block of its list has no id", e);
}

int http_block_list(const uint8_t *data, size_t len, int (*fn)(const char *id, void *user, struct err *e), void *user,
                    struct err *e)
{
        struct cursor c = {(const char *)data, (const char *)data + len};
        char id[SERVICE_MAX_BLOCK_ID + 1];
        if (eat(&c, "<?xml ")) {
                const char *close = memmem(c.at, (size_t)(c.end - c.at), "?>", 2);
                if (!close)
                        return bad("its list of blocks is none", e);
                c.at = close + 2;
        }
        skip_blanks(&c);
        bool empty = eat(&c, "<BlockList/>"); /* of an upload without a byte */
        if (!empty && !eat(&c, "<BlockList>"))
                return bad("its list of blocks is none", e);
        for (skip_blanks(&c); !empty && eat(&c, "<Latest>"); skip_blanks(&c)) {
                int r = take_id(&c, id, e);
                if (r == 0)
                        r = fn(id, user, e);
                if (r < 0)
                        return r;
        }
        if (!empty && !eat(&c, "</BlockList>"))
                return bad("its list of blocks has something else in it", e);
        skip_blanks(&c);
        return c.at == c.end ? 0 : bad("something follows its list of blocks", e);
}
