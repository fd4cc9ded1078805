/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/schema.h"

#include <string.h>

#include "model/config.h"

/* ---- words ---- */

static const struct schema_word encaps[] = {
	{"vxlan", "Ethernet in UDP (RFC 7348)", CONFIG_ENCAP_VXLAN},
	{"none", "l3 networks of one tenant: packets as they are, by host routes in the kernel", CONFIG_ENCAP_NONE},
	{"geneve", "", .unsupported = true},
	{"nvgre", "", .unsupported = true},
	{"gre", "", .unsupported = true},
	{"stt", "", .unsupported = true},
	{},
};

static const struct schema_word encryptions[] = {
	{"never", "packets cross the underlay in clear text", CONFIG_ENCRYPTION_NEVER},
	{"between-sites", "encrypted to nodes of other sites, and never sent to them otherwise",
	 CONFIG_ENCRYPTION_BETWEEN_SITES},
	{"always", "encrypted to every other node, and never sent otherwise", CONFIG_ENCRYPTION_ALWAYS},
	{},
};

static const struct schema_word pair_encryptions[] = {
	{"never", "packets cross the underlay in clear text", 0},
	{"always", "encrypted, and never sent otherwise", 1},
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

static const struct schema_word meshes[] = {
	{"auto", "every node with every other, unless there are reflectors", CONFIG_MESH_AUTO},
	{"none", "no sessions but those with reflectors and neighbors", CONFIG_MESH_NONE},
	{},
};

static const struct schema_word families[] = {
	{"evpn", "L2VPN EVPN (RFC 7432, RFC 9136)", ROUTE_FAMILY_BIT(ROUTE_EVPN)},
	{"ipv4", "IPv4 unicast", ROUTE_FAMILY_BIT(ROUTE_IPV4)},
	{"ipv6", "IPv6 unicast", ROUTE_FAMILY_BIT(ROUTE_IPV6)},
	{},
};

static const struct schema_word grants[] = {
	{"all", "all tenants, those to come too", 1},
	{"none", "no routes", 0},
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
	encap = {"word", "vxlan or none", type_check_word, .words = encaps},
	encryption = {"word", "never, between-sites or always", type_check_word, .words = encryptions},
	pair_encryption = {"word", "never or always", type_check_word, .words = pair_encryptions},
	public_key = {"public key", "44 characters, as \"isthmus key show\" prints them on the node", type_check_key,
		      .json = "\"type\": \"string\", \"pattern\": \"^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$\""},
	key_path = {"path", "the absolute path of a file, such as /etc/isthmus/preshared.key", type_check_path,
		    .json = "\"type\": \"string\", \"pattern\": \"^/.*[^/]$\""},
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
	peer = {"address", "an address that the nodes reach, such as 192.0.2.1", type_check_underlay,
		.json = "\"type\": \"string\", \"anyOf\": [{\"format\": \"ipv4\"}, {\"format\": \"ipv6\"}], "
			"\"pattern\": \"^[0-9A-Fa-f.:]+$\""},
	subnet = {"subnet", "an address and a prefix length, such as 10.0.1.0/24", type_check_subnet,
		  .json = "\"type\": \"string\", \"pattern\": \"^[0-9A-Fa-f.:]+/(0|[1-9][0-9]{0,2})$\""},
	as = {"AS number", "a whole number from 1 to 4294967294, but 23456 and 65535", type_check_as, .low = 1,
	      .high = 4294967294, .bare = true,
	      .json = "\"type\": \"integer\", \"minimum\": 1, \"maximum\": 4294967294, \"not\": {\"enum\": [23456, 65535]}"},
	hold = {"seconds", "0, or a whole number from 3 to 65535", type_check_hold, .low = 0, .high = 65535, .bare = true,
		.json = "\"type\": \"integer\", \"minimum\": 0, \"maximum\": 65535, \"not\": {\"enum\": [1, 2]}"},
	restart = {"seconds", "a whole number from 0 to 4095", type_check_number, .low = 0, .high = 4095, .bare = true},
	tcp_port = {"TCP port", "a whole number from 1 to 65535", type_check_number, .low = 1, .high = 65535,
		    .bare = true},
	hops = {"number", "a whole number from 1 to 255", type_check_number, .low = 1, .high = 255, .bare = true},
	prefix_limit = {"number or none", "a whole number from 1 to 4294967295, or none", type_check_limit, .low = 1,
			.high = 4294967295, .words = limits, .bare = true,
			.json = "\"anyOf\": [{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 4294967295}, "
				"{\"const\": \"none\"}]"},
	mesh = {"word", "auto or none", type_check_word, .words = meshes},
	family = {"word", "evpn, ipv4 or ipv6", type_check_word, .words = families},
	grant = {"name or word", "names of tenants, or all or none alone", type_check_name, .words = grants,
		 .json = "\"type\": \"string\", \"pattern\": \"^" NAME_PATTERN "$\""},
	target = {"route target", "AS:NUMBER or IPV4:NUMBER in quotes, such as \"65000:5000\"", type_check_target,
		  .json = "\"type\": \"string\", \"pattern\": \"^[0-9.]+:[0-9]+$\""},
	router_id = {"router id", "four numbers of an IPv4 address, such as 192.0.2.11", type_check_router_id,
		     .json = "\"type\": \"string\", \"format\": \"ipv4\", \"pattern\": \"^[0-9.]+$\""},
	path = {"path", "the absolute path of a file, such as /etc/isthmus/bgp.key", type_check_path,
		.json = "\"type\": \"string\", \"pattern\": \"^/.*[^/]$\""},
	wg_key = {"public key", "44 characters, as \"wg pubkey\" prints them", type_check_key,
		  .json = "\"type\": \"string\", \"pattern\": \"^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$\""},
	endpoint = {"endpoint", "an address and a UDP port, such as 198.51.100.7:51820 or [2001:db8::7]:51820",
		    type_check_endpoint, .json = "\"type\": \"string\", \"pattern\": \"^([0-9.]+|\\\\[[0-9A-Fa-f.:]+\\\\]):[0-9]+$\""},
	keepalive = {"seconds", "a whole number from 1 to 65535", type_check_number, .low = 1, .high = 65535, .bare = true},
	line = {"text", "a line of text of 1 to 63 bytes", type_check_line, .low = 1, .high = CONFIG_DESCRIPTION_MAX,
		.json = "\"type\": \"string\", \"minLength\": 1, \"maxLength\": 63"},
	mac = {"MAC address", "a unicast MAC address, such as 02:00:00:00:00:01", type_check_mac,
	       .json = "\"type\": \"string\", \"pattern\": \"^[0-9A-Fa-f][02468ACEace](:[0-9A-Fa-f]{2}){5}$\""};

/* ---- keys ---- */

enum { OPTIONAL, REQUIRED };

static const char per_family[] = "one of each address family";

static const struct schema_key fabric_keys[] = {
	{"encryption", SCHEMA_VALUE, OPTIONAL, &encryption, .fallback = "between-sites", .example = "always",
	 .meaning = "Whether packets between nodes are encrypted, where a network or a pair of sites does not say "
		    "otherwise.  What is to be encrypted and cannot be is dropped.  Clear text has to be written: never."},
	{"wireguard_port", SCHEMA_VALUE, OPTIONAL, &udp_port, .fallback = "51820", .example = "51820",
	 .meaning = "The UDP port that encrypted packets go to, the same on every node."},
	{"preshared_key_file", SCHEMA_VALUE, OPTIONAL, &key_path, .absent = "no preshared key",
	 .example = "/etc/isthmus/preshared.key",
	 .meaning = "A file with a secret of 32 bytes in base64, as \"wg genpsk\" makes it, the same on every node.  It is "
		    "mixed into the keys of every session, so that what is recorded today stays closed to whoever breaks "
		    "X25519 one day."},
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

static const struct schema_key pair_keys[] = {
	{"sites", SCHEMA_LIST, REQUIRED, &site_name, .min_items = 1, .max_items = 2, .max_why = "the two ends",
	 .example = "[aws, dc]",
	 .meaning = "The two sites between whose nodes it holds; one alone: between the nodes of that site."},
	{"encryption", SCHEMA_VALUE, REQUIRED, &pair_encryption, .example = "always",
	 .meaning = "Whether packets between these nodes are encrypted, where their network does not say otherwise."},
	{"preshared_key_file", SCHEMA_VALUE, OPTIONAL, &key_path, .absent = "fabric.preshared_key_file",
	 .example = "/etc/isthmus/aws-dc.key", .meaning = "As fabric.preshared_key_file, for these nodes."},
	{},
};

const struct schema_map schema_pair = {"pair of sites", pair_keys};

static const struct schema_key node_keys[] = {
	{"site", SCHEMA_VALUE, REQUIRED, &site_name, .example = "dc",
	 .meaning = "The site, one of the table sites, that the node is in."},
	{"underlay", SCHEMA_LIST, REQUIRED, &underlay, .min_items = 1, .max_items = 2, .max_why = per_family,
	 .example = "192.0.2.11",
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
	{"public_key", SCHEMA_VALUE, OPTIONAL, &public_key, .absent = "nothing encrypted is sent to or taken from it",
	 .example = "\"pTNTykAcM5Ps/XfaJPqTrhbaqnfxtIzR1qtGUX+FLQY=\"",
	 .meaning = "What the other nodes know it by: isthmus key show prints it there.  The secret part is made when isthmusd "
		    "starts there for the first time, and never leaves the node."},
	{"nat", SCHEMA_VALUE, OPTIONAL, &boolean, .fallback = "false", .example = "true",
	 .meaning = "True for a node that other sites cannot send to until it has sent to them, as it is behind a NAT or a "
		    "firewall.  It keeps the way open (every 25 seconds), and is sent to where its packets come from.  Only "
		    "encrypted packets reach it so."},
	{"relay", SCHEMA_VALUE, OPTIONAL, &boolean, .fallback = "false", .example = "true",
	 .meaning = "True for a node that carries encrypted packets between nodes that do not reach each other, and reach it.  It "
		    "cannot open them.  With two of them one may fail."},
	{"router_id", SCHEMA_VALUE, OPTIONAL, &router_id,
	 .absent = "the IPv4 underlay address, or where there is none a number made from the name", .example = "192.0.2.11",
	 .meaning = "The BGP identifier of the node, which no other has; it is in the route distinguishers of its routes "
		    "too."},
	{"networks", SCHEMA_LIST, OPTIONAL, &network_name, .absent = "those of its ports", .example = "[red/web]",
	 .meaning = "The l2 networks that a foreign node is a member of, beside those of its ports."},
	{},
};

const struct schema_map schema_node = {
	"node", node_keys,
	.json_rules = "\"if\": {\"properties\": {\"foreign\": {\"const\": true}}, \"required\": [\"foreign\"]}, "
		      "\"then\": {\"properties\": {\"interfaces\": false, \"router_id\": false, \"public_key\": false, \"nat\": false, \"relay\": false}}, "
		      "\"else\": {\"properties\": {\"networks\": false}}",
};

static const struct schema_key target_keys[] = {
	{"import", SCHEMA_LIST, OPTIONAL, &target, .min_items = 1, .max_items = CONFIG_MAX_TARGETS,
	 .absent = "the automatic one, AS:VNI", .example = "[\"65000:5000\"]",
	 .meaning = "Routes that carry one of these are taken."},
	{"export", SCHEMA_LIST, OPTIONAL, &target, .min_items = 1, .max_items = CONFIG_MAX_TARGETS,
	 .absent = "the automatic one, AS:VNI", .example = "[\"65000:5000\", \"192.0.2.1:7\"]",
	 .meaning = "Routes of these nodes carry all of these."},
	{},
};

const struct schema_map schema_targets = {"route targets of a network", target_keys};
static const struct schema_map tenant_targets = {"route targets of a tenant", target_keys};

static const struct schema_key network_keys[] = {
	{"mode", SCHEMA_VALUE, REQUIRED, &mode, .example = "l2", .meaning = "What kind of network it is."},
	{"vni", SCHEMA_VALUE, OPTIONAL, &vni, .absent = "required in an l2 network, refused in an l3 network",
	 .example = "5001",
	 .meaning = "The VNI of an l2 network, used nowhere else in the fabric.  An l3 network uses its tenant's."},
	{"subnets", SCHEMA_LIST, OPTIONAL, &subnet, .absent = "required in an l3 network",
	 .example = "[10.0.1.0/24, \"fd00:1::/64\"]",
	 .meaning = "The addresses of the network; subnets of one tenant do not overlap.  Tenants may use the same "
		    "ones."},
	{"gateway", SCHEMA_LIST, OPTIONAL, &address, .max_items = 2, .max_why = per_family, .absent = "no gateway address",
	 .example = "[10.0.1.1, \"fd00:1::1\"]",
	 .meaning = "The addresses of the gateway, at most one of each family, inside the subnets.  Every node answers "
		    "for them."},
	{"encap", SCHEMA_VALUE, OPTIONAL, &encap, .absent = "fabric.encap", .example = "vxlan",
	 .meaning = "How packets of this network are encapsulated."},
	{"encryption", SCHEMA_VALUE, OPTIONAL, &encryption, .absent = "as site_pairs and fabric.encryption say",
	 .example = "always",
	 .meaning = "Whether packets of this network are encrypted.  What is routed in a tenant is encrypted where any of "
		    "its networks asks for it."},
	{"flood", SCHEMA_VALUE, OPTIONAL, &boolean, .fallback = "false", .example = "true",
	 .meaning = "Whether frames to a MAC address that is not in the configuration go to every member, for foreign "
		    "nodes whose endpoints are not all declared.  l2 networks only."},
	{"storm_limit", SCHEMA_VALUE, OPTIONAL, &storm_limit, .absent = "fabric.storm_limit", .example = "1000",
	 .meaning = "How many frames a second each of its workloads may have replicated.  l2 networks only."},
	{"route_targets", SCHEMA_MAP, .map = &schema_targets,
	 .meaning = "Route targets instead of the automatic one, AS:VNI with the VNI of the network.  l2 networks only: the "
		    "routes of an l3 network have its tenant's."},
	{},
};

const struct schema_map schema_network = {
	"network", network_keys,
	.json_rules = "\"if\": {\"properties\": {\"mode\": {\"const\": \"l3\"}}, \"required\": [\"mode\"]}, "
		      "\"then\": {\"required\": [\"subnets\"], \"properties\": {\"vni\": false, \"flood\": false, \"storm_limit\": false, \"route_targets\": false, "
		      "\"subnets\": {\"not\": {\"const\": []}}}}, "
		      "\"else\": {\"required\": [\"vni\"]}",
};

static const struct schema_key tenant_keys[] = {
	{"vni", SCHEMA_VALUE, REQUIRED, &vni, .example = "5000",
	 .meaning = "The VNI that packets routed inside the tenant cross the underlay with, used nowhere else in the "
		    "fabric."},
	{"route_targets", SCHEMA_MAP, .map = &tenant_targets,
	 .meaning = "Route targets instead of the automatic one, AS:VNI with the VNI of the tenant, for what is routed in it."},
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
	 .meaning = "Whether packets from the workload must bear its MAC and IP addresses and no control protocol.  "
		    "What leaves without encapsulation bears its IP address in any case."},
	{"allow", SCHEMA_LIST, OPTIONAL, &allow, .absent = "nothing", .example = "[dhcp-server]",
	 .meaning = "What port security lets pass from this workload in addition."},
	{"storm_limit", SCHEMA_VALUE, OPTIONAL, &storm_limit, .absent = "that of its network", .example = "none",
	 .meaning = "How many frames a second this workload may have replicated.  l2 networks only."},
	{},
};

const struct schema_map schema_port = {"port", port_keys};

static const struct schema_key peer_keys[] = {
	{"node", SCHEMA_VALUE, REQUIRED, &node_name, .example = "dc1",
	 .meaning = "The node, one of the table nodes, that it has its tunnel with.  It needs a public_key."},
	{"network", SCHEMA_VALUE, REQUIRED, &network_name, .example = "red/app", .meaning = "The l3 network that it is in."},
	{"public_key", SCHEMA_VALUE, REQUIRED, &wg_key, .example = "\"xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\"",
	 .meaning = "Its public key, which nobody else has: \"wg pubkey\" makes it of its private one."},
	{"addresses", SCHEMA_LIST, REQUIRED, &address, .min_items = 1, .example = "[10.0.2.100, \"fd00:2::100\"]",
	 .meaning = "Its IP addresses, inside the subnets of its network.  One owner in a tenant.  What it sends from others "
		    "is dropped."},
	{"preshared_key_file", SCHEMA_VALUE, OPTIONAL, &key_path, .absent = "no preshared key",
	 .example = "/etc/isthmus/laptop.key",
	 .meaning = "A file on the node with a secret of 32 bytes in base64, as \"wg genpsk\" makes it, that the peer has too."},
	{"endpoint", SCHEMA_VALUE, OPTIONAL, &endpoint, .absent = "it is where its packets come from",
	 .example = "198.51.100.7:51820", .meaning = "Where the node finds it before it has sent anything."},
	{"keepalive", SCHEMA_VALUE, OPTIONAL, &keepalive, .absent = "the node sends nothing to keep a way open",
	 .example = "25",
	 .meaning = "After how many seconds of silence the node sends it an empty packet.  Only a node behind a NAT needs it; "
		    "a peer behind one has a keepalive of its own."},
	{},
};

const struct schema_map schema_peer = {"peer", peer_keys};

static const struct schema_key neighbor_keys[] = {
	{"address", SCHEMA_VALUE, REQUIRED, &peer, .example = "192.0.2.1",
	 .meaning = "Where it is.  No other neighbor of the same node has this address."},
	{"remote_as", SCHEMA_VALUE, REQUIRED, &as, .example = "65001",
	 .meaning = "Its AS.  Equal to bgp.as: an internal session, else an external one."},
	{"families", SCHEMA_LIST, OPTIONAL, &family, .min_items = 1,
	 .absent = "evpn, ipv4 and ipv6 inside the AS, ipv4 and ipv6 between ASes", .example = "[evpn]",
	 .meaning = "What routes are about.  Those that the neighbor has too are used.  Networks without encapsulation are in "
		    "ipv4 and ipv6, all others in evpn."},
	{"nodes", SCHEMA_LIST, OPTIONAL, &node_name, .min_items = 1, .absent = "all nodes that are not foreign",
	 .example = "[dc1]",
	 .meaning = "Which nodes peer with it."},
	{"password_file", SCHEMA_VALUE, OPTIONAL, &path, .absent = "no TCP MD5", .example = "/etc/isthmus/spine1.key",
	 .meaning = "A file with the key for TCP MD5 (RFC 2385), 1 to 80 bytes in one line."},
	{"ttl_security", SCHEMA_VALUE, OPTIONAL, &hops, .absent = "it may be anywhere", .example = "1",
	 .meaning = "How many hops away it is at most; packets from farther away are not taken (RFC 5082).  It has to "
		    "send with a TTL of 255, too."},
	{"maximum_prefix", SCHEMA_VALUE, OPTIONAL, &prefix_limit, .absent = "none", .example = "1000000",
	 .meaning = "How many routes it may bring of each family.  With one more the session is ended, and tried again "
		    "later and later."},
	{"import", SCHEMA_LIST, OPTIONAL, &grant, .min_items = 1,
	 .absent = "all inside the AS, none between ASes (RFC 8212)", .example = "[red]",
	 .meaning = "Of which tenants its routes are taken."},
	{"export", SCHEMA_LIST, OPTIONAL, &grant, .min_items = 1,
	 .absent = "all inside the AS, none between ASes (RFC 8212)", .example = "[red]",
	 .meaning = "Of which tenants it is told the routes.  A change takes effect within the session: what it may not be told "
		    "any more is withdrawn, and of other tenants it hears nothing."},
	{"hold_time", SCHEMA_VALUE, OPTIONAL, &hold, .absent = "bgp.hold_time", .example = "9",
	 .meaning = "As bgp.hold_time, for this neighbor."},
	{"restart_time", SCHEMA_VALUE, OPTIONAL, &restart, .absent = "bgp.restart_time", .example = "0",
	 .meaning = "As bgp.restart_time, for this neighbor."},
	{"disable_family", SCHEMA_VALUE, OPTIONAL, &boolean, .fallback = "false", .example = "true",
	 .meaning = "Whether a family of which it sends routes that cannot be read is disabled until the session begins anew, "
		    "instead of the session being reset (RFC 7606)."},
	{"passive", SCHEMA_VALUE, OPTIONAL, &boolean, .fallback = "false", .example = "true",
	 .meaning = "Whether to wait for it to connect."},
	{"shutdown", SCHEMA_VALUE, OPTIONAL, &boolean, .fallback = "false", .example = "true",
	 .meaning = "Whether to keep the session down."},
	{"description", SCHEMA_VALUE, OPTIONAL, &line, .absent = "none", .example = "spine of rack 1",
	 .meaning = "A text for people."},
	{},
};

const struct schema_map schema_neighbor = {"neighbor", neighbor_keys};

static const struct schema_key bgp_keys[] = {
	{"as", SCHEMA_VALUE, REQUIRED, &as, .example = "65000", .meaning = "The AS of all nodes."},
	{"mesh", SCHEMA_VALUE, OPTIONAL, &mesh, .fallback = "auto", .example = "none",
	 .meaning = "With whom nodes that are not foreign have internal sessions of their own accord."},
	{"reflectors", SCHEMA_LIST, OPTIONAL, &peer, .absent = "the mesh", .example = "[192.0.2.1, 192.0.2.2]",
	 .meaning = "The addresses of route reflectors in the same AS, which all nodes that are not foreign peer with "
		    "instead of with each other.  They are told, and may tell, all routes of all families."},
	{"hold_time", SCHEMA_VALUE, OPTIONAL, &hold, .fallback = "90", .example = "9",
	 .meaning = "After how many seconds without a word a neighbor is taken for gone; 0: never."},
	{"restart_time", SCHEMA_VALUE, OPTIONAL, &restart, .fallback = "120", .example = "300",
	 .meaning = "How many seconds neighbors are asked to keep the routes of a node whose daemon restarts (RFC 4724); "
		    "0: no graceful restart."},
	{"port", SCHEMA_VALUE, OPTIONAL, &tcp_port, .fallback = "179", .example = "1179",
	 .meaning = "The TCP port that nodes listen on and connect to."},
	{"password_file", SCHEMA_VALUE, OPTIONAL, &path, .absent = "no TCP MD5", .example = "/etc/isthmus/bgp.key",
	 .meaning = "A file with the key for TCP MD5 (RFC 2385), 1 to 80 bytes in one line, for the sessions of the mesh and "
		    "with reflectors."},
	{"neighbors", SCHEMA_TABLE, .map = &schema_neighbor, .meaning = "Other routers that nodes peer with."},
	{},
};

const struct schema_map schema_bgp = {
	"bgp", bgp_keys,
	.json_rules = "\"if\": {\"properties\": {\"mesh\": {\"const\": \"none\"}, \"reflectors\": {\"const\": []}}, "
		      "\"required\": [\"mesh\"]}, \"then\": {\"properties\": {\"password_file\": false}}",
};

static const struct schema_key root_keys[] = {
	{"version", SCHEMA_VALUE, REQUIRED, &version, .example = "1", .meaning = "The version of this format."},
	{"fabric", SCHEMA_MAP, OPTIONAL, .map = &schema_fabric, .meaning = "What holds for all of it."},
	{"sites", SCHEMA_TABLE, .map = &site,
	 .meaning = "The clouds and data centres: groups of nodes that reach each other over a network of their own."},
	{"site_pairs", SCHEMA_TABLE, .map = &schema_pair,
	 .meaning = "What holds between the nodes of two sites, or within one; the names are for people."},
	{"nodes", SCHEMA_TABLE, .map = &schema_node,
	 .meaning = "The machines that run isthmusd, and foreign members of networks."},
	{"tenants", SCHEMA_TABLE, .map = &schema_tenant,
	 .meaning = "Isolated routing domains.  Tenants may use the same addresses."},
	{"ports", SCHEMA_TABLE, .map = &schema_port, .meaning = "Where workloads are attached."},
	{"peers", SCHEMA_TABLE, .map = &schema_peer,
	 .meaning = "Laptops, routers and machines without isthmusd that join an l3 network with a WireGuard program, through "
		    "a node.  Each is a port of it: what is said of ports holds for it.  isthmus peer config prints what it "
		    "needs."},
	{"bgp", SCHEMA_MAP, .map = &schema_bgp,
	 .meaning = "Routes by BGP: nodes tell each other, and other routers, what is behind them.  Without it there is "
		    "only what this file says."},
	{},
};

#define NO_TARGETS "\"properties\": {\"route_targets\": false"

const struct schema_map schema_root = {
	"configuration", root_keys,
	.json_rules = "\"if\": {\"not\": {\"required\": [\"bgp\"]}}, \"then\": {\"properties\": {"
		      "\"nodes\": {\"additionalProperties\": {\"properties\": {\"router_id\": false}}}, "
		      "\"tenants\": {\"additionalProperties\": {" NO_TARGETS ", "
		      "\"networks\": {\"additionalProperties\": {" NO_TARGETS "}}}}}}}}",
};

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
