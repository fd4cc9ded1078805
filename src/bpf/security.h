/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * security.h - what a workload may send: its own addresses, and no protocol that runs the network.
 *
 * Addresses are checked against the same table that routes to them, so a port can use exactly what others reach it by.
 */
#ifndef ISTHMUS_BPF_SECURITY_H
#define ISTHMUS_BPF_SECURITY_H

#include "maps.h"
#include "parse.h"

static __always_inline struct abi_host *host_get(__u32 vrf, const struct abi_addr *addr)
{
	struct abi_host_key key = {.vrf = vrf};

	__builtin_memcpy(&key.addr, addr, sizeof(key.addr));
	return bpf_map_lookup_elem(&hosts, &key);
}

static __always_inline struct abi_prefix *prefix_get(__u32 vrf, const struct abi_addr *addr)
{
	struct abi_prefix_key key = {.length = 32 + 128, .vrf = bpf_htonl(vrf)};
	struct abi_prefix *prefix;

	__builtin_memcpy(&key.addr, addr, sizeof(key.addr));
	prefix = bpf_map_lookup_elem(&prefixes, &key);
	return prefix && addr_is_v4(addr) && !(prefix->flags & PREFIX_V4) ? NULL : prefix;
}

static __always_inline bool addr_is_multicast(const struct abi_addr *a)
{
	return addr_is_v4(a) ? (a->bytes[12] & 0xf0) == 0xe0 || a->be32[3] == 0xffffffff : a->bytes[0] == 0xff;
}

