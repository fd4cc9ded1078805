/* SPDX-License-Identifier: Apache-2.0 */
#include "seeds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum shape {
	SHAPE_UDP,
	SHAPE_TCP,
	SHAPE_ECHO,
	SHAPE_ICMP_ERROR,
	SHAPE_FIRST_FRAGMENT,
	SHAPE_LATER_FRAGMENT,
	SHAPE_EXTENSIONS,
	SHAPE_OPTIONS,
	SHAPE_LARGE,
	SHAPE_TTL1,
	SHAPE_TRAFFIC_MAX,
	SHAPE_ARP_REQUEST = SHAPE_TRAFFIC_MAX,
	SHAPE_ARP_REPLY,
	SHAPE_ARP_GRATUITOUS,
	SHAPE_ND_SOLICITATION,
	SHAPE_ND_ADVERTISEMENT,
	SHAPE_ND_PROBE,
	SHAPE_BROADCAST,
	SHAPE_MULTICAST,
	SHAPE_OTHER_TYPE,
	SHAPE_LLC,
	SHAPE_VLAN,
	SHAPE_DHCP,
	SHAPE_ROUTER_ADVERTISEMENT,
	SHAPE_TUNNEL,
	SHAPE_ROUTING,
	SHAPE_GATEWAY_ECHO,
	SHAPE_GATEWAY_ECHO_FRAGMENT,
	SHAPE_GATEWAY_OTHER,
	SHAPE_LINK_LOCAL_OWN,
	SHAPE_LINK_LOCAL_ANOTHER,
	SHAPE_LINK_LOCAL_ROUTER,
	SHAPE_CONGESTION,
	SHAPE_REFUSED_TYPE, /* + index into refused_types */
};

/* What the checks of a port name, each once, and nobody else sends. */
static const uint16_t refused_types[] = {
	0x8035, 0x88cc, 0x8809, 0x888e, 0x8902, 0x88e3, 0x892f, 0x88fb, 0x88f5, 0x88f6, 0x22ea, 0x9000, 0x9100, 0x9200,
	0x9300, 0x88e7, 0x8847, 0x8848, 0x8863, 0x8864, 0x88e5, 0x894f, 0x22f3, 0x6558, 0x22f4, 0x4305,
};
static const uint16_t refused_ports[] = {
	3784, 3785, 4784, 6784, 7784, 646, 520, 521, 1985, 2029, 3222, 4342, 6696, 500, 4500, 6081, 1701, 51820, 8472, 6635,
};
static const uint8_t refused_protocols[] = { 4, 41, 47, 50, 51, 88, 89, 97, 103, 112, 115, 137 };

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define REFUSED_PORT (SHAPE_REFUSED_TYPE + COUNT(refused_types))
#define REFUSED_PROTOCOL (REFUSED_PORT + COUNT(refused_ports))
#define SHAPE_MAX (REFUSED_PROTOCOL + COUNT(refused_protocols))

static const struct {
	enum endpoint_id from, to;
} ways[] = {
	{ WEB1, WEB2 }, { WEB1, WEB4 },	 { WEB1, APP1 }, { WEB1, APP4 }, { WEB1, FOREIGN1 }, { WEB1, SMALL1 },
	{ APP1, APP2 }, { APP1, APP6 },	 { APP1, WEB6 }, { FLO1, FLO2 }, { FLO1, FOREIGN1 }, { OPEN1, FLO4 },
	{ ANY1, WEB1 }, { BARE1, BARE2 }, { ALLOW1, WEB6 }, { BLUE1, BLUE2 },
	{ BLUE1, APP1 }, /* blue has no such host */
	{ WEB1, WEB1 }, { APP1, APP1 }, { WEB1, DOWN1 }, { APP1, DOWN1 }, { APP1, SMALL1 }, { APP1, NOROUTE },
	{ APP1, BEYOND4 }, { WEB1, BEYOND6 }, { GREEN1, GREEN2 }, { GREEN1, GREEN4 }, { GREEN2, GREEN6 },
	{ GREEN1, GREENLOST }, { SAFE1, SAFE4 }, { SAFE2, SAFE6 }, { SAFE1, NEAR4 }, { DEEP1, DEEP4 }, { DEEP1, SAFE6 },
};

