/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secure_state.h - what secure.c (the tunnel) and secure_peer.c (who is at its other ends) share; nobody else needs it.
 * Control thread.
 */
#ifndef ISTHMUS_AGENT_SECURE_STATE_H
#define ISTHMUS_AGENT_SECURE_STATE_H

#include "agent/secure.h"

/* One node with a key. */
struct peer_entry {
	struct config_key key;
	uint64_t round;
	char *node;         /* for people */
	char *problem;      /* why the tunnel does not have it, or NULL */
	bool held, up;      /* by the tunnel; has been ready since it was last given up */
	bool asked;         /* something is to be encrypted between the two */
	bool called;        /* it is for us to begin, as we know where it is */
	uint64_t silent_ms; /* since when it has not answered */
	uint16_t path_mtu;  /* as the tunnel was told */
	bool measured;      /* what was found is to be taken over */
	struct addr limited[TUNNEL_ADDRESSES_MAX]; /* to which the path takes less than the kernel says */
	size_t n_limited;
	struct config_key relay; /* of whom it is reached through; zero = directly */
};

struct secure {
	struct agent *agent;
	struct tunnel *tunnel;
	struct loop_io *io;
	struct hmap peers; /* struct peer_entry by key */
	struct hmap plain; /* secure_plain.c's, by key */
	struct hmap last; /* secure_last.c's, by key */
	bool last_is_new; /* than the file */
	bool paths_changed; /* the rib is to be told */
	uint64_t last_ms; /* when that was written */
	uint64_t round, retry_ms, ease_ms; /* until when; 0 = no change is being eased */
	bool started, keyed, exposed; /* keys may be swapped out */
	struct config_key public_key;
	uint16_t port, vxlan_port, mtu; /* of the tunnel */
	struct addr local[2];
	char *keyless;      /* nodes that are to get something encrypted, and have no key in the configuration */
	size_t n_keyless;
	char *failure;      /* why there is no tunnel */
	char *key_problem;  /* of the node's own key, or NULL */
};

/* As the configuration says: those of it set, then all others forgotten, and those set again that were refused. */
void secure_peers_set(struct secure *s, const struct config *c, const struct config_node *self);
void secure_peers_forget(struct secure *s, bool all);
void secure_peers_set_again(struct secure *s, const struct config *c, const struct config_node *self);
void secure_peers_find_keyless(struct secure *s); /* nodes without a key that are to get something encrypted */
bool secure_is_peer(const struct config_node *self, const struct config_node *node);
void secure_peer_event(struct secure *s, const struct tunnel_event *event);
void secure_peers_check(struct secure *s); /* degraded, or not any more */

/* secure_relay.c: a way through another node takes less, and is there where the kernel knows of none. */
void secure_relay_note(struct secure *s, struct peer_entry *e, const struct tunnel_peer_status *status);
void secure_relay_forget(struct secure *s, struct peer_entry *e);
void secure_relays_follow(struct secure *s); /* before secure_paths_follow, which tells the rib */

/* secure_plain.c: the same of peers that are no nodes; forgotten before others are set, as a device has one owner. */
void secure_plain_init(struct secure *s);
void secure_plain_fini(struct secure *s);
void secure_plain_drop(struct secure *s); /* those that the configuration does not have, and their devices */
void secure_plain_set(struct secure *s);
void secure_plain_forget(struct secure *s, bool all);
void secure_plain_event(struct secure *s, const struct tunnel_event *event);
void secure_plain_check(struct secure *s);
bool secure_plain_holds(const struct secure *s, const struct config_key *key);

/* secure_last.c: where these were last. */
void secure_last_read(struct secure *s);
void secure_last_fini(struct secure *s);
struct endpoint secure_last_of(const struct secure *s, const struct config_key *key); /* port 0 = not known */
void secure_last_note(struct secure *s, const struct config_key *key, const struct endpoint *e);
void secure_last_write(struct secure *s, bool now); /* where there is news, and not too often unless `now` */

/* secure_path.c: what the way to a peer may take goes to the tunnel, and what was measured to the rib. */
uint16_t secure_path_told(const struct secure *s, const struct config *c, const struct config_node *self,
			  const struct config_node *node);
void secure_path_forget(struct secure *s, struct peer_entry *e);
void secure_paths_follow(struct secure *s);

#endif
