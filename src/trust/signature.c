#include "trust/signature.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"

#define MAGIC "devdep-signature-v1"

int signature_make(const struct key *k, const char *domain, const void *msg, size_t len, struct buf *ret, struct err *e)
{
        uint8_t sig[KEY_SIGNATURE_SIZE];
        char hex[2 * KEY_SIGNATURE_SIZE + 1];
        int r = key_sign(k, domain, msg, len, sig, e);
        if (r < 0)
                return r;
        num_to_hex(sig, sizeof(sig), hex);
        return buf_printf(ret, e, MAGIC " %s %s %s\n", domain, key_id(k), hex);
}

/* The next word of a line whose words are divided by exactly one space; end is where the word must end. NULL:
 * malformed. */
static const char *next_word(char **at, char end)
{
        char *start = *at;
        char *stop = strchr(start, end);
        if (!stop || stop == start)
                return NULL;
        *stop = 0;
        *at = stop + 1;
        return start;
}

static bool is_lower_hex(const char *s, size_t n)
{
        return strlen(s) == n && strspn(s, "0123456789abcdef") == n;
}

int signature_parse(const void *text, size_t len, const char *what, struct signature *ret, struct err *e)
{
        char line[512];
        if (len >= sizeof(line) || memchr(text, 0, len))
                goto malformed;
        memcpy(line, text, len);
        line[len] = 0;
        char *at = line;
        const char *magic = next_word(&at, ' ');
        const char *domain = magic ? next_word(&at, ' ') : NULL;
        const char *id = domain ? next_word(&at, ' ') : NULL;
        const char *hex = id ? next_word(&at, '\n') : NULL;
        if (!hex || *at || !str_eq(magic, MAGIC) || strspn(domain, "abcdefghijklmnopqrstuvwxyz-") != strlen(domain) ||
            !str_copy(ret->domain, sizeof(ret->domain), domain) || !is_lower_hex(id, KEY_ID_SIZE - 1) ||
            !is_lower_hex(hex, 2 * KEY_SIGNATURE_SIZE))
                goto malformed;
        memcpy(ret->key_id, id, KEY_ID_SIZE);
        return num_hex(hex, ret->bytes, KEY_SIGNATURE_SIZE, what, e);
malformed:
        return err_set(e, ERR_IMAGE_REFUSED,
                       "%s is not a signature: expected one line \"" MAGIC " DOMAIN KEY-ID SIGNATURE\"", what);
}
