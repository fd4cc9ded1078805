/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redirect.c - helpers that look around the packet: redirects, copies, routes, checksums, time, the ring; and host_run.
 */
#include <assert.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/bpf_helpers.h"
#include "skb.h"

#define ROUTES_MAX 32
#define VERDICT_SHOT 2
#define VERDICT_REDIRECT 7
#define EVENT_MAX 512

static struct skb packet;
static struct host_route routes[ROUTES_MAX];
static size_t routes_length;

static struct {
	enum host_redirect redirect;
	uint32_t ifindex;
	uint32_t copies_length;
	struct host_copy copies[HOST_COPIES_MAX];
	uint8_t *copied[HOST_COPIES_MAX]; /* grown, never shrunk */
	size_t room[HOST_COPIES_MAX];
} now;

static uint64_t clock_ns = 1000000000;
static uint64_t event[EVENT_MAX / 8];
static bool have_event;

/* ---- redirects ---- */

static long redirect_to(enum host_redirect how, uint32_t ifindex, bool valid)
{
	if (!valid)
		return VERDICT_SHOT;
	now.redirect = how;
	now.ifindex = ifindex;
	return VERDICT_REDIRECT;
}

long bpf_redirect(__u32 ifindex, __u64 flags)
{
	return redirect_to(flags & BPF_F_INGRESS ? HOST_REDIRECT_INGRESS : HOST_REDIRECT_EGRESS, ifindex,
			   !(flags & ~(uint64_t)BPF_F_INGRESS));
}

long bpf_redirect_peer(__u32 ifindex, __u64 flags)
{
	return redirect_to(HOST_REDIRECT_PEER, ifindex, !flags);
}

long bpf_redirect_neigh(__u32 ifindex, struct bpf_redir_neigh *params, int plen, __u64 flags)
{
	(void)params;
	return redirect_to(HOST_REDIRECT_NEIGH, ifindex, !flags && (!plen || plen >= (int)sizeof(*params)));
}

long bpf_clone_redirect(struct __sk_buff *ctx, __u32 ifindex, __u64 flags)
{
	struct skb *s = skb_of(ctx);
	uint32_t i = now.copies_length;

	if (flags & ~(uint64_t)BPF_F_INGRESS || !ifindex || ifindex == HOST_NO_DEVICE)
		return -EINVAL;
	if (s->mac >= s->network)
		return -ERANGE;
	assert(i < HOST_COPIES_MAX);
	if (now.room[i] < ctx->len) {
		now.room[i] = ctx->len + 256;
		now.copied[i] = realloc(now.copied[i], now.room[i]);
		assert(now.copied[i]);
	}
	bpf_skb_load_bytes(ctx, 0, now.copied[i], ctx->len);
	now.copies[now.copies_length++] = (struct host_copy){ .ifindex = ifindex, .flags = flags, .mark = ctx->mark,
							      .size = ctx->len, .data = now.copied[i] };
	return 0;
}

/* ---- routes ---- */

/* A tick of the clock with every change of the routes: what was remembered of the old ones counts no more. */
static uint64_t tick = 1;

__u64 bpf_jiffies64(void)
{
	return tick;
}

void host_route_add(const struct host_route *r)
{
	tick++;
	assert(routes_length < ROUTES_MAX);
	routes[routes_length++] = *r;
}

void host_route_clear(void)
{
	tick++;
	routes_length = 0;
}

static bool covers(const struct host_route *r, const uint8_t dst[16])
{
	uint32_t whole = r->length / 8, rest = r->length % 8;

	return memcmp(r->prefix.bytes, dst, whole) == 0 &&
	       (!rest || !((r->prefix.bytes[whole] ^ dst[whole]) >> (8 - rest)));
}

long bpf_fib_lookup(void *ctx, struct bpf_fib_lookup *params, int plen, __u32 flags)
{
	const struct host_route *best = NULL;
	uint8_t dst[16] = { [10] = 0xff, [11] = 0xff };
	uint16_t tot_len = params->tot_len;

	if (plen < (int)sizeof(*params) || flags & ~(uint32_t)(BPF_FIB_LOOKUP_DIRECT | BPF_FIB_LOOKUP_OUTPUT))
		return -EINVAL;
	if (!params->ifindex)
		return -EINVAL;
	if (params->family == AF_INET)
		memcpy(dst + 12, &params->ipv4_dst, 4);
	else if (params->family == AF_INET6)
		memcpy(dst, params->ipv6_dst, 16);
	else
		return -EAFNOSUPPORT;
	for (size_t i = 0; i < routes_length; i++)
		if (covers(&routes[i], dst) && (!best || routes[i].length > best->length))
			best = &routes[i];
	if (!best)
		return BPF_FIB_LKUP_RET_NOT_FWDED;
	if (best->result && best->result != BPF_FIB_LKUP_RET_NO_NEIGH)
		return best->result;
	params->ifindex = best->ifindex;
	if (tot_len && tot_len > best->mtu) {
		params->mtu_result = (uint16_t)best->mtu;
		return BPF_FIB_LKUP_RET_FRAG_NEEDED;
	}
	params->rt_metric = 0;
	if (best->result)
		return best->result;
	memcpy(params->smac, best->smac, 6);
	memcpy(params->dmac, best->dmac, 6);
	params->h_vlan_proto = 0;
	params->h_vlan_TCI = 0;
	params->mtu_result = (uint16_t)best->mtu;
	/* is_skb_forwardable, when the caller gave no length: device MTU, Ethernet and one VLAN tag */
	if (!tot_len && skb_of(ctx)->ctx.len > best->mtu + ETH_HLEN + 4 && !skb_of(ctx)->ctx.gso_size)
		return BPF_FIB_LKUP_RET_FRAG_NEEDED;
	return 0;
}

