/* Where something inside a scalar of a YAML file stands in that file. */
#pragma once

#include <stddef.h>

#include "codec/yaml.h"

/* The place of the ${{ that holds byte `offset` of a scalar's value. source: the whole file. */
struct yaml_pos place_of_expression(const char *source, size_t len, const struct yaml_node *node, size_t offset);
