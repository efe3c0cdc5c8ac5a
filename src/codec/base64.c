#include "codec/base64.h"

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static const char digits[2][65] = {
        [BASE64_STANDARD] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
        [BASE64_URL] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
};

static int digit_value(enum base64_alphabet alphabet, char c)
{
        const char *at = c ? strchr(digits[alphabet], c) : NULL;
        return at ? (int)(at - digits[alphabet]) : -1;
}

/* How many of the text's bytes are digits; false when the padding is not what the alphabet prescribes. */
static bool count_digits(enum base64_alphabet alphabet, const char *text, size_t len, size_t *ret)
{
        size_t n = len;
        if (alphabet == BASE64_STANDARD) {
                if (len % 4)
                        return false;
                while (n && len - n < 2 && text[n - 1] == '=')
                        n--;
        }
        *ret = n;
        return n % 4 != 1;
}

/* Append what n digits stand for; false when one is no digit, or bits are left over that are not zero. */
static bool decode(enum base64_alphabet alphabet, const char *text, size_t n, struct buf *ret)
{
        uint32_t bits = 0;
        unsigned have = 0;
        for (size_t i = 0; i < n; i++) {
                int v = digit_value(alphabet, text[i]);
                if (v < 0)
                        return false;
                bits = bits << 6 | (uint32_t)v;
                have += 6;
                if (have >= 8) {
                        have -= 8;
                        ret->data[ret->len++] = (uint8_t)(bits >> have);
                        bits &= (1u << have) - 1;
                }
        }
        return bits == 0;
}

int base64_decode(enum base64_alphabet alphabet, const char *text, size_t len, const char *what, struct buf *ret,
                  struct err *e)
{
        size_t before = ret->len, n;
        int r = buf_reserve(ret, len / 4 * 3 + 3, e);
        if (r < 0)
                return r;
        if (count_digits(alphabet, text, len, &n) && decode(alphabet, text, n, ret))
                return 0;
        ret->len = before;
        return err_set(e, ERR_USAGE, "%s: expected %s, found something else", what,
                       alphabet == BASE64_URL ? "base64url without padding" : "base64 with padding");
}
