#include "workflow/place.h"

#include <string.h>

/* Byte offset of a 1-based line and column in the source. */
static size_t offset_of(const char *source, size_t len, struct yaml_pos pos)
{
        const char *p = source, *end = source + len;
        for (unsigned line = 1; line < pos.line && p < end; line++) {
                const char *next = memchr(p, '\n', (size_t)(end - p));
                p = next ? next + 1 : end;
        }
        for (unsigned column = 1; column < pos.column && p < end; column++)
                do
                        p++;
                while (p < end && ((unsigned char)*p & 0xc0) == 0x80);
        return (size_t)(p - source);
}

static void advance(const char *p, const char *to, struct yaml_pos *pos)
{
        for (; p < to; p++) {
                if (*p == '\n') {
                        pos->line++;
                        pos->column = 1;
                } else {
                        pos->column += ((unsigned char)*p & 0xc0) != 0x80;
                }
        }
}

/* The n-th ${{ of the value is the n-th from the scalar's start in the file. */
struct yaml_pos place_of_expression(const char *source, size_t len, const struct yaml_node *node, size_t offset)
{
        size_t n = 0;
        for (const char *p = node->text; (p = strstr(p, "${{")) && (size_t)(p - node->text) <= offset; p += 3)
                n++;
        struct yaml_pos pos = node->pos;
        const char *at = source + offset_of(source, len, pos), *end = source + len, *hit = at;
        for (; n; n--) {
                hit = end - hit > 2 ? memmem(hit, (size_t)(end - hit), "${{", 3) : NULL;
                if (!hit)
                        return node->pos;
                if (n > 1)
                        hit += 3;
        }
        advance(at, hit, &pos);
        return pos;
}
