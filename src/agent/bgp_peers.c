/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the configuration to the sessions of this node: the mesh, or the reflectors, and the neighbors that it peers with.
 * What is the same as before goes on undisturbed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/bgp_peers.h"
#include "agent/bgp_socket.h"
#include "agent/snapshot.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/text.h"

struct wanted {
	const char *name;
	struct neighbor_config config;
	const char *password_file;
	char key[BGP_SOCKET_KEY_SIZE];
	const struct config_grant *grant; /* of what it may bring; NULL = all */
	const struct config_node *node; /* that it is, or NULL */
};

static void free_peer(struct bgp_peer *p)
{
	free(p->name);
	free(p->tenants);
	free(p);
}

static struct learn_neighbor learn_view(const struct bgp *b, const struct bgp_peer *p, uint32_t remote_as)
{
	return (struct learn_neighbor){
		.neighbor = {.address = p->remote, .router_id = p->router_id, .external = remote_as != b->as},
		.limited = p->limited,
		.tenants = p->tenants,
		.n_tenants = p->n_tenants,
	};
}

int bgp_peer_tell(struct bgp *b, struct bgp_peer *p)
{
	const struct neighbor_config *n = speaker_neighbor(b->speaker, &p->remote);
	struct learn_neighbor l = learn_view(b, p, n ? n->remote_as : b->as);

	return learn_neighbor_set(b->learn, p->source, &l);
}

/* The VNIs of the tenants that it names, malloc'd; NULL: no memory. */
static uint32_t *vnis_of(const struct config_grant *g)
{
	uint32_t *vnis = calloc(g->n_tenants + 1, sizeof(*vnis));

	for (size_t i = 0; vnis && i < g->n_tenants; i++)
		vnis[i] = g->tenants[i]->vni;
	return vnis;
}

static int set_grant(struct bgp_peer *p, const struct config_grant *g)
{
	uint32_t *tenants = NULL;

	if (g && !g->all) {
		tenants = vnis_of(g);
		if (!tenants)
			return -ENOMEM;
	}
	free(p->tenants);
	p->tenants = tenants;
	p->n_tenants = tenants ? g->n_tenants : 0;
	p->limited = tenants != NULL;
	return 0;
}

static struct bgp_peer *add_peer(struct bgp *b, const struct wanted *w)
{
	struct bgp_peer *p = calloc(1, sizeof(*p));
	struct learn_neighbor l;

	if (!p)
		return NULL;
	p->remote = w->config.remote;
	p->down_ms = loop_now_ms(b->agent->loop);
	if (set_grant(p, w->grant) < 0 || hmap_add(&b->peers, p) < 0) {
		free_peer(p);
		return NULL;
	}
	l = learn_view(b, p, w->config.remote_as);
	if (learn_neighbor_add(b->learn, &l, &p->source) < 0) {
		hmap_remove(&b->peers, &p->remote);
		free_peer(p);
		return NULL;
	}
	return p;
}

static void cleanup_secret(char **text)
{
	if (*text)
		explicit_bzero(*text, strlen(*text));
	free(*text);
}

/* The key in a file of one line.  *why is malloc'd: of an error, or of what is odd; else NULL. */
static int key_in(const char *path, char key[static BGP_SOCKET_KEY_SIZE], char **why)
{
	_cleanup_(secret) char *text = NULL;
	struct stat st;
	size_t size = 0;
	int r = file_read(path, BGP_SOCKET_KEY_SIZE + 1, &text, &size);

	if (r == 0 && size > 0 && text[size - 1] == '\n')
		text[--size] = '\0';
	if (r == 0 && size > 0 && size < BGP_SOCKET_KEY_SIZE && strlen(text) == size && !strpbrk(text, "\r\n")) {
		memcpy(key, text, size + 1);
		if (stat(path, &st) == 0 && (st.st_mode & 077) &&
		    text_format(why, "%s can be read by others; chmod 600 keeps the key to root", path) < 0)
			*why = NULL;
		return 0;
	}
	if (text_format(why, "%s: %s", path,
			r == -EACCES ? "the daemon may read in the configuration's directory only; put it there" :
			r < 0 && r != -EFBIG ? strerror(-r) : "a key is one line of 1 to 80 bytes") < 0)
		*why = NULL;
	return r < 0 ? r : -EINVAL;
}

/* Without the key that is asked for there is no session: it would be one that anybody could have. */
static void keep_down(struct bgp_peer *p, struct wanted *w, const char *why)
{
	p->keyless = true;
	w->config.shutdown = true;
	log_error("BGP: %s: there is no session without its key: %s", w->name, why);
}

static void read_key(struct bgp_peer *p, struct wanted *w)
{
	_cleanup_(free) char *why = NULL;

	p->keyless = p->crowded = false;
	w->config.keyed = w->password_file;
	if (w->password_file && key_in(w->password_file, w->key, &why) < 0)
		keep_down(p, w, why ? why : "no memory");
	else if (why)
		log_warning("BGP: %s: the key in %s", w->name, why);
}

/* Between two nodes that encrypt the session is inside; both come to the same from the same file. */
static bool is_inside(const struct bgp *b, const struct wanted *w)
{
	return w->node && config_session_is_inside(b->agent->config, b->agent->self, w->node);
}

