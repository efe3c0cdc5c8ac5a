/* What the commands print on standard output. */
#pragma once

#include <stdint.h>

struct err;
struct json_t;

/* Print one JSON document (two spaces of indent, a newline) and release it; NULL is "no memory". Returns 0, the process
 * status. */
int output_json(struct json_t *document, struct err *e);

/* "310 B", "4.2 KiB", "1.0 GiB"; ret holds OUTPUT_SIZE_TEXT bytes. */
#define OUTPUT_SIZE_TEXT 24
void output_size(uint64_t bytes, char ret[OUTPUT_SIZE_TEXT]);
