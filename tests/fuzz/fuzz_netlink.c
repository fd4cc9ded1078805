/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as what the kernel answers and tells.
 *
 *	byte 0		what is asked, see scenarios[]
 *	then		datagrams: length (2 bytes), bytes; a length of 0xfff0 + n is failure[n] instead
 *
 * A message whose sequence number is 0 is given that of the request, so that one that answers is as short as one that
 * does not.  Rules: every question ends when the kernel falls silent; what is decoded names a link, an address or a
 * filter as the kernel would; tables agree with themselves.
 */
#include <errno.h>
#include <linux/rtnetlink.h>

#include "dp/filter.h"
#include "fake_netlink.h"
#include "fuzz.h"
#include "kern/state.h"

#define SILENCES_MAX 64 /* reads after the end of the input: more is a question that never ends */
#define FAILURE 0xfff0

static struct input rest;
static unsigned silences;

static void stamp(uint8_t *data, size_t size, uint32_t sequence)
{
	struct nlmsghdr h;

	for (size_t at = 0; size - at >= sizeof(h); at += MNL_ALIGN((size_t)h.nlmsg_len)) {
		memcpy(&h, data + at, sizeof(h));
		if (h.nlmsg_seq == 0)
			h.nlmsg_seq = sequence;
		memcpy(data + at, &h, sizeof(h));
		if (h.nlmsg_len < sizeof(h) || MNL_ALIGN((size_t)h.nlmsg_len) > size - at)
			return;
	}
}

static ssize_t hostile_kernel(void *arg, const struct nlmsghdr *request, uint8_t *buffer, size_t size)
{
	static const int failures[] = {ENOBUFS, EINTR, ENOSPC, EIO, ENOMEM};
	uint16_t length;

	if (rest.size < 2) {
		require(++silences < SILENCES_MAX, "a question that does not end");
		return -EAGAIN;
	}
	length = input_u16(&rest);
	if (length >= FAILURE)
		return -failures[(length - FAILURE) % (sizeof(failures) / sizeof(failures[0]))];
	if (length > size)
		length = (uint16_t)size;
	if (length > rest.size)
		length = (uint16_t)rest.size;
	input_take(&rest, buffer, length);
	stamp(buffer, length, request ? request->nlmsg_seq : 0);
	return length;
}

/* ---- what must hold of what was understood ---- */

static void check_link(const struct link *link)
{
	require(link->ifindex > 0 && link->ifindex <= INT32_MAX, "a link without a number");
	require(link->name[0] && strnlen(link->name, sizeof(link->name)) < sizeof(link->name), "a link without a name");
	require(link->kind == LINK_VETH || !link->peer_away, "a link that is no veth has a peer");
}

static bool check_held(void *arg, const struct link *link)
{
	const struct kern *k = arg;
	const struct link *named = kern_link_by_name(k, link->name);

	check_link(link);
	require(kern_link_by_index(k, link->ifindex) == link, "a link that its own number does not find");
	require(!named || strcmp(named->name, link->name) == 0, "a name that finds another's link");
	return true;
}

static void check_message(const struct rtnl_message *m)
{
	switch (m->kind) {
	case RTNL_LINK:
	case RTNL_LINK_GONE:
		check_link(&m->link);
		break;
	case RTNL_FILTER_GONE:
		require(m->ifindex > 0 && m->ifindex <= INT32_MAX, "a filter of no device");
		break;
	default:
		break;
	}
}

static void on_link(void *arg, const struct link *link)
{
	check_link(link);
}

static void on_link_gone(void *arg, uint32_t ifindex, const char *name)
{
	require(ifindex && *name && strlen(name) < IF_NAMESIZE, "nobody is gone");
}

static void on_filter_gone(void *arg, uint32_t ifindex)
{
	require(ifindex, "a filter of nobody's is gone");
}

static void on_route_change(void *arg)
{
}

static const struct kern_callbacks callbacks = {on_link, on_link_gone, on_filter_gone, on_route_change};

/* ---- scenarios ---- */

static void decode_all(struct kern *k)
{
	uint8_t *copy = malloc(rest.size ? rest.size : 1); /* of exactly this size: a read behind it is seen */
	struct rtnl_message m, again;
	int r;

	require(copy, "memory");
	memcpy(copy, rest.data, rest.size);
	memset(&m, 0x5a, sizeof(m));
	memcpy(&again, &m, sizeof(m));
	r = rtnl_decode(copy, rest.size, &m);
	require(r == 0 || r == -EBADMSG, "an answer that rtnl_decode does not give");
	if (r < 0)
		require(memcmp(&m, &again, sizeof(m)) == 0, "an output was touched on failure");
	else
		check_message(&m);
	free(copy);
}

