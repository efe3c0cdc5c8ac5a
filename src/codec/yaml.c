/* libyaml's events to a tree. libyaml checks the grammar; everything that decides what a text means, and every limit,
 * is here.
 *
 * Children of an open collection wait on one stack and are copied to their place when it closes, so the arena holds no
 * leftovers. */
#include "codec/yaml.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/err.h"
#include "base/map.h"
#include "base/num.h"
#include "base/str.h"
#include "codec/arena.h"
#include "codec/yaml_scalar.h"

#define HASHED_KEYS 16 /* keys of a mapping from which duplicates are looked for with a hash */

struct yaml_doc {
        struct arena *arena;
        struct yaml_node *root;
};

/* A collection that is open. */
struct frame {
        struct yaml_node *node;
        size_t first; /* its first child on the stack */
};

struct builder {
        struct yaml_doc *doc;
        struct map *anchors; /* name to node */
        struct frame frames[YAML_MAX_DEPTH + 1];
        size_t depth;
        struct yaml_node **stack; /* mappings: key, value, key, value */
        size_t n_stack, cap_stack;
        size_t aliases;
        struct yaml_pos last_alias;
        struct yaml_fault *fault;
        struct err *e;
};

static struct yaml_pos position(yaml_mark_t m)
{
        return (struct yaml_pos){(unsigned)m.line + 1, (unsigned)m.column + 1};
}

/* Where byte `offset` of a text is. */
static struct yaml_pos position_of(const char *text, size_t offset)
{
        struct yaml_pos p = {1, 1};
        for (size_t i = 0; i < offset; i++) {
                if (text[i] == '\n') {
                        p.line++;
                        p.column = 1;
                } else {
                        p.column += ((unsigned char)text[i] & 0xc0) != 0x80;
                }
        }
        return p;
}

static int refuse(struct yaml_fault *fault, struct err *e, struct yaml_pos pos, const char *message)
{
        if (fault) {
                fault->pos = pos;
                str_copy(fault->message, sizeof(fault->message), message);
        }
        return err_set(e, ERR_USAGE, "%u:%u: %s", pos.line, pos.column, message);
}

const struct yaml_node *yaml_root(const struct yaml_doc *d)
{
        return d->root;
}

const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
        if (!map || map->kind != YAML_KIND_MAP)
                return NULL;
        for (size_t i = 0; i < map->n; i++)
                if (strcmp(map->keys[i]->text, key) == 0)
                        return map->items[i];
        return NULL;
}

unsigned yaml_width(const struct yaml_node *n)
{
        bool list = n->kind == YAML_KIND_SEQ || n->kind == YAML_KIND_MAP;
        if (list || n->end.line != n->pos.line || n->end.column <= n->pos.column)
                return 1;
        return n->end.column - n->pos.column;
}

struct yaml_doc *yaml_doc_free(struct yaml_doc *d)
{
        if (!d)
                return NULL;
        arena_free(d->arena);
        free(d);
        return NULL;
}

static bool is_mapping(const struct frame *f)
{
        return f->node->kind == YAML_KIND_MAP;
}

/* Is the next node of the open collection a key? */
static bool at_key(const struct builder *b)
{
        if (!b->depth)
                return false;
        const struct frame *f = &b->frames[b->depth - 1];
        return is_mapping(f) && (b->n_stack - f->first) % 2 == 0;
}

static int push(struct builder *b, struct yaml_node *n)
{
        if (!b->depth) {
                b->doc->root = n;
                return 0;
        }
        if (b->n_stack == b->cap_stack) {
                size_t cap = b->cap_stack ? b->cap_stack * 2 : 256;
                struct yaml_node **stack = reallocarray(b->stack, cap, sizeof(struct yaml_node *));
                if (!stack)
                        return err_nomem(b->e);
                b->stack = stack;
                b->cap_stack = cap;
        }
        b->stack[b->n_stack++] = n;
        return 0;
}

static struct yaml_node *new_node(struct builder *b, const yaml_event_t *ev)
{
        struct yaml_node *n = arena_alloc(b->doc->arena, sizeof(*n), b->e);
        if (!n)
                return NULL;
        n->pos = position(ev->start_mark);
        n->end = position(ev->end_mark);
        n->expanded = 1;
        return n;
}

