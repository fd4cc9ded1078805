/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/schema.h"

#include <string.h>

#include "model/config.h"

/* ---- words ---- */

static const struct schema_word encaps[] = {
	{"vxlan", "Ethernet in UDP (RFC 7348)", CONFIG_ENCAP_VXLAN},
	{"geneve", "", .unsupported = true},
	{"nvgre", "", .unsupported = true},
	{"gre", "", .unsupported = true},
	{"stt", "", .unsupported = true},
	{"none", "", .unsupported = true},
	{},
};

static const struct schema_word encryptions[] = {
	{"never", "packets cross the underlay in clear text", CONFIG_ENCRYPTION_NEVER},
	{"between-sites", "", .unsupported = true},
	{"always", "", .unsupported = true},
	{},
};

static const struct schema_word modes[] = {
	{"l2", "one stretched broadcast domain with a VNI of its own", CONFIG_MODE_L2},
	{"l3", "routed host addresses in the tenant's VNI, no broadcast domain", CONFIG_MODE_L3},
	{},
};

static const struct schema_word allows[] = {
	{"router-advertisement", "IPv6 router advertisements and redirects", CONFIG_ALLOW_ROUTER_ADVERTISEMENT},
	{"dhcp-server", "answers of a DHCP server", CONFIG_ALLOW_DHCP_SERVER},
	{"tunnel", "tunnels and ESP of the workload's own", CONFIG_ALLOW_TUNNEL},
	{"routing", "BGP, BFD, OSPF, VRRP and other routing protocols", CONFIG_ALLOW_ROUTING},
	{"link-control", "STP, LLDP, LACP, RARP", CONFIG_ALLOW_LINK_CONTROL},
	{},
};

static const struct schema_word limits[] = {{"none", "no limit", 0}, {}};

static const struct schema_word booleans[] = {{"false", "", 0}, {"true", "", 1}, {}};

/* ---- types ---- */

#define NAME_PATTERN "[A-Za-z0-9][A-Za-z0-9_.-]{0,62}"

const struct schema_type schema_name = {
	"name", "a letter or digit, then at most 62 letters, digits, \"_\", \".\" or \"-\"", type_check_name,
	.json = "\"type\": \"string\", \"pattern\": \"^" NAME_PATTERN "$\"",
};

static const struct schema_type
	version = {"number", "1", type_check_version, .low = 1, .high = 1, .bare = true},
	vni = {"VNI", "a whole number from 1 to 16777215", type_check_number, .low = 1, .high = 16777215, .bare = true},
	udp_port = {"UDP port", "a whole number from 1 to 65535", type_check_number, .low = 1, .high = 65535,
		    .bare = true},
	mtu = {"MTU", "a whole number from 1280 to 65535", type_check_number, .low = 1280, .high = 65535, .bare = true},
	storm_limit = {"number or none", "a whole number from 1 to 1000000, or none", type_check_limit, .low = 1,
		       .high = 1000000, .words = limits, .bare = true,
		       .json = "\"anyOf\": [{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 1000000}, "
			       "{\"const\": \"none\"}]"},
	icmp_limit = {"number or none", "a whole number from 1 to 65535, or none", type_check_limit, .low = 1,
		      .high = 65535, .words = limits, .bare = true,
		      .json = "\"anyOf\": [{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 65535}, "
			      "{\"const\": \"none\"}]"},
	boolean = {"boolean", "true or false", type_check_boolean, .words = booleans, .bare = true,
		   .json = "\"type\": \"boolean\""},
	encap = {"word", "vxlan", type_check_word, .words = encaps},
	encryption = {"word", "never", type_check_word, .words = encryptions},
	mode = {"word", "l2 or l3", type_check_word, .words = modes},
	allow = {"word", "router-advertisement, dhcp-server, tunnel, routing or link-control", type_check_word,
		 .words = allows},
	site_name = {"name", "the name of a site", type_check_name,
		     .json = "\"type\": \"string\", \"pattern\": \"^" NAME_PATTERN "$\""},
	node_name = {"name", "the name of a node", type_check_name,
		     .json = "\"type\": \"string\", \"pattern\": \"^" NAME_PATTERN "$\""},
	network_name = {"TENANT/NETWORK", "the name of a tenant, \"/\", the name of a network of it",
			type_check_network,
			.json = "\"type\": \"string\", \"pattern\": \"^" NAME_PATTERN "/" NAME_PATTERN "$\""},
	interface = {"interface", "the name of a network interface, such as eth1", type_check_interface,
		     .json = "\"type\": \"string\", \"pattern\": \"^[!-.0-9;-~]{1,15}$\", "
			     "\"not\": {\"enum\": [\".\", \"..\", \"all\", \"default\", \"lo\"]}"},
	address = {"address", "a unicast IPv4 or IPv6 address, such as 10.0.1.11", type_check_address,
		   .json = "\"type\": \"string\", \"anyOf\": [{\"format\": \"ipv4\"}, {\"format\": \"ipv6\"}], "
			   "\"pattern\": \"^[0-9A-Fa-f.:]+$\""},
	underlay = {"address", "an address that the other nodes reach, such as 192.0.2.11", type_check_underlay,
		    .json = "\"type\": \"string\", \"anyOf\": [{\"format\": \"ipv4\"}, {\"format\": \"ipv6\"}], "
			    "\"pattern\": \"^[0-9A-Fa-f.:]+$\""},
	subnet = {"subnet", "an address and a prefix length, such as 10.0.1.0/24", type_check_subnet,
		  .json = "\"type\": \"string\", \"pattern\": \"^[0-9A-Fa-f.:]+/(0|[1-9][0-9]{0,2})$\""},
	mac = {"MAC address", "a unicast MAC address, such as 02:00:00:00:00:01", type_check_mac,
	       .json = "\"type\": \"string\", \"pattern\": \"^[0-9A-Fa-f][02468ACEace](:[0-9A-Fa-f]{2}){5}$\""};

