/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entries.h - the entries of a table as an array of objects in order of name.
 *
 * An object begins with its name; its entry points to it (yaml_node.object).  Objects belong to the caller, in part made
 * ones too.  One thread.
 */
#ifndef ISTHMUS_CONF_ENTRIES_H
#define ISTHMUS_CONF_ENTRIES_H

#include <stddef.h>

#include "conf/yaml.h"

struct entries {
	struct yaml_node **nodes;
	size_t length, size;
};

int entries_add(struct entries *e, struct yaml_node *first); /* those that were not refused; 0 or -ENOMEM */
/* An array of zeroed objects, one per entry; 0 or -ENOMEM. */
int entries_objects(struct entries *e, size_t object_size, void **out, size_t *length);
void entries_free(struct entries *e);
#define _cleanup_entries_ __attribute__((cleanup(entries_free)))

int entries_table(struct yaml_node *first, size_t object_size, void **out, size_t *length); /* all of it in one */

#endif
