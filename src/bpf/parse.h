/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * parse.h - a frame to its facts, in one pass over bytes that may be hostile.
 *
 * parse() looks at linear bytes only and changes nothing; it also compiles for the host.  It answers DROP_NONE when every
 * header it looked at is whole and agrees with the frame's size, PARSE_PULL when the frame goes on beyond the linear
 * bytes and the caller should pull more and ask again, or the reason to drop.
 *
 *      Ethernet 14 | ARP 28
 *                  | IPv4 20..60 | TCP 20.. | UDP 8 | ICMP 8 | other
 *                  | IPv6 40 | extension headers, at most 6 | TCP | UDP | ICMPv6 (ND: target, options)
 */
#ifndef ISTHMUS_BPF_PARSE_H
#define ISTHMUS_BPF_PARSE_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/types.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "maps.h"

#define PARSE_PULL DROP_MAX   /* beside the reasons of enum drop_reason */
#define PARSE_LINEAR_MAX 256U /* every header that parse() looks at lies in the first so many bytes of a frame */
#define EXTENSIONS_MAX 6
#define ND_OPTIONS_MAX 4

/* linux/if_arp.h drags in libc's headers */
#define ARPHRD_ETHER 1
#define ARPOP_REQUEST 1
#define ARPOP_REPLY 2

#define IP_DF 0x4000
#define IP_MF 0x2000
#define IP_OFFSET 0x1fff

enum {
	PROTO_HOPOPTS = 0,
	PROTO_ROUTING = 43,
	PROTO_FRAGMENT = 44,
	PROTO_AH = 51,
	PROTO_ICMPV6 = 58,
	PROTO_NONE = 59,
	PROTO_DSTOPTS = 60,
	PROTO_MOBILITY = 135,
	PROTO_HIP = 139,
	PROTO_SHIM6 = 140,
};

enum {
	ND_ROUTER_SOLICITATION = 133,
	ND_ROUTER_ADVERTISEMENT = 134,
	ND_NEIGHBOUR_SOLICITATION = 135,
	ND_NEIGHBOUR_ADVERTISEMENT = 136,
	ND_REDIRECT = 137,
	ND_OPTION_SOURCE = 1,
	ND_OPTION_TARGET = 2,
};

struct packet {
	__u8 dst_mac[6], src_mac[6];
	__u16 proto;      /* EtherType, host order; below 0x600: a length, so LLC */
	__u8 l4_proto;    /* the upper protocol, after extension headers */
	__u8 ttl, tos;
	bool ip;          /* IPv4 or IPv6, and the following are valid */
	bool v6;
	bool fragment;    /* any fragment */
	bool later;       /* a fragment, and not the first */
	bool has_l4;      /* the transport header is in this packet and was looked at */
	bool extended;    /* IPv6 extension headers were there */
	bool nd_foreign_mac; /* an ND option carries another MAC than the frame's source */
	__u8 icmp_type, icmp_code;
	__u16 arp_op;
	__u16 l4;         /* offset of the transport header from the start of the frame */
	__u16 headers;    /* bytes of layer 3 and 4 headers (TCP, UDP) */
	__be16 sport, dport;
	__u32 l3_size;    /* bytes of the IP packet as its header says */
	struct abi_addr src, dst; /* ARP: sender and target protocol address */
	union {
		struct abi_addr nd_target;
		struct {
			__u8 arp_sha[6], arp_tha[6];
		};
	};
};

/*
 * What one packet needs and the stack (512 bytes over all calls) does not hold.  Per CPU: the hooks run with bottom halves
 * off, and none of them waits, so nobody else uses it before the packet is done.
 */
#define QUOTE_MAX 1024
struct icmp_error {
	__u8 type, code;
	__u8 source_mac[6];
	__u32 info; /* MTU, or 0; host order */
	struct abi_addr source;
};

/* What carried a frame here. */
struct outer {
	struct abi_addr src, dst;
	__u32 size; /* of all outer headers with the outer Ethernet header */
	__u8 tos;
	bool v6;
};

