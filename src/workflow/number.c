#include "workflow/number.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

size_t number_blank(const char *s, size_t len)
{
        const unsigned char *p = (const unsigned char *)s;
        if (len >= 1 && (*p == ' ' || (*p >= '\t' && *p <= '\r')))
                return 1;
        if (len >= 2 && p[0] == 0xc2 && p[1] == 0xa0)
                return 2;
        if (len < 3)
                return 0;
        uint32_t point = (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
        if ((p[0] & 0xf0) != 0xe0)
                return 0;
        bool blank = point == 0x1680 || (point >= 0x2000 && point <= 0x200a) || point == 0x2028 || point == 0x2029 ||
                     point == 0x202f || point == 0x205f || point == 0x3000 || point == 0xfeff;
        return blank ? 3 : 0;
}

static void trim(const char **s, size_t *len)
{
        for (size_t n; *len && (n = number_blank(*s, *len)) > 0;) {
                *s += n;
                *len -= n;
        }
        for (bool cut = true; cut && *len;) {
                cut = false;
                for (size_t n = 1; n <= 3 && n <= *len && !cut; n++)
                        if (number_blank(*s + *len - n, n) == n) {
                                *len -= n;
                                cut = true;
                        }
        }
}

static int digit_of(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return 99;
}

/* Digits of a power-of-two radix. Rounding to nearest even is done once, at the end, by keeping 64 bits and a sticky
 * bit. */
static double parse_radix(const char *s, size_t len, int bits)
{
        uint64_t mantissa = 0;
        int exponent = 0;
        bool sticky = false;

        if (len == 0)
                return NAN;
        for (size_t i = 0; i < len; i++) {
                int d = digit_of(s[i]);
                if (d >= 1 << bits)
                        return NAN;
                for (int b = bits - 1; b >= 0; b--) {
                        unsigned bit = (unsigned)d >> b & 1u;
                        if (mantissa >> 62) {
                                sticky |= bit != 0;
                                exponent += exponent < 100000;
                        } else {
                                mantissa = mantissa << 1 | bit;
                        }
                }
        }
        return ldexp((double)(mantissa << 1 | (sticky ? 1u : 0u)), exponent - 1);
}

/* [digits][.digits][e[+-]digits] with at least one digit before the exponent. */
static bool is_decimal(const char *s, size_t len)
{
        size_t i = 0, digits = 0;
        for (; i < len && s[i] >= '0' && s[i] <= '9'; i++)
                digits++;
        if (i < len && s[i] == '.')
                for (i++; i < len && s[i] >= '0' && s[i] <= '9'; i++)
                        digits++;
        if (!digits)
                return false;
        if (i == len)
                return true;
        if (s[i] != 'e' && s[i] != 'E')
                return false;
        i++;
        if (i < len && (s[i] == '+' || s[i] == '-'))
                i++;
        size_t start = i;
        while (i < len && s[i] >= '0' && s[i] <= '9')
                i++;
        return i == len && i > start;
}

static double parse_decimal(const char *s, size_t len)
{
        char small[64];
        char *copy = len < sizeof(small) ? small : malloc(len + 1);
        if (!copy)
                return NAN;
        memcpy(copy, s, len);
        copy[len] = '\0';
        double d = strtod(copy, NULL); /* no program of this tree calls setlocale(): the point is '.' */
        if (copy != small)
                free(copy);
        return d;
}

double number_parse(const char *text, size_t len)
{
        trim(&text, &len);
        if (len == 0)
                return 0;
        if (len >= 2 && text[0] == '0') {
                switch (text[1]) {
                case 'x':
                case 'X':
                        return parse_radix(text + 2, len - 2, 4);
                case 'o':
                case 'O':
                        return parse_radix(text + 2, len - 2, 3);
                case 'b':
                case 'B':
                        return parse_radix(text + 2, len - 2, 1);
                }
        }
        bool negative = text[0] == '-';
        if (text[0] == '-' || text[0] == '+') {
                text++;
                len--;
        }
        double d = NAN;
        if (len == 8 && memcmp(text, "Infinity", 8) == 0)
                d = INFINITY;
        else if (is_decimal(text, len))
                d = parse_decimal(text, len);
        return negative ? -d : d;
}

struct decimal {
        char digits[24]; /* without trailing zeros */
        int n;
        int exponent; /* value is 0.DIGITS * 10^exponent */
};

static bool round_trips(uint64_t digits, int n, int exponent, double d)
{
        char text[48];
        snprintf(text, sizeof(text), "%llue%d", (unsigned long long)digits, exponent - n);
        return strtod(text, NULL) == d;
}

/* n significant digits of d > 0, correctly rounded, as an integer; and the exponent. */
static uint64_t digits_of(double d, int n, int *exponent)
{
        char text[48];
        snprintf(text, sizeof(text), "%.*e", n - 1, d);
        uint64_t digits = 0;
        char *p = text;
        for (; *p && *p != 'e'; p++)
                if (*p != '.')
                        digits = digits * 10 + (uint64_t)(*p - '0');
        *exponent = (int)strtol(p + 1, NULL, 10) + 1;
        return digits;
}

/* The fewest digits that give d back. Below a power of two the interval of a double is lopsided: there the fewest
 * digits may be a neighbour of the correctly rounded ones. */
static void shortest(double d, struct decimal *ret)
{
        uint64_t digits = 0;
        int exponent = 0;
        int n = d < 2.3e-308 ? 1 : 15;
        for (; n <= 17; n++) {
                digits = digits_of(d, n, &exponent);
                if (round_trips(digits, n, exponent, d))
                        break;
                if (round_trips(digits + 1, n, exponent, d)) {
                        digits++;
                        break;
                }
        }
        while (digits && digits % 10 == 0)
                digits /= 10;
        ret->n = snprintf(ret->digits, sizeof(ret->digits), "%llu", (unsigned long long)digits);
        ret->exponent = exponent;
}

/* ECMAScript's Number::toString: plain up to 21 digits before and 6 zeros after the point, else with an exponent. */
static void lay_out(const struct decimal *x, bool negative, char ret[NUMBER_TEXT_SIZE])
{
        const char *sign = negative ? "-" : "";
        int e = x->exponent;
        if (x->n <= e && e <= 21)
                snprintf(ret, NUMBER_TEXT_SIZE, "%s%s%.*s", sign, x->digits, e - x->n, "000000000000000000000");
        else if (e > 0 && e <= 21)
                snprintf(ret, NUMBER_TEXT_SIZE, "%s%.*s.%s", sign, e, x->digits, x->digits + e);
        else if (e > -6 && e <= 0)
                snprintf(ret, NUMBER_TEXT_SIZE, "%s0.%.*s%s", sign, -e, "000000", x->digits);
        else
                snprintf(ret, NUMBER_TEXT_SIZE, "%s%c%s%s%s%d", sign, x->digits[0], x->n > 1 ? "." : "", x->digits + 1,
                         e > 0 ? "e+" : "e", e - 1);
}

void number_format(double d, char ret[NUMBER_TEXT_SIZE])
{
        if (isnan(d)) {
                str_copy(ret, NUMBER_TEXT_SIZE, "NaN");
        } else if (isinf(d)) {
                str_copy(ret, NUMBER_TEXT_SIZE, d < 0 ? "-Infinity" : "Infinity");
        } else if (d == 0) {
                str_copy(ret, NUMBER_TEXT_SIZE, "0");
        } else if (fabs(d) < 1e15 && d == trunc(d)) {
                snprintf(ret, NUMBER_TEXT_SIZE, "%lld", (long long)d);
        } else {
                struct decimal x;
                shortest(fabs(d), &x);
                lay_out(&x, d < 0, ret);
        }
}

/* Round to 15 digits after the point, ties away from zero (toFixed). A tie is a number with exactly 16 binary places.
 */
static double fixed15(double d)
{
        char text[352];
        double scaled = ldexp(fabs(d), 16);
        if (fabs(d) >= 1e21)
                return d;
        if (scaled == trunc(scaled) && fmod(scaled, 2) == 1) {
                snprintf(text, sizeof(text), "%.16f", d);
                size_t last = strlen(text) - 1;
                text[last] = '\0'; /* an exact 5; the digit before it is then 2 or 7, so adding one never carries */
                text[last - 1]++;
                return strtod(text, NULL);
        }
        snprintf(text, sizeof(text), "%.15f", d);
        return strtod(text, NULL);
}

void number_to_text(double d, char ret[NUMBER_TEXT_SIZE])
{
        bool whole = fabs(d) < 1e15 && d == trunc(d);
        number_format(isfinite(d) && !whole ? fixed15(d) : d, ret);
}