#define DEVICES_MAX 64

static uint32_t mtus[DEVICES_MAX];

void host_device_mtu(uint32_t ifindex, uint32_t mtu)
{
	assert(ifindex < DEVICES_MAX);
	mtus[ifindex] = mtu;
}

long bpf_check_mtu(void *ctx, __u32 ifindex, __u32 *mtu_len, __s32 len_diff, __u64 flags)
{
	uint32_t size = *mtu_len ? *mtu_len + ETH_HLEN : skb_of(ctx)->ctx.len, mtu;

	if (flags & ~(uint64_t)BPF_MTU_CHK_SEGS || (flags && (len_diff || *mtu_len)))
		return -EINVAL;
	if (ifindex >= DEVICES_MAX || !mtus[ifindex])
		return -ENODEV;
	mtu = *mtu_len = mtus[ifindex];
	return size + (uint32_t)len_diff <= mtu + ETH_HLEN || skb_of(ctx)->ctx.gso_size ? BPF_MTU_CHK_RET_SUCCESS :
											   BPF_MTU_CHK_RET_FRAG_NEEDED;
}

/* ---- checksums and hashes ---- */

__u32 bpf_get_hash_recalc(struct __sk_buff *ctx)
{
	struct skb *s = skb_of(ctx);
	uint32_t h = 2166136261u, left = s->end - (uint32_t)s->network;
	uint8_t p[44];

	if (s->hash_valid)
		return ctx->hash;
	bpf_skb_load_bytes(ctx, (uint32_t)s->network - s->data, p, left < sizeof(p) ? left : sizeof(p));
	for (uint32_t i = 12; i < left && i < sizeof(p); i++)
		h = (h ^ p[i]) * 16777619u;
	ctx->hash = h ? h : 1;
	s->hash_valid = true;
	return ctx->hash;
}

void bpf_set_hash_invalid(struct __sk_buff *ctx)
{
	skb_of(ctx)->hash_valid = false;
}

long bpf_set_hash(struct __sk_buff *ctx, __u32 hash)
{
	ctx->hash = hash;
	skb_of(ctx)->hash_valid = true;
	return 0;
}

static uint32_t fold(uint64_t sum)
{
	while (sum >> 32)
		sum = (sum & 0xffffffff) + (sum >> 32);
	return (uint32_t)sum;
}