static int remember(struct builder *b, const yaml_char_t *anchor, struct yaml_node *n)
{
        return anchor ? map_set(b->anchors, (const char *)anchor, n, b->e) : 0;
}

static int on_scalar(struct builder *b, const yaml_event_t *ev)
{
        struct yaml_node *n = new_node(b, ev);
        if (!n)
                return -1;
        const char *text = (const char *)ev->data.scalar.value;
        bool plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        n->len = ev->data.scalar.length;
        n->text = arena_str(b->doc->arena, text, n->len, b->e);
        if (!n->text)
                return -1;
        n->quoted = !plain;
        n->block =
                ev->data.scalar.style == YAML_LITERAL_SCALAR_STYLE || ev->data.scalar.style == YAML_FOLDED_SCALAR_STYLE;
        if (memchr(text, '\0', n->len))
                return refuse(b->fault, b->e, n->pos, "a string contains a NUL character");
        if (at_key(b) && plain && strcmp(n->text, "<<") == 0)
                return refuse(
                        b->fault, b->e, n->pos,
                        "merge keys (<<) are not supported; repeat the keys, or use an alias for the whole value");
        const char *problem = yaml_scalar_resolve(n, (const char *)ev->data.scalar.tag, plain);
        if (problem)
                return refuse(b->fault, b->e, n->pos, problem);
        int r = remember(b, ev->data.scalar.anchor, n);
        return r < 0 ? r : push(b, n);
}

static int on_alias(struct builder *b, const yaml_event_t *ev)
{
        const char *name = (const char *)ev->data.alias.anchor;
        struct yaml_node *n = map_get(b->anchors, name);
        b->last_alias = position(ev->start_mark);
        if (!n)
                return refuse(b->fault, b->e, b->last_alias, "an alias names an anchor that was not defined before it");
        for (size_t i = 0; i < b->depth; i++)
                if (b->frames[i].node == n)
                        return refuse(b->fault, b->e, b->last_alias, "an alias refers to the value that contains it");
        if (++b->aliases > YAML_MAX_ALIASES)
                return refuse(b->fault, b->e, b->last_alias,
                              "more than " ERR_STR(YAML_MAX_ALIASES) " aliases (YAML_MAX_ALIASES)");
        if (at_key(b) && (n->kind == YAML_KIND_SEQ || n->kind == YAML_KIND_MAP))
                return refuse(b->fault, b->e, b->last_alias, "a key must be a plain value, not a sequence or mapping");
        return push(b, n);
}

static bool is_core_tag(const yaml_char_t *tag, const char *type)
{
        return !tag || strcmp((const char *)tag, "!") == 0 ||
               (str_starts((const char *)tag, "tag:yaml.org,2002:") && strcmp((const char *)tag + 18, type) == 0);
}

static int open_collection(struct builder *b, const yaml_event_t *ev, enum yaml_kind kind, const yaml_char_t *anchor,
                           const yaml_char_t *tag)
{
        struct yaml_pos pos = position(ev->start_mark);
        if (b->depth == YAML_MAX_DEPTH)
                return refuse(b->fault, b->e, pos,
                              "nested deeper than " ERR_STR(YAML_MAX_DEPTH) " levels (YAML_MAX_DEPTH)");
        if (at_key(b))
                return refuse(b->fault, b->e, pos, "a key must be a plain value, not a sequence or mapping");
        if (!is_core_tag(tag, kind == YAML_KIND_SEQ ? "seq" : "map"))
                return refuse(b->fault, b->e, pos, "tags other than those of YAML's core schema are not supported");
        struct yaml_node *n = new_node(b, ev);
        if (!n)
                return -1;
        n->kind = kind;
        int r = remember(b, anchor, n);
        if (r == 0)
                r = push(b, n);
        if (r == 0)
                b->frames[b->depth++] = (struct frame){n, b->n_stack};
        return r;
}