/* A session that is to end is told so before, while its key still counts; likewise one that changes sides. */
static int set_session(struct bgp *b, struct bgp_peer *p, struct wanted *w)
{
	uint64_t now_ms = loop_now_ms(b->agent->loop);
	int r = speaker_neighbor_put(b->speaker, &w->config, now_ms);

	if (r == 0 && p->inside != is_inside(b, w)) {
		p->inside = is_inside(b, w);
		speaker_reconnect(b->speaker, &p->remote,
				  p->inside ? "its session is encrypted from now on" : "its session is not encrypted any more",
				  now_ms);
	}
	if (r < 0 || p->keyless)
		return r;
	r = bgp_sockets_peer_put(b->sockets, &w->config.remote, &w->config.local, w->key, w->config.ttl_hops, p->inside);
	if (r == 0 || r == -ENOMEM)
		return r;
	p->crowded = r == -ENOBUFS;
	keep_down(p, w, p->crowded ? "the kernel holds no more keys: raise net.core.optmem_max and restart" : strerror(-r));
	return speaker_neighbor_put(b->speaker, &w->config, now_ms);
}

static int put(struct bgp *b, struct wanted *w)
{
	struct bgp_peer *p = hmap_get(&b->peers, &w->config.remote);
	char *name = strdup(w->name);
	int r;

	if (!name)
		return -ENOMEM;
	if (!p)
		p = add_peer(b, w);
	if (!p) {
		free(name);
		return -ENOMEM;
	}
	free(p->name);
	p->name = name;
	p->round = b->round;
	read_key(p, w);
	snprintf(w->config.description, sizeof(w->config.description), "%s", w->name);
	r = set_grant(p, w->grant);
	if (r == 0)
		r = set_session(b, p, w);
	explicit_bzero(w->key, sizeof(w->key));
	return r < 0 ? r : bgp_peer_tell(b, p);
}

static struct neighbor_config config_of(const struct bgp *b, const struct config_bgp *c, const struct addr *remote)
{
	const struct config_node *self = b->agent->self;
	struct neighbor_config n = neighbor_config_default();

	n.remote = *remote;
	for (size_t i = 0; i < self->n_underlay; i++)
		if (addr_is_v4(&self->underlay[i]) == addr_is_v4(remote))
			n.local = self->underlay[i];
	n.remote_as = c->as;
	n.families = CONFIG_ALL_FAMILIES;
	n.hold_s = c->hold_s;
	n.restart_s = c->restart_s;
	return n;
}

static int put_mesh(struct bgp *b, const struct config *c)
{
	int r = 0;

	for (size_t i = 0; r == 0 && config_has_mesh(c) && i < c->n_nodes; i++) {
		const struct addr *local, *remote;
		struct wanted w = {.name = c->nodes[i].name, .password_file = c->bgp->password_file};

		if (c->nodes[i].foreign || &c->nodes[i] == b->agent->self)
			continue;
		remote = config_session(b->agent->self, &c->nodes[i], &local);
		if (!remote)
			continue;
		w.config = config_of(b, c->bgp, remote);
		w.config.local = *local;
		w.node = &c->nodes[i];
		r = put(b, &w);
	}
	for (size_t i = 0; r == 0 && i < c->bgp->n_reflectors; i++) {
		struct wanted w = {.name = "reflector", .password_file = c->bgp->password_file};

		w.config = config_of(b, c->bgp, &c->bgp->reflectors[i]);
		r = put(b, &w);
	}
	return r;
}

/* Of whose tenants it may speak learn knows, and of whose it is told the speaker. */
static enum neighbor_policy policy_of(const struct config_grant *g)
{
	return g->all || g->n_tenants > 0 ? NEIGHBOR_POLICY_ACCEPT : NEIGHBOR_POLICY_REJECT;
}

static int put_neighbor(struct bgp *b, const struct config_bgp *c, const struct config_neighbor *n)
{
	struct wanted w = {.name = n->name, .password_file = n->password_file, .grant = &n->import};
	_cleanup_(free) uint32_t *tenants = vnis_of(&n->export);

	if (!tenants)
		return -ENOMEM;
	w.config = config_of(b, c, &n->address);
	w.node = config_node_at(b->agent->config, &n->address);
	w.config.remote_as = n->remote_as;
	w.config.families = n->families;
	w.config.hold_s = n->hold_s;
	w.config.restart_s = n->restart_s;
	w.config.disable_family = n->disable_family;
	w.config.passive = n->passive;
	w.config.shutdown = n->shutdown;
	w.config.ttl_hops = n->ttl_hops;
	for (enum route_family f = 0; f < ROUTE_FAMILY_MAX; f++)
		w.config.max_prefix[f] = n->max_prefix;
	w.config.import = policy_of(&n->import);
	w.config.export = policy_of(&n->export);
	w.config.export_limited = !n->export.all;
	w.config.export_tenants = tenants;
	w.config.n_export_tenants = n->export.n_tenants;
	return put(b, &w);
}

/* Gone from the configuration, with what was learned from it. */
static void prune(struct bgp *b)
{
	struct bgp_peer *p;

	for (size_t i = 0; (p = hmap_next(&b->peers, &i));) {
		if (p->round == b->round)
			continue;
		speaker_neighbor_remove(b->speaker, &p->remote, loop_now_ms(b->agent->loop));
		learn_neighbor_remove(b->learn, p->source);
		bgp_sockets_peer_remove(b->sockets, &p->remote);
		hmap_remove(&b->peers, &p->remote);
		free_peer(p);
	}
}

int bgp_peers_configure(struct bgp *b)
{
	const struct config *c = b->agent->config;
	int r;

	b->round++;
	r = put_mesh(b, c);
	for (size_t i = 0; r == 0 && i < c->bgp->n_neighbors; i++)
		if (config_peers(&c->bgp->neighbors[i], b->agent->self))
			r = put_neighbor(b, c->bgp, &c->bgp->neighbors[i]);
	if (r == 0)
		prune(b);
	return r;
}

void bgp_peers_forget(struct bgp *b)
{
	struct bgp_peer *p;

	for (size_t i = 0; (p = hmap_next(&b->peers, &i));)
		free_peer(p);
	hmap_fini(&b->peers);
}