static __always_inline bool addr_is_link_local(const struct abi_addr *a)
{
	return addr_is_v4(a) ? a->bytes[12] == 169 && a->bytes[13] == 254 :
			       a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

static __always_inline bool addr_is_unspecified(const struct abi_addr *a)
{
	return addr_is_zero(a) || (addr_is_v4(a) && a->be32[3] == 0);
}

/* fe80::/64 with the modified EUI-64 of the MAC (RFC 4291 appendix A) */
static __always_inline bool addr_is_eui64(const struct abi_addr *a, const __u8 *mac)
{
	return a->be32[0] == bpf_htonl(0xfe800000) && a->be32[1] == 0 && a->bytes[8] == (mac[0] ^ 2) &&
	       a->bytes[9] == mac[1] && a->bytes[10] == mac[2] && a->bytes[11] == 0xff && a->bytes[12] == 0xfe &&
	       a->bytes[13] == mac[3] && a->bytes[14] == mac[4] && a->bytes[15] == mac[5];
}

/* A MAC that the network knows as another's is in it. */
static __always_inline bool is_eui64_of_another(const struct abi_port *port, const struct abi_addr *a)
{
	struct abi_mac_key key = {.vni = port->vni};
	struct abi_mac *mac;

	if (a->bytes[11] != 0xff || a->bytes[12] != 0xfe)
		return false;
	__builtin_memcpy(key.mac, &a->bytes[8], 3);
	__builtin_memcpy(key.mac + 3, &a->bytes[13], 3);
	key.mac[0] ^= 2;
	mac = bpf_map_lookup_elem(&macs, &key);
	return mac && mac->nexthop != port->nexthop;
}

/* What is nobody's source address in any network: RFC 1122 3.2.1.3, RFC 6890 2.2; RFC 4291 2.5.2, 2.5.3, 2.5.5.1. */
static __always_inline bool addr_is_martian(const struct abi_addr *a)
{
	if (addr_is_v4(a)) /* this network, loopback, multicast, class E */
		return a->bytes[12] == 0 || a->bytes[12] == 127 || a->bytes[12] >= 224;
	/* ::, ::1, the IPv4-compatible ones; multicast */
	return (a->be32[0] | a->be32[1] | a->be32[2]) == 0 || a->bytes[0] == 0xff;
}

/* fe80::1: from there come the errors of a network without a gateway, and many gateways have it. */
static __always_inline bool addr_is_routers_link_local(const struct abi_addr *a)
{
	return a->be32[0] == bpf_htonl(0xfe800000) && (a->be32[1] | a->be32[2]) == 0 && a->be32[3] == bpf_htonl(1);
}

/* May the port call this address its own? */
static __always_inline bool port_may_use(const struct abi_port *port, const struct abi_addr *addr)
{
	struct abi_host *host = host_get(port->vrf, addr);
	struct abi_prefix *prefix;

	if (host)
		return host->nexthop == port->nexthop;
	if (!addr_is_v4(addr) && addr_is_eui64(addr, port->mac))
		return true;
	if (!(port->flags & PORT_ANY_SOURCE) || addr_is_martian(addr))
		return false;
	if (!addr_is_v4(addr) && addr_is_link_local(addr))
		return !is_eui64_of_another(port, addr) &&
		       (addr_is_zero(&port->gateway6) || !addr_is_routers_link_local(addr));
	prefix = prefix_get(port->vrf, addr);
	if (prefix && !(prefix->flags & PREFIX_ALL))
		return prefix->vni == port->vni && !prefix->nexthop;
	return !(port->flags & PORT_SUBNETS);
}

static __always_inline bool is_link_control(const struct packet *p)
{
	const __u8 *d = p->dst_mac;

	switch (p->proto) {
	case ETH_P_RARP:
	case ETH_P_LLDP:
	case ETH_P_SLOW: /* LACP */
	case ETH_P_PAE:	 /* 802.1X */
	case 0x8902:	 /* CFM, ring protection */
	case 0x88e3:	 /* media redundancy */
	case 0x892f:	 /* HSR */
	case 0x88fb:	 /* PRP */
	case 0x88f5:	 /* MVRP */
	case 0x88f6:	 /* MMRP */
	case 0x22ea:	 /* stream reservation */
	case 0x9000:	 /* loop detection of switches */
		return true;
	}
	return p->proto < ETH_P_802_3_MIN || /* LLC: spanning tree and its relatives */
	       /* 01:80:c2:00:00:0x, and :2x for the registration protocols (GVRP, MVRP) */
	       (d[0] == 0x01 && d[1] == 0x80 && d[2] == 0xc2 && d[3] == 0 && d[4] == 0 && (d[5] & 0xd0) == 0) ||
	       (d[0] == 0x01 && d[1] == 0x00 && d[2] == 0x0c && d[3] == 0xcc); /* CDP, PVST */
}

/* By EtherType alone; the tags that the parser knows it has refused already. */
static __always_inline int check_type(const struct abi_port *port, const struct packet *p)
{
	if (is_link_control(p))
		return port->flags & PORT_ALLOW_BPDU ? DROP_NONE : DROP_LINK_CONTROL;
	switch (p->proto) {
	case 0x9100: /* what switches used before 802.1ad */
	case 0x9200:
	case 0x9300:
	case 0x88e7: /* 802.1ah */
		return DROP_VLAN_TAGGED;
	case 0x8847: /* MPLS */
	case 0x8848:
	case 0x8863: /* PPPoE */
	case 0x8864:
	case 0x88e5: /* MACsec */
	case 0x894f: /* NSH */
	case 0x22f3: /* TRILL */
	case 0x6558: /* a frame in a frame */
		return port->flags & PORT_ALLOW_TUNNEL ? DROP_NONE : DROP_TUNNEL_PROTOCOL;
	case 0x22f4: /* IS-IS of TRILL */
	case 0x4305: /* B.A.T.M.A.N. */
		return port->flags & PORT_ALLOW_ROUTING ? DROP_NONE : DROP_ROUTING_PROTOCOL;
	}
	return DROP_NONE;
}

static __always_inline int check_arp(const struct abi_port *port, const struct packet *p)
{
	if (!mac_equal(p->arp_sha, port->mac))
		return DROP_ARP_SPOOFED;
	if (p->src.be32[3] == 0) /* probe, RFC 5227 2.1.1 */
		return p->arp_op == ARPOP_REQUEST ? DROP_NONE : DROP_ARP_SPOOFED;
	return port_may_use(port, &p->src) ? DROP_NONE : DROP_ARP_SPOOFED;
}

static __always_inline bool may_be_unspecified(const struct packet *p)
{
	if (!p->has_l4)
		return false;
	if (!p->v6) /* DHCP before there is an address */
		return p->l4_proto == IPPROTO_UDP && p->dport == bpf_htons(67) && p->dst.be32[3] == 0xffffffff;
	/* DAD (RFC 4862 5.4.2), router solicitation (RFC 4861 4.1), MLD (RFC 3590) */
	return p->l4_proto == PROTO_ICMPV6 && p->dst.bytes[0] == 0xff &&
	       (p->icmp_type == ND_NEIGHBOUR_SOLICITATION || p->icmp_type == ND_ROUTER_SOLICITATION ||
		p->icmp_type == 143 || p->icmp_type == 131 || p->icmp_type == 132);
}

static __always_inline int check_nd(const struct abi_port *port, const struct packet *p)
{
	switch (p->icmp_type) {
	case ND_ROUTER_ADVERTISEMENT:
	case ND_REDIRECT:
	case 138: /* router renumbering, RFC 2894 */
	case 151: /* multicast router advertisement, RFC 4286 */
		return port->flags & PORT_ALLOW_RA ? DROP_NONE : DROP_ROUTER_ADVERTISEMENT;
	case ND_NEIGHBOUR_ADVERTISEMENT:
		if (!port_may_use(port, &p->nd_target))
			return DROP_ARP_SPOOFED;
		return p->nd_foreign_mac ? DROP_ARP_SPOOFED : DROP_NONE;
	case ND_NEIGHBOUR_SOLICITATION:
	case ND_ROUTER_SOLICITATION:
		return p->nd_foreign_mac ? DROP_ARP_SPOOFED : DROP_NONE;
	}
	return DROP_NONE;
}

/* RFC 792, RFC 1256: what a router says of itself and of others. */
static __always_inline int check_icmp4(const struct abi_port *port, const struct packet *p)
{
	bool router = p->icmp_type == 5 || p->icmp_type == 9;

	return router && !(port->flags & PORT_ALLOW_RA) ? DROP_ROUTER_ADVERTISEMENT : DROP_NONE;
}

static __always_inline bool is_tunnel_port(__be16 port)
{
	struct abi_node *n;
	__u32 zero = 0;

	switch (bpf_ntohs(port)) {
	case 4789: /* VXLAN */
	case 8472: /* VXLAN of Linux before the RFC, OTV */
	case 4790: /* VXLAN-GPE */
	case 6081: /* Geneve */
	case 6080: /* GUE */
	case 4341: /* LISP */
	case 4754: /* GRE in UDP */
	case 4755:
	case 6635: /* MPLS in UDP */
	case 6636:
	case 1701: /* L2TP */
	case 2152: /* GTP-U */
	case 2268: /* AMT */
	case 3544: /* Teredo */
	case 5247: /* CAPWAP */
		return true;
	}
	n = bpf_map_lookup_elem(&node, &zero);
	return n && port == n->vxlan_port; /* wherever this fabric has its own */
}

static __always_inline bool is_routing_port(__be16 port)
{
	switch (bpf_ntohs(port)) {
	case 3784: /* BFD */
	case 3785:
	case 4784:
	case 6784:
	case 7784:
	case 646:  /* LDP */
	case 520:  /* RIP */
	case 521:
	case 1985: /* HSRP */
	case 2029:
	case 3222: /* GLBP */
	case 4342: /* LISP control */
	case 6696: /* Babel */
		return true;
	}
	return false;
}

/* RFC 2131 4.1 and RFC 8415 7.2 fix the port that is sent to, and many clients look at nothing else. */
static __always_inline bool is_dhcp_server(const struct packet *p)
{
	return p->sport == bpf_htons(p->v6 ? 547 : 67) || p->dport == bpf_htons(p->v6 ? 546 : 68);
}

static __always_inline int check_udp(const struct abi_port *port, const struct packet *p)
{
	if (is_dhcp_server(p) && !(port->flags & PORT_ALLOW_DHCP))
		return DROP_DHCP_SERVER;
	if (is_tunnel_port(p->dport) && !(port->flags & PORT_ALLOW_TUNNEL))
		return DROP_TUNNEL_PROTOCOL;
	if (is_routing_port(p->dport) && !(port->flags & PORT_ALLOW_ROUTING))
		return DROP_ROUTING_PROTOCOL;
	return DROP_NONE;
}

static __always_inline int check_tcp(const struct abi_port *port, const struct packet *p)
{
	if (p->dport == bpf_htons(7471) && !(port->flags & PORT_ALLOW_TUNNEL)) /* STT */
		return DROP_TUNNEL_PROTOCOL;
	if ((p->dport == bpf_htons(179) || p->sport == bpf_htons(179) || p->dport == bpf_htons(646)) &&
	    !(port->flags & PORT_ALLOW_ROUTING)) /* BGP, LDP */
		return DROP_ROUTING_PROTOCOL;
	return DROP_NONE;
}

static __always_inline int check_other(const struct abi_port *port, __u8 proto)
{
	switch (proto) {
	case 4:	  /* IP in IP */
	case 41:  /* IPv6 in IP */
	case 47:  /* GRE, NVGRE */
	case 50:  /* ESP */
	case 51:  /* AH */
	case 55:  /* minimal encapsulation */
	case 94:  /* IPIP */
	case 97:  /* EtherIP */
	case 98:  /* ENCAP */
	case 108: /* IPComp */
	case 115: /* L2TP */
	case 137: /* MPLS in IP */
	case 143: /* Ethernet behind a segment routing header */
	case 144: /* AGGFRAG */
		return port->flags & PORT_ALLOW_TUNNEL ? DROP_NONE : DROP_TUNNEL_PROTOCOL;
	case 46:  /* RSVP */
	case 88:  /* EIGRP */
	case 89:  /* OSPF */
	case 103: /* PIM */
	case 112: /* VRRP */
	case 124: /* IS-IS */
	case 138: /* MANET */
		return port->flags & PORT_ALLOW_ROUTING ? DROP_NONE : DROP_ROUTING_PROTOCOL;
	}
	return DROP_NONE;
}

/* A fragment but the first says nothing here: the first was refused, and without it nobody puts the rest together. */
static __always_inline int check_protocol(const struct abi_port *port, const struct packet *p)
{
	if (p->l4_proto == IPPROTO_TCP)
		return p->has_l4 ? check_tcp(port, p) : DROP_NONE;
	if (p->l4_proto == IPPROTO_UDP)
		return p->has_l4 ? check_udp(port, p) : DROP_NONE;
	if (p->l4_proto == PROTO_ICMPV6)
		return p->v6 && p->has_l4 ? check_nd(port, p) : DROP_NONE;
	if (p->l4_proto == IPPROTO_ICMP)
		return !p->v6 && p->has_l4 ? check_icmp4(port, p) : DROP_NONE;
	return check_other(port, p->l4_proto);
}

static __always_inline int check_source(const struct abi_port *port, const struct packet *p)
{
	if (addr_is_unspecified(&p->src))
		return may_be_unspecified(p) ? DROP_NONE : DROP_IP_SPOOFED;
	return port_may_use(port, &p->src) ? DROP_NONE : DROP_IP_SPOOFED;
}

/* DROP_NONE, or why not. */
static __always_inline int security(const struct abi_port *port, const struct packet *p)
{
	int reason;

	if (!mac_equal(p->src_mac, port->mac))
		return DROP_MAC_SPOOFED;
	if (!p->ip || (p->dst_mac[0] & 1)) {
		reason = check_type(port, p);
		if (reason != DROP_NONE)
			return reason;
	}
	if (p->proto == ETH_P_ARP)
		return check_arp(port, p);
	if (!p->ip)
		return DROP_NONE;
	reason = check_source(port, p);
	return reason != DROP_NONE ? reason : check_protocol(port, p);
}

#endif