struct scratch {
	__u64 epoch; /* in which the tables are asked; 0: nothing of it may be remembered (memo.h) */
	struct packet packet;
	struct outer outer;
	struct bpf_fib_lookup fib;
	struct bpf_redir_neigh via;
	struct icmp_error error;
	struct abi_nexthop blank; /* all zero, never written */
	struct abi_nexthop native; /* of a packet that goes without encapsulation, for its memo */
	__u8 quote[QUOTE_MAX]; /* of an ICMP error; or an answer that is being built */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

static __always_inline struct scratch *scratch_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&scratches, &zero);
}

struct arp_ipv4 {
	__be16 htype, ptype;
	__u8 hlen, plen;
	__be16 op;
	__u8 sha[6];
	__u8 spa[4];
	__u8 tha[6];
	__u8 tpa[4];
} __attribute__((packed));

static __always_inline void addr_map4(struct abi_addr *out, __be32 v4)
{
	out->be32[0] = 0;
	out->be32[1] = 0;
	out->be32[2] = bpf_htonl(0xffff);
	out->be32[3] = v4;
}

static __always_inline bool addr_is_v4(const struct abi_addr *a)
{
	return a->be32[0] == 0 && a->be32[1] == 0 && a->be32[2] == bpf_htonl(0xffff);
}

static __always_inline bool addr_equal(const struct abi_addr *a, const struct abi_addr *b)
{
	return a->be32[0] == b->be32[0] && a->be32[1] == b->be32[1] && a->be32[2] == b->be32[2] &&
	       a->be32[3] == b->be32[3];
}

static __always_inline bool addr_is_zero(const struct abi_addr *a)
{
	return (a->be32[0] | a->be32[1] | a->be32[2] | a->be32[3]) == 0;
}

static __always_inline bool mac_equal(const __u8 *a, const __u8 *b)
{
	return ((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) | (a[4] ^ b[4]) | (a[5] ^ b[5])) == 0;
}

static __always_inline void mac_copy(__u8 *to, const __u8 *from)
{
	__builtin_memcpy(to, from, 6);
}

/* What to answer when `need` bytes from the start of the frame are not linear. */
static __always_inline int parse_short(__u32 need, __u32 size)
{
	return need <= size ? PARSE_PULL : DROP_MALFORMED;
}

static __always_inline int parse_arp(void *data, void *data_end, __u32 size, struct packet *p)
{
	struct arp_ipv4 *arp = data + ETH_HLEN;

	if ((void *)(arp + 1) > data_end)
		return parse_short(ETH_HLEN + sizeof(*arp), size);
	if (arp->htype != bpf_htons(ARPHRD_ETHER) || arp->ptype != bpf_htons(ETH_P_IP) || arp->hlen != 6 ||
	    arp->plen != 4)
		return DROP_MALFORMED;
	p->arp_op = bpf_ntohs(arp->op);
	if (p->arp_op != ARPOP_REQUEST && p->arp_op != ARPOP_REPLY)
		return DROP_MALFORMED;
	addr_map4(&p->src, 0);
	addr_map4(&p->dst, 0);
	__builtin_memcpy(&p->src.bytes[12], arp->spa, 4);
	__builtin_memcpy(&p->dst.bytes[12], arp->tpa, 4);
	mac_copy(p->arp_sha, arp->sha);
	mac_copy(p->arp_tha, arp->tha);
	return DROP_NONE;
}

/* RFC 4861 7.1: hop limit 255, code 0, and options that fit; their link-layer addresses must be the frame's source. */
static __always_inline int parse_nd(void *data, void *data_end, __u32 size, struct packet *p)
{
	__u32 off = p->l4 & 0xff, end = ETH_HLEN + p->l3_size;
	bool has_target = p->icmp_type == ND_NEIGHBOUR_SOLICITATION || p->icmp_type == ND_NEIGHBOUR_ADVERTISEMENT;

	if (p->ttl != 255 || p->icmp_code != 0)
		return DROP_MALFORMED;
	if (!has_target && p->icmp_type != ND_ROUTER_SOLICITATION)
		return DROP_NONE; /* advertisements and redirects: their type decides */
	if (has_target) {
		if (data + off + 24 > data_end)
			return parse_short(off + 24, size);
		__builtin_memcpy(&p->nd_target, data + off + 8, 16);
		off += 24;
	} else {
		off += 8;
	}
	if (off > end)
		return DROP_MALFORMED;
	for (int i = 0; i < ND_OPTIONS_MAX; i++) {
		__u8 *option = data + off;

		if (off == end)
			return DROP_NONE;
		if (off + 8 > end)
			return DROP_MALFORMED;
		if ((void *)(option + 8) > data_end)
			return parse_short(off + 8, size);
		if (option[1] == 0 || option[1] > 4)
			return DROP_MALFORMED;
		if ((option[0] == ND_OPTION_SOURCE || option[0] == ND_OPTION_TARGET) &&
		    !mac_equal(option + 2, p->src_mac))
			p->nd_foreign_mac = true;
		off += option[1] * 8;
	}
	return off == end ? DROP_NONE : DROP_MALFORMED;
}

