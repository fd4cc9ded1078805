/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of nftables, read from the kernel: no program is started, and none needs to be installed.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "kern/attribute.h"
#include "kern/kern.h"
#include "lib/cleanup.h"

DEFINE_CLEANUP(mnl, struct mnl_socket *, mnl_socket_close)

static uint32_t get_be32(const struct nlattr *attribute)
{
	uint32_t v = 0;

	if (attribute && mnl_attr_get_payload_len(attribute) >= sizeof(v))
		memcpy(&v, mnl_attr_get_payload(attribute), sizeof(v));
	return ntohl(v);
}

static uint64_t get_be64(const struct nlattr *attribute)
{
	uint64_t v = 0;

	if (attribute && mnl_attr_get_payload_len(attribute) >= sizeof(v))
		memcpy(&v, mnl_attr_get_payload(attribute), sizeof(v));
	return be64toh(v);
}

static bool text_is(const struct nlattr *attribute, const char *text)
{
	return attribute && mnl_attr_get_payload_len(attribute) == strlen(text) + 1 &&
	       memcmp(mnl_attr_get_payload(attribute), text, strlen(text) + 1) == 0;
}

static void copy_text(const struct nlattr *attribute, char *out, size_t size)
{
	if (attribute)
		snprintf(out, size, "%.*s", (int)mnl_attr_get_payload_len(attribute),
			 (const char *)mnl_attr_get_payload(attribute));
}

/* ---- one rule: a row of expressions that work on registers ---- */

struct reading {
	uint16_t port_be;
	bool is_port;        /* the register holds a source or destination port */
	bool names, drops; /* what was found so far */
};

static void on_payload(struct reading *r, const struct attributes *a)
{
	uint32_t offset = get_be32(a->of[NFTA_PAYLOAD_OFFSET]);

	r->is_port = get_be32(a->of[NFTA_PAYLOAD_BASE]) == NFT_PAYLOAD_TRANSPORT_HEADER &&
		     get_be32(a->of[NFTA_PAYLOAD_LEN]) == sizeof(r->port_be) && (offset == 0 || offset == 2);
}

static void on_compare(struct reading *r, const struct attributes *a)
{
	struct attributes data = attributes_of(a->of[NFTA_CMP_DATA]);
	const struct nlattr *value = data.of[NFTA_DATA_VALUE];

	if (r->is_port && get_be32(a->of[NFTA_CMP_OP]) == NFT_CMP_EQ && value &&
	    mnl_attr_get_payload_len(value) == sizeof(r->port_be) &&
	    memcmp(mnl_attr_get_payload(value), &r->port_be, sizeof(r->port_be)) == 0)
		r->names = true;
	r->is_port = false;
}

static void on_immediate(struct reading *r, const struct attributes *a)
{
	struct attributes data = attributes_of(a->of[NFTA_IMMEDIATE_DATA]);
	struct attributes verdict = attributes_of(data.of[NFTA_DATA_VERDICT]);

	if (verdict.of[NFTA_VERDICT_CODE] && get_be32(verdict.of[NFTA_VERDICT_CODE]) == NF_DROP)
		r->drops = true;
}

static void on_reject(struct reading *r, const struct attributes *a)
{
	r->drops = true;
}

static const struct {
	const char *name;
	void (*read)(struct reading *r, const struct attributes *data);
} expressions[] = {
	{"payload", on_payload},
	{"cmp", on_compare},
	{"immediate", on_immediate},
	{"reject", on_reject},
};

static int on_expression(const struct nlattr *element, void *arg)
{
	struct attributes e = attributes_of(element), data = attributes_of(e.of[NFTA_EXPR_DATA]);

	for (size_t i = 0; i < sizeof(expressions) / sizeof(*expressions); i++)
		if (text_is(e.of[NFTA_EXPR_NAME], expressions[i].name))
			expressions[i].read(arg, &data);
	return MNL_CB_OK;
}

/* ---- all rules ---- */

struct walk {
	uint16_t port_be;
	void (*fn)(void *arg, const struct kern_rule *rule);
	void *arg;
};

static const char *family_word(uint8_t family)
{
	static const char *const words[] = {[NFPROTO_INET] = "inet",     [NFPROTO_IPV4] = "ip",
					    [NFPROTO_ARP] = "arp",       [NFPROTO_NETDEV] = "netdev",
					    [NFPROTO_BRIDGE] = "bridge", [NFPROTO_IPV6] = "ip6"};

	return family < sizeof(words) / sizeof(*words) && words[family] ? words[family] : "?";
}

static int on_rule(const struct nlmsghdr *message, void *arg)
{
	const struct nfgenmsg *head = mnl_nlmsg_get_payload(message);
	const struct walk *w = arg;
	struct reading r = {.port_be = w->port_be};
	struct kern_rule rule = {.family = family_word(head->nfgen_family)};
	struct attributes a = {0};

	mnl_attr_parse(message, sizeof(*head), attributes_collect, &a);
	if (a.of[NFTA_RULE_EXPRESSIONS])
		mnl_attr_parse_nested(a.of[NFTA_RULE_EXPRESSIONS], on_expression, &r);
	if (!r.names || !r.drops)
		return MNL_CB_OK;
	copy_text(a.of[NFTA_RULE_TABLE], rule.table, sizeof(rule.table));
	copy_text(a.of[NFTA_RULE_CHAIN], rule.chain, sizeof(rule.chain));
	rule.handle = get_be64(a.of[NFTA_RULE_HANDLE]);
	w->fn(w->arg, &rule);
	return MNL_CB_OK;
}

int kern_rules_dropping(uint16_t port, void (*fn)(void *arg, const struct kern_rule *rule), void *arg)
{
	static const struct timeval patience = {.tv_sec = 1};
	_cleanup_(mnl) struct mnl_socket *socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	char buffer[32768] __attribute__((aligned(8)));
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct walk walk = {.port_be = htons(port), .fn = fn, .arg = arg};
	const unsigned sequence = 1;
	struct nfgenmsg *head;
	int r = MNL_CB_OK;

	if (!socket || mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		return -errno;
	message->nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETRULE;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	message->nlmsg_seq = sequence;
	head = mnl_nlmsg_put_extra_header(message, sizeof(*head));
	*head = (struct nfgenmsg){.nfgen_family = NFPROTO_UNSPEC, .version = NFNETLINK_V0};
	if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		return -errno;
	while (r > MNL_CB_STOP) {
		ssize_t size = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));

		if (size < 0)
			return -errno;
		r = mnl_cb_run(buffer, (size_t)size, sequence, mnl_socket_get_portid(socket), on_rule, &walk);
		if (r < 0)
			return -errno;
	}
	return 0;
}
