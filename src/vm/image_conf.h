/* Definitions of images: what `devdep-cli image build NAME` makes. A definition is a text file images/NAME.conf:
 *
 *     # a comment
 *     suite = bookworm
 *     include = default          all packages of another definition
 *     package = gcc make git     may repeat
 *
 * Looked for beside the programs (build/images), else in ../share/devdep/images. */
#pragma once

#include <stddef.h>

#include "base/str.h"
#include "vm/image_manifest.h"

struct err;

#define IMAGE_MAX_CONF 65536u /* bytes of a definition or a list of packages */
#define IMAGE_MAX_INCLUDES 8u /* definitions that include one another */

struct image_conf {
        char suite[32];
        struct strv packages; /* each once, in order of first mention */
};
#define IMAGE_CONF_INIT                                                                                                \
        {                                                                                                              \
                0                                                                                                      \
        }

void image_conf_done(struct image_conf *c);
/* IMAGE_CONF_E_MISSING: there is no definition of this name. Else ERR_USAGE with file and line. */
#define IMAGE_CONF_E_MISSING 1
int image_conf_load(const char *name, struct image_conf *ret, struct err *e);
/* The parser of one file; an `include` is handed to fn. */
typedef int image_conf_include_fn(const char *name, void *user, struct err *e);
int image_conf_parse(const char *text, size_t len, const char *what, image_conf_include_fn *fn, void *user,
                     struct image_conf *c, struct err *e);
/* Add packages (words divided by spaces or newlines, '#' begins a comment). */
int image_conf_add_packages(struct image_conf *c, const char *text, size_t len, const char *what, struct err *e);
int image_conf_set_suite(struct image_conf *c, const char *suite, const char *what, struct err *e);
/* The folder of the definitions and of customize.sh (malloc'd). */
int image_conf_folder(char **ret, struct err *e);