/* ---- keys ---- */

enum { OPTIONAL, REQUIRED };

static const struct schema_key fabric_keys[] = {
	{"encryption", SCHEMA_VALUE, REQUIRED, &encryption, .example = "never",
	 .meaning = "Whether packets between nodes are encrypted.  Must be written: clear text is a decision."},
	{"encap", SCHEMA_VALUE, OPTIONAL, &encap, .fallback = "vxlan", .example = "vxlan",
	 .meaning = "How packets between nodes are encapsulated, where a network does not say otherwise."},
	{"vxlan_port", SCHEMA_VALUE, OPTIONAL, &udp_port, .fallback = "4789", .example = "4789",
	 .meaning = "The UDP port that VXLAN packets go to, the same on every node, foreign ones included."},
	{"gateway_mac", SCHEMA_VALUE, OPTIONAL, &mac, .fallback = "02:69:73:74:68:6d",
	 .example = "\"02:69:73:74:68:6d\"",
	 .meaning = "The MAC address of every gateway on every node, so that a workload that moves finds its gateway "
		    "again."},
	{"storm_limit", SCHEMA_VALUE, OPTIONAL, &storm_limit, .fallback = "10000", .example = "1000",
	 .meaning = "How many broadcast, multicast and unknown unicast frames a second one workload may have "
		    "replicated, where its network or port does not say otherwise.  What one second allows may come at "
		    "once.  The rest is dropped and counted as storm_limit.  ARP and neighbour solicitations that are "
		    "answered on the spot are not replicated and do not count."},
	{"icmp_limit", SCHEMA_VALUE, OPTIONAL, &icmp_limit, .fallback = "1000", .example = "100",
	 .meaning = "How many ICMP errors a second (too big, unreachable, time exceeded) one workload gets from its "
		    "node, and the other nodes of a tenant together.  Those not sent are counted as icmp_limited."},
	{},
};

const struct schema_map schema_fabric = {"fabric", fabric_keys};

static const struct schema_key no_keys[] = {{}};
static const struct schema_map site = {"site", no_keys};