static uint16_t fold16(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

__s64 bpf_csum_diff(__be32 *from, __u32 from_size, __be32 *to, __u32 to_size, __wsum seed)
{
	uint64_t sum = seed;
	uint32_t word;

	if ((from_size | to_size) & 3 || from_size + to_size > 512) /* the limit of kernels before 6.12 */
		return -EINVAL;
	for (uint32_t i = 0; i < from_size / 4; i++) {
		memcpy(&word, (uint8_t *)from + i * 4, 4);
		sum += (uint32_t)~word;
	}
	for (uint32_t i = 0; i < to_size / 4; i++) {
		memcpy(&word, (uint8_t *)to + i * 4, 4);
		sum += word;
	}
	/* since 6.12 every architecture folds to 16 bits */
	return fold16(fold(sum));
}

__s64 bpf_csum_update(struct __sk_buff *skb, __wsum csum)
{
	return -ENOTSUP; /* the packet has no CHECKSUM_COMPLETE */
}

long bpf_csum_level(struct __sk_buff *skb, __u64 level)
{
	return level > BPF_CSUM_LEVEL_RESET ? -EINVAL : level == BPF_CSUM_LEVEL_QUERY ? -EACCES : 0;
}

/* RFC 1624 on the 16 bits at offset */
static long replace(struct __sk_buff *ctx, uint32_t offset, uint64_t from, uint64_t to, uint32_t size,
		    bool zero_is_none)
{
	uint16_t sum;
	uint32_t diff;

	if (offset > 0xffff || bpf_skb_load_bytes(ctx, offset, &sum, 2) < 0)
		return -EFAULT;
	if (zero_is_none && !sum)
		return 0;
	if (size == 2)
		diff = fold16((uint32_t)(uint16_t)~from + (uint16_t)to);
	else if (size == 4)
		diff = fold((uint64_t)(uint32_t)~from + (uint32_t)to);
	else if (!size && !from)
		diff = (uint32_t)to;
	else
		return -EINVAL;
	sum = (uint16_t)~fold16(fold((uint64_t)(uint16_t)~sum + diff));
	if (zero_is_none && !sum)
		sum = 0xffff;
	return bpf_skb_store_bytes(ctx, offset, &sum, 2, 0);
}

long bpf_l3_csum_replace(struct __sk_buff *ctx, __u32 offset, __u64 from, __u64 to, __u64 flags)
{
	if (flags & ~(uint64_t)BPF_F_HDR_FIELD_MASK || offset & 1)
		return offset & 1 ? -EFAULT : -EINVAL;
	return replace(ctx, offset, from, to, flags & BPF_F_HDR_FIELD_MASK, false);
}

long bpf_l4_csum_replace(struct __sk_buff *ctx, __u32 offset, __u64 from, __u64 to, __u64 flags)
{
	const uint64_t known = BPF_F_MARK_MANGLED_0 | BPF_F_MARK_ENFORCE | BPF_F_PSEUDO_HDR | BPF_F_HDR_FIELD_MASK;
	bool mangled = flags & BPF_F_MARK_MANGLED_0;

	if (flags & ~known || offset & 1)
		return offset & 1 ? -EFAULT : -EINVAL;
	return replace(ctx, offset, from, to, flags & BPF_F_HDR_FIELD_MASK, mangled && !(flags & BPF_F_MARK_ENFORCE));
}

/* ---- sockets ---- */

static struct bpf_sock socket_found = { .bound_dev_if = HOST_NO_DEVICE };
static unsigned sockets_held;

void host_socket(uint32_t bound_dev_if)
{
	socket_found.bound_dev_if = bound_dev_if;
}

struct bpf_sock *bpf_skc_lookup_tcp(void *ctx, struct bpf_sock_tuple *tuple, __u32 size, __u64 netns, __u64 flags)
{
	bool known = size == sizeof(tuple->ipv4) || size == sizeof(tuple->ipv6);

	if (!known || flags || netns != (__u64)BPF_F_CURRENT_NETNS || socket_found.bound_dev_if == HOST_NO_DEVICE)
		return NULL;
	sockets_held++;
	return &socket_found;
}

long bpf_sk_release(void *sock)
{
	assert(sock == &socket_found && sockets_held == 1);
	sockets_held--;
	return 0;
}

/* ---- time and the ring ---- */

__u64 bpf_ktime_get_ns(void)
{
	return clock_ns;
}

__u64 bpf_ktime_get_boot_ns(void)
{
	return clock_ns;
}

__u64 bpf_ktime_get_coarse_ns(void)
{
	return clock_ns;
}

__u32 bpf_get_prandom_u32(void)
{
	return (uint32_t)random();
}

__u32 bpf_get_smp_processor_id(void)
{
	return 0;
}

void *bpf_ringbuf_reserve(void *ringbuf, __u64 size, __u64 flags)
{
	assert(size <= sizeof(event));
	memset(event, 0xa5, sizeof(event)); /* what the program leaves unset shows */
	return event;
}

void bpf_ringbuf_submit(void *data, __u64 flags)
{
	have_event = true;
}

void bpf_ringbuf_discard(void *data, __u64 flags)
{
}

long bpf_ringbuf_output(void *ringbuf, void *data, __u64 size, __u64 flags)
{
	assert(size <= sizeof(event));
	memcpy(event, data, size);
	have_event = true;
	return 0;
}

const struct abi_event *host_last_event(void)
{
	return have_event ? (const struct abi_event *)event : NULL;
}

/* ---- run ---- */

void host_run(enum host_program program, const struct host_input *in, struct host_result *out)
{
	skb_start(&packet, in);
	now.redirect = HOST_REDIRECT_NONE;
	now.ifindex = 0;
	now.copies_length = 0;
	have_event = false;
	clock_ns += 1000000; /* so that some drops are past the limit of events and others are not */

	out->verdict = host_program_call(program, &packet.ctx);
	out->redirect = out->verdict == VERDICT_REDIRECT ? now.redirect : HOST_REDIRECT_NONE;
	out->redirect_ifindex = now.ifindex;
	out->mark = packet.ctx.mark;
	out->protocol = ntohs(packet.protocol);
	out->size = packet.ctx.len;
	bpf_skb_pull_data(&packet.ctx, 0); /* whoever looks at the result sees all of it */
	out->data = packet.arena + packet.data;
	out->copies_length = now.copies_length;
	memcpy(out->copies, now.copies, now.copies_length * sizeof(now.copies[0]));
}
