#include "secrets/credentials.h"

#include "base/err.h"
#include "base/num.h"

#include <string.h>

#define WORD 4u

static void put_word(uint8_t *p, size_t v)
{
        for (unsigned i = 0; i < WORD; i++)
                p[i] = (uint8_t)(v >> (24 - 8 * i));
}

size_t credentials_size(const char *name, size_t len)
{
        return 2 * WORD + strlen(name) + len;
}

int credentials_add(void *area, size_t size, size_t *used, const char *name, const void *value, size_t len,
                    struct err *e)
{
        size_t name_len = strlen(name);
        uint8_t *p = (uint8_t *)area + *used;
        if (len > UINT32_MAX || credentials_size(name, len) > size - *used)
                return err_set(e, ERR_RESOURCES, "the credentials do not fit %zu bytes", size);
        put_word(p, name_len);
        memcpy(p + WORD, name, name_len);
        put_word(p + WORD + name_len, len);
        memcpy(p + 2 * WORD + name_len, value, len);
        *used += credentials_size(name, len);
        return 0;
}

/* One piece behind its length word; *at moves behind it. */
static int take(const uint8_t *area, size_t size, size_t *at, const uint8_t **ret, size_t *ret_len, struct err *e)
{
        if (size - *at < WORD || num_be32(area + *at) > size - *at - WORD)
                return err_set(e, ERR_PROTOCOL, "the credentials break off at byte %zu", *at);
        *ret_len = num_be32(area + *at);
        *ret = area + *at + WORD;
        *at += WORD + *ret_len;
        return 0;
}

int credentials_find(const void *area, size_t size, const char *name, const uint8_t **ret, size_t *ret_len,
                     struct err *e)
{
        size_t wanted = strlen(name), at = 0;
        while (at < size) {
                const uint8_t *found = NULL;
                size_t len = 0;
                int r = take(area, size, &at, &found, &len, e);
                if (r == 0 && len == 0)
                        return CREDENTIALS_E_NONE;
                if (r == 0)
                        r = take(area, size, &at, ret, ret_len, e);
                if (r < 0)
                        return r;
                if (len == wanted && memcmp(found, name, len) == 0)
                        return 0;
        }
        return CREDENTIALS_E_NONE;
}
