/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames into the data plane's programs, compiled for the host, with the tables of tests/bpf/fabric.c.
 *
 *	byte 0	program (port_ingress, wire_ingress, port_egress)
 *	byte 1	which local endpoint's port; for wire_ingress, 1 it was decrypted, 2 there is a socket for whatever it is
 *	byte 2	1 no members, 2 super-packet, 4 no decapsulation flags, 8 marked as encapsulated already, 16 a priority
 *		tag beside the frame, 32 a VLAN's, 64 only the Ethernet header is linear, 128 odd tables and limits of
 *		one a second, the frame comes twice
 *	rest	the frame
 *
 * Beyond sanitizers, on every frame: nothing reaches a port or a tunnel of another tenant; copies stay in their
 * network; nothing from the wire is delivered unless (outer source, VNI) is a member, or the underlay is the way to its
 * source where its tenant needs no tunnel; what gold sends to nodes that it encrypts for goes to what encrypts alone, and
 * what it takes from them was decrypted; of that the node's own stack gets whole segments of BGP's port alone, for which
 * there is a socket; what leaves a secured port has that port's addresses; what goes on is whole; every
 * refusal is counted.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fabric.h"
#include "host/host.h"

#define HEAD 3
#define FRAME_LIMIT 4096
#define VERDICT_UNSPEC -1
#define VERDICT_OK 0
#define VERDICT_SHOT 2
#define VERDICT_STOLEN 4
#define VERDICT_REDIRECT 7

enum {
	OPTION_NO_MEMBERS = 1,
	OPTION_SUPER = 2,
	OPTION_NO_DECAP_FLAGS = 4,
	OPTION_ENCAPSULATED = 8,
	OPTION_PRIORITY = 16,
	OPTION_VLAN = 32,
	OPTION_SPLIT = 64,
	OPTION_ODD = 128,
};

/* What the frame is and where it came from, by this file's own reading. */
struct view {
	const struct endpoint *from; /* NULL: from the wire */
	uint32_t vni, vrf;
	bool decrypted, awaited; /* awaited: there is a socket for it */
};

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void violated(const char *rule)
{
	fprintf(stderr, "violated: %s\n", rule);
	abort();
}

static void put(void *arg, const char *map, const void *key, const void *value)
{
	host_map_put(host_map_find(map), key, value);
}

/* The way to nodes, to green's hosts elsewhere, and to whom the underlay is not the way. */
static const struct {
	const char *prefix;
	uint32_t length;
	int result;
	uint32_t ifindex;
} ways[] = {
	{ "192.0.2.0", 120, BPF_FIB_LKUP_RET_SUCCESS, IF_UNDERLAY },
	{ "2001:db8::", 64, BPF_FIB_LKUP_RET_SUCCESS, IF_UNDERLAY },
	{ NO_NEIGHBOUR4, 128, BPF_FIB_LKUP_RET_NO_NEIGH, IF_UNDERLAY },
	{ "10.7.0.41", 128, BPF_FIB_LKUP_RET_SUCCESS, IF_UNDERLAY },
	{ "fd00:7::41", 128, BPF_FIB_LKUP_RET_SUCCESS, IF_UNDERLAY },
	{ "10.7.0.42", 128, BPF_FIB_LKUP_RET_NO_NEIGH, IF_UNDERLAY },
	{ "fd00:7::42", 128, BPF_FIB_LKUP_RET_NO_NEIGH, IF_UNDERLAY },
	{ ELSEWHERE4, 128, BPF_FIB_LKUP_RET_NO_NEIGH, IF_PORTS },
	{ ELSEWHERE6, 128, BPF_FIB_LKUP_RET_NO_NEIGH, IF_PORTS },
};

static void routes(void)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct host_route r = { .prefix = addr_of(ways[i].prefix), .length = ways[i].length,
					.result = ways[i].result, .ifindex = ways[i].ifindex, .mtu = UNDERLAY_MTU,
					.smac = { 2 }, .dmac = { 2, 1 } };

		host_route_add(&r);
	}
}