/* From another node: who sends, to whom, in which VNI; 0: in no tunnel. */
static const struct {
	const char *node;
	uint32_t vni;
	enum endpoint_id from, to;
	bool routed, secure; /* decrypted */
} arrivals[] = {
	{ NODE4, VNI_WEB, WEB4, WEB1, false },	   { NODE6, VNI_WEB, WEB6, WEB2, false },
	{ NODE4, VNI_WEB, WEB4, SMALL1, false },   { NODE4, VNI_RED, APP4, APP1, true },
	{ NODE6, VNI_RED, APP6, WEB1, true },	   { FOREIGN, VNI_FLO, FOREIGN1, FLO1, false },
	{ FOREIGN, VNI_FLO, FOREIGN1, APP1, false }, { NODE4, VNI_BLUE_WEB, WEB4, BLUE1, false },
	{ NODE4, VNI_BARE, WEB4, BARE1, false },   { NODE6, VNI_FLO, FLO4, FLO1, false },
	{ NODE4, 0, GREEN4, GREEN1, false },	   { NODE6, 0, GREEN6, GREEN2, false },
	{ NODE4, 0, GREENLOST, GREEN1, false },	   { NODE4, 0, APP4, APP1, false },
	{ NODE4, VNI_SAFE, SAFE4, SAFE1, false, true }, { NODE6, VNI_GOLD, DEEP6, DEEP1, true, true },
	{ NODE6, VNI_SAFE, SAFE6, SAFE2, false, false }, { NODE4, VNI_WEB, WEB4, WEB1, false, true },
	{ NODE4, 0, GREEN4, GREEN1, false, true },
};

#define WAYS (sizeof(ways) / sizeof(ways[0]))
#define ARRIVALS (sizeof(arrivals) / sizeof(arrivals[0]))

static void arp(struct frame *f, const struct endpoint *a, const char *sender, const char *target, uint16_t op,
		const char *dst_mac)
{
	frame_begin(f);
	frame_eth(f, mac_of(dst_mac), mac_of(a->mac), TYPE_ARP);
	frame_arp(f, op, mac_of(a->mac), sender, mac_of("00:00:00:00:00:00"), target);
	frame_end(f);
}

static void nd(struct frame *f, const struct endpoint *a, const char *src, const char *dst, uint8_t type,
	       const char *target, uint8_t option)
{
	frame_begin(f);
	frame_eth(f, mac_multicast6(dst), mac_of(a->mac), TYPE_IP6);
	frame_ip(f, src, dst, IP_ICMP6);
	frame_at(f, LAYER_IP6)[7] = 255;
	frame_nd(f, type, 0, target, option, mac_of(a->mac));
	frame_end(f);
}

/* The gateway's own address, which is not an endpoint. */
static bool to_gateway(struct frame *f, const struct endpoint *a, bool v6, enum shape shape)
{
	static const uint8_t later[6] = { 0, 0x09, 0, 0, 0, 7 };
	const char *gateway = v6 ? a->gateway6 : a->gateway4;
	bool fragment = shape == SHAPE_GATEWAY_ECHO_FRAGMENT;

	if (!gateway)
		return false;
	frame_eth(f, mac_of(GATEWAY_MAC), mac_of(a->mac), v6 ? TYPE_IP6 : TYPE_IP4);
	frame_ip(f, v6 ? a->ip6 : a->ip4, gateway,
		 shape == SHAPE_GATEWAY_OTHER ? IP_UDP : v6 && fragment ? 44 : v6 ? IP_ICMP6 : IP_ICMP);
	if (v6 && fragment)
		frame_ext(f, IP_ICMP6, 0, later);
	if (shape == SHAPE_GATEWAY_OTHER)
		frame_udp(f, 1000, 2000);
	else if (!fragment)
		frame_icmp(f, v6 ? 128 : 8, 0, 0x12340001);
	frame_fill(f, 40);
	frame_end(f);
	if (!v6 && fragment) {
		frame_at(f, LAYER_IP4)[7] = 3;
		frame_sum4(f);
	}
	return true;
}

