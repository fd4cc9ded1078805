/* SPDX-License-Identifier: Apache-2.0 */
/*
 * value.h - what the checked texts of a tree mean.
 *
 * For build.c and build_bgp.c, after check.c: a key that is absent or was refused has its default of the schema.  One thread.
 */
#ifndef ISTHMUS_CONF_VALUE_H
#define ISTHMUS_CONF_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/schema.h"
#include "conf/yaml.h"
#include "lib/addr.h"

const char *value_text(const struct yaml_node *map, const struct schema_map *m, const char *key); /* or NULL */
uint32_t value_number(const struct yaml_node *map, const struct schema_map *m, const char *key);  /* 0 without default */
/* Without a default: `otherwise`. */
uint32_t value_word(const struct yaml_node *map, const struct schema_map *m, const char *key, uint32_t otherwise);
/* `otherwise` instead of the default; `none` is 0. */
uint32_t value_limit(const struct yaml_node *map, const struct schema_map *m, const char *key, uint32_t otherwise);

int value_copy(const struct yaml_node *map, const char *key, char **out); /* untouched without it; 0 or -ENOMEM */
size_t value_count(const struct yaml_node *list);
int value_addresses(const struct yaml_node *list, struct addr **out, size_t *length); /* 0 or -ENOMEM */
bool value_endpoint(const char *text, struct addr *out, uint16_t *port); /* false: it is none, and both are untouched */

#endif