/* Is the underlay the way to it? */
static bool is_routed(const struct abi_addr *a)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct abi_addr to = addr_of(ways[i].prefix);

		if (ways[i].ifindex == IF_UNDERLAY && memcmp(&to, a, ways[i].length / 8) == 0)
			return true;
	}
	return false;
}

/* Limits, and lists that the daemon would not write: too long, with holes, with devices and next hops that are gone. */
static void make_odd(void)
{
	static const uint32_t slots[] = { ABI_MAX_FLOOD_SLOTS + 5, 999, NH_DOWN, NH_PORT, NH_NO_ROUTE, 0 };
	const struct abi_nexthop gone = { .type = NEXTHOP_PORT, .ifindex = HOST_NO_DEVICE, .mtu = 1500, .owner = 9 };

	for (size_t i = 0; i < WEB4; i++) {
		struct abi_port *p = host_map_get(host_map_find("ports"), &endpoints[i].ifindex);

		if (p)
			p->storm_limit = p->icmp_limit = 1;
	}
	host_map_put(host_map_find("nexthops"), &(uint32_t){ NH_PORT }, &gone);
	for (uint16_t kind = 0; kind < FLOOD_KIND_MAX; kind++)
		for (uint16_t slot = 0; slot < sizeof(slots) / sizeof(slots[0]); slot++)
			host_map_put(host_map_find("floods"),
				     &(struct abi_flood_key){ .vni = VNI_FLO, .kind = kind, .slot = slot }, &slots[slot]);
}

/* The programs write no table but the buckets, so that one filling serves many frames. */
static void fill(uint8_t options)
{
	static int now = -1;
	int wanted = options & (OPTION_NO_MEMBERS | OPTION_ODD);

	host_map_clear(host_map_find("buckets"));
	if (now == wanted)
		return;
	now = wanted;
	host_map_clear(host_map_find("floods"));
	host_map_clear(host_map_find("nexthops"));
	fabric_fill(put, NULL);
	if (options & OPTION_NO_MEMBERS)
		host_map_clear(host_map_find("members"));
	if (options & OPTION_ODD)
		make_odd();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	host_init();
	host_device_mtu(IF_SECURE, SECURE_MTU);
	routes();
	return 0;
}

