/* SPDX-License-Identifier: Apache-2.0 */
/*
 * update.h - the UPDATE message, both ways; what is wrong with one and what follows from it (RFC 4271 4.3 and 6.3, RFC
 * 4760, RFC 7606).
 *
 * In: update_decode judges a whole message before anything of it takes effect, and interns its attributes; then
 *
 *	for (struct update_cursor c = {}; update_next(&u, &c, &route);)
 *
 * gives its routes one by one, withdrawn ones first, what is treated as withdrawn among them; update_fini gives the
 * attributes back (take a reference for what is kept).  The update borrows the message's bytes between decode and fini.
 * Out: update_encode once per set of attributes and family, again and again until all routes are written. No state; a
 * session's parameters come as a struct that the speaker fills when the session is established.  One thread (the table
 * of attributes).
 */
#ifndef ISTHMUS_BGP_UPDATE_H
#define ISTHMUS_BGP_UPDATE_H

#include "bgp/attr.h"
#include "bgp/message.h"
#include "bgp/nlri.h"
#include "model/attrs.h"

struct update_session { /* sets of families: ROUTE_FAMILY_BIT */
	bool external;          /* eBGP */
	bool as4;               /* both sides have the AS4 capability (RFC 6793 4.1) */
	bool extended;          /* both sides have the capability: messages of up to 65,535 bytes go out */
	uint32_t own_as;
	uint32_t peer_as;       /* the first AS of what an external peer sends; 0 = any (RFC 4271 6.3) */
	uint32_t families;      /* negotiated */
	uint32_t add_path_in;   /* NLRI of these carry a path identifier when received ... */
	uint32_t add_path_out;  /* ... and when sent */
	uint32_t extended_next_hop; /* negotiated: IPv4 routes may have IPv6 next hops (RFC 8950) */
	struct attrs_account *account; /* that new attributes are charged to; NULL: to nobody */
	bool disable_family;    /* instead of a reset when a family's NLRI cannot be framed (RFC 7606 5.3, 7.11) */
};

struct update {
	struct fault fault;        /* strongest of all; fault.reaction is REACTION_NONE when nothing was wrong */
	unsigned n_faults;         /* attributes and NLRI that were found wrong */
	unsigned n_bad;            /* of them NLRI that could not be made a route, not even to withdraw it */
	unsigned n_skipped;        /* EVPN NLRI of unknown types */
	int end_of_rib;            /* enum route_family of an End-of-RIB marker (RFC 4724 2), or -1 */
	uint32_t disabled;         /* families to be disabled; nothing of them comes out of update_next */
	const struct route_attrs *attrs;    /* of the routes in the NLRI field, or NULL */
	const struct route_attrs *mp_attrs; /* of those in MP_REACH_NLRI, or NULL */

	/* for update_next */
	struct reader withdrawn, mp_unreach, nlri, mp_reach;
	uint8_t mp_unreach_family, mp_reach_family;
	uint32_t add_path;
	bool treat;
	struct attrs *table;
};

/*
 * Returns 0 whatever the peer sent: what is wrong is in out->fault.  With REACTION_RESET nothing comes out of
 * update_next and the speaker sends out->fault.notification.  -ENOMEM: nothing was decoded, *out is untouched.
 */
int update_decode(const struct update_session *s, struct attrs *table, struct reader body, struct update *out);
void update_fini(struct update *u);

struct update_cursor {
	unsigned section;
	struct reader rest;
	bool entered;
};

struct update_route {
	struct route_nlri nlri;
	const struct route_attrs *attrs; /* borrowed; NULL = withdrawn */
	bool treated; /* withdrawn because it was malformed, not because the peer said so */
};

bool update_next(const struct update *u, struct update_cursor *c, struct update_route *out);

/*
 * One UPDATE with as many of the routes as fit, from *done on, which goes forward by their number.  All are of one
 * family; attrs NULL withdraws them.  Call until *done == n.  eBGP: own AS is prepended, LOCAL_PREF, ORIGINATOR_ID and
 * CLUSTER_LIST left out, and MED of a route that came from another AS.  A peer without AS4 gets AS_TRANS and AS4_PATH. 
 * 0, -EAFNOSUPPORT: an IPv4 route with an IPv6 next hop and a peer without RFC 8950, or -EMSGSIZE: the attributes leave
 * no room for one route, nothing was written and the caller withdraws it instead (RFC 8654 4).
 */
int update_encode(const struct update_session *s, const struct route_attrs *attrs, const struct route_nlri *routes,
		  size_t n, size_t *done, struct writer *w);

void update_encode_end_of_rib(struct writer *w, enum route_family f); /* RFC 4724 2 */

#endif
