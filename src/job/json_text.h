/* JSON string literals written by hand: the hot path of a job's output. */
#pragma once

#include <stddef.h>

struct buf;
struct err;

/* Append text as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD, one per byte. */
int json_text_append(struct buf *b, const void *text, size_t len, struct err *e);
