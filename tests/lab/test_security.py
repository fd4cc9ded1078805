# SPDX-License-Identifier: Apache-2.0
"""Rows C1 to C4: what a workload must not send, and what nobody on the underlay may inject.

    v1, w1 (web, l2), r1 (app, l3) -- dc1 -- wan -- aws1 -- v2 (web), r2 (app)
                                              ^ attacker: any outer source, any header
"""
import struct

import pytest
from helpers import GATEWAY_MAC, drops_of, ping_all

from lab import packet
from lab.fabric import Fabric
from lab.room import Lab

OTHER = "02:00:00:00:be:ef"


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
        "router advertisements and redirects": ([ra(134), ra(137)], "router_advertisement"),
        "DHCP servers": (
            [
                to(udp4(four, t4, 67, 68)),
                packet.eth_ip(packet.BROADCAST, m, udp4(four, "255.255.255.255", 67, 68)),
                to(udp6(ll, t6, 547, 546)),
                to(udp6(six, t6, 547, 546)),
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
            ],
            "link_control",
        ),
        "tunnels": (
            [to(udp4(four, t4, 50000, port, inner)) for port in (4789, 8472, 4790, 6081, 4341, 6080)]
            + [to(udp6(six, t6, 50000, 4789, inner))]
            + [to(packet.ipv4(four, t4, p, c + bytes(30))) for p in (4, 41, 47, 50, 51, 94, 97, 115, 137)]
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
            + [to(udp4(four, t4, 50000, p)) for p in (3784, 3785, 4784, 6784, 646)]
            + [to(packet.ipv4(four, t4, p, c + bytes(30))) for p in (88, 89, 103, 112)],
            "routing_protocol",
        ),
        "VLAN tags": (
            [
                packet.eth(tm, m, 0x8100, struct.pack("!HH", 7, 0x0800) + udp4(four, t4, 1, 2)),
                packet.eth(tm, m, 0x88A8, struct.pack("!HHHH", 7, 0x8100, 8, 0x0800) + udp4(four, t4, 1, 2)),
                packet.eth(packet.BROADCAST, m, 0x8100, struct.pack("!HH", 0, 0x88B5) + c),
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


def test_c1_a_stranger_cannot_inject(lab):
    with listen(lab) as tap, drops_of(lab.node("dc1"), 10, unknown_vtep=10000):
        lab.inject("dc1", *tunnel_packets(lab, stranger(lab), "dc1", 5001, 10000))
    assert tap.total == 0


def test_c3_a_member_cannot_inject_into_networks_it_is_not_in(lab):
    """aws2 has a port in red/web only: blue's VNIs, random ones and VNI 0 are refused; red's own go through."""
    aws2 = lab.node("aws2").underlay[0]
    vnis = [5101, 5100, 0, 0xFFFFFF] + [7000 + i * 13 for i in range(996)]
    with listen(lab) as tap, drops_of(lab.node("dc1"), 10, unknown_vtep=10000):
        lab.inject("dc1", *tunnel_packets(lab, aws2, "dc1", lambda i: vnis[i % 1000], 10000))
    assert tap.total == 0


def test_c2_other_tunnels_are_not_opened(lab):
    """IP-in-IP, GRE, NVGRE, Geneve, VXLAN-GPE, LISP, GUE, STT from a member's own address: nobody receives what is
    inside.
    """
    source, target = lab.node("aws1").underlay[0], lab.node("dc1").underlay[0]
    v2, v1 = lab.host("v2"), lab.host("v1")
    frame = packet.udp_frame(v2.mac, v1.mac, v2.ip4, v1.ip4, 1, 2, b"canary")
    ip_inside = frame[14:]
    udp = lambda port, body: packet.any_ip(
        source, target, 17, packet.udp(source, target, 50000, port, body)
    )  # noqa: E731
    vni = struct.pack("!I", 5001 << 8)
    packets = [
        packet.any_ip(source, target, 4, ip_inside),
        packet.any_ip(source, target, 41, ip_inside),
        packet.any_ip(source, target, 47, b"\0\0\x08\0" + ip_inside),
        packet.any_ip(source, target, 47, b"\0\0\x65\x58" + frame),
        packet.any_ip(source, target, 47, b"\x20\0\x65\x58" + vni + frame),
        packet.any_ip(source, target, 97, b"\x30\0" + frame),
        udp(6081, b"\0\0\x65\x58" + vni + frame),
        udp(4790, b"\x0c\0\0\3" + vni + frame),
        udp(4341, b"\x88\0\0\0" + vni + ip_inside),
        udp(6080, ip_inside),
        udp(8472, packet.vxlan(5001, frame)),
        packet.any_ip(source, target, 6, packet.tcp(source, target, 50000, 7471, 0x10, bytes(18) + frame)),
    ]
    with listen(lab) as tap:
        lab.inject("dc1", *packets * 20)
        # A packet that does arrive marks the end of the line: everything before it has been dealt with.
        lab.inject(
            "dc1", *tunnel_packets(lab, source, "dc1", 5001, 1, packet.eth(v1.mac, v2.mac, 0x88B5, b"canary end"))
        )
        tap.wait(lambda f: b"canary end" in f)
        assert tap.total == 1


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
