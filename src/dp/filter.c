/* SPDX-License-Identifier: Apache-2.0 */
#include "dp/filter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/netlink.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define BUFFER_SIZE 32768

struct request {
	struct nlmsghdr header;
	struct tcmsg tc;
};

typedef void (*message_fn)(void *arg, const struct nlmsghdr *h, const struct tcmsg *tc);

int filters_open(struct filters *f)
{
	static const struct timeval patience = {.tv_sec = 5};
	_cleanup_(fd) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct sockaddr_nl any = {.nl_family = AF_NETLINK};

	if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		return -errno;
	f->fd = TAKE_FD(fd);
	f->sequence = 0;
	return 0;
}

void filters_close(struct filters *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

static const struct rtattr *find(const void *data, size_t size, uint16_t type)
{
	const struct rtattr *a = data;
	int left = (int)size;

	for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if ((a->rta_type & NLA_TYPE_MASK) == type)
			return a;
	}
	return NULL;
}

static const struct rtattr *find_in(const struct nlmsghdr *h, uint16_t type)
{
	size_t head = NLMSG_LENGTH(NLMSG_ALIGN(sizeof(struct tcmsg)));

	return h->nlmsg_len < head ? NULL : find((const uint8_t *)h + head, h->nlmsg_len - head, type);
}

static bool kind_is(const struct nlmsghdr *h, const char *kind)
{
	const struct rtattr *a = find_in(h, TCA_KIND);

	return a && RTA_PAYLOAD(a) == strlen(kind) + 1 && memcmp(RTA_DATA(a), kind, strlen(kind) + 1) == 0;
}

static void decode(const struct nlmsghdr *h, const struct tcmsg *tc, struct filter *out)
{
	const struct rtattr *options = find_in(h, TCA_OPTIONS), *a;

	*out = (struct filter){.priority = TC_H_MAJ(tc->tcm_info) >> 16, .handle = tc->tcm_handle};
	if (!kind_is(h, "bpf") || !options)
		return;
	a = find(RTA_DATA(options), RTA_PAYLOAD(options), TCA_BPF_ID);
	if (a && RTA_PAYLOAD(a) >= sizeof(out->program_id))
		memcpy(&out->program_id, RTA_DATA(a), sizeof(out->program_id));
	a = find(RTA_DATA(options), RTA_PAYLOAD(options), TCA_BPF_NAME);
	if (a)
		memcpy(out->name, RTA_DATA(a),
		       RTA_PAYLOAD(a) < sizeof(out->name) ? RTA_PAYLOAD(a) : sizeof(out->name) - 1);
}

/* ---- questions --------------------------------------------------------------------------------------------------- */

/* 1 = the answer is complete, 0 = more to come, -errno */
static int digest(const struct filters *f, const uint8_t *data, size_t size, bool dump, message_fn fn, void *arg)
{
	const struct nlmsghdr *h = (const struct nlmsghdr *)data;
	int left = (int)size; /* below 0 behind a last message that is not padded */

	for (; left > 0 && NLMSG_OK(h, (unsigned)left); h = NLMSG_NEXT(h, left)) {
		int error = 0;

		if (h->nlmsg_seq != f->sequence)
			continue;
		if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) {
			if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(error)))
				memcpy(&error, NLMSG_DATA(h), sizeof(error));
			return error < 0 ? error : 1;
		}
		if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct tcmsg)))
			fn(arg, h, NLMSG_DATA(h));
		if (!dump)
			return 1;
	}
	return 0;
}

