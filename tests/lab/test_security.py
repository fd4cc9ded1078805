# SPDX-License-Identifier: Apache-2.0
"""Rows C1 to C4: what a workload must not send, and what nobody on the underlay may inject.

    v1, w1 (web, l2), r1 (app, l3) -- dc1 -- wan -- aws1 -- v2 (web), r2 (app)
                                              ^ attacker: any outer source, any header
"""
import contextlib
import socket
import struct
from random import Random

import pytest
from helpers import GATEWAY_MAC, blast, drops_of, ping_all

from lab import packet
from lab.fabric import Fabric
from lab.room import Lab

OTHER = "02:00:00:00:be:ef"
INSIDE = (4, 41, 47, 50, 51, 55, 94, 97, 98, 108, 115, 137, 143, 144)
HIDING = (0x8847, 0x8848, 0x8863, 0x8864, 0x88E5, 0x894F, 0x22F3, 0x6558)  # MPLS, PPPoE, MACsec, NSH, TRILL, a frame


@pytest.fixture(scope="module", params=[4, 6], ids=["v4 underlay", "v6 underlay"])
def lab(request):
    fabric = Fabric(families=(request.param,))
    fabric.node("dc1", "dc")
    fabric.node("aws1", "aws")
    fabric.node("aws2", "aws")  # a member of the fabric that has no port in blue
    fabric.tenant("red", 5000)
    fabric.network("red/web", vni=5001, subnets=["10.0.1.0/24", "fd00:1::/64"], gateway=["10.0.1.1", "fd00:1::1"])
    fabric.network("red/app", "l3", subnets=["10.0.2.0/24", "fd00:2::/64"], gateway=["10.0.2.1", "fd00:2::1"])
    fabric.network("red/free", vni=5002)
    fabric.tenant("blue", 5100)
    fabric.network("blue/web", vni=5101, subnets=["10.0.1.0/24", "fd00:1::/64"])
    fabric.port("v1", "dc1", "red/web", ["10.0.1.11", "fd00:1::11"])
    fabric.port("w1", "dc1", "red/web", ["10.0.1.12", "fd00:1::12"])
    fabric.port("r1", "dc1", "red/app", ["10.0.2.11", "fd00:2::11"])
    fabric.port("v2", "aws1", "red/web", ["10.0.1.21", "fd00:1::21"])
    fabric.port("r2", "aws1", "red/app", ["10.0.2.21", "fd00:2::21"])
    fabric.port("x2", "aws2", "red/web", ["10.0.1.31", "fd00:1::31"])
    fabric.port("b1", "dc1", "blue/web", ["10.0.1.11", "fd00:1::11"])
    fabric.port("b2", "aws1", "blue/web", ["10.0.1.21", "fd00:1::21"])
    fabric.port("open1", "dc1", "red/free", port_security=False)
    fabric.port("free2", "aws1", "red/free")
    with Lab(fabric) as lab:
        yield lab


def udp4(src, dst, sport, dport, body=b"canary"):
    return packet.ipv4(src, dst, 17, packet.udp(src, dst, sport, dport, body))


def udp6(src, dst, sport, dport, body=b"canary"):
    return packet.ipv6(src, dst, 17, packet.udp(src, dst, sport, dport, body))