static const struct schema_key node_keys[] = {
	{"site", SCHEMA_VALUE, REQUIRED, &site_name, .example = "dc",
	 .meaning = "The site, one of the table sites, that the node is in."},
	{"underlay", SCHEMA_LIST, REQUIRED, &underlay, .min_items = 1, .max_items = 2, .example = "192.0.2.11",
	 .meaning = "The addresses that the other nodes send tunnel packets to, at most one of each family, the "
		    "preferred one first.  No two nodes share one."},
	{"interfaces", SCHEMA_LIST, OPTIONAL, &interface, .absent = "found from the addresses and routes",
	 .example = "[eth0, eth1]",
	 .meaning = "The devices that tunnel packets arrive on."},
	{"mtu", SCHEMA_VALUE, OPTIONAL, &mtu, .absent = "from the interface and the route", .example = "9000",
	 .meaning = "The largest packet in bytes that the underlay carries from and to this node."},
	{"foreign", SCHEMA_VALUE, OPTIONAL, &boolean, .fallback = "false", .example = "true",
	 .meaning = "True for a member that does not run isthmusd, such as a kernel VXLAN device or a switch.  It "
		    "bridges only: its ports are in l2 networks."},
	{"networks", SCHEMA_LIST, OPTIONAL, &network_name, .absent = "those of its ports", .example = "[red/web]",
	 .meaning = "The l2 networks that a foreign node is a member of, beside those of its ports."},
	{},
};

const struct schema_map schema_node = {
	"node", node_keys,
	.json_rules = "\"if\": {\"properties\": {\"foreign\": {\"const\": true}}, \"required\": [\"foreign\"]}, "
		      "\"then\": {\"properties\": {\"interfaces\": false}}, "
		      "\"else\": {\"properties\": {\"networks\": false}}",
};

static const struct schema_key network_keys[] = {
	{"mode", SCHEMA_VALUE, REQUIRED, &mode, .example = "l2", .meaning = "What kind of network it is."},
	{"vni", SCHEMA_VALUE, OPTIONAL, &vni, .absent = "required in an l2 network, refused in an l3 network",
	 .example = "5001",
	 .meaning = "The VNI of an l2 network, used nowhere else in the fabric.  An l3 network uses its tenant's."},
	{"subnets", SCHEMA_LIST, OPTIONAL, &subnet, .absent = "required in an l3 network",
	 .example = "[10.0.1.0/24, \"fd00:1::/64\"]",
	 .meaning = "The addresses of the network; subnets of one tenant do not overlap.  Tenants may use the same "
		    "ones."},
	{"gateway", SCHEMA_LIST, OPTIONAL, &address, .max_items = 2, .absent = "no gateway address",
	 .example = "[10.0.1.1, \"fd00:1::1\"]",
	 .meaning = "The addresses of the gateway, at most one of each family, inside the subnets.  Every node answers "
		    "for them."},
	{"encap", SCHEMA_VALUE, OPTIONAL, &encap, .absent = "fabric.encap", .example = "vxlan",
	 .meaning = "How packets of this network are encapsulated."},
	{"encryption", SCHEMA_VALUE, OPTIONAL, &encryption, .absent = "fabric.encryption", .example = "never",
	 .meaning = "Whether packets of this network are encrypted."},
	{"flood", SCHEMA_VALUE, OPTIONAL, &boolean, .fallback = "false", .example = "true",
	 .meaning = "Whether frames to a MAC address that is not in the configuration go to every member, for foreign "
		    "nodes whose endpoints are not all declared.  l2 networks only."},
	{"storm_limit", SCHEMA_VALUE, OPTIONAL, &storm_limit, .absent = "fabric.storm_limit", .example = "1000",
	 .meaning = "How many frames a second each of its workloads may have replicated.  l2 networks only."},
	{},
};

const struct schema_map schema_network = {
	"network", network_keys,
	.json_rules = "\"if\": {\"properties\": {\"mode\": {\"const\": \"l3\"}}, \"required\": [\"mode\"]}, "
		      "\"then\": {\"required\": [\"subnets\"], \"properties\": {\"vni\": false, \"flood\": false, \"storm_limit\": false, "
		      "\"subnets\": {\"not\": {\"const\": []}}}}, "
		      "\"else\": {\"required\": [\"vni\"]}",
};

static const struct schema_key tenant_keys[] = {
	{"vni", SCHEMA_VALUE, REQUIRED, &vni, .example = "5000",
	 .meaning = "The VNI that packets routed inside the tenant cross the underlay with, used nowhere else in the "
		    "fabric."},
	{"networks", SCHEMA_TABLE, .map = &schema_network, .meaning = "The networks of the tenant."},
	{},
};

