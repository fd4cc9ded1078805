/* SPDX-License-Identifier: Apache-2.0 */
/*
 * skb.c - helpers that read and change the packet, after net/core/filter.c and net/core/skbuff.c.
 *
 * The packet is linear and not cloned, as BPF_PROG_TEST_RUN makes it.  Bytes outside of it are poisoned under
 * AddressSanitizer, so that a program that reads past data_end is caught.
 */
#include <assert.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>

#include "bpf/bpf_helpers.h"
#include "skb.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAVE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_ASAN 1
#endif
#endif
#ifdef HAVE_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, size) ((void)(p), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(p, size) ((void)(p), (void)(size))
#endif

#define KERNEL_ENOTSUPP 524
#define VLAN_HEADER 4
#define HEADROOM 4096u /* the network header is 2 bytes off a word, as NET_IP_ALIGN puts it */
#define TAILROOM 4096u
#define ARENA (HEADROOM + HOST_FRAME_MAX + TAILROOM)
#define SKB_MAX_ALLOC 16064u /* SKB_WITH_OVERHEAD(4 pages) */

static const uint64_t ENCAP_L3 = BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L3_IPV6;
static const uint64_t DECAP_L3_IPV4 = 1ULL << 7, DECAP_L3_IPV6 = 1ULL << 8; /* kernel 6.3 */

/* A head that was taken off was linear before: the kernel pulls what it moves. */
static uint32_t visible_end(struct skb *s)
{
	if (s->linear_end < s->data)
		s->linear_end = s->data;
	return s->linear_end < s->end ? s->linear_end : s->end;
}

void skb_sync(struct skb *s)
{
	s->ctx.data = (uint32_t)(uintptr_t)(s->arena + s->data);
	s->ctx.data_end = (uint32_t)(uintptr_t)(s->arena + visible_end(s));
	s->ctx.data_meta = s->ctx.data;
	s->ctx.len = s->end - s->data;
	s->ctx.protocol = s->protocol;
	s->ctx.vlan_present = s->vlan_present;
	s->ctx.vlan_tci = s->vlan_tci;
	s->ctx.vlan_proto = s->vlan_proto;
	ASAN_POISON_MEMORY_REGION(s->arena, s->data);
	ASAN_UNPOISON_MEMORY_REGION(s->arena + s->data, visible_end(s) - s->data);
	ASAN_POISON_MEMORY_REGION(s->arena + visible_end(s), ARENA - visible_end(s));
}

/* Makes all of the arena usable for the moves inside a helper; skb_sync closes it again. */
static uint8_t *unlock(struct skb *s)
{
	ASAN_UNPOISON_MEMORY_REGION(s->arena, ARENA);
	return s->arena + s->data;
}

/* As eth_type_trans and vlan_set_encap_proto: lengths below 0x600 are 802.3. */
static uint16_t protocol_of(const uint8_t *type, size_t left)
{
	uint16_t t = (uint16_t)(type[0] << 8 | type[1]);

	if (t >= ETH_P_802_3_MIN)
		return htons(t);
	return left >= 4 && type[2] == 0xff && type[3] == 0xff ? htons(ETH_P_802_3) : htons(ETH_P_802_2);
}

#define DEVICES_MAX 32

static struct {
	bool known;
	uint8_t mac[6];
} devices[DEVICES_MAX];

void host_device(uint32_t ifindex, const uint8_t mac[6])
{
	assert(ifindex < DEVICES_MAX);
	devices[ifindex].known = true;
	memcpy(devices[ifindex].mac, mac, 6);
}

/* eth_type_trans */
static uint32_t packet_type(const uint8_t *frame, uint32_t ifindex)
{
	static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	if (frame[0] & 1)
		return memcmp(frame, broadcast, 6) == 0 ? PACKET_BROADCAST : PACKET_MULTICAST;
	if (ifindex < DEVICES_MAX && devices[ifindex].known && memcmp(frame, devices[ifindex].mac, 6) != 0)
		return PACKET_OTHERHOST;
	return PACKET_HOST;
}