def forbidden(me, target):
    """name -> (frames, drop reason): what a workload may not say, aimed at a neighbour or at everybody."""
    m, four, six = me.mac, me.ip4, me.ip6
    tm, t4, t6 = target
    ll = packet.ip_text(
        bytes.fromhex("fe80000000000000")
        + bytes([packet.mac(m)[0] ^ 2])
        + packet.mac(m)[1:3]
        + b"\xff\xfe"
        + packet.mac(m)[3:]
    )
    all_nodes = "33:33:00:00:00:01"
    c = b"canary"

    def to(p):
        return packet.eth_ip(tm, m, p)

    def ra(kind, src=ll):
        return packet.eth_ip(
            all_nodes,
            m,
            packet.ipv6(src, "ff02::1", 58, packet.icmp6(src, "ff02::1", kind, 0, 0x40000000, bytes(8) + c), hops=255),
        )

    inner = packet.vxlan(5001, packet.udp_frame(m, tm, four, t4, 1, 2, c))
    rows = {
        "another source MAC": (
            [
                packet.udp_frame(OTHER, tm, four, t4, 1, 2, c),
                packet.udp_frame(OTHER, tm, six, t6, 1, 2, c),
                packet.eth(packet.BROADCAST, OTHER, 0x88B5, c),
            ],
            "mac_spoofed",
        ),
        "a multicast source MAC": ([packet.eth(packet.BROADCAST, "03:00:00:00:00:01", 0x88B5, c)], "mac_spoofed"),
        "another source address": (
            [
                to(udp4("10.0.1.99", t4, 1, 2)),
                to(udp4("8.8.8.8", t4, 1, 2)),
                to(udp4("127.0.0.1", t4, 1, 2)),
                to(udp4(t4, t4, 1, 2)),
                to(udp4("0.0.0.0", t4, 1, 2)),
                to(udp4("255.255.255.255", t4, 1, 2)),
            ],
            "ip_spoofed",
        ),
        "another IPv6 source": (
            [
                to(udp6("fd00:1::99", t6, 1, 2)),
                to(udp6("2001:db8::1", t6, 1, 2)),
                to(udp6(t6, t6, 1, 2)),
                to(udp6("fe80::1234", t6, 1, 2)),
                to(udp6("::1", t6, 1, 2)),
                to(udp6("::", t6, 1, 2)),
                to(udp6("ff02::1", t6, 1, 2)),
            ],
            "ip_spoofed",
        ),
        "the gateway's address": ([to(udp4("10.0.1.1", t4, 1, 2)), to(udp6("fd00:1::1", t6, 1, 2))], "ip_spoofed"),
        "ARP for others": (
            [
                packet.arp(2, m, "10.0.1.1", "00:00:00:00:00:00", "10.0.1.1", tail=c),
                packet.arp(1, m, t4, "00:00:00:00:00:00", t4, tail=c),
                packet.arp(2, m, t4, m, t4, dst=tm, tail=c),
                packet.arp(1, OTHER, four, "00:00:00:00:00:00", "10.0.1.77", src=m, tail=c),
                packet.arp(2, OTHER, four, tm, t4, dst=tm, src=m, tail=c),
            ],
            "arp_spoofed",
        ),
        "ND for others": (
            [
                packet.neighbour_advertisement(m, six, t6, m, options=packet.nonce_option(c)),
                packet.neighbour_advertisement(m, six, "fd00:1::1", m, options=packet.nonce_option(c)),
                packet.neighbour_advertisement(m, six, six, OTHER, options=packet.nonce_option(c)),
                packet.neighbour_advertisement(m, ll, "fd00:1::77", m, t6, tm, options=packet.nonce_option(c)),
                packet.eth(
                    all_nodes,
                    m,
                    packet.ETH_IP6,
                    packet.ipv6(
                        six,
                        "ff02::1:ff00:77",
                        58,
                        packet.icmp6(
                            six,
                            "ff02::1:ff00:77",
                            135,
                            0,
                            0,
                            packet.ip("fd00:1::77") + b"\x01\x01" + packet.mac(OTHER) + packet.nonce_option(c),
                        ),
                        hops=255,
                    ),
                ),
            ],
            "arp_spoofed",
        ),
        "router advertisements and redirects": (
            [ra(134), ra(137), ra(138), ra(151)]
            + [to(packet.ipv4(four, t4, 1, packet.icmp(kind, 0, 0x01010000, c))) for kind in (5, 9)],
            "router_advertisement",
        ),
        "DHCP servers": (
            [
                to(udp4(four, t4, 67, 68)),
                packet.eth_ip(packet.BROADCAST, m, udp4(four, "255.255.255.255", 67, 68)),
                to(udp6(ll, t6, 547, 546)),
                to(udp6(six, t6, 547, 546)),
                # One of the two ports is enough.
                to(udp4(four, t4, 50000, 68)),
                to(udp4(four, t4, 67, 50000)),
                to(udp6(six, t6, 50000, 546)),
                to(udp6(six, t6, 547, 50000)),
            ],
            "dhcp_server",
        ),
        "link control": (
            [
                packet.eth("01:80:c2:00:00:00", m, 39, b"\x42\x42\x03" + c + bytes(30)),
                packet.eth("01:80:c2:00:00:0e", m, 0x88CC, c),
                packet.eth("01:80:c2:00:00:02", m, 0x8809, c),
                packet.eth("01:80:c2:00:00:03", m, 0x888E, c),
                packet.eth(packet.BROADCAST, m, 0x8035, c + bytes(40)),
                packet.eth(packet.BROADCAST, m, 0x88CC, c),
            ]
            + [
                packet.eth(packet.BROADCAST, m, kind, c + bytes(40))
                for kind in (0x8902, 0x88E3, 0x892F, 0x88FB, 0x88F5, 0x88F6, 0x22EA, 0x9000)
            ],
            "link_control",
        ),
        "tunnels": (
            [
                to(udp4(four, t4, 50000, port, inner))
                for port in (4789, 8472, 4790, 6081, 4341, 6080, 4754, 4755, 6635, 6636, 1701, 2152, 2268, 3544, 5247)
            ]
            + [packet.eth(tm, m, kind, c + bytes(40)) for kind in HIDING]
            + [to(udp6(six, t6, 50000, 4789, inner))]
            + [to(packet.ipv4(four, t4, p, c + bytes(30))) for p in INSIDE]
            + [to(packet.ipv6(six, t6, p, c + bytes(30))) for p in (4, 41, 47, 50, 97, 115, 137)]
            + [to(packet.ipv4(four, t4, 6, packet.tcp(four, t4, 50000, 7471, payload=c)))],
            "tunnel_protocol",
        ),
        "routing protocols": (
            [
                to(packet.ipv4(four, t4, 6, packet.tcp(four, t4, 50000, 179, payload=c))),
                to(packet.ipv4(four, t4, 6, packet.tcp(four, t4, 179, 50000, payload=c))),
                to(packet.ipv6(six, t6, 6, packet.tcp(six, t6, 50000, 179, payload=c))),
            ]
            + [
                to(udp4(four, t4, 50000, p))
                for p in (3784, 3785, 4784, 6784, 7784, 646, 520, 521, 1985, 2029, 3222, 4342, 6696)
            ]
            + [packet.eth(packet.BROADCAST, m, kind, c + bytes(40)) for kind in (0x22F4, 0x4305)]
            + [to(packet.ipv4(four, t4, p, c + bytes(30))) for p in (46, 88, 89, 103, 112, 124, 138)],
            "routing_protocol",
        ),
        "VLAN tags": (
            [
                packet.eth(tm, m, 0x8100, struct.pack("!HH", 7, 0x0800) + udp4(four, t4, 1, 2)),
                packet.eth(tm, m, 0x88A8, struct.pack("!HHHH", 7, 0x8100, 8, 0x0800) + udp4(four, t4, 1, 2)),
                packet.eth(packet.BROADCAST, m, 0x8100, struct.pack("!HH", 0, 0x88B5) + c),
                packet.eth(tm, m, 0x8100, struct.pack("!HHHH", 7, 0x8100, 8, 0x0800) + udp4(four, t4, 1, 2)),
            ]
            + [
                packet.eth(tm, m, kind, struct.pack("!HH", 7, 0x0800) + udp4(four, t4, 1, 2))
                for kind in (0x9100, 0x9200, 0x9300, 0x88E7)
            ],
            "vlan_tagged",
        ),
        "truncated and lying headers": (
            [
                to(udp4(four, t4, 1, 2))[:30],
                packet.eth(tm, m, packet.ETH_IP4, b"\x42" + udp4(four, t4, 1, 2)[1:]),
                packet.eth(tm, m, packet.ETH_IP4, udp4(four, t4, 1, 2)[:2] + b"\xff\xff" + udp4(four, t4, 1, 2)[4:]),
                packet.eth(tm, m, packet.ETH_IP6, udp6(six, t6, 1, 2)[:30]),
                # A mapped address would be taken for IPv4 in our tables.
                to(udp6(f"::ffff:{four}", t6, 1, 2)),
                packet.eth(packet.BROADCAST, m, packet.ETH_ARP, b"\0\1\x08\0\6\4\0\1" + c),
            ],
            "malformed",
        ),
    }
    return rows