static int refuse_duplicate(struct builder *b, const struct yaml_node *first, const struct yaml_node *second)
{
        char message[200];
        if (b->fault)
                b->fault->other = first->pos;
        snprintf(message, sizeof(message), "'%.80s' is already defined at line %u, column %u", second->text,
                 first->pos.line, first->pos.column);
        return refuse(b->fault, b->e, second->pos, message);
}

static int check_few_keys(struct builder *b, const struct yaml_node *n)
{
        for (size_t i = 1; i < n->n; i++)
                for (size_t k = 0; k < i; k++)
                        if (strcmp(n->keys[i]->text, n->keys[k]->text) == 0)
                                return refuse_duplicate(b, n->keys[k], n->keys[i]);
        return 0;
}

static int check_many_keys(struct builder *b, const struct yaml_node *n)
{
        struct map *seen = NULL;
        int r = map_new(NULL, &seen, b->e);
        for (size_t i = 0; r == 0 && i < n->n; i++) {
                const struct yaml_node *first = map_get(seen, n->keys[i]->text);
                r = first ? refuse_duplicate(b, first, n->keys[i]) : map_set(seen, n->keys[i]->text, n->keys[i], b->e);
        }
        map_free(seen);
        return r;
}

/* Children from the stack into the node; the size with aliases expanded is bounded here. */
static int close_collection(struct builder *b, const yaml_event_t *ev)
{
        struct frame *f = &b->frames[--b->depth];
        struct yaml_node *n = f->node;
        size_t width = is_mapping(f) ? 2 : 1;

        n->end = position(ev->end_mark);
        n->n = (b->n_stack - f->first) / width;
        n->items = arena_array(b->doc->arena, n->n, sizeof(*n->items), b->e);
        n->keys = width == 2 ? arena_array(b->doc->arena, n->n, sizeof(*n->keys), b->e) : NULL;
        if (!n->items || (width == 2 && !n->keys))
                return -1;
        for (size_t i = 0; i < n->n; i++) {
                if (width == 2)
                        n->keys[i] = b->stack[f->first + 2 * i];
                n->items[i] = b->stack[f->first + width * i + width - 1];
                n->expanded += n->items[i]->expanded + width - 1;
                if (n->expanded > YAML_MAX_EXPANDED)
                        return refuse(
                                b->fault, b->e, b->last_alias.line ? b->last_alias : n->pos,
                                "more than " ERR_STR(
                                        YAML_MAX_EXPANDED) " values once aliases are expanded (YAML_MAX_EXPANDED)");
        }
        b->n_stack = f->first;
        return n->keys ? n->n < HASHED_KEYS ? check_few_keys(b, n) : check_many_keys(b, n) : 0;
}

static int on_event(struct builder *b, const yaml_event_t *ev)
{
        switch (ev->type) {
        case YAML_SCALAR_EVENT:
                return on_scalar(b, ev);
        case YAML_ALIAS_EVENT:
                return on_alias(b, ev);
        case YAML_SEQUENCE_START_EVENT:
                return open_collection(b, ev, YAML_KIND_SEQ, ev->data.sequence_start.anchor,
                                       ev->data.sequence_start.tag);
        case YAML_MAPPING_START_EVENT:
                return open_collection(b, ev, YAML_KIND_MAP, ev->data.mapping_start.anchor, ev->data.mapping_start.tag);
        case YAML_SEQUENCE_END_EVENT:
        case YAML_MAPPING_END_EVENT:
                return close_collection(b, ev);
        case YAML_DOCUMENT_START_EVENT:
                if (b->doc->root)
                        return refuse(b->fault, b->e, position(ev->start_mark),
                                      "only one YAML document is allowed in a file");
                return 0;
        default:
                return 0;
        }
}