void skb_start(struct skb *s, const struct host_input *in)
{
	if (!s->arena) {
		s->arena = mmap(NULL, ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
		assert(s->arena != MAP_FAILED);
	}
	assert(in->size >= ETH_HLEN && in->size <= HOST_FRAME_MAX);

	uint8_t *arena = s->arena;
	uint8_t *frame = unlock(s) - s->data + HEADROOM + 2;

	memcpy(frame, in->data, in->size);
	*s = (struct skb){ .arena = arena, .data = HEADROOM + 2, .end = HEADROOM + 2 + (uint32_t)in->size,
			   .linear_end = in->linear ? HEADROOM + 2 + in->linear : UINT32_MAX,
			   .mac = HEADROOM + 2, .network = HEADROOM + 2 + ETH_HLEN, .transport = -1,
			   .gso_tcp = in->gso_tcp, .encapsulation = in->encapsulated,
			   .vlan_present = in->vlan_tci >> 16,
			   .vlan_tci = (uint16_t)in->vlan_tci, .vlan_proto = htons(ETH_P_8021Q) };
	if (!s->vlan_present)
		s->vlan_proto = 0;
	s->protocol = protocol_of(frame + 12, in->size - 12);
	s->ctx.ifindex = in->ifindex;
	s->ctx.ingress_ifindex = in->ifindex;
	s->ctx.mark = in->mark;
	s->ctx.gso_size = in->gso_size;
	s->ctx.gso_segs = in->gso_segs;
	s->ctx.wire_len = (uint32_t)in->size;
	s->ctx.pkt_type = packet_type(frame, in->ifindex);
	skb_sync(s);
}

long bpf_skb_load_bytes(const void *ctx, __u32 offset, void *to, __u32 len)
{
	struct skb *s = skb_of(ctx);

	if (offset > INT32_MAX || (uint64_t)offset + len > s->ctx.len) {
		memset(to, 0, len);
		return -EFAULT;
	}
	unlock(s);
	memcpy(to, s->arena + s->data + offset, len);
	skb_sync(s);
	return 0;
}

long bpf_skb_store_bytes(struct __sk_buff *ctx, __u32 offset, const void *from, __u32 len, __u64 flags)
{
	struct skb *s = skb_of(ctx);

	if (flags & ~(uint64_t)(BPF_F_RECOMPUTE_CSUM | BPF_F_INVALIDATE_HASH))
		return -EINVAL;
	if (offset > INT32_MAX || (uint64_t)offset + len > s->ctx.len)
		return -EFAULT;
	unlock(s);
	memcpy(s->arena + s->data + offset, from, len);
	/* as skb_ensure_writable: what is written is linear after */
	if (s->linear_end < s->data + offset + len)
		s->linear_end = s->data + offset + len;
	skb_sync(s);
	if (flags & BPF_F_INVALIDATE_HASH)
		s->hash_valid = false;
	return 0;
}

long bpf_skb_pull_data(struct __sk_buff *ctx, __u32 len)
{
	struct skb *s = skb_of(ctx);

	if (len > ctx->len)
		return -ENOMEM;
	if (!len) /* all of it */
		s->linear_end = UINT32_MAX;
	else if (s->linear_end < s->data + len)
		s->linear_end = s->data + len;
	skb_sync(s);
	return 0;
}

static void open_room(struct skb *s, uint32_t at, uint32_t len)
{
	uint8_t *p = unlock(s);

	assert(len <= s->data);
	memmove(p - len, p, at);
	memset(p - len + at, 0, len);
	s->data -= len;
}

static void close_room(struct skb *s, uint32_t at, uint32_t len)
{
	uint8_t *p = unlock(s);

	memmove(p + len, p, at);
	s->data += len;
}

static int grow(struct skb *s, uint32_t off, uint32_t len, uint64_t flags)
{
	uint32_t inner_mac_len = (uint32_t)(flags >> BPF_ADJ_ROOM_ENCAP_L2_SHIFT) & 0xff;
	bool v4 = flags & BPF_F_ADJ_ROOM_ENCAP_L3_IPV4, v6 = flags & BPF_F_ADJ_ROOM_ENCAP_L3_IPV6;
	bool gre = flags & BPF_F_ADJ_ROOM_ENCAP_L4_GRE, udp = flags & BPF_F_ADJ_ROOM_ENCAP_L4_UDP;
	bool same = s->transport == s->network;
	int mac_len = s->network - s->mac;

	if (s->ctx.gso_size && !s->gso_tcp)
		return -KERNEL_ENOTSUPP;
	if (flags & ENCAP_L3) {
		if ((v4 && v6) || (gre && udp))
			return -EINVAL;
		if (flags & BPF_F_ADJ_ROOM_ENCAP_L2_ETH && inner_mac_len < ETH_HLEN)
			return -EINVAL;
		if (s->encapsulation)
			return -EALREADY;
		if (inner_mac_len > len)
			return -EINVAL;
	}
	open_room(s, off, len);
	s->mac -= (int)len;
	s->network -= (int)len;
	if (same)
		s->transport = s->network;
	if (flags & ENCAP_L3) {
		s->encapsulation = true;
		s->network = (int)s->data + mac_len;
		if (gre || udp)
			s->transport = (int)s->data + mac_len + (v6 ? 40 : 20);
		if (s->protocol == htons(ETH_P_IP) && v6)
			s->protocol = htons(ETH_P_IPV6);
		else if (s->protocol == htons(ETH_P_IPV6) && v4)
			s->protocol = htons(ETH_P_IP);
	}
	return 0;
}

static int shrink(struct skb *s, uint32_t off, uint32_t len, uint64_t flags)
{
	bool same = s->transport == s->network;

	if (flags & ~(BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET | DECAP_L3_IPV4 | DECAP_L3_IPV6))
		return -EINVAL;
	if (s->ctx.gso_size && !s->gso_tcp)
		return -KERNEL_ENOTSUPP;
	if (off + len > s->ctx.len)
		return -ENOMEM;
	close_room(s, off, len);
	s->mac += (int)len;
	s->network += (int)len;
	if (same)
		s->transport = s->network;
	if (s->protocol == htons(ETH_P_IP) && flags & DECAP_L3_IPV6)
		s->protocol = htons(ETH_P_IPV6);
	else if (s->protocol == htons(ETH_P_IPV6) && flags & DECAP_L3_IPV4)
		s->protocol = htons(ETH_P_IP);
	return 0;
}

long bpf_skb_adjust_room(struct __sk_buff *ctx, __s32 len_diff, __u32 mode, __u64 flags)
{
	const uint64_t known = BPF_F_ADJ_ROOM_FIXED_GSO | ENCAP_L3 | BPF_F_ADJ_ROOM_ENCAP_L4_GRE |
			       BPF_F_ADJ_ROOM_ENCAP_L4_UDP | BPF_F_ADJ_ROOM_ENCAP_L2_ETH |
			       BPF_F_ADJ_ROOM_ENCAP_L2(0xff) | BPF_F_ADJ_ROOM_NO_CSUM_RESET | DECAP_L3_IPV4 |
			       DECAP_L3_IPV6;
	struct skb *s = skb_of(ctx);
	uint32_t len = (uint32_t)(len_diff < 0 ? -len_diff : len_diff);
	uint32_t base = s->protocol == htons(ETH_P_IP) ? 20 : 40, least = base;
	uint32_t off = (uint32_t)(s->network - s->mac), left = s->end - (uint32_t)s->network;
	int r;

	if (flags & ~known)
		return -EINVAL;
	if (len > 0xfff)
		return -EFAULT;
	if (s->protocol != htons(ETH_P_IP) && s->protocol != htons(ETH_P_IPV6))
		return -KERNEL_ENOTSUPP;
	if (mode == BPF_ADJ_ROOM_NET)
		off += base;
	else if (mode != BPF_ADJ_ROOM_MAC)
		return -KERNEL_ENOTSUPP;
	if (flags & (DECAP_L3_IPV4 | DECAP_L3_IPV6)) {
		if (len_diff >= 0 || (flags & DECAP_L3_IPV4 && flags & DECAP_L3_IPV6))
			return -EINVAL;
		least = flags & DECAP_L3_IPV4 ? 20 : 40;
	}
	if (len_diff < 0 ? len >= left || left - len < least : ctx->len + len > SKB_MAX_ALLOC && !ctx->gso_size)
		return -KERNEL_ENOTSUPP;
	r = len_diff < 0 ? shrink(s, off, len, flags) : grow(s, off, len, flags);
	skb_sync(s);
	return r;
}

long bpf_skb_change_head(struct __sk_buff *ctx, __u32 len, __u64 flags)
{
	struct skb *s = skb_of(ctx);

	if (flags || (!ctx->gso_size && ctx->len + len > SKB_MAX_ALLOC) || ctx->len + len < ctx->len)
		return -EINVAL;
	open_room(s, 0, len);
	s->mac = (int)s->data;
	skb_sync(s);
	return 0;
}

static uint32_t least_length(const struct skb *s)
{
	uint32_t least = 0;

	if (s->network > (int)s->data)
		least = (uint32_t)s->network - s->data;
	if (s->transport > (int)s->data)
		least = (uint32_t)s->transport - s->data;
	return least;
}

long bpf_skb_change_tail(struct __sk_buff *ctx, __u32 len, __u64 flags)
{
	struct skb *s = skb_of(ctx);
	uint32_t old = s->end;

	if (flags || len > SKB_MAX_ALLOC || len < least_length(s))
		return -EINVAL;
	if (s->encapsulation)
		return -KERNEL_ENOTSUPP;
	unlock(s);
	s->end = s->data + len;
	if (s->end > old)
		memset(s->arena + old, 0, s->end - old);
	ctx->gso_size = 0;
	ctx->gso_segs = 0;
	skb_sync(s);
	return 0;
}

long bpf_skb_change_type(struct __sk_buff *ctx, __u32 type)
{
	if (ctx->pkt_type > PACKET_OTHERHOST || type > PACKET_OTHERHOST)
		return -EINVAL;
	ctx->pkt_type = type;
	return 0;
}

long bpf_skb_vlan_push(struct __sk_buff *ctx, __be16 vlan_proto, __u16 vlan_tci)
{
	struct skb *s = skb_of(ctx);

	if (vlan_proto != htons(ETH_P_8021Q) && vlan_proto != htons(ETH_P_8021AD))
		vlan_proto = htons(ETH_P_8021Q);
	if (s->vlan_present) { /* the tag beside the frame goes into it */
		uint16_t tag[2] = { s->vlan_proto, htons(s->vlan_tci) };

		open_room(s, 2 * ETH_ALEN, VLAN_HEADER);
		memcpy(s->arena + s->data + 2 * ETH_ALEN, tag, sizeof(tag));
		s->mac -= VLAN_HEADER;
		s->network -= VLAN_HEADER;
		s->protocol = s->vlan_proto;
	}
	s->vlan_present = true;
	s->vlan_proto = vlan_proto;
	s->vlan_tci = vlan_tci;
	skb_sync(s);
	return 0;
}

static bool is_vlan(uint16_t protocol)
{
	return protocol == htons(ETH_P_8021Q) || protocol == htons(ETH_P_8021AD);
}

static int pop_inside(struct skb *s, uint16_t *tci)
{
	const uint8_t *p = unlock(s);

	if (s->ctx.len < ETH_HLEN + VLAN_HEADER)
		return -ENOMEM;
	*tci = (uint16_t)(p[14] << 8 | p[15]);
	s->protocol = protocol_of(p + 16, s->ctx.len - 16);
	close_room(s, 2 * ETH_ALEN, VLAN_HEADER);
	s->mac += VLAN_HEADER;
	if (s->network - (int)s->data < ETH_HLEN)
		s->network = (int)s->data + ETH_HLEN;
	s->ctx.len = s->end - s->data;
	return 0;
}

long bpf_skb_vlan_pop(struct __sk_buff *ctx)
{
	struct skb *s = skb_of(ctx);
	uint16_t tci, proto;
	int r = 0;

	if (s->vlan_present)
		s->vlan_present = false;
	else if (is_vlan(s->protocol))
		r = pop_inside(s, &tci);
	if (!r && is_vlan(s->protocol)) {
		proto = s->protocol;
		r = pop_inside(s, &tci);
		if (!r) {
			s->vlan_present = true;
			s->vlan_proto = proto;
			s->vlan_tci = tci;
		}
	}
	skb_sync(s);
	return r;
}