static uint32_t be32_at(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Outer headers of a VXLAN packet: source, destination, VNI; where the inner frame starts, 0 when it is none. */
static size_t read_outer(const uint8_t *p, size_t size, struct abi_addr *src, struct abi_addr *dst, uint32_t *vni)
{
	bool v6 = size > 14 && p[12] == 0x86 && p[13] == 0xdd;
	size_t l4 = v6 ? 54 : 34;

	if (size < l4 + 16 || (!v6 && (p[12] != 0x08 || p[13] != 0)) || p[v6 ? 20 : 23] != IP_UDP)
		return 0;
	if (!v6 && p[14] != 0x45)
		return 0;
	*src = (struct abi_addr){ .bytes = { [10] = 0xff, [11] = 0xff } };
	*dst = *src;
	memcpy(src->bytes + (v6 ? 0 : 12), p + (v6 ? 22 : 26), v6 ? 16 : 4);
	memcpy(dst->bytes + (v6 ? 0 : 12), p + (v6 ? 38 : 30), v6 ? 16 : 4);
	if ((p[l4 + 2] << 8 | p[l4 + 3]) != VXLAN_PORT || p[l4 + 8] != 0x08)
		return 0;
	*vni = be32_at(p + l4 + 12) >> 8;
	return l4 + 16;
}

/* Source and destination of a packet that is in no tunnel. */
static bool read_ip(const uint8_t *p, size_t size, struct abi_addr *src, struct abi_addr *dst)
{
	bool v6 = size >= 54 && p[12] == 0x86 && p[13] == 0xdd;

	if (!v6 && (size < 34 || p[12] != 0x08 || p[13] != 0))
		return false;
	*src = (struct abi_addr){ .bytes = { [10] = 0xff, [11] = 0xff } };
	*dst = *src;
	memcpy(src->bytes + (v6 ? 0 : 12), p + (v6 ? 22 : 26), v6 ? 16 : 4);
	memcpy(dst->bytes + (v6 ? 0 : 12), p + (v6 ? 38 : 30), v6 ? 16 : 4);
	return true;
}

/* A whole segment for this node, of BGP's port. */
static bool is_bgp(const uint8_t *p, size_t size)
{
	struct abi_addr own4 = addr_of(SELF4), own6 = addr_of(SELF6), src, dst;
	bool v6 = p[12] == 0x86;
	size_t at = v6 ? 54 : 14 + (size_t)(p[14] & 15) * 4;

	if (!read_ip(p, size, &src, &dst) || memcmp(&dst, v6 ? &own6 : &own4, sizeof(dst)) != 0)
		return false;
	if (size < at + 20 || p[v6 ? 20 : 23] != IP_TCP || (!v6 && (p[20] & 0x3f || p[21])))
		return false;
	return (p[at] << 8 | p[at + 1]) == 179 || (p[at + 2] << 8 | p[at + 3]) == 179;
}

static bool vni_is_of(uint32_t vni, uint32_t vrf)
{
	if (vrf == VNI_GOLD)
		return vni == VNI_GOLD || vni == VNI_SAFE;
	return vrf == VNI_RED ? vni >= VNI_RED && vni <= VNI_BARE : vni == VNI_BLUE || vni == VNI_BLUE_WEB;
}

/* Is what this tenant sends to a node encrypted? */
static bool is_encrypted(uint32_t vrf, const struct abi_addr *node)
{
	struct abi_addr near = addr_of(FOREIGN);

	return vrf == VNI_GOLD && memcmp(node, &near, sizeof(near)) != 0;
}

static bool is_node(const struct abi_addr *a)
{
	static const char *const nodes[] = { NODE4, NODE6, FOREIGN, NO_NEIGHBOUR4 };

	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
		struct abi_addr n = addr_of(nodes[i]);

		if (memcmp(&n, a, sizeof(n)) == 0)
			return true;
	}
	return false;
}

/* A secured port with declared addresses sends under these and no others. */
static void check_sender(const struct endpoint *e, const uint8_t *p, size_t size)
{
	struct abi_addr own4 = addr_of(e->ip4), own6 = addr_of(e->ip6);
	struct mac6 m = mac_of(e->mac);
	const uint8_t link_local[16] = { 0xfe, 0x80, [8] = m.b[0] ^ 2, m.b[1], m.b[2],
					 0xff, 0xfe, m.b[3],	       m.b[4], m.b[5] };
	static const uint8_t zero[16];

	if (!(e->flags & PORT_SECURITY) || e->learned || size < 14)
		return;
	if (p[12] == 0x08 && p[13] == 0x00 && size >= 34) {
		if (memcmp(p + 26, own4.bytes + 12, 4) != 0 && memcmp(p + 26, zero, 4) != 0)
			violated("an IPv4 packet left a secured port under another's address");
	} else if (p[12] == 0x86 && p[13] == 0xdd && size >= 54) {
		if (memcmp(p + 22, own6.bytes, 16) != 0 && memcmp(p + 22, zero, 16) != 0 &&
		    memcmp(p + 22, link_local, 16) != 0)
			violated("an IPv6 packet left a secured port under another's address");
	} else if (p[12] == 0x08 && p[13] == 0x06 && size >= 42) {
		if (memcmp(p + 28, own4.bytes + 12, 4) != 0 && memcmp(p + 28, zero, 4) != 0)
			violated("ARP left a secured port for another's address");
	} else if (p[12] == 0x81 && p[13] == 0x00) {
		violated("a tagged frame left a secured port");
	}
}

