/* YAML 1.2 (core schema) from bytes to a tree, over libyaml's events; no I/O.
 *
 * What a plain scalar means is decided here, not by libyaml: `on`, `no`, `yes` are strings, `1.20` is a number whose
 * text is kept, `0o17` and `0x1F` are integers. Quoted and block scalars are always strings; the core tags (!!str,
 * !!int, !!float,
 * !!bool, !!null) are obeyed, every other tag is refused. Anchors and aliases work; an aliased node is shared, so the
 * tree is a graph without cycles. Merge keys (<<), duplicate keys, more than one document and keys that are not scalars
 * are refused.
 *
 * Positions are 1-based lines and columns; columns count characters, not bytes.
 *
 * Limits (docs/limits.md): YAML_MAX_DEPTH levels of nesting, checked before libyaml sees the text too, because its own
 * work is quadratic in depth; YAML_MAX_ALIASES aliases; YAML_MAX_EXPANDED nodes counted after every alias is expanded.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

struct err;
struct yaml_doc;

#define YAML_MAX_DEPTH 100
#define YAML_MAX_ALIASES 1000
#define YAML_MAX_EXPANDED 500000
#define YAML_MAX_MEMORY ((size_t)96 << 20)

enum yaml_kind { YAML_KIND_NULL, YAML_KIND_BOOL, YAML_KIND_NUMBER, YAML_KIND_STRING, YAML_KIND_SEQ, YAML_KIND_MAP };

struct yaml_pos {
        unsigned line, column; /* 1-based; 0 is "nowhere" */
};

struct yaml_node {
        enum yaml_kind kind;
        bool boolean;
        bool quoted; /* a scalar in quotes or a block scalar */
        bool block;  /* a block scalar: its lines are the lines after pos.line, indented */
        double number;
        const char *text; /* scalars: the text as written, NUL-terminated (it contains no other NUL) */
        size_t len;
        struct yaml_pos pos, end;
        /* Sequences: items[n]. Mappings: keys[n] (scalars) and items[n]. */
        struct yaml_node **keys, **items;
        size_t n;
        size_t expanded; /* nodes below and including this one, aliases expanded */
};

/* Where a text was refused. `other` is the position of the first of two duplicates. */
struct yaml_fault {
        struct yaml_pos pos, other;
        char message[256]; /* without the position */
};

/* Parse one document. max_size: limit in bytes; `limit_name` names it in the message. An empty document is a null node.
 * Negative: *e has ERR_USAGE and "line:column: message", *fault (may be NULL) the parts; ERR_RESOURCES for no memory.
 */
int yaml_parse(const void *data, size_t len, size_t max_size, const char *limit_name, struct yaml_doc **ret,
               struct yaml_fault *fault, struct err *e);
struct yaml_doc *yaml_doc_free(struct yaml_doc *d); /* NULL is fine; always NULL */
CLEANUP_DEFINE(struct yaml_doc, yaml_doc_free)
/* The root; owned by the document. */
const struct yaml_node *yaml_root(const struct yaml_doc *d);
/* The value of a key (exact, byte by byte); NULL when absent or when the node is no mapping. */
const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);
/* Characters to underline for a node: those of its line, 1 for a collection. */
unsigned yaml_width(const struct yaml_node *n);
