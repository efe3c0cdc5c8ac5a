/* What a plain scalar means in YAML 1.2's core schema. Only yaml.c includes this. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct yaml_node;

/* Fill kind, boolean and number from node->text. tag: a core tag ("tag:yaml.org,2002:int"), "!" or NULL; plain: neither
 * quoted nor a block scalar. NULL when fine, else what is wrong. */
const char *yaml_scalar_resolve(struct yaml_node *node, const char *tag, bool plain);
