/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build.h - checked trees to a struct config.
 *
 * build_objects makes the objects and resolves references; clash_check then looks across them.  Both report what is
 * wrong and carry on, so that one run tells all; the config is good only when the report is empty at the end.  Every
 * tree entry that became an object points to it (yaml_node.object), so that checks walk in the order of the text and
 * know where everything stood.  The config belongs to the struct build until it is taken.  One thread.
 */
#ifndef ISTHMUS_CONF_BUILD_H
#define ISTHMUS_CONF_BUILD_H

#include "conf/arena.h"
#include "conf/report.h"
#include "conf/yaml.h"
#include "model/config.h"

struct build {
	struct report *report;
	struct yaml **yamls; /* the file first */
	size_t n_yamls;
	struct config *config;
	struct arena arena; /* working memory */
};

int build_objects(struct build *b); /* 0 or -ENOMEM */
int build_bgp(struct build *b);     /* when nodes and tenants are built; 0 or -ENOMEM */
void build_router_id(struct build *b, const struct yaml_node *map, struct config_node *node);
int build_targets(struct build *b, const struct yaml_node *map, struct config_targets *import,
		  struct config_targets *export);
int build_fabric_encryption(struct build *b, const struct yaml_node *map); /* 0 or -ENOMEM */
void build_node_encryption(struct build *b, const struct yaml_node *map, struct config_node *node);
int build_pairs(struct build *b);   /* when sites are built; 0 or -ENOMEM */
struct entries;
/* Of those in the file whose names are not taken, into what will be its ports; 0 or -ENOMEM. */
int build_peers_collect(struct build *b, struct entries *e, struct hmap *by_name);
int build_peer(struct build *b, const struct yaml_node *map, struct config_port *p); /* likewise */
int clash_check(struct build *b);   /* 0 or -ENOMEM */
int clash_native(struct build *b);  /* likewise; of networks without encapsulation */
void build_fini(struct build *b);

/* The first entry of a table in a map, the others by ->next; an entry that was refused has no ->object. */
struct yaml_node *build_entries(const struct yaml_node *map, const char *table);

/* What a checked name means; NULL when n is NULL, or after a report.  Their tables must have been built. */
struct config_site *find_site(struct build *b, const struct yaml_node *n);
struct config_node *find_node(struct build *b, const struct yaml_node *n);
struct config_tenant *find_tenant(struct build *b, const struct yaml_node *n);
struct config_network *find_network(struct build *b, const struct yaml_node *n);

bool build_has_key(const struct yaml_node *map, const char *key); /* also what was refused */

/* Every item of that list was understood (or there is none): only then can one say what is missing in it. */
bool build_is_whole(const struct yaml_node *map, const char *key);

/*
 * What else could be done when n, or what it clashes with (NULL = nothing), is a port remembered from run time:
 * ", or \"isthmus port del NAME\"", else "".
 */
const char *build_way_out(const struct build *b, const struct yaml_node *n, const struct yaml_node *other, char *out,
			  size_t size);

#endif
