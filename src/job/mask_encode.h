/* The forms in which a secret value may appear in a text: itself, the telling lines of a multi-line value, base64 in
 * its three alignments (both alphabets, wrapped at 64 and 76 columns), hex, URL, JSON, XML and shell quoting, and in
 * small letters. The list is that of GitHub's runner and more. Forms shorter than MASK_MIN_FORM bytes are left out
 * except the value itself. */
#pragma once

#include <stddef.h>

struct err;

#define MASK_MIN_FORM 4u /* bytes; shorter derived forms would mask ordinary text */

/* Called once per form; a form may come twice. The bytes are valid during the call only. */
typedef int mask_form_fn(const void *form, size_t len, void *user, struct err *e);
/* All forms of a value; stops at the first non-zero return of fn and gives it back. No form holds a newline. */
int mask_forms(const void *value, size_t len, mask_form_fn *fn, void *user, struct err *e);