const struct schema_map schema_tenant = {"tenant", tenant_keys};

static const struct schema_key port_keys[] = {
	{"node", SCHEMA_VALUE, REQUIRED, &node_name, .example = "dc1",
	 .meaning = "The node, one of the table nodes, that the workload is attached to."},
	{"interface", SCHEMA_VALUE, OPTIONAL, &interface, .absent = "required, but refused on a foreign node",
	 .example = "web1",
	 .meaning = "The interface on the node that the workload is behind: the node's end of a veth pair, or a tap.  "
		    "It may appear later; the port waits for it."},
	{"network", SCHEMA_VALUE, REQUIRED, &network_name, .example = "red/web",
	 .meaning = "The network that the port is in."},
	{"mac", SCHEMA_VALUE, REQUIRED, &mac, .example = "\"02:00:00:00:00:01\"",
	 .meaning = "The MAC address of the workload.  One owner in an l2 network, and one among the l3 networks of a "
		    "tenant."},
	{"addresses", SCHEMA_LIST, OPTIONAL, &address,
	 .absent = "any address of the subnets that nobody else has; required in an l3 network",
	 .example = "[10.0.1.11, \"fd00:1::11\"]",
	 .meaning = "The IP addresses of the workload, inside the subnets of its network; IPv6 link-local ones may be "
		    "added.  One owner in a tenant."},
	{"port_security", SCHEMA_VALUE, OPTIONAL, &boolean, .fallback = "true", .example = "false",
	 .meaning = "Whether packets from the workload must bear its MAC and IP addresses and no control protocol."},
	{"allow", SCHEMA_LIST, OPTIONAL, &allow, .absent = "nothing", .example = "[dhcp-server]",
	 .meaning = "What port security lets pass from this workload in addition."},
	{"storm_limit", SCHEMA_VALUE, OPTIONAL, &storm_limit, .absent = "that of its network", .example = "none",
	 .meaning = "How many frames a second this workload may have replicated.  l2 networks only."},
	{},
};

const struct schema_map schema_port = {"port", port_keys};

static const struct schema_key root_keys[] = {
	{"version", SCHEMA_VALUE, REQUIRED, &version, .example = "1", .meaning = "The version of this format."},
	{"fabric", SCHEMA_MAP, REQUIRED, .map = &schema_fabric, .meaning = "What holds for all of it."},
	{"sites", SCHEMA_TABLE, .map = &site,
	 .meaning = "The clouds and data centres: groups of nodes that reach each other over a network of their own."},
	{"nodes", SCHEMA_TABLE, .map = &schema_node,
	 .meaning = "The machines that run isthmusd, and foreign members of networks."},
	{"tenants", SCHEMA_TABLE, .map = &schema_tenant,
	 .meaning = "Isolated routing domains.  Tenants may use the same addresses."},
	{"ports", SCHEMA_TABLE, .map = &schema_port, .meaning = "Where workloads are attached."},
	{},
};

static const char *const later_keys[] = {"bgp", NULL};

const struct schema_map schema_root = {"configuration", root_keys, .later = later_keys};

/* ---- */

static const struct {
	unsigned number;
	const char *meaning;
} codes[] = {
#define X(symbol, number, meaning) [CONF_##symbol] = {number, meaning},
	CONF_CODES(X)
#undef X
};

unsigned conf_code_number(enum conf_code c)
{
	return codes[c].number;
}

const char *conf_code_meaning(unsigned number)
{
	for (size_t i = 0; i < CONF_CODE_MAX; i++)
		if (codes[i].number == number)
			return codes[i].meaning;
	return NULL;
}

const struct schema_key *schema_find(const struct schema_map *m, const char *name)
{
	for (const struct schema_key *k = m->keys; k->name; k++)
		if (strcmp(k->name, name) == 0)
			return k;
	return NULL;
}

uint32_t schema_word_value(const struct schema_type *t, const char *word)
{
	for (const struct schema_word *w = t->words; w->word; w++)
		if (strcmp(w->word, word) == 0)
			return w->value;
	return 0;
}