static bool link_local(struct frame *f, const struct endpoint *a, const struct endpoint *b, enum shape shape)
{
	struct mac6 m = mac_of(shape == SHAPE_LINK_LOCAL_OWN ? a->mac : b->mac);
	char source[64] = "fe80::1";

	if (shape != SHAPE_LINK_LOCAL_ROUTER)
		snprintf(source, sizeof(source), "fe80::%02x%02x:%02xff:fe%02x:%02x%02x", m.b[0] ^ 2, m.b[1], m.b[2],
			 m.b[3], m.b[4], m.b[5]);
	frame_eth(f, mac_multicast6("ff02::fb"), mac_of(a->mac), TYPE_IP6);
	frame_ip(f, source, "ff02::fb", IP_UDP);
	frame_udp(f, 5353, 5353);
	frame_fill(f, 20);
	frame_end(f);
	return true;
}

static bool refused(struct frame *f, enum endpoint_id from, enum endpoint_id to, bool v6, size_t shape)
{
	const struct endpoint *a = &endpoints[from], *b = &endpoints[to];

	/* once for a port with the checks, once for one that is allowed much */
	if (!(from == WEB1 && to == WEB2) && from != ALLOW1)
		return false;
	if (shape < REFUSED_PORT) {
		frame_eth(f, mac_of(b->mac), mac_of(a->mac), refused_types[shape - SHAPE_REFUSED_TYPE]);
		frame_fill(f, 50);
		return !v6;
	}
	if (shape < REFUSED_PROTOCOL) {
		frame_between(f, from, to, v6, IP_UDP);
		frame_udp(f, 1000, refused_ports[shape - REFUSED_PORT]);
	} else {
		frame_between(f, from, to, v6, refused_protocols[shape - REFUSED_PROTOCOL]);
	}
	frame_fill(f, 40);
	frame_end(f);
	return true;
}

static void traffic(struct frame *f, enum endpoint_id from, enum endpoint_id to, bool v6, enum shape shape)
{
	static const uint8_t zero[6];
	static const uint8_t offset8[6] = { 0, 0x09, 0, 0, 0, 7 }, first[6] = { 0, 0x01, 0, 0, 0, 7 };
	bool fragment = shape == SHAPE_FIRST_FRAGMENT || shape == SHAPE_LATER_FRAGMENT;
	uint8_t l4 = shape == SHAPE_TCP ? IP_TCP : shape == SHAPE_ECHO || shape == SHAPE_ICMP_ERROR ?
					  v6 ? IP_ICMP6 : IP_ICMP : IP_UDP;
	uint8_t *p;

	frame_between(f, from, to, v6, v6 && fragment ? 44 : v6 && shape == SHAPE_EXTENSIONS ? 0 : l4);
	if (v6 && fragment)
		frame_ext(f, l4, 0, shape == SHAPE_FIRST_FRAGMENT ? first : offset8);
	if (v6 && shape == SHAPE_EXTENSIONS) {
		frame_ext(f, 43, 0, zero);
		frame_ext(f, 60, 1, zero);
		frame_ext(f, l4, 2, zero);
	}
	if (!v6 && shape == SHAPE_OPTIONS) {
		frame_at(f, LAYER_IP4)[0] = 0x47;
		frame_bytes(f, "\x94\x04\0\0\1\1\1\0", 8); /* router alert */
	}
	if (l4 == IP_TCP)
		frame_tcp(f, 1000, 80);
	else if (l4 == IP_UDP)
		frame_udp(f, 1000, 2000);
	else
		frame_icmp(f, shape == SHAPE_ECHO ? v6 ? 128 : 8 : v6 ? 1 : 3, 0, 0x12340001);
	frame_fill(f, shape == SHAPE_LARGE ? 1440 : 48);
	frame_end(f);
	if (!v6 && fragment) {
		p = frame_at(f, LAYER_IP4);
		p[6] = 0x20;
		p[7] = shape == SHAPE_FIRST_FRAGMENT ? 0 : 3;
	}
	if (shape == SHAPE_TTL1)
		frame_ttl(f, 1);
	if (!v6)
		frame_sum4(f);
}

