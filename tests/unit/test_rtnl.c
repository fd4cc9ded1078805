/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of rtnetlink as bytes: what the kernel has said, cut at every length and with single bytes changed. */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "kern/rtnl.h"
#include "sandbox.h"

struct seeds {
	uint8_t *message[64];
	size_t size[64];
	size_t n;
};

/* Every message of a dump, as bytes. */
static void gather(struct seeds *s, uint16_t type)
{
	struct mnl_socket *socket = mnl_socket_open(NETLINK_ROUTE);
	static uint8_t buffer[65536] __attribute__((aligned(4)));
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	bool done = false;

	assert_non_null(socket);
	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
	assert_true(mnl_socket_sendto(socket, h, h->nlmsg_len) > 0);
	while (!done) {
		int size = (int)mnl_socket_recvfrom(socket, buffer, sizeof(buffer));

		assert_true(size > 0);
		for (h = (struct nlmsghdr *)buffer; mnl_nlmsg_ok(h, size); h = mnl_nlmsg_next(h, &size)) {
			done = done || h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR;
			if (done || s->n == 64)
				continue;
			s->message[s->n] = malloc(h->nlmsg_len);
			assert_non_null(s->message[s->n]);
			memcpy(s->message[s->n], h, h->nlmsg_len);
			s->size[s->n++] = h->nlmsg_len;
		}
	}
	mnl_socket_close(socket);
}

/* A copy of exactly that size, so that a sanitizer sees a byte read too far. */
static void decode_copy(const uint8_t *message, size_t size, size_t length_field)
{
	uint8_t *copy = malloc(size ? size : 1);
	struct rtnl_message out;
	uint32_t length = (uint32_t)length_field;
	int r;

	assert_non_null(copy);
	memcpy(copy, message, size);
	if (size >= sizeof(struct nlmsghdr))
		memcpy(copy, &length, sizeof(length));
	r = rtnl_decode(copy, size, &out);
	assert_true(r == 0 || r == -EBADMSG);
	if (size < sizeof(struct nlmsghdr) || length > size)
		assert_int_equal(r, -EBADMSG);
	free(copy);
}

static void no_bytes_are_read_too_far(void **state)
{
	static const uint16_t types[] = {RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE, RTM_GETNEIGH, RTM_GETRULE};
	struct seeds seeds = {0};
	uint32_t random = 1;

	assert_int_equal(run("ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up;"
			     "ip addr add 192.0.2.11/24 dev v0; ip route add 198.51.100.0/24 via 192.0.2.1 mtu 1400;"
			     "ip neigh add 192.0.2.9 dev v0 lladdr 02:00:00:00:00:09"), 0);
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		gather(&seeds, types[i]);
	assert_true(seeds.n > 5);
	for (size_t i = 0; i < seeds.n; i++) {
		for (size_t size = 0; size <= seeds.size[i]; size++) {
			decode_copy(seeds.message[i], size, size);
			decode_copy(seeds.message[i], size, size + 1);
		}
		for (unsigned n = 0; n < 2000; n++) {
			size_t at;
			uint8_t kept;

			random = random * 1664525 + 1013904223;
			at = sizeof(uint32_t) + (random >> 8) % (seeds.size[i] - sizeof(uint32_t));
			kept = seeds.message[i][at];
			seeds.message[i][at] = (uint8_t)(random >> 3);
			decode_copy(seeds.message[i], seeds.size[i], seeds.size[i]);
			seeds.message[i][at] = kept;
		}
		free(seeds.message[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_bytes_are_read_too_far),
	};
	struct sandbox box;
	int failed;

	if (geteuid() != 0) {
		printf("1..0 # SKIP needs root\n");
		return 0;
	}
	if (sandbox_enter(&box) < 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	sandbox_leave(&box);
	return failed;
}