NAMES = [
    "another source MAC",
    "a multicast source MAC",
    "another source address",
    "another IPv6 source",
    "the gateway's address",
    "ARP for others",
    "ND for others",
    "router advertisements and redirects",
    "DHCP servers",
    "link control",
    "tunnels",
    "routing protocols",
    "VLAN tags",
    "truncated and lying headers",
]


def listen(lab):
    return lab.host_tap(keep=lambda f: b"canary" in f.data)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("near", [True, False], ids=["to the same node", "to another node"])
def test_a_workload_cannot_send(lab, name, near):
    v1, other = lab.host("v1"), lab.host("w1" if near else "v2")
    frames, reason = forbidden(v1, (other.mac, other.ip4, other.ip6))[name]
    with listen(lab) as tap, lab.wire_tap(keep=lambda f: b"canary" in f.data) as wire:
        with drops_of(lab.node("dc1"), **{reason: len(frames)}):
            v1.send(*frames)
        wire.settle(0.05)
        assert (tap.total, wire.total) == (0, 0)


@pytest.mark.parametrize(
    "name", [n for n in NAMES if n not in ("ARP for others", "ND for others", "the gateway's address")]
)
def test_a_workload_in_an_l3_network_cannot_send_either(lab, name):
    r1, r2 = lab.host("r1"), lab.host("r2")
    frames, reason = forbidden(r1, (GATEWAY_MAC, r2.ip4, r2.ip6))[name]
    with listen(lab) as tap, lab.wire_tap(keep=lambda f: b"canary" in f.data) as wire:
        with drops_of(lab.node("dc1"), **{reason: len(frames)}):
            r1.send(*frames)
        wire.settle(0.05)
        assert (tap.total, wire.total) == (0, 0)