static int ask(struct filters *f, struct request *q, message_fn fn, void *arg)
{
	uint8_t buffer[BUFFER_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	bool dump = (q->header.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
	int r = 0;

	q->header.nlmsg_len = sizeof(*q);
	q->header.nlmsg_flags |= NLM_F_REQUEST;
	q->header.nlmsg_seq = ++f->sequence;
	if (send(f->fd, q, sizeof(*q), 0) < 0)
		return -errno;
	while (r == 0) {
		ssize_t size = recv(f->fd, buffer, sizeof(buffer), 0);

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		r = digest(f, buffer, (size_t)size, dump, fn, arg);
	}
	return r < 0 ? r : 0;
}

static uint32_t parent_of(enum filter_side side)
{
	return TC_H_MAKE(TC_H_CLSACT, side == FILTER_INGRESS ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
}

static void on_filter(void *arg, const struct nlmsghdr *h, const struct tcmsg *tc)
{
	if (h->nlmsg_type == RTM_NEWTFILTER)
		decode(h, tc, arg);
}

int filters_get(struct filters *f, uint32_t ifindex, enum filter_side side, uint32_t priority, uint32_t handle,
		struct filter *out)
{
	struct request q = {
		.header = {.nlmsg_type = RTM_GETTFILTER},
		.tc = {.tcm_family = AF_UNSPEC,
		       .tcm_ifindex = (int)ifindex,
		       .tcm_parent = parent_of(side),
		       .tcm_handle = handle,
		       .tcm_info = TC_H_MAKE(priority << 16, htons(ETH_P_ALL))},
	};
	struct filter found = {0};
	int r = ask(f, &q, on_filter, &found);

	if (r == -EINVAL) /* "parent qdisc doesn't exist", or another classifier has the priority */
		return -ENOENT;
	if (r < 0)
		return r;
	*out = found;
	return 0;
}

struct order {
	struct filter first, named;
	uint32_t priority, handle; /* of named */
};

/* A dump is in the order of priorities, and of one priority's filters in theirs. */
static void on_filter_in_order(void *arg, const struct nlmsghdr *h, const struct tcmsg *tc)
{
	struct order *o = arg;

	if (h->nlmsg_type != RTM_NEWTFILTER || tc->tcm_handle == 0)
		return;
	if (o->first.handle == 0)
		decode(h, tc, &o->first);
	if (tc->tcm_handle == o->handle && TC_H_MAJ(tc->tcm_info) >> 16 == o->priority)
		decode(h, tc, &o->named);
}

int filters_first(struct filters *f, uint32_t ifindex, enum filter_side side, uint32_t priority, uint32_t handle,
		  struct filter *first, struct filter *named)
{
	struct request q = {
		.header = {.nlmsg_type = RTM_GETTFILTER, .nlmsg_flags = NLM_F_DUMP},
		.tc = {.tcm_ifindex = (int)ifindex, .tcm_parent = parent_of(side)},
	};
	struct order o = {.priority = priority, .handle = handle};
	int r = ask(f, &q, on_filter_in_order, &o);

	if (r == -EINVAL || (r == 0 && o.first.handle == 0))
		return -ENOENT;
	if (r < 0)
		return r;
	*first = o.first;
	*named = o.named;
	return 0;
}

static void on_any_filter(void *arg, const struct nlmsghdr *h, const struct tcmsg *tc)
{
	/* Of every priority there is also a head without a handle. */
	if (h->nlmsg_type == RTM_NEWTFILTER && tc->tcm_handle != 0)
		++*(int *)arg;
}

int filters_count(struct filters *f, uint32_t ifindex)
{
	int n = 0;

	for (enum filter_side side = FILTER_INGRESS; side <= FILTER_EGRESS; side++) {
		struct request q = {
			.header = {.nlmsg_type = RTM_GETTFILTER, .nlmsg_flags = NLM_F_DUMP},
			.tc = {.tcm_ifindex = (int)ifindex, .tcm_parent = parent_of(side)},
		};
		int r = ask(f, &q, on_any_filter, &n);

		if (r == -EINVAL)
			continue;
		if (r < 0)
			return r;
	}
	return n;
}

static void on_ingress_qdisc(void *arg, const struct nlmsghdr *h, const struct tcmsg *tc)
{
	if (h->nlmsg_type == RTM_NEWQDISC && tc->tcm_parent == TC_H_CLSACT)
		*(bool *)arg = kind_is(h, "clsact");
}

int filters_clsact(struct filters *f, uint32_t ifindex)
{
	struct request q = {
		.header = {.nlmsg_type = RTM_GETQDISC, .nlmsg_flags = NLM_F_ECHO}, /* or only the group hears it */
		.tc = {.tcm_family = AF_UNSPEC, .tcm_ifindex = (int)ifindex, .tcm_parent = TC_H_CLSACT},
	};
	bool clsact = false;
	int r = ask(f, &q, on_ingress_qdisc, &clsact);

	return r < 0 ? r : clsact;
}

struct devices {
	uint32_t *list;
	size_t length, capacity;
	bool no_memory;
};

static void on_qdisc(void *arg, const struct nlmsghdr *h, const struct tcmsg *tc)
{
	struct devices *d = arg;

	if (h->nlmsg_type != RTM_NEWQDISC || tc->tcm_parent != TC_H_CLSACT || !kind_is(h, "clsact"))
		return;
	if (d->length == d->capacity) {
		size_t capacity = d->capacity ? 2 * d->capacity : 64;
		uint32_t *list = reallocarray(d->list, capacity, sizeof(*list));

		if (!list) {
			d->no_memory = true;
			return;
		}
		d->list = list;
		d->capacity = capacity;
	}
	d->list[d->length++] = (uint32_t)tc->tcm_ifindex;
}

int filters_devices(struct filters *f, uint32_t **ifindexes, size_t *length)
{
	struct request q = {.header = {.nlmsg_type = RTM_GETQDISC, .nlmsg_flags = NLM_F_DUMP}};
	struct devices d = {0};
	int r = ask(f, &q, on_qdisc, &d);

	if (r < 0 || d.no_memory) {
		free(d.list);
		return r < 0 ? r : -ENOMEM;
	}
	*ifindexes = d.list;
	*length = d.length;
	return 0;
}
