/* Numbers as the expression language reads and writes them: JavaScript's Number() and toString(), which GitHub's
 * evaluator uses. */
#pragma once

#include <stddef.h>

#define NUMBER_TEXT_SIZE 64

/* Number(text): blanks around are skipped, '' is 0, decimal with exponent, 0x, 0o, 0b without a sign, Infinity; NaN for
 * all else. */
double number_parse(const char *text, size_t len);
/* The shortest decimal that gives the same double: "1", "0.1", "1e+21", "1e-7", "NaN", "-Infinity". */
void number_format(double d, char ret[NUMBER_TEXT_SIZE]);
/* The text form of a number in an expression: at most 15 digits after the point; -0 is "0". */
void number_to_text(double d, char ret[NUMBER_TEXT_SIZE]);
/* Bytes of the white space that text starts with, one character of it (JavaScript's set: ASCII blanks, NBSP, BOM, the
 * Unicode space separators); 0 for none. */
size_t number_blank(const char *text, size_t len);