def test_what_is_allowed_passes(lab):
    """The other side of the coin: the same builders with honest values arrive, so the refusals above mean something."""
    v1, v2 = lab.host("v1"), lab.host("v2")
    ll = packet.ip_text(
        bytes.fromhex("fe80000000000000")
        + bytes([packet.mac(v1.mac)[0] ^ 2])
        + packet.mac(v1.mac)[1:3]
        + b"\xff\xfe"
        + packet.mac(v1.mac)[3:]
    )
    frames = [
        packet.eth_ip(v2.mac, v1.mac, p)
        for p in (
            udp4(v1.ip4, v2.ip4, 1, 2),
            udp6(v1.ip6, v2.ip6, 1, 2),
            udp6(ll, v2.ip6, 1, 2),
            udp4(v1.ip4, v2.ip4, 68, 67),
            udp4(v1.ip4, v2.ip4, 500, 4500),
            packet.ipv4(v1.ip4, v2.ip4, 6, packet.tcp(v1.ip4, v2.ip4, 1, 22, payload=b"canary")),
        )
    ]
    frames += [
        packet.arp(2, v1.mac, v1.ip4, v2.mac, v2.ip4, dst=v2.mac, tail=b"canary"),
        packet.eth_ip(packet.BROADCAST, v1.mac, udp4("0.0.0.0", "255.255.255.255", 68, 67)),
        packet.neighbour_advertisement(
            v1.mac, v1.ip6, v1.ip6, v1.mac, v2.ip6, v2.mac, options=packet.nonce_option(b"canary")
        ),
    ]
    with lab.host_tap(["v2"], keep=lambda f: b"canary" in f.data) as tap:
        v1.send(*frames)
        tap.wait(lambda f: True, len(frames))


def test_a_port_without_security_may_send_anything_in_its_own_network(lab):
    p, free = lab.host("open1"), lab.host("free2")
    frames = [
        packet.udp_frame(OTHER, free.mac, "203.0.113.9", "203.0.113.10", 1, 2, b"canary"),
        packet.eth_ip(packet.BROADCAST, OTHER, udp4("203.0.113.9", "255.255.255.255", 67, 68)),
    ]
    with lab.host_tap(keep=lambda f: b"canary" in f.data) as tap:
        p.send(*frames)
        tap.wait(lambda f: True, len(frames))
        tap.settle(0.05)
        assert {f.place for f in tap.frames} == {"free2"}


# ---- from the underlay


def tunnel_packets(lab, source, node, vni, count, inner=None):
    """VXLAN packets for a node with a right MAC and VNI inside, from any outer source."""
    target = next(a for a in lab.node(node).underlay)
    v2, v1 = lab.host("v2"), lab.host("v1")
    inner = inner or packet.udp_frame(v2.mac, v1.mac, v2.ip4, v1.ip4, 1, 2, b"canary")
    body = packet.udp(source, target, 50000, 4789, packet.vxlan(vni, inner)) if not callable(vni) else None
    for i in range(count):
        yield packet.any_ip(
            source, target, 17, body or packet.udp(source, target, 50000, 4789, packet.vxlan(vni(i), inner))
        )


