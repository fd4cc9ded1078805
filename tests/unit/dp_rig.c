/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/bpf.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "dp_rig.h"

struct addr address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

struct mac mac(const char *text)
{
	struct mac m;

	assert_int_equal(mac_parse(text, &m), 0);
	return m;
}

/* ---- entries ----------------------------------------------------------------------------------------------------- */

struct fwd a_port_nexthop(uint64_t owner, uint32_t ifindex)
{
	return (struct fwd){
		.kind = FWD_NEXTHOP,
		.nexthop = {.owner = owner, .type = FWD_NEXTHOP_PORT, .ifindex = ifindex, .peer = true, .mtu = 1500}};
}

struct fwd a_tunnel(uint64_t owner, const char *remote, const char *local)
{
	return (struct fwd){.kind = FWD_NEXTHOP,
			    .nexthop = {.owner = owner,
					.type = FWD_NEXTHOP_TUNNEL,
					.encap = FWD_ENCAP_VXLAN,
					.router_mac = mac("02:00:00:00:00:aa"),
					.remote = address(remote),
					.local = address(local),
					.mtu = 1450}};
}

struct fwd a_member(const char *source)
{
	return (struct fwd){.kind = FWD_MEMBER,
			    .member = {.source = address(source),
				       .vni = 5001,
				       .encap = FWD_ENCAP_VXLAN,
				       .vrf = 5000,
				       .foreign = true}};
}

struct fwd a_prefix(const char *text)
{
	struct fwd f = {.kind = FWD_PREFIX, .prefix = {.vrf = 5000, .vni = 5001}};

	assert_int_equal(prefix_parse(text, &f.prefix.prefix), 0);
	return f;
}

struct fwd a_host(const char *text, uint64_t owner)
{
	return (struct fwd){.kind = FWD_HOST,
			    .host = {.vrf = 5000,
				     .addr = address(text),
				     .nexthop = owner,
				     .vni = 5001,
				     .mac = mac("02:00:00:00:00:01"),
				     .gateway = owner == 0}};
}

struct fwd a_mac(const char *text, uint64_t owner)
{
	return (struct fwd){.kind = FWD_MAC, .mac = {.vni = 5001, .mac = mac(text), .nexthop = owner}};
}

struct fwd a_port(uint32_t ifindex)
{
	return (struct fwd){.kind = FWD_PORT,
			    .port = {.ifindex = ifindex,
				     .owner = PORT_OWNER,
				     .vni = 5001,
				     .vrf = 5000,
				     .flags = PORT_SECURITY,
				     .mac = mac("02:00:00:00:00:01"),
				     .gateway4 = address("10.0.1.1"),
				     .gateway6 = address("fd00:1::1")}};
}

struct fwd a_flood(uint32_t vni, uint64_t owner)
{
	return (struct fwd){.kind = FWD_FLOOD, .flood = {.vni = vni, .nexthop = owner}};
}


/* One of everything, in the order of installation. */
void full_state(struct fwd out[N_FULL])
{
	const struct fwd all[N_FULL] = {
		a_port_nexthop(PORT_OWNER, 7),
		a_tunnel(TUNNEL_OWNER, "198.51.100.21", "192.0.2.11"),
		a_tunnel(TUNNEL6_OWNER, "2001:db8::21", "2001:db8::11"),
		a_member("198.51.100.21"),
		a_member("2001:db8::21"),
		a_prefix("10.0.1.0/24"),
		a_prefix("fd00:1::/64"),
		a_host("10.0.1.1", 0),
		a_host("10.0.1.11", PORT_OWNER),
		a_host("fd00:1::12", TUNNEL_OWNER),
		a_mac("02:00:00:00:00:01", PORT_OWNER),
		a_mac("02:00:00:00:00:02", TUNNEL_OWNER),
		a_port(7),
		a_flood(5001, PORT_OWNER),
		a_flood(5001, TUNNEL_OWNER),
	};

	memcpy(out, all, sizeof(all));
}

int put_all(struct datapath *dp)
{
	struct fwd all[N_FULL];
	int written = 0;

	full_state(all);
	for (size_t i = 0; i < N_FULL; i++) {
		int r = table_put(dp, &all[i]);

		if (r < 0)
			fail_msg("entry %zu: %s", i, datapath_error());
		written += r;
	}
	return written;
}

/* ---- helpers ----------------------------------------------------------------------------------------------------- */

struct datapath *open_it(const struct world *w, bool read_only)
{
	const struct datapath_options options = {.bpf_dir = w->bpf_dir, .read_only = read_only};
	struct datapath *dp = NULL;

	if (datapath_open(&options, &dp) < 0)
		fail_msg("%s", datapath_error());
	return dp;
}

int load_full(struct world *w)
{
	int written;

	w->dp = open_it(w, false);
	datapath_sync_begin(w->dp);
	written = put_all(w->dp);
	if (datapath_sync_end(w->dp) < 0)
		fail_msg("%s", datapath_error());
	return written;
}

void close_it(struct world *w)
{
	datapath_close(w->dp);
	w->dp = NULL;
}

bool pin_exists(const struct world *w, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", w->bpf_dir, name);
	return access(path, F_OK) == 0;
}

int pinned(const struct world *w, const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", w->bpf_dir, name);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	return fd;
}

uint32_t make_veth(const char *a, const char *b)
{
	assert_int_equal(run("ip link add %s type veth peer name %s", a, b), 0);
	return if_nametoindex(a);
}

int filters_on(const char *device)
{
	char command[256], line[256];
	FILE *f;
	int n = 0;

	snprintf(command, sizeof(command), "tc filter show dev %s ingress; tc filter show dev %s egress", device,
		 device);
	f = popen(command, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, "port_ingress:[") || strstr(line, "port_egress:[") || strstr(line, "wire_ingress:[");
	pclose(f);
	return n;
}

bool has_clsact(const char *device)
{
	return run("tc qdisc show dev %s | grep -q clsact", device) == 0;
}

int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w || sandbox_enter(&w->box) < 0)
		return -1;
	snprintf(w->bpf_dir, sizeof(w->bpf_dir), "%s/bpf", w->box.directory);
	*state = w;
	return 0;
}

int teardown(void **state)
{
	struct world *w = *state;

	datapath_close(w->dp);
	sandbox_leave(&w->box);
	free(w);
	return 0;
}

uint32_t id_of(const struct world *w, uint64_t owner)
{
	int fd = pinned(w, PIN("nexthops"));
	uint32_t found = 0;

	for (uint32_t id = 1; id < 64 && !found; id++) {
		struct abi_nexthop n;

		assert_int_equal(bpf_map_lookup_elem(fd, &id, &n), 0);
		if (n.owner == owner)
			found = id;
	}
	close(fd);
	return found;
}

uint32_t slot_value(const struct world *w, uint32_t vni, uint16_t kind, uint16_t slot)
{
	const struct abi_flood_key key = {.vni = vni, .kind = kind, .slot = slot};
	struct abi_flood value;
	int fd = pinned(w, PIN("floods")), r = bpf_map_lookup_elem(fd, &key, &value);

	close(fd);
	return r < 0 ? UINT32_MAX : value.nexthop;
}