/* libyaml's complaint in words that help. */
static int refuse_syntax(struct builder *b, const yaml_parser_t *p, const char *text, size_t len)
{
        char message[240];
        struct yaml_pos pos = position(p->problem_mark);
        const char *problem = p->problem ? p->problem : "invalid YAML";

        if (p->error == YAML_READER_ERROR) {
                snprintf(message, sizeof(message), "invalid character: %s", problem);
                return refuse(b->fault, b->e, position_of(text, MIN(p->problem_offset, len)), message);
        }
        if (p->error == YAML_MEMORY_ERROR)
                return err_nomem(b->e);
        if (p->problem_mark.index < len && text[p->problem_mark.index] == '\t')
                snprintf(message, sizeof(message), "a tab is used where YAML allows only spaces (indentation)");
        else if (p->context && (p->context_mark.line || p->context_mark.column))
                snprintf(message, sizeof(message), "invalid YAML: %s, %s that began at line %zu", problem, p->context,
                         p->context_mark.line + 1);
        else
                snprintf(message, sizeof(message), "invalid YAML: %s", problem);
        return refuse(b->fault, b->e, pos, message);
}

static int read_events(struct builder *b, const char *text, size_t len)
{
        yaml_parser_t parser;
        int r = 0;
        if (!yaml_parser_initialize(&parser))
                return err_nomem(b->e);
        yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
        for (bool done = false; r == 0 && !done;) {
                yaml_event_t ev;
                if (!yaml_parser_parse(&parser, &ev)) {
                        r = refuse_syntax(b, &parser, text, len);
                        break;
                }
                done = ev.type == YAML_STREAM_END_EVENT;
                r = on_event(b, &ev);
                yaml_event_delete(&ev);
        }
        yaml_parser_delete(&parser);
        return r;
}

/* Bytes before the first that is no UTF-8. */
static size_t valid_prefix(const char *text, size_t len)
{
        size_t low = 0;
        while (low < len) {
                size_t n = 1;
                while (n <= 4 && low + n <= len && !str_is_utf8(text + low, n))
                        n++;
                if (n > 4 || low + n > len)
                        return low;
                low += n;
        }
        return len;
}

static int check_bytes(const char *text, size_t len, size_t max_size, const char *limit_name, struct yaml_fault *fault,
                       struct err *e)
{
        char message[128];
        if (len > max_size) {
                snprintf(message, sizeof(message), "the file has %zu bytes, more than the limit of %zu (%s)", len,
                         max_size, limit_name);
                return refuse(fault, e, (struct yaml_pos){1, 1}, message);
        }
        const char *nul = memchr(text, '\0', len);
        if (nul)
                return refuse(fault, e, position_of(text, (size_t)(nul - text)),
                              "a NUL byte; the file has to be text in UTF-8");
        if (str_is_utf8(text, len))
                return 0;
        size_t bad = valid_prefix(text, len);
        snprintf(message, sizeof(message), "byte 0x%02x is not valid UTF-8", (unsigned char)text[bad]);
        return refuse(fault, e, position_of(text, bad), message);
}

static int build(struct builder *b, const char *text, size_t len)
{
        int r = arena_new(YAML_MAX_MEMORY, &b->doc->arena, b->e);
        if (r == 0)
                r = map_new(NULL, &b->anchors, b->e);
        if (r == 0)
                r = read_events(b, text, len);
        if (r == 0 && !b->doc->root) {
                struct yaml_node *n = arena_alloc(b->doc->arena, sizeof(*n), b->e);
                if (!n)
                        return -1;
                *n = (struct yaml_node){.text = "", .pos = {1, 1}, .end = {1, 1}, .expanded = 1};
                b->doc->root = n;
        }
        return r;
}

int yaml_parse(const void *data, size_t len, size_t max_size, const char *limit_name, struct yaml_doc **ret,
               struct yaml_fault *fault, struct err *e)
{
        const char *text = data ? data : "";
        if (fault)
                *fault = (struct yaml_fault){0};
        int r = check_bytes(text, len, max_size, limit_name, fault, e);
        if (r < 0)
                return r;
        AUTO(yaml_doc_freep) struct yaml_doc *doc = calloc(1, sizeof(*doc));
        struct builder *b = calloc(1, sizeof(*b));
        if (!doc || !b) {
                free(b);
                return err_nomem(e);
        }
        *b = (struct builder){.doc = doc, .fault = fault, .e = e};
        r = build(b, text, len);
        free(b->stack);
        map_free(b->anchors);
        free(b);
        if (r == 0)
                *ret = TAKE_PTR(doc);
        return r;
}