def stranger(lab):
    return "2001:db8:2::bad" if packet.is_v6(lab.node("dc1").underlay[0]) else "198.18.2.66"


def test_packets_from_a_member_get_in(lab):
    """The control: the same bytes from a member's address are delivered."""
    with lab.host_tap(["v1"], keep=lambda f: b"canary" in f.data) as tap:
        lab.inject("dc1", *tunnel_packets(lab, lab.node("aws1").underlay[0], "dc1", 5001, 10))
        tap.wait(lambda f: True, 10)


def without_sum(outer):
    """An outer packet with the UDP checksum that VTEPs send."""
    at = (40 if outer[0] >> 4 == 6 else 20) + 6
    return outer[:at] + b"\0\0" + outer[at + 2 :]


def from_source(outer, number):
    """The same from another stranger: the low 16 bits of the outer source, and the port that it sends from."""
    if outer[0] >> 4 == 6:
        outer = outer[:22] + struct.pack("!H", number) + outer[24:]
        return outer[:40] + struct.pack("!H", 49152 + number % 16384) + outer[42:]
    head = outer[:10] + b"\0\0" + outer[12:14] + struct.pack("!H", number) + outer[16:20]
    head = head[:10] + struct.pack("!H", packet.checksum(head)) + head[12:]
    return head + struct.pack("!H", 49152 + number % 16384) + outer[22:]


def with_vni(outer, vni):
    at = (40 if outer[0] >> 4 == 6 else 20) + 8 + 4
    return outer[:at] + struct.pack("!I", vni << 8) + outer[at + 4 :]


MILLION = 1000000
STRANGERS = 60000


def test_c1_a_million_forged_packets(lab):
    """A million packets that are right in all but the outer source, from 60,000 sources: nothing arrives, and the
    counter says exactly a million; afterwards a member's packet still gets in.
    """
    dc1, v6 = lab.node("dc1"), packet.is_v6(lab.node("dc1").underlay[0])
    base = without_sum(next(tunnel_packets(lab, "2001:db8:bad::1" if v6 else "100.64.0.1", "dc1", 5001, 1)))
    there, here = lab.uplink_mac("dc1"), "02:fe:00:00:00:01"
    frames = [packet.eth_ip(there, here, from_source(base, i)) for i in range(STRANGERS)]
    assert len({f[14:54] for f in frames}) == STRANGERS
    with listen(lab) as tap, drops_of(dc1, 10, unknown_vtep=MILLION):
        done = blast(lab.wan, "w-dc1", frames, MILLION)
    print(f"\nC1: {done['sent']:,} forged packets in {done['seconds']:.1f} s, {tap.total} delivered")
    assert (done["sent"], tap.total, tap.lost) == (MILLION, 0, 0)
    test_packets_from_a_member_get_in(lab)


def test_c3_a_hundred_thousand_random_networks(lab):
    """From a member, into networks that it is not in: aws2 has a port in red/web only.  blue's VNIs, 0, the highest,
    those beside its own, and random ones: nothing arrives, and each is counted.
    """
    known = {5000, 5001}  # of what aws2 may use
    random = Random("C3")
    vnis = [5101, 5100, 5002, 4999, 0, 0xFFFFFF, 5001 ^ 0x800000, 5001 << 8 & 0xFFFFFF]
    while len(vnis) < 100000:
        vni = random.getrandbits(24)
        if vni not in known:
            vnis.append(vni)
    base = without_sum(next(tunnel_packets(lab, lab.node("aws2").underlay[0], "dc1", 5001, 1)))
    there, here = lab.uplink_mac("dc1"), "02:fe:00:00:00:01"
    frames = [packet.eth_ip(there, here, with_vni(base, vni)) for vni in vnis]
    with listen(lab) as tap, drops_of(lab.node("dc1"), 10, unknown_vtep=len(frames)):
        done = blast(lab.wan, "w-dc1", frames, len(frames))
    print(f"\nC3: {done['sent']:,} packets of {len(set(vnis)):,} VNIs, {tap.total} delivered")
    assert (tap.total, tap.lost) == (0, 0)
    # The same packet with the one right number is taken: nothing else was wrong with it.
    with lab.host_tap(["v1"], keep=lambda f: b"canary" in f.data) as tap:
        blast(lab.wan, "w-dc1", [packet.eth_ip(there, here, base)], 1)
        tap.wait(lambda f: True, 1)