/* TCP, UDP and ICMP headers; `left` is what the IP header leaves for them. */
static __always_inline int parse_l4(void *data, void *data_end, __u32 size, __u32 left, struct packet *p)
{
	__u32 off = p->l4 & 0xff;
	__u8 *l4 = data + off;
	__u32 need = p->l4_proto == IPPROTO_TCP ? 20 : 8;

	p->headers = off - ETH_HLEN;
	if (p->l4_proto != IPPROTO_TCP && p->l4_proto != IPPROTO_UDP && p->l4_proto != IPPROTO_ICMP &&
	    p->l4_proto != PROTO_ICMPV6)
		return DROP_NONE;
	/* A first fragment that ends inside the transport header would hide it (RFC 1858, RFC 7112). */
	if (left < need)
		return DROP_MALFORMED;
	if ((void *)(l4 + 8) > data_end)
		return parse_short(off + 8, size);
	if (p->l4_proto == IPPROTO_TCP) {
		if ((void *)(l4 + 20) > data_end)
			return parse_short(off + 20, size);
		need = (l4[12] >> 4) * 4;
		if (need < 20 || need > left)
			return DROP_MALFORMED;
	} else if (p->l4_proto == IPPROTO_UDP) {
		__u32 length = l4[4] << 8 | l4[5];

		if (length < 8 || (length > left && !p->fragment))
			return DROP_MALFORMED;
	}
	p->has_l4 = true;
	p->headers += need;
	if (p->l4_proto == IPPROTO_TCP || p->l4_proto == IPPROTO_UDP) {
		__builtin_memcpy(&p->sport, l4, 2);
		__builtin_memcpy(&p->dport, l4 + 2, 2);
		return DROP_NONE;
	}
	p->icmp_type = l4[0];
	p->icmp_code = l4[1];
	if (p->v6 && p->l4_proto == PROTO_ICMPV6 && p->icmp_type >= ND_ROUTER_SOLICITATION &&
	    p->icmp_type <= ND_REDIRECT) {
		/* RFC 6980: no fragments; and nobody has a reason to put extension headers before ND (RFC 7113). */
		if (p->fragment || p->extended)
			return DROP_EXTENSION_HEADERS;
		return parse_nd(data, data_end, size, p);
	}
	return DROP_NONE;
}

static __always_inline int parse_v4(void *data, void *data_end, __u32 size, struct packet *p)
{
	struct iphdr *ip = data + ETH_HLEN;
	__u32 header, fragment;

	if ((void *)(ip + 1) > data_end)
		return parse_short(ETH_HLEN + sizeof(*ip), size);
	header = ip->ihl * 4;
	p->l3_size = bpf_ntohs(ip->tot_len);
	if (ip->version != 4 || header < sizeof(*ip) || p->l3_size < header || p->l3_size > size - ETH_HLEN)
		return DROP_MALFORMED;
	fragment = bpf_ntohs(ip->frag_off);
	p->ip = true;
	p->ttl = ip->ttl;
	p->tos = ip->tos;
	p->l4_proto = ip->protocol;
	addr_map4(&p->src, ip->saddr);
	addr_map4(&p->dst, ip->daddr);
	p->l4 = ETH_HLEN + header;
	p->headers = header;
	p->fragment = (fragment & (IP_MF | IP_OFFSET)) != 0;
	p->later = (fragment & IP_OFFSET) != 0;
	if (fragment & IP_OFFSET) {
		/* RFC 3128: a second fragment at 8 could overwrite the TCP flags of the first. */
		if ((fragment & IP_OFFSET) == 1 && ip->protocol == IPPROTO_TCP)
			return DROP_MALFORMED;
		return DROP_NONE;
	}
	return parse_l4(data, data_end, size, p->l3_size - header, p);
}