/* What goes on was parsed: its lengths agree with the frame. */
static void check_whole(const uint8_t *p, size_t size)
{
	if (size < 14)
		violated("a frame without an Ethernet header went on");
	if (p[12] == 0x08 && p[13] == 0x00 &&
	    (size < 34 || (p[14] & 15) < 5 || (size_t)(p[16] << 8 | p[17]) > size - 14 || (p[16] << 8 | p[17]) < 20))
		violated("an IPv4 packet went on that is not whole");
	if (p[12] == 0x86 && p[13] == 0xdd && (size < 54 || (size_t)(p[18] << 8 | p[19]) > size - 54))
		violated("an IPv6 packet went on that is not whole");
	if (p[12] == 0x08 && p[13] == 0x06 && size < 42)
		violated("ARP went on that is not whole");
}

static void check_exit(const struct view *v, uint32_t ifindex, const uint8_t *p, size_t size, bool copy)
{
	struct abi_addr src, dst;
	uint32_t vni;
	size_t inner;

	if (ifindex == IF_UNDERLAY && v->vrf == VNI_GREEN) {
		if (copy || !read_ip(p, size, &src, &dst) || !is_routed(&dst))
			violated("what is not for the underlay went there without a tunnel");
		check_whole(p, size);
		if (v->from)
			check_sender(v->from, p, size);
		return;
	}
	if (ifindex == IF_UNDERLAY || ifindex == IF_SECURE) {
		inner = read_outer(p, size, &src, &dst, &vni);
		if (!inner)
			violated("something that is no tunnel packet went to the underlay");
		if (is_encrypted(v->vrf, &dst) != (ifindex == IF_SECURE))
			violated("what is to be encrypted went to the underlay, or the other way round");
		if (!is_node(&dst))
			violated("a tunnel packet to an address that no next hop has");
		if (!vni_is_of(vni, v->vrf))
			violated("a tunnel packet in another tenant's VNI");
		if (copy && (vni != v->vni || !v->from))
			violated("a copy left its network");
		check_whole(p + inner, size - inner);
		if (v->from)
			check_sender(v->from, p + inner, size - inner);
		return;
	}
	for (size_t i = 0; i < ENDPOINT_MAX; i++) {
		const struct endpoint *to = &endpoints[i];

		if (!to->ifindex || to->ifindex != ifindex)
			continue;
		if (to->vrf != v->vrf)
			violated("a frame reached another tenant's port");
		if (copy && to->vni != v->vni)
			violated("a copy reached another network's port");
		check_whole(p, size);
		if (copy && to == v->from)
			violated("a copy came back to its port");
		if (v->from && to != v->from)
			check_sender(v->from, p, size);
		return;
	}
	violated("a redirect to a device that is nobody's");
}

static uint64_t all_drops(void)
{
	uint64_t n = 0, one;

	for (uint32_t i = 0; i < DROP_MAX; i++) {
		memcpy(&one, host_map_get(host_map_find("drops"), &i), sizeof(one));
		n += one;
	}
	return n;
}

/* From the wire: the tenant that the member table gives, or nobody may receive. */
static bool read_member(const uint8_t *p, size_t size, struct view *v)
{
	struct abi_member_key k = { .encap = ENCAP_VXLAN };
	struct abi_addr dst;
	const struct abi_member *m;

	if (!read_outer(p, size, &k.source, &dst, &k.vni))
		return false;
	m = host_map_get(host_map_find("members"), &k);
	if (!m || (is_encrypted(m->vrf, &k.source) && !v->decrypted))
		return false;
	v->vni = k.vni;
	v->vrf = m->vrf;
	return true;
}

/* From the wire without a tunnel: for a port of green, from one whom the underlay leads to. */
static bool read_native(const uint8_t *p, size_t size, struct view *v)
{
	struct abi_addr src, dst;

	if (v->decrypted || !read_ip(p, size, &src, &dst) || !is_routed(&src))
		return false;
	for (enum endpoint_id e = GREEN1; e <= GREEN2; e++) {
		struct abi_addr own4 = addr_of(endpoints[e].ip4), own6 = addr_of(endpoints[e].ip6);

		if (memcmp(&dst, &own4, sizeof(dst)) == 0 || memcmp(&dst, &own6, sizeof(dst)) == 0) {
			v->vni = v->vrf = VNI_GREEN;
			return true;
		}
	}
	return false;
}