def close_to(address):
    """Every address that differs from this one in a single bit."""
    raw = packet.ip(address)
    for bit in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        yield packet.ip_text(bytes(changed))


def test_c1_sources_that_look_like_a_members(lab):
    """One bit beside a member's address, this node's own, its router's, no host's at all: strangers, every one."""
    dc1, member = lab.node("dc1"), lab.node("aws1").underlay[0]
    v6 = packet.is_v6(member)
    sources = [a for a in close_to(member) if a not in lab.node("aws2").underlay]
    sources += [dc1.underlay[0], lab.router("dc1", 6 if v6 else 4), lab.router("aws1", 6 if v6 else 4)]
    sources += ["::", "::1", "fe80::1", "ff02::1"] if v6 else ["0.0.0.0", "127.0.0.1", "255.255.255.255", "224.0.0.1"]
    with listen(lab) as tap, drops_of(dc1, 10, unknown_vtep=len(sources)):
        lab.inject("dc1", *(p for s in sources for p in tunnel_packets(lab, s, "dc1", 5001, 1)))
    assert tap.total == 0


def other_tunnels(lab):
    """name -> (IP protocol, payload) of a packet in another tunnel than VXLAN; the frame inside is right in all."""
    v2, v1 = lab.host("v2"), lab.host("v1")
    source, target = lab.node("aws1").underlay[0], lab.node("dc1").underlay[0]
    frame = packet.udp_frame(v2.mac, v1.mac, v2.ip4, v1.ip4, 1, 2, b"canary 4")
    frame6 = packet.udp_frame(v2.mac, v1.mac, v2.ip6, v1.ip6, 1, 2, b"canary 6")
    four, six, vni = frame[14:], frame6[14:], struct.pack("!I", 5001 << 8)
    udp = lambda port, body: (17, packet.udp(source, target, 50000, port, body))  # noqa: E731
    stt = bytes(10) + struct.pack("!Q", 5001)  # the 18-byte header, with the network as its context
    return {
        "IPIP (4in6 over IPv6)": (4, four),
        "6in4 (6in6 over IPv6)": (41, six),
        "GRE, IPv4 inside": (47, b"\0\0\x08\0" + four),
        "GRE, a frame inside": (47, b"\0\0\x65\x58" + frame),
        "NVGRE": (47, b"\x20\0\x65\x58" + vni + frame),
        "EtherIP": (97, b"\x30\0" + frame),
        "L2TPv3": (115, struct.pack("!I", 5001) + frame),
        "Geneve": udp(6081, b"\0\0\x65\x58" + vni + frame),
        "VXLAN-GPE": udp(4790, b"\x0c\0\0\3" + vni + frame),
        "LISP": udp(4341, b"\x88\0\0\0" + vni + four),
        "GUE, IPv4 inside": udp(6080, b"\0\4\0\0" + four),
        "GUE, direct": udp(6080, four),
        "FOU": udp(5555, four),
        "VXLAN on another port": udp(8472, packet.vxlan(5001, frame)),
        "ESP in UDP": udp(4500, struct.pack("!II", 5001, 1) + frame),
        "STT": (6, packet.tcp(source, target, 50000, 7471, 0x10, stt + frame)),
    }