/* false: there is no such frame in this family */
static bool local_shape(struct frame *f, enum endpoint_id from, enum endpoint_id to, bool v6, enum shape shape)
{
	const struct endpoint *a = &endpoints[from], *b = &endpoints[to];

	if (shape < SHAPE_TRAFFIC_MAX) {
		traffic(f, from, to, v6, shape);
		return true;
	}
	frame_begin(f);
	if (shape >= SHAPE_REFUSED_TYPE)
		return refused(f, from, to, v6, shape);
	switch (shape) {
	case SHAPE_GATEWAY_ECHO:
	case SHAPE_GATEWAY_ECHO_FRAGMENT:
	case SHAPE_GATEWAY_OTHER:
		return to_gateway(f, a, v6, shape);
	case SHAPE_LINK_LOCAL_OWN:
	case SHAPE_LINK_LOCAL_ANOTHER:
	case SHAPE_LINK_LOCAL_ROUTER:
		return v6 && link_local(f, a, b, shape);
	case SHAPE_CONGESTION:
		traffic(f, from, to, v6, SHAPE_UDP);
		frame_tos(f, 2);
		return true;
	case SHAPE_ARP_REQUEST:
		arp(f, a, a->ip4, v6 && a->gateway4 ? a->gateway4 : b->ip4, 1, BROADCAST);
		return true;
	case SHAPE_ARP_REPLY:
		arp(f, a, a->ip4, b->ip4, 2, b->mac);
		return !v6;
	case SHAPE_ARP_GRATUITOUS:
		arp(f, a, v6 ? "0.0.0.0" : a->ip4, a->ip4, 1, BROADCAST);
		return true;
	case SHAPE_ND_SOLICITATION:
		nd(f, a, a->ip6, "ff02::1:ff00:12", 135, !v6 && a->gateway6 ? a->gateway6 : b->ip6, 1);
		return true;
	case SHAPE_ND_ADVERTISEMENT:
		nd(f, a, a->ip6, "ff02::1", 136, a->ip6, 2);
		return v6;
	case SHAPE_ND_PROBE:
		nd(f, a, "::", "ff02::1:ff00:12", 135, v6 ? a->ip6 : b->ip6, 0);
		return true;
	case SHAPE_BROADCAST:
		traffic(f, from, to, v6, SHAPE_UDP);
		memset(f->data, 0xff, 6);
		return true;
	case SHAPE_MULTICAST:
		frame_eth(f, v6 ? mac_multicast6("ff05::1234") : mac_of("01:00:5e:01:02:03"), mac_of(a->mac),
			  v6 ? TYPE_IP6 : TYPE_IP4);
		frame_ip(f, v6 ? a->ip6 : a->ip4, v6 ? "ff05::1234" : "239.1.2.3", IP_UDP);
		frame_udp(f, 5000, 5000);
		frame_fill(f, 40);
		frame_end(f);
		return true;
	case SHAPE_OTHER_TYPE:
		frame_eth(f, mac_of(v6 ? BROADCAST : b->mac), mac_of(a->mac), 0x88b5);
		frame_fill(f, v6 ? 4 : 50);
		return true;
	case SHAPE_LLC:
		frame_eth(f, mac_of("01:80:c2:00:00:00"), mac_of(a->mac), 38);
		frame_fill(f, 46);
		return !v6;
	case SHAPE_VLAN:
		frame_eth(f, mac_of(b->mac), mac_of(a->mac), v6 ? 0x88a8 : 0x8100);
		frame_bytes(f, "\x00\x05\x08\x00", 4);
		frame_fill(f, 46);
		return true;
	case SHAPE_DHCP:
		frame_eth(f, mac_of(BROADCAST), mac_of(a->mac), TYPE_IP4);
		frame_ip(f, v6 ? a->ip4 : "0.0.0.0", "255.255.255.255", IP_UDP);
		frame_udp(f, v6 ? 67 : 68, v6 ? 68 : 67);
		frame_fill(f, 60);
		frame_end(f);
		return true;
	case SHAPE_ROUTER_ADVERTISEMENT:
		frame_eth(f, mac_multicast6("ff02::1"), mac_of(a->mac), TYPE_IP6);
		frame_ip(f, a->ip6, "ff02::1", IP_ICMP6);
		frame_at(f, LAYER_IP6)[7] = 255;
		frame_icmp(f, v6 ? 134 : 133, 0, 0);
		frame_fill(f, v6 ? 8 : 0);
		frame_end(f);
		return true;
	case SHAPE_TUNNEL:
		frame_between(f, from, to, v6, v6 ? IP_UDP : 47);
		if (v6)
			frame_udp(f, 1000, VXLAN_PORT);
		frame_fill(f, 40);
		frame_end(f);
		return true;
	case SHAPE_ROUTING:
		frame_between(f, from, to, v6, v6 ? IP_TCP : 89);
		if (v6)
			frame_tcp(f, 1000, 179);
		frame_fill(f, 24);
		frame_end(f);
		return true;
	default:
		return false;
	}
}

