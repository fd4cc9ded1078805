/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event.c - a sampled drop for people: who sent what to whom.  Only the head of the frame is there, so every read is
 * checked against what was captured; a frame that says nothing useful still yields its sizes and EtherType.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/port.h"
#include "agent/view.h"

#define ETHERNET 14
#define VXLAN_HEADER 8

struct reader {
	const uint8_t *data;
	size_t left;
};

struct facts {
	bool has_macs, has_addresses, has_ports, has_outer;
	struct mac source_mac, destination_mac;
	struct addr source, destination, outer_source;
	uint16_t source_port, destination_port;
	char protocol[16];
	uint16_t vxlan_port; /* in: where to look inside */
};

static const uint8_t *take(struct reader *r, size_t n)
{
	const uint8_t *p = r->data;

	if (r->left < n)
		return NULL;
	r->data += n;
	r->left -= n;
	return p;
}

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void set_v4(struct addr *a, const uint8_t *p)
{
	*a = (struct addr){.bytes = {[10] = 0xff, [11] = 0xff}};
	memcpy(a->bytes + 12, p, 4);
}

static void name_protocol(struct facts *f, uint8_t number)
{
	static const struct {
		uint8_t number;
		const char *name;
	} known[] = {{1, "icmp"}, {2, "igmp"}, {6, "tcp"},     {17, "udp"},
		     {47, "gre"}, {50, "esp"}, {58, "icmpv6"}, {132, "sctp"}};

	snprintf(f->protocol, sizeof(f->protocol), "%u", number);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].number == number)
			snprintf(f->protocol, sizeof(f->protocol), "%s", known[i].name);
}

static void decode_transport(struct reader *r, struct facts *f, uint8_t protocol)
{
	const uint8_t *p;

	name_protocol(f, protocol);
	if ((protocol != 6 && protocol != 17) || !(p = take(r, 4)))
		return;
	f->has_ports = true;
	f->source_port = be16(p);
	f->destination_port = be16(p + 2);
	if (protocol == 17)
		take(r, 4);
}

static void decode_v4(struct reader *r, struct facts *f)
{
	const uint8_t *p = take(r, 20);

	if (!p)
		return;
	f->has_addresses = true;
	set_v4(&f->source, p + 12);
	set_v4(&f->destination, p + 16);
	if ((p[0] & 15) > 5 && !take(r, (size_t)((p[0] & 15) - 5) * 4))
		return name_protocol(f, p[9]);
	if (be16(p + 6) & 0x1fff) /* not the first fragment: no ports */
		return name_protocol(f, p[9]);
	decode_transport(r, f, p[9]);
}

static void decode_v6(struct reader *r, struct facts *f)
{
	const uint8_t *p = take(r, 40);
	uint8_t next;

	if (!p)
		return;
	f->has_addresses = true;
	memcpy(f->source.bytes, p + 8, 16);
	memcpy(f->destination.bytes, p + 24, 16);
	next = p[6];
	while (next == 0 || next == 43 || next == 60 || next == 44) { /* RFC 8200 4: options, routing, fragment */
		const uint8_t *header = take(r, 8);

		if (!header)
			break;
		if (next == 44 && (be16(header + 2) & 0xfff8))
			return name_protocol(f, header[0]);
		if (next != 44 && !take(r, (size_t)header[1] * 8))
			break;
		next = header[0];
	}
	decode_transport(r, f, next);
}

static void decode_arp(struct reader *r, struct facts *f)
{
	const uint8_t *p = take(r, 28);

	snprintf(f->protocol, sizeof(f->protocol), "arp");
	if (!p || be16(p + 2) != 0x0800)
		return;
	f->has_addresses = true;
	set_v4(&f->source, p + 14);
	set_v4(&f->destination, p + 24);
}

static void decode_frame(struct reader *r, struct facts *f)
{
	const uint8_t *p = take(r, ETHERNET);
	uint16_t type;

	if (!p)
		return;
	f->has_macs = true;
	memcpy(f->destination_mac.bytes, p, 6);
	memcpy(f->source_mac.bytes, p + 6, 6);
	type = be16(p + 12);
	snprintf(f->protocol, sizeof(f->protocol), "0x%04x", type);
	if (type == 0x0800)
		decode_v4(r, f);
	else if (type == 0x86dd)
		decode_v6(r, f);
	else if (type == 0x0806)
		decode_arp(r, f);
}