def test_c2_other_tunnels_are_not_opened(lab):
    """In whatever else may carry a frame, sent by a member to this node's tunnel address: no workload receives it, and
    no counter of ours moves: these packets are not ours.  What the node's own stack is given is what was sent, byte for
    byte.
    """
    dc1, source = lab.node("dc1"), lab.node("aws1").underlay[0]
    target, v1, v2 = dc1.underlay[0], lab.host("v1"), lab.host("v2")
    v6, count = packet.is_v6(target), 20
    family = socket.AF_INET6 if v6 else socket.AF_INET
    tunnels = other_tunnels(lab)
    takers = {}
    with contextlib.ExitStack() as stack:
        for protocol, body in tunnels.values():
            port = struct.unpack_from("!H", body, 2)[0] if protocol == 17 else 0
            if protocol == 6 or (protocol, port) in takers:
                continue
            kind = socket.SOCK_DGRAM if protocol == 17 else socket.SOCK_RAW
            s = stack.enter_context(dc1.ns.socket(family, kind, protocol))
            s.bind((target, port))
            s.settimeout(5)
            takers[protocol, port] = s
        tap, wire = stack.enter_context(listen(lab)), stack.enter_context(lab.wire_tap(["dc1"], incoming_only=True))
        with drops_of(dc1):
            for protocol, body in tunnels.values():
                lab.inject("dc1", *[packet.any_ip(source, target, protocol, body)] * count)
            # A packet that does arrive marks the end of the line: everything before it has been dealt with.
            end = packet.eth(v1.mac, v2.mac, 0x88B5, b"canary end")
            lab.inject("dc1", *tunnel_packets(lab, source, "dc1", 5001, 1, end))
            tap.wait(lambda f: b"canary end" in f)
        assert tap.total == 1
        for name, (protocol, body) in tunnels.items():
            if protocol == 6:  # nobody listens there: the node's TCP says so, as it would without us
                wire.wait(lambda f: tcp_reset(f) == (7471, 50000), count, what="resets")
                continue
            s = takers[protocol, struct.unpack_from("!H", body, 2)[0] if protocol == 17 else 0]
            for _ in range(count):
                got = s.recv(65536)
                got = got[20:] if protocol != 17 and not v6 else got  # raw IPv4 sockets get the header too
                assert got == (body[8:] if protocol == 17 else body), name


def tcp_reset(frame):
    """(source port, destination port) of a TCP reset, or None."""
    p = packet.l3(frame)
    return struct.unpack_from("!HH", p[4]) if p and p[3] == 6 and p[4][13] & 4 else None


def test_c2_other_tunnels_on_our_own_port(lab):
    """VXLAN-GPE, Geneve, GUE and LISP sent to the VXLAN port itself: their first byte gives them away."""
    source, target = lab.node("aws1").underlay[0], lab.node("dc1").underlay[0]
    bodies = [b[8:] for protocol, b in other_tunnels(lab).values() if protocol == 17 and b[8] != 0x08]
    assert len(bodies) >= 6
    with listen(lab) as tap, drops_of(lab.node("dc1"), bad_tunnel_header=len(bodies) * 10):
        for body in bodies:
            lab.inject("dc1", *[packet.any_ip(source, target, 17, packet.udp(source, target, 50000, 4789, body))] * 10)
    assert tap.total == 0


def test_broken_tunnel_headers_are_counted(lab):
    source, target = lab.node("aws1").underlay[0], lab.node("dc1").underlay[0]
    frame = packet.udp_frame(
        lab.host("v2").mac, lab.host("v1").mac, lab.host("v2").ip4, lab.host("v1").ip4, 1, 2, b"canary"
    )

    def vxlan_packet(body):
        return packet.any_ip(source, target, 17, packet.udp(source, target, 50000, 4789, body))

    flags = [vxlan_packet(packet.vxlan(5001, frame, f)) for f in (0x00, 0x0C, 0x88, 0xFF, 0x09)]
    short = [vxlan_packet(packet.vxlan(5001, frame)[:n]) for n in (0, 1, 7)]
    with listen(lab) as tap, drops_of(lab.node("dc1"), bad_tunnel_header=len(flags) + len(short)):
        lab.inject("dc1", *flags, *short)
    assert tap.total == 0


def test_a_routed_packet_must_be_for_this_nodes_router(lab):
    """In the tenant's L3 VNI, only the node's own router MAC opens the door; and a member of blue cannot use red's."""
    r2, r1 = lab.host("r2"), lab.host("r1")
    frame = packet.udp_frame("02:00:00:00:00:01", OTHER, r2.ip4, r1.ip4, 1, 2, b"canary")
    with listen(lab) as tap, drops_of(lab.node("dc1"), bad_router_mac=100):
        lab.inject("dc1", *tunnel_packets(lab, lab.node("aws1").underlay[0], "dc1", 5000, 100, frame))
    assert tap.total == 0


def test_the_fabric_still_works_after_the_attacks(lab):
    assert (
        ping_all(
            [
                (lab.host("v1"), lab.host("v2").ip4),
                (lab.host("r1"), lab.host("r2").ip6),
                (lab.host("b1"), lab.host("b2").ip4),
            ]
        )
        == []
    )