static __always_inline bool is_extension(__u8 proto)
{
	return proto == PROTO_HOPOPTS || proto == PROTO_ROUTING || proto == PROTO_FRAGMENT || proto == PROTO_DSTOPTS ||
	       proto == PROTO_MOBILITY || proto == PROTO_HIP || proto == PROTO_SHIM6;
}

static __always_inline int parse_v6(void *data, void *data_end, __u32 size, struct packet *p)
{
	struct ipv6hdr *ip = data + ETH_HLEN;
	__u32 off = ETH_HLEN + sizeof(*ip), end;

	if ((void *)(ip + 1) > data_end)
		return parse_short(ETH_HLEN + sizeof(*ip), size);
	p->l3_size = sizeof(*ip) + bpf_ntohs(ip->payload_len);
	if (ip->version != 6 || p->l3_size > size - ETH_HLEN)
		return DROP_MALFORMED;
	end = ETH_HLEN + p->l3_size;
	p->ip = true;
	p->v6 = true;
	p->ttl = ip->hop_limit;
	p->tos = ip->priority << 4 | ip->flow_lbl[0] >> 4;
	p->l4_proto = ip->nexthdr;
	__builtin_memcpy(&p->src, &ip->saddr, 16);
	__builtin_memcpy(&p->dst, &ip->daddr, 16);
	/* A mapped address on the wire would be taken for IPv4 in our tables (RFC 4291 2.5.5.2 keeps them off the wire). */
	if (addr_is_v4(&p->src) || addr_is_v4(&p->dst))
		return DROP_MALFORMED;
	for (int i = 0; i < EXTENSIONS_MAX; i++) {
		__u8 *header = data + off;
		__u32 length;

		if (!is_extension(p->l4_proto))
			break;
		p->extended = true;
		if (off + 8 > end)
			return DROP_EXTENSION_HEADERS;
		if ((void *)(header + 8) > data_end)
			return off + 8 <= PARSE_LINEAR_MAX ? parse_short(off + 8, size) : DROP_EXTENSION_HEADERS;
		if (p->l4_proto == PROTO_FRAGMENT) {
			length = 8;
			p->fragment = true;
			if ((header[2] << 8 | header[3]) & 0xfff8) {
				p->later = true;
				p->l4_proto = header[0];
				p->l4 = off + 8;
				p->headers = off + 8 - ETH_HLEN;
				return DROP_NONE;
			}
		} else {
			length = (header[1] + 1) * 8;
		}
		p->l4_proto = header[0];
		off += length;
		if (off > end || off > PARSE_LINEAR_MAX - 64)
			return DROP_EXTENSION_HEADERS;
	}
	if (is_extension(p->l4_proto))
		return DROP_EXTENSION_HEADERS;
	p->l4 = off;
	return parse_l4(data, data_end, size, end - off, p);
}

/*
 * The frame starts at data; `size` is all of it, in bytes, linear or not.  p is zeroed first.
 */
static __always_inline int parse(void *data, void *data_end, __u32 size, struct packet *p)
{
	struct ethhdr *eth = data;

	__builtin_memset(p, 0, sizeof(*p));
	if (size < ETH_HLEN)
		return DROP_MALFORMED;
	if ((void *)(eth + 1) > data_end)
		return parse_short(ETH_HLEN, size);
	mac_copy(p->dst_mac, eth->h_dest);
	mac_copy(p->src_mac, eth->h_source);
	p->proto = bpf_ntohs(eth->h_proto);
	switch (p->proto) {
	case ETH_P_IP:
		return parse_v4(data, data_end, size, p);
	case ETH_P_IPV6:
		return parse_v6(data, data_end, size, p);
	case ETH_P_ARP:
		return parse_arp(data, data_end, size, p);
	case ETH_P_8021Q:
	case ETH_P_8021AD:
		return DROP_VLAN_TAGGED;
	default:
		return DROP_NONE;
	}
}

#endif