static void open_hostile(struct kern *k)
{
	struct kern *other = NULL;

	if (kern_open(&callbacks, NULL, &other) == 0)
		kern_link_each(other, check_held, other);
	kern_close(other);
}

static void refresh(struct kern *k)
{
	kern_links_refresh(k);
	kern_link_each(k, check_held, k);
}

static void listen_to(struct kern *k)
{
	const struct addr own = {.bytes = {[10] = 0xff, 0xff, 192, 0, 2, 11}};
	const struct link *link;

	for (unsigned i = 0; i < 4; i++)
		kern_read(k);
	kern_link_each(k, check_held, k);
	link = kern_link_with_address(k, &own);
	if (link)
		check_held(k, link);
}

static void ask_path(struct kern *k)
{
	static const struct addr to[] = {{.bytes = {[10] = 0xff, 0xff, 198, 51, 100, 7}}, {.bytes = {0x20, 1, [15] = 7}}};
	static const struct addr from[] = {{.bytes = {[10] = 0xff, 0xff, 192, 0, 2, 11}}, {.bytes = {0}}};

	for (size_t i = 0; i < 2; i++) {
		struct kern_path path;

		if (kern_path(k, &to[i], &from[i], &path) == 0)
			require(path.ifindex, "a path out of no device");
	}
}

static void keep_neighbours(struct kern *k)
{
	const struct addr hop = {.bytes = {[10] = 0xff, 0xff, 192, 0, 2, 1}};

	kern_neighbour_keep(k, FAKE_UNDERLAY, &hop);
	kern_neighbours_release(k);
}

static void list_filters(struct kern *k)
{
	struct kern_filter list[8];
	int n = kern_filters(11, true, list, 8);

	require(n <= 8, "more filters than there is room for");
	for (int i = 0; i < n; i++)
		require(strnlen(list[i].name, sizeof(list[i].name)) < sizeof(list[i].name), "a name without an end");
}

static void look_for_filters(struct kern *k)
{
	struct filters filters;
	struct filter one, named;
	uint32_t *devices = NULL;
	size_t length = 0;

	if (filters_open(&filters) < 0)
		return;
	if (filters_get(&filters, 11, FILTER_INGRESS, 1, 7, &one) == 0)
		require(strnlen(one.name, sizeof(one.name)) < sizeof(one.name), "a name without an end");
	filters_clsact(&filters, 11);
	filters_count(&filters, 11);
	if (filters_first(&filters, 11, FILTER_INGRESS, 1, 7, &one, &named) == 0) {
		require(one.handle && strnlen(one.name, sizeof(one.name)) < sizeof(one.name), "a first filter that is none");
		require(!named.handle || named.handle == 7, "another filter than the one that was named");
		require(strnlen(named.name, sizeof(named.name)) < sizeof(named.name), "a name without an end");
	}
	if (filters_devices(&filters, &devices, &length) == 0)
		require(!length == !devices, "devices without a list");
	free(devices);
	filters_close(&filters);
}

static void sending_fails(struct kern *k)
{
	struct kern *other = NULL;
	struct filters filters;
	struct filter one;

	fake_netlink_fail_sends(ENOBUFS);
	ask_path(k);
	keep_neighbours(k);
	require(kern_open(NULL, NULL, &other) < 0, "opened without asking");
	require(kern_filters(11, false, NULL, 0) < 0, "an answer without a question");
	if (filters_open(&filters) == 0) {
		require(filters_get(&filters, 11, FILTER_EGRESS, 1, 7, &one) < 0, "an answer without a question");
		filters_close(&filters);
	}
	fake_netlink_fail_sends(0);
}

static void (*const scenarios[])(struct kern *k) = {
	decode_all, open_hostile, refresh, listen_to, ask_path, keep_neighbours, list_filters, look_for_filters,
	sending_fails,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kern *k = NULL;
	uint8_t scenario;

	if (size < 1)
		return 0;
	rest = (struct input){data, size};
	silences = 0;
	scenario = input_u8(&rest) % (sizeof(scenarios) / sizeof(scenarios[0]));
	fake_netlink_set(fake_kernel, NULL);
	require(kern_open(&callbacks, NULL, &k) == 0, "the small kernel is not understood");
	fake_netlink_set(hostile_kernel, NULL);
	scenarios[scenario](k);
	kern_close(k);
	return 0;
}
