/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kind.c - the fields of every object that the API answers with, in the order in which view.c and command.c write them.
 * doc/schema and the OpenAPI description are made from here.  Fields may be added; none is ever renamed or removed
 * inside isthmus/v1.
 */
#include "agent/view.h"

static const struct api_field site_fields[] = {
	{"name", "string", "unique name"},
	{"nodes", "string[]", "names of its nodes"},
	{0},
};
static const struct api_field path_fields[] = {
	{"local", "string", "outer source address"},
	{"remote", "string", "outer destination address"},
	{"interface", "string?", "the way out, null while there is no route"},
	{"mtu", "integer?", "of the path, bytes of outer packet"},
	{0},
};
static const struct api_field node_fields[] = {
	{"name", "string", "unique name"},
	{"site", "string", "the site it is in"},
	{"self", "boolean", "this is the node that answers"},
	{"foreign", "boolean", "does not run isthmusd"},
	{"underlay", "string[]", "its tunnel addresses"},
	{"networks", "string[]", "l2 networks that a foreign node belongs to"},
	{"ports", "integer", "number of its ports"},
	{"state", "string", "self, reachable, no-route, or no-common-family"},
	{"path", "#Path?", "how this node sends to it"},
	{0},
};
static const struct api_field tenant_fields[] = {
	{"name", "string", "unique name"},
	{"vni", "integer", "its L3 VNI"},
	{"networks", "string[]", "full names of its networks"},
	{"ports", "integer", "number of ports in it, on all nodes"},
	{0},
};
static const struct api_field network_fields[] = {
	{"name", "string", "tenant/network"},
	{"tenant", "string", "the tenant it belongs to"},
	{"mode", "string", "l2 or l3"},
	{"vni", "integer", "its own VNI; of an l3 network, the tenant's"},
	{"subnets", "string[]", "prefixes"},
	{"gateway", "string[]", "anycast gateway addresses"},
	{"encap", "string", "encapsulation"},
	{"encryption", "string", "never"},
	{"flood", "boolean", "unknown unicast is flooded"},
	{"stormLimit", "integer?", "frames replicated a second from each port, null = no limit"},
	{"ports", "integer", "number of ports in it, on all nodes"},
	{"localPorts", "integer", "of them on this node"},
	{0},
};
static const struct api_field port_fields[] = {
	{"name", "string", "unique name"},
	{"node", "string", "the node it is on"},
	{"local", "boolean", "on this node"},
	{"interface", "string?", "device on that node, null on a foreign one"},
	{"network", "string", "tenant/network"},
	{"mac", "string", "MAC of the workload"},
	{"addresses", "string[]", "addresses of the workload"},
	{"security", "boolean", "source MAC and addresses are checked"},
	{"allow", "string[]", "what it may send in spite of port security"},
	{"stormLimit", "integer?", "frames replicated a second, null = no limit"},
	{"source", "string", "file, or runtime (port add)"},
	{"state", "string", "up, waiting, down, failed, or remote"},
	{"reason", "string?", "why it is not up"},
	{"ifindex", "integer?", "of the device, local ports that have one"},
	{"mtu", "integer?", "of the device"},
	{"rxPackets", "integer?", "from the workload, as the device counts"},
	{"rxBytes", "integer?", "from the workload"},
	{"txPackets", "integer?", "to the workload"},
	{"txBytes", "integer?", "to the workload"},
	{0},
};
static const struct api_field mac_fields[] = {
	{"name", "string", "tenant/network/mac"},
	{"network", "string", "tenant/network"},
	{"vni", "integer", "the network's"},
	{"mac", "string", "the address"},
	{"port", "string", "whose it is"},
	{"node", "string", "where it is"},
	{"via", "string", "port NAME, node NAME, or none"},
	{"source", "string", "local or config"},
	{"installed", "boolean", "the data plane holds it"},
	{0},
};
static const struct api_field host_fields[] = {
	{"name", "string", "tenant/address"},
	{"tenant", "string", "routing domain"},
	{"network", "string", "tenant/network"},
	{"address", "string", "IPv4 or IPv6 address"},
	{"mac", "string", "answered to ARP and neighbour solicitations"},
	{"port", "string", "whose it is"},
	{"node", "string", "where it is"},
	{"via", "string", "port NAME, node NAME, or none"},
	{"source", "string", "local or config"},
	{"installed", "boolean", "the data plane holds it"},
	{0},
};
static const struct api_field route_fields[] = {
	{"name", "string", "tenant/prefix"},
	{"tenant", "string", "routing domain"},
	{"prefix", "string", "destination; a host is a /32 or /128"},
	{"network", "string", "tenant/network"},
	{"type", "string", "host, or subnet (an address nobody has is unreachable)"},
	{"via", "string", "port NAME, node NAME, or none"},
	{"node", "string?", "where it leads"},
	{"vtep", "string?", "outer destination"},
	{"encap", "string?", "encapsulation, null when local"},
	{"vni", "integer?", "that the packet travels in"},
	{"mtu", "integer?", "largest inner packet"},
	{"source", "string", "local or config"},
	{"installed", "boolean", "the data plane holds it"},
	{0},
};
static const struct api_field drop_fields[] = {
	{"name", "string", "of the reason"},
	{"meaning", "string", "for people"},
	{"packets", "integer", "dropped since the data plane was loaded"},
	{0},
};
static const struct api_field event_fields[] = {
	{"time", "string", "RFC 3339, UTC"},
	{"reason", "string", "name of the drop reason"},
	{"direction", "string", "from-port, from-wire, or to-port"},
	{"interface", "string?", "device"},
	{"port", "string?", "the port on that device"},
	{"network", "string?", "by VNI, where known"},
	{"vni", "integer?", "where known"},
	{"size", "integer", "bytes of the frame"},
	{"srcMac", "string?", "inner frame where it was a tunnel packet"},
	{"dstMac", "string?", ""},
	{"protocol", "string", "arp, tcp, udp, icmp, icmpv6, an IP protocol number, or an EtherType"},
	{"src", "string?", "source address (ARP: sender)"},
	{"dst", "string?", "destination address (ARP: target)"},
	{"srcPort", "integer?", "TCP and UDP"},
	{"dstPort", "integer?", "TCP and UDP"},
	{"outerSrc", "string?", "of a tunnel packet: the node that sent it"},
	{0},
};
static const struct api_field drop_list_fields[] = {
	{"items", "#Drop[]", "every reason, also those never met"},
	{"events", "#DropEvent[]", "the latest samples, oldest first"},
	{0},
};
static const struct api_field port_count_fields[] = {
	{"up", "integer", ""},
	{"waiting", "integer", "interface does not exist"},
	{"down", "integer", "interface is down"},
	{"failed", "integer", "could not be attached"},
	{"remote", "integer", "on other nodes"},
	{0},
};
static const struct api_field status_fields[] = {
	{"node", "string?", "this node"},
	{"site", "string?", "its site"},
	{"state", "string", "OK, or DEGRADED"},
	{"reasons", "string[]", "why it is not OK"},
	{"daemon", "string", "running, or not running (then from the pinned maps)"},
	{"version", "string", "of the program that answers"},
	{"pid", "integer?", "of the daemon"},
	{"uptimeSeconds", "integer?", "of the daemon"},
	{"generation", "integer", "applies since the daemon started"},
	{"ports", "#PortCount", "by state"},
	{"tenants", "integer", ""},
	{"networks", "integer", ""},
	{"remoteNodes", "integer", ""},
	{"endpoints", "integer", "ports on all nodes"},
	{"drops", "integer", "packets, all reasons"},
	{"repairs", "integer", "drift found and mended"},
	{0},
};
static const struct api_field plan_fields[] = {
	{"dryRun", "boolean", "nothing was done"},
	{"changed", "boolean", "there was (or would be) something to do"},
	{"steps", "string[]", "in order"},
	{"warnings", "string[]", "What is done and yet not as it should be: not saved for a restart."},
	{"generation", "integer", "of the configuration after it"},
	{0},
};
static const struct api_field check_fields[] = {
	{"name", "string", "stable name of the check"},
	{"state", "string", "ok, warn, or fail"},
	{"seen", "string", "what was found"},
	{"fix", "string?", "what to do; a command where that is possible"},
	{0},
};
static const struct api_field doctor_fields[] = {
	{"state", "string", "the worst of the checks: ok, warn, or fail"},
	{"checks", "#Check[]", ""},
	{0},
};
static const struct api_field version_fields[] = {
	{"version", "string", "of the daemon"},
	{"abi", "integer", "layout of the data plane's maps"},
	{"kernel", "string", "release"},
	{0},
};

const struct api_kind view_kinds[] = {
	{"Site", "A cloud or data centre.", site_fields},
	{"Path", "How this node sends to another.", path_fields, true},
	{"Node", "A machine of the fabric.", node_fields},
	{"Tenant", "An isolated routing domain.", tenant_fields},
	{"Network", "A network of a tenant.", network_fields},
	{"Port", "Where a workload attaches.", port_fields},
	{"Mac", "A MAC of an l2 network and where it is.", mac_fields},
	{"Host", "An address and where it is.", host_fields},
	{"Route", "A destination and the way to it.", route_fields},
	{"Drop", "A reason to drop packets, with its counter.", drop_fields},
	{"DropEvent", "One sampled drop.", event_fields, true},
	{"DropList", "All drop reasons, and samples.", drop_list_fields},
	{"PortCount", "Ports of this node by state, and those of others.", port_count_fields, true},
	{"Status", "How the node is.", status_fields},
	{"Plan", "What an apply did or would do.", plan_fields},
	{"Check", "One check of the doctor.", check_fields, true},
	{"DoctorReport", "What the doctor found.", doctor_fields},
	{"Version", "Versions.", version_fields},
};
const size_t view_n_kinds = sizeof(view_kinds) / sizeof(view_kinds[0]);