static bool may_enter(const uint8_t *p, size_t size, struct view *v)
{
	return read_member(p, size, v) || read_native(p, size, v);
}

static void check(enum host_program program, struct view *v, const struct host_input *in, const struct host_result *r,
		  uint64_t drops)
{
	bool may = program == HOST_WIRE_INGRESS ? may_enter(in->data, in->size, v) : true;

	if ((r->verdict == VERDICT_REDIRECT || r->copies_length) && !may)
		violated("delivered from the wire without a member or a way back");
	for (size_t i = 0; i < r->copies_length; i++)
		check_exit(v, r->copies[i].ifindex, r->copies[i].data, r->copies[i].size, true);
	switch (r->verdict) {
	case VERDICT_REDIRECT:
		/* a neighbour that does not resolve: the kernel writes the MACs */
		check_exit(v, r->redirect_ifindex, r->data, r->size, false);
		if (drops > 1)
			violated("one packet was counted as dropped twice");
		break;
	case VERDICT_SHOT:
		if (!drops)
			violated("a drop that nobody counted");
		break;
	case VERDICT_STOLEN:
		break;
	case VERDICT_UNSPEC:
		if (program != HOST_WIRE_INGRESS || drops || r->size != in->size ||
		    memcmp(r->data, in->data, in->size) != 0)
			violated("a packet of the host's own was touched");
		if (v->decrypted && (!v->awaited || !is_bgp(in->data, in->size)))
			violated("what was decrypted came to the node's own stack");
		break;
	case VERDICT_OK:
		if (program != HOST_PORT_EGRESS || in->mark != ABI_MARK || r->mark)
			violated("passed without being ours");
		break;
	default:
		violated("a verdict that no program gives");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct host_result result;
	static const enum host_program programs[] = { HOST_PORT_INGRESS, HOST_WIRE_INGRESS, HOST_PORT_EGRESS };
	static uint8_t frame[FRAME_LIMIT];
	struct view v = { 0 };
	struct host_input in = { .data = frame, .ifindex = IF_UNDERLAY };
	enum host_program program;
	uint64_t before;

	if (size < HEAD + 14 || size > HEAD + FRAME_LIMIT)
		return 0;
	program = programs[data[0] % 3];
	if (program != HOST_WIRE_INGRESS) {
		v.from = &endpoints[data[1] % WEB4]; /* the endpoints before it are local */
		v.vni = v.from->vni;
		v.vrf = v.from->vrf;
		in.ifindex = v.from->ifindex;
		in.mark = data[1] & 0x80 ? ABI_MARK : 0;
	} else if (data[1] & 1) {
		v.decrypted = true;
		v.awaited = data[1] & 2;
		in.ifindex = IF_SECURE;
	}
	host_socket(v.awaited ? IF_SECURE : HOST_NO_DEVICE);
	in.size = size - HEAD;
	memcpy(frame, data + HEAD, in.size);
	if (data[2] & OPTION_SUPER) {
		in.gso_size = 536;
		in.gso_segs = (uint32_t)(in.size / 536 + 1);
		in.gso_tcp = true;
	}
	in.encapsulated = data[2] & OPTION_ENCAPSULATED;
	if (data[2] & (OPTION_PRIORITY | OPTION_VLAN))
		in.vlan_tci = 1 << 16 | (data[2] & OPTION_VLAN ? 5 : 0) | (data[2] & OPTION_PRIORITY ? 0x2000 : 0);
	in.linear = data[2] & OPTION_SPLIT ? 14 : 0;
	host_set_decap_flags(!(data[2] & OPTION_NO_DECAP_FLAGS));
	fill(data[2]);
	for (int i = 0; i < (data[2] & OPTION_ODD ? 2 : 1); i++) {
		before = all_drops();
		host_run(program, &in, &result);
		check(program, &v, &in, &result, all_drops() - before);
	}
	return 0;
}