/* A frame from the wire that still has its tunnel header: the inner one is what people ask about. */
static void decode_tunnel(struct reader *r, struct facts *f)
{
	struct facts outer = *f, inner = {0};

	decode_frame(r, &outer);
	*f = outer;
	if (!outer.has_ports || outer.destination_port != outer.vxlan_port || !take(r, VXLAN_HEADER))
		return;
	decode_frame(r, &inner);
	if (!inner.has_macs)
		return;
	*f = inner;
	f->has_outer = true;
	f->outer_source = outer.source;
}

static const struct config_network *network_by_vni(const struct config *c, uint32_t vni)
{
	if (!c || !vni)
		return NULL;
	for (size_t i = 0; i < c->n_tenants; i++)
		for (size_t k = 0; k < c->tenants[i].n_networks; k++)
			if (c->tenants[i].networks[k].mode == CONFIG_MODE_L2 && c->tenants[i].networks[k].vni == vni)
				return &c->tenants[i].networks[k];
	return NULL;
}

static const struct config_port *port_by_interface(const struct agent *a, const char *interface)
{
	const struct port_local *p = interface ? ports_by_interface(a->ports, interface) : NULL;

	return p ? p->config : NULL;
}

static void put_time(struct json *j, uint64_t monotonic_ns)
{
	struct timespec wall, monotonic;
	struct tm tm;
	int64_t ns;
	time_t seconds;
	char text[40];

	/* The wall clock as of now minus the age: right even if the clock was stepped since. */
	clock_gettime(CLOCK_REALTIME, &wall);
	clock_gettime(CLOCK_MONOTONIC, &monotonic);
	ns = (int64_t)wall.tv_sec * 1000000000 + wall.tv_nsec -
	     ((int64_t)monotonic.tv_sec * 1000000000 + monotonic.tv_nsec - (int64_t)monotonic_ns);
	if (ns < 0)
		ns = 0;
	seconds = (time_t)(ns / 1000000000);
	gmtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	json_key(j, "time");
	json_format(j, "%s.%06dZ", text, (int)(ns % 1000000000 / 1000));
}

static void put_optional_addr(struct json *j, const char *key, bool there, const struct addr *a)
{
	char text[ADDR_TEXT_SIZE];

	json_put_string(j, key, there ? addr_format(a, text) : NULL);
}

static void put_optional_mac(struct json *j, const char *key, bool there, const struct mac *m)
{
	char text[MAC_TEXT_SIZE];

	json_put_string(j, key, there ? mac_format(m, text) : NULL);
}

static void put_optional_uint(struct json *j, const char *key, bool there, uint64_t n)
{
	json_key(j, key);
	if (there)
		json_uint(j, n);
	else
		json_null(j);
}

void view_event(struct json *j, const struct agent *a, const struct abi_event *e)
{
	static const char *const directions[] = {
		[FROM_PORT] = "from-port", [FROM_WIRE] = "from-wire", [TO_PORT] = "to-port"};
	struct facts f = {.protocol = "unknown", .vxlan_port = a->config ? a->config->vxlan_port : 4789};
	struct reader r = {e->data, e->snap_size < ABI_EVENT_SNAP ? e->snap_size : ABI_EVENT_SNAP};
	const struct link *link = a->kern ? kern_link_by_index(a->kern, e->ifindex) : NULL;
	const struct config_port *port =
		e->direction == FROM_WIRE ? NULL : port_by_interface(a, link ? link->name : NULL);
	const struct config_network *network = port ? port->network : network_by_vni(a->config, e->vni);

	if (e->direction == FROM_WIRE)
		decode_tunnel(&r, &f);
	else
		decode_frame(&r, &f);
	json_object_open(j);
	put_time(j, e->time_ns);
	json_put_string(j, "reason", e->reason < DROP_MAX ? drop_name((enum drop_reason)e->reason) : "unknown");
	json_put_string(j, "direction", e->direction <= TO_PORT ? directions[e->direction] : "unknown");
	json_put_string(j, "interface", link ? link->name : NULL);
	json_put_string(j, "port", port ? port->name : NULL);
	json_put_string(j, "network", network ? network->full_name : NULL);
	put_optional_uint(j, "vni", e->vni, e->vni);
	json_put_uint(j, "size", e->size);
	put_optional_mac(j, "srcMac", f.has_macs, &f.source_mac);
	put_optional_mac(j, "dstMac", f.has_macs, &f.destination_mac);
	json_put_string(j, "protocol", f.protocol);
	put_optional_addr(j, "src", f.has_addresses, &f.source);
	put_optional_addr(j, "dst", f.has_addresses, &f.destination);
	put_optional_uint(j, "srcPort", f.has_ports, f.source_port);
	put_optional_uint(j, "dstPort", f.has_ports, f.destination_port);
	put_optional_addr(j, "outerSrc", f.has_outer, &f.outer_source);
	json_object_close(j);
}
