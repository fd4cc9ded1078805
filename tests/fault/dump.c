/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dump-maps BPF-DIR [used]: what the pinned maps say, as sorted lines that depend on nothing but the configuration: identifiers
 * of next hops are replaced by what they stand for, and replication lists are sets.  Two daemons that want the same thing
 * have equal dumps, whatever happened to each before.  Counters and events are left out.
 * used: also how many next hops there are, which takes longer.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/abi.h"

enum { KEY_MAX = 64, VALUE_MAX = 256, LINE_MAX_ = 1024 };

static const char *directory;
static char **lines;
static size_t n_lines;

static int open_map(const char *name)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s_v%d", directory, name, ABI_VERSION);
	fd = bpf_obj_get(path);
	if (fd < 0) {
		fprintf(stderr, "dump-maps: %s: %s\n", path, strerror(errno));
		exit(1);
	}
	return fd;
}

static void hex(char *out, const void *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		sprintf(out + 2 * i, "%02x", ((const unsigned char *)bytes)[i]);
	out[2 * size] = 0;
}

static void add(const char *kind, const char *key, const char *value, const char *nexthop)
{
	char line[LINE_MAX_];

	snprintf(line, sizeof(line), "%s %s %s %s", kind, key, value, nexthop);
	lines = reallocarray(lines, n_lines + 1, sizeof(*lines));
	if (!lines || !(lines[n_lines++] = strdup(line)))
		abort();
}

static void nexthop_text(int nexthops, __u32 id, char *out)
{
	struct abi_nexthop n = {0};

	if (bpf_map_lookup_elem(nexthops, &id, &n) < 0)
		strcpy(out, "missing");
	else if (n.type == NEXTHOP_NONE)
		strcpy(out, "none");
	else
		hex(out, &n, sizeof(n));
}

/* at: where in the value the identifier of a next hop is; -1 = nowhere. */
static void dump_hash(const char *name, int nexthops, size_t key_size, size_t value_size, int at)
{
	unsigned char key[KEY_MAX], value[VALUE_MAX];
	char key_hex[2 * KEY_MAX + 1], value_hex[2 * VALUE_MAX + 1], nexthop[2 * sizeof(struct abi_nexthop) + 1];
	int fd = open_map(name);

	for (void *last = NULL; bpf_map_get_next_key(fd, last, key) == 0; last = key) {
		if (bpf_map_lookup_elem(fd, key, value) < 0)
			continue;
		nexthop[0] = 0;
		if (at >= 0) {
			__u32 id;

			memcpy(&id, value + at, sizeof(id));
			memset(value + at, 0, sizeof(id));
			nexthop_text(nexthops, id, nexthop);
		}
		hex(key_hex, key, key_size);
		hex(value_hex, value, value_size);
		add(name, key_hex, value_hex, nexthop);
	}
}

/* Slot 0 is the count, 0 a hole; the order of slots is of no meaning. */
static void dump_floods(int nexthops)
{
	char list[64], nexthop[2 * sizeof(struct abi_nexthop) + 1];
	struct abi_flood_key key;
	struct abi_flood flood, count;
	int fd = open_map("floods");

	for (void *last = NULL; bpf_map_get_next_key(fd, last, &key) == 0; last = &key) {
		struct abi_flood_key first = {.vni = key.vni, .kind = key.kind};

		if (bpf_map_lookup_elem(fd, &key, &flood) < 0 || key.slot == 0 || flood.nexthop == 0)
			continue;
		snprintf(list, sizeof(list), "%u/%u", key.vni, key.kind);
		if (bpf_map_lookup_elem(fd, &first, &count) < 0 || key.slot > count.nexthop)
			strcpy(nexthop, "beyond the count");
		else
			nexthop_text(nexthops, flood.nexthop, nexthop);
		add("floods", list, "", nexthop);
	}
}

/* Those that nothing points to are lost until the next start: their number must not grow. */
static void dump_nexthops(int fd)
{
	struct bpf_map_info info = {0};
	__u32 size = sizeof(info), used = 0;
	char text[16];

	if (bpf_obj_get_info_by_fd(fd, &info, &size) < 0)
		exit(1);

	__u32 *keys = calloc(info.max_entries, sizeof(*keys)), batch, n = info.max_entries;
	struct abi_nexthop *all = calloc(info.max_entries, sizeof(*all));

	if (!keys || !all || (bpf_map_lookup_batch(fd, NULL, &batch, keys, all, &n, NULL) < 0 && errno != ENOENT)) {
		perror("dump-maps: nexthops");
		exit(1);
	}
	for (__u32 i = 0; i < n; i++)
		used += all[i].type != NEXTHOP_NONE;
	free(keys);
	free(all);
	snprintf(text, sizeof(text), "%u", used);
	add("nexthops", "in use", text, "");
}

static void dump_node(void)
{
	char text[2 * sizeof(struct abi_node) + 1];
	struct abi_node node;
	__u32 zero = 0;

	if (bpf_map_lookup_elem(open_map("node"), &zero, &node) < 0)
		exit(1);
	node.cut_ifindex = node.cut_ifindex == if_nametoindex("isthmus-cut"); /* the number is another for each pair */
	hex(text, &node, sizeof(node));
	add("node", "", text, "");
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fputs("usage: dump-maps BPF-DIR [used]\n", stderr);
		return 2;
	}
	directory = argv[1];

	int nexthops = open_map("nexthops");

	dump_node();
	dump_hash("ports", nexthops, sizeof(__u32), sizeof(struct abi_port), offsetof(struct abi_port, nexthop));
	dump_hash("macs", nexthops, sizeof(struct abi_mac_key), sizeof(struct abi_mac), offsetof(struct abi_mac, nexthop));
	dump_hash("hosts", nexthops, sizeof(struct abi_host_key), sizeof(struct abi_host),
		  offsetof(struct abi_host, nexthop));
	dump_hash("prefixes", nexthops, sizeof(struct abi_prefix_key), sizeof(struct abi_prefix), -1);
	dump_hash("members", nexthops, sizeof(struct abi_member_key), sizeof(struct abi_member), -1);
	dump_floods(nexthops);
	if (argc > 2)
		dump_nexthops(nexthops);
	qsort(lines, n_lines, sizeof(*lines), compare);
	for (size_t i = 0; i < n_lines; i++) {
		puts(lines[i]);
		free(lines[i]);
	}
	free(lines);
	return 0;
}
