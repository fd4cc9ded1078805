/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tunnel.h - what runs the protocol: a TAP device, a UDP port, and threads between them.
 *
 *     workload -> BPF, VXLAN header on -> TAP queue -> worker: peer by outer destination, cut, seal, UDP_SEGMENT -> peer
 *     peer -> UDP_GRO -> worker: open, is the outer source that peer's?, merge -> TAP queue -> BPF, VXLAN header off
 *
 * `workers` threads carry data, each with a queue of the TAP and a socket of its own; one more thread owns the protocol
 * (device.h): handshakes, timers, cookies.  What goes over the wire is the IP packet that was in the frame; the TAP's
 * frames have an Ethernet header in front (TAP and not TUN, so that clsact sees the same in both directions).
 *
 * The device is there from tunnel_new to tunnel_free and not longer, so whoever sends to it when nobody encrypts
 * loses the packet and not its secrecy.  No error of a packet, a peer or a socket ends anything: it is counted by name.
 *
 * Call order: secret_start (secret.h; tunnel_secret_size says how much), tunnel_new, tunnel_peer_set for each peer, then
 * any; tunnel_free.  All of it is for one thread, the control loop's; none waits for a packet or a peer.  tunnel_new
 * needs CAP_NET_ADMIN and /dev/net/tun, tunnel_mtu_set the former.  The threads block all signals; what they ask of the
 * kernel is poll, read, write, writev, sendmsg, recvmsg, setsockopt, the clock, futexes, sched_yield, memory and random bytes.
 */
#ifndef ISTHMUS_WG_TUNNEL_H
#define ISTHMUS_WG_TUNNEL_H

#include "wg/device.h"
#include "wg/probe.h"

#define TUNNEL_WORKERS_MAX 16
#define TUNNEL_ADDRESSES_MAX 4

struct tunnel;

/* Counted besides those of enum device_drop, in one row of names. */
enum tunnel_drop {
	TUNNEL_NOT_IP = DEVICE_DROP_MAX, /* from the TAP: not IPv4 or IPv6 */
	TUNNEL_BAD_OFFLOAD,   /* from the TAP: a super-packet that does not agree with its header */
	TUNNEL_NO_PEER,       /* its outer destination is no peer's address */
	TUNNEL_WAITING_FULL,  /* there is no session yet, and enough waits for it */
	TUNNEL_NO_SESSION,    /* waited, and the peer did not answer or was removed */
	TUNNEL_TOO_BIG,       /* longer than the tunnel's MTU */
	TUNNEL_SEAL_FAILED,
	TUNNEL_SEND_FAILED,   /* by the socket: no route, no buffer */
	TUNNEL_BAD_INNER,     /* from a peer: no IP packet */
	TUNNEL_WRONG_SOURCE,  /* from a peer: its (of a node, outer) source is not an address of it */
	TUNNEL_TAP_FAILED,    /* the device is down or gone */
	TUNNEL_BUSY,          /* handshake messages faster than they can be looked at */
	TUNNEL_TAP_FULL,      /* by the kernel: the workers did not keep up with what is to be sent, */
	TUNNEL_SOCKET_FULL,   /* or with what came */
	TUNNEL_NOT_OURS,      /* from the TAP: of somebody on this node, and not of the data plane */
	TUNNEL_RELAY_LOST,    /* to be sent through a relay that cannot be sent to */
	TUNNEL_RELAY_REFUSED, /* to be carried, and we are no relay, or it was carried already; or of one who is none */
	TUNNEL_RELAY_UNKNOWN, /* to be carried to whom is no node of ours */
	TUNNEL_RELAY_NO_SESSION, /* to be carried to whom there is no session with */
	TUNNEL_DROP_MAX
};
const char *tunnel_drop_name(int drop); /* those of enum device_drop too */

struct tunnel_config {
	char device[16];                     /* the TAP's name; must not exist */
	uint16_t port;                       /* UDP, both families */
	uint8_t private_key[NOISE_KEY_SIZE]; /* wiped by the caller */
	unsigned workers;                    /* 1 to TUNNEL_WORKERS_MAX; about one a processor */
	uint16_t mtu;                        /* longest payload: see tunnel_mtu */
	uint16_t vxlan_port;                 /* by which VXLAN is told from other UDP */
	struct addr local[2];                /* IPv4, IPv6: the source of what is sent; unspecified = as the kernel routes */
	/*
	 * Only frames whose Ethernet source is zero are sealed.  BPF writes that; any user may bind a socket to the device, and
	 * what it sends has the device's address.
	 */
	bool programs_only;
};

enum tunnel_peer_kind {
	TUNNEL_NODE,  /* another node of the fabric */
	TUNNEL_PLAIN, /* any WireGuard program, whose payload is IP of a workload and nothing else */
};

/*
 * What stands for a peer that is no node: a TAP device, which is down until somebody sets it up.  It outlives the peer and
 * the process, drops what it gets without them, and is taken again: whoever wants it gone removes it, best before the peer.
 */
struct tunnel_port {
	char device[16];                /* must not exist, or have been a port before */
	uint8_t gateway[6], mac[6];     /* Ethernet addresses: whom it speaks to, and as whom */
	uint16_t mtu;                   /* the same for all; see tunnel_mtu */
	const struct addr *addresses;   /* what it sends has one of them as source; copied */
	size_t n_addresses;
};

