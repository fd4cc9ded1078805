/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/entries.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void entries_free(struct entries *e)
{
	free(e->nodes);
}

int entries_add(struct entries *e, struct yaml_node *first)
{
	for (struct yaml_node *n = first; n; n = n->next) {
		if (n->broken)
			continue;
		if (e->length == e->size) {
			size_t size = e->size ? 2 * e->size : 16;
			struct yaml_node **nodes = reallocarray(e->nodes, size, sizeof(struct yaml_node *));

			if (!nodes)
				return -ENOMEM;
			e->nodes = nodes;
			e->size = size;
		}
		e->nodes[e->length++] = n;
	}
	return 0;
}

static int entry_compare(const void *a, const void *b)
{
	return strcmp((*(struct yaml_node *const *)a)->key, (*(struct yaml_node *const *)b)->key);
}

int entries_objects(struct entries *e, size_t object_size, void **out, size_t *length)
{
	char *objects;

	if (e->length == 0)
		return 0;
	objects = calloc(e->length, object_size);
	if (!objects)
		return -ENOMEM;
	*out = objects;
	qsort(e->nodes, e->length, sizeof(struct yaml_node *), entry_compare);
	for (size_t i = 0; i < e->length; i++, objects += object_size) {
		*(char **)objects = strdup(e->nodes[i]->key);
		if (!*(char **)objects)
			return -ENOMEM;
		e->nodes[i]->object = objects;
		++*length;
	}
	return 0;
}

int entries_table(struct yaml_node *first, size_t object_size, void **out, size_t *length)
{
	_cleanup_entries_ struct entries e = {};
	int r = entries_add(&e, first);

	return r < 0 ? r : entries_objects(&e, object_size, out, length);
}