static bool wire_shape(struct frame *f, size_t way, bool v6, enum shape shape)
{
	static struct frame inner;
	enum endpoint_id from = arrivals[way].from, to = arrivals[way].to;

	if (!local_shape(&inner, from, to, v6, shape))
		return false;
	if (!arrivals[way].vni) {
		frame_native(f, strchr(arrivals[way].node, ':') ? NODE6_MAC : NODE4_MAC, &inner);
		return true;
	}
	if (arrivals[way].routed) {
		memcpy(inner.data, mac_of(ROUTER_MAC).b, 6);
		memcpy(inner.data + 6, mac_of(strchr(arrivals[way].node, ':') ? ROUTER_MAC6 : ROUTER_MAC4).b, 6);
	} else if ((shape < SHAPE_TRAFFIC_MAX || shape == SHAPE_CONGESTION) && endpoints[from].vni == endpoints[to].vni) {
		memcpy(inner.data, mac_of(endpoints[to].mac).b, 6);
	}
	frame_from_wire(f, arrivals[way].node, arrivals[way].vni, &inner);
	if (shape == SHAPE_TCP || shape == SHAPE_CONGESTION)
		frame_tos(f, 3); /* met congestion */
	return true;
}

static void append(struct seed **all, size_t *length, const struct seed *s)
{
	*all = realloc(*all, (*length + 1) * sizeof(**all));
	if (!*all)
		abort();
	(*all)[(*length)++] = *s;
}

static const struct seed *all_seeds(size_t *length)
{
	static struct seed *all, s;
	static size_t n;

	if (all) {
		*length = n;
		return all;
	}
	for (size_t way = 0; way < WAYS + ARRIVALS; way++) {
		for (int v6 = 0; v6 < 2; v6++) {
			for (size_t shape = 0; shape < SHAPE_MAX; shape++) {
				bool local = way < WAYS;

				s.program = local ? HOST_PORT_INGRESS : HOST_WIRE_INGRESS;
				s.ifindex = local			    ? endpoints[ways[way].from].ifindex :
					    arrivals[way - WAYS].secure ? IF_SECURE :
									  IF_UNDERLAY;
				if (local ? local_shape(&s.frame, ways[way].from, ways[way].to, v6, (enum shape)shape) :
					    wire_shape(&s.frame, way - WAYS, v6, (enum shape)shape))
					append(&all, &n, &s);
			}
		}
	}
	*length = n;
	return all;
}

size_t seeds_length(void)
{
	size_t n;

	all_seeds(&n);
	return n;
}

const struct seed *seeds_get(size_t i)
{
	size_t n;
	const struct seed *all = all_seeds(&n);

	return &all[i % n];
}