struct tunnel_peer {
	enum tunnel_peer_kind kind;
	uint8_t public_key[NOISE_KEY_SIZE];
	uint8_t psk[NOISE_KEY_SIZE];                 /* zero = none; wiped by the caller */
	struct addr addresses[TUNNEL_ADDRESSES_MAX]; /* outer destinations that are its, and sources that may be */
	size_t n_addresses;
	struct endpoint endpoint; /* port 0 = unknown until it talks to us */
	uint16_t keepalive_s;     /* 0 = none */
	bool relay;       /* carries for us where we do not reach another (relay.h); RELAYS_MAX at most, or -E2BIG */
	bool unreachable; /* neither of us can begin directly: no use to wait before relays are asked */
	enum packet_suite suite;  /* of handshakes that we begin */
	struct tunnel_port port;  /* of TUNNEL_PLAIN, which has no `addresses` */
	uint16_t path_mtu;        /* see tunnel_peer_path */
};

/* Of the way to a peer, as measured (probe.h). */
struct tunnel_path {
	enum probe_state state;
	uint16_t mtu;   /* IP datagram that is known to be carried; 0 = none is */
	uint16_t limit; /* the same, where that is less than was told; 0 = it is not */
	uint32_t rtt_us; /* 0 = not known */
	uint32_t loss_out, loss_in; /* millionths, or PROBE_LOSS_UNKNOWN */
};

struct tunnel_peer_status {
	struct endpoint endpoint; /* where it is now */
	uint8_t relay[NOISE_KEY_SIZE]; /* of whom carries for it, where the endpoint is a relay's */
	bool ready;               /* can be sent to */
	uint64_t carried_packets, carried_bytes; /* of it for others */
	struct peer_stats stats;
	struct tunnel_path path;
	uint64_t drops[TUNNEL_DROP_MAX]; /* those of which it is known whose they were */
};

enum tunnel_event_kind {
	TUNNEL_PEER_UP = 1 << 0,    /* a new session, the first or another */
	TUNNEL_PEER_DOWN = 1 << 1,  /* does not answer, or its keys were forgotten */
	TUNNEL_PEER_MOVED = 1 << 2, /* has another endpoint */
	TUNNEL_LOST = 1 << 3,       /* of no peer: the device was taken away; only a new tunnel helps */
	TUNNEL_PEER_MEASURED = 1 << 4, /* tunnel_path.limit has changed */
};

struct tunnel_event {
	unsigned kinds; /* all that happened since the last of this peer */
	uint8_t public_key[NOISE_KEY_SIZE];
};

/* Longest outer IP packet (with its IP header) that fits into a datagram of `link_mtu`; 0 = none does. */
uint16_t tunnel_mtu(uint16_t link_mtu, bool underlay_v6);
/* Of the heap for secrets, for so many peers: a power of two, as secret_start wants it. */
size_t tunnel_secret_size(size_t peers);

/*
 * 0; -EADDRINUSE: the port; -EEXIST: the device; -EPERM; -ENOENT: no /dev/net/tun; -ENOMEM; -ENOSYS; -EINVAL; another
 * errno of the socket or the device.
 */
int tunnel_new(const struct tunnel_config *config, struct tunnel **out);
void tunnel_free(struct tunnel *t); /* ends the threads, forgets all keys, removes the device; NULL allowed */

unsigned tunnel_ifindex(const struct tunnel *t); /* of the TAP */
const uint8_t *tunnel_public_key(const struct tunnel *t);
enum packet_suite tunnel_suite(const struct tunnel *t); /* the faster one here, for peers that are Isthmus nodes */
int tunnel_mtu_set(struct tunnel *t, uint16_t mtu);     /* 0 or an errno of the device */

/*
 * Makes a peer, or changes it in place: what its sessions carry goes on, and another psk or suite counts from the next
 * handshake.  An endpoint takes effect when it is another than the one given last, so that a peer that has moved stays
 * found.  A peer with an endpoint is talked to at once; the device of a port that was taken away is made again.  0;
 * -EKEYREJECTED; -EEXIST: an address is another peer's, or the port's device is there; as tunnel_new of its device;
 * -ENOMEM; on failure all is as before, but that a peer of the other kind is none any more.
 */
int tunnel_peer_set(struct tunnel *t, const struct tunnel_peer *peer);
void tunnel_relaying_set(struct tunnel *t, bool relaying); /* do we carry for others? */
/*
 * The longest IP datagram that the way to a node takes by what this one knows (links, routes, configuration): up to that
 * it is measured.  0 = not known, and not measured.  0 or -ENOENT.
 */
int tunnel_peer_path(struct tunnel *t, const uint8_t public_key[static NOISE_KEY_SIZE], uint16_t mtu);
int tunnel_peer_remove(struct tunnel *t, const uint8_t public_key[static NOISE_KEY_SIZE]); /* 0 or -ENOENT */
int tunnel_peer_status(struct tunnel *t, const uint8_t public_key[static NOISE_KEY_SIZE],
		       struct tunnel_peer_status *out); /* 0 or -ENOENT */
/* It is there, and was made as a tunnel_port, by whichever process; has one opened it (or NULL)? */
bool tunnel_port_is_ours(const char *device, bool *is_open);
bool tunnel_port_is_lost(struct tunnel *t, const uint8_t public_key[static NOISE_KEY_SIZE]); /* somebody removed it */
int tunnel_peer_rekey(struct tunnel *t, const uint8_t public_key[static NOISE_KEY_SIZE]); /* 0 or -ENOENT */

/* Readable when there are events. */
int tunnel_fd(const struct tunnel *t);
bool tunnel_event(struct tunnel *t, struct tunnel_event *out); /* the next; false: no more */

void tunnel_drops(struct tunnel *t, uint64_t out[static TUNNEL_DROP_MAX]);

#endif
