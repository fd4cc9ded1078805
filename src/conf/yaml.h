/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml.h - YAML text to a bounded tree of texts, lists and maps that remembers where everything stood.
 *
 * Nothing is typed here: `no`, `1e3` and `02:00:00:00:00:01` are texts; the schema decides.  Anchors, aliases, tags,
 * directives, keys that are not text and second documents are errors.  yaml_read reports and goes on where it can; what
 * an error was reported for is marked broken, so that later stages say nothing more about it.
 *
 * The tree belongs to the struct yaml; yaml_free accepts NULL.  One thread.
 */
#ifndef ISTHMUS_CONF_YAML_H
#define ISTHMUS_CONF_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/arena.h"
#include "lib/cleanup.h"
#include "model/config.h"

struct conf_source;
struct report;

#define YAML_MAX_DEPTH 64
#define YAML_MAX_NODES 400000 /* in CONF_TEXT_MAX bytes; where more text is allowed, in proportion */

enum yaml_kind {
	YAML_TEXT,
	YAML_LIST,
	YAML_MAP,
};

struct yaml_node { /* a value, with its key when it stands in a map */
	struct yaml_node *parent, *next, *first;
	const char *key;  /* NULL in a list and at the root */
	const char *text; /* of YAML_TEXT; never holds a NUL */
	void *object;     /* what build made of it */
	struct config_place place, key_place;
	uint8_t kind; /* enum yaml_kind */
	bool plain;   /* a text without quotes */
	bool broken;  /* an error was reported */
};

struct yaml {
	struct yaml_node root;
	unsigned source; /* which of conf_load's sources */
	struct arena arena;
};

/* 0, also when errors that leave a usable tree were reported; -EINVAL no tree, reported; -ENOMEM */
int yaml_read(unsigned source, const struct conf_source *from, struct report *report, struct yaml **out);
void yaml_free(struct yaml *y);
DEFINE_CLEANUP(yaml, struct yaml *, yaml_free)

size_t yaml_nodes_max(size_t size_max); /* values in a text that may have so many bytes */

const struct yaml *yaml_of(const struct yaml_node *n);

/* Nothing was written, or `~`, or `null` in its spellings, without quotes. */
bool yaml_is_null(const struct yaml_node *n);

struct yaml_node *yaml_get(const struct yaml_node *map, const char *key); /* NULL: absent, broken, or not a map */

/* A value that may be one or a list: first and next of its items, broken ones left out. n NULL = none. */
const struct yaml_node *yaml_item_first(const struct yaml_node *n);
const struct yaml_node *yaml_item_next(const struct yaml_node *list, const struct yaml_node *item);

#endif
