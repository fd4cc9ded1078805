# SPDX-License-Identifier: Apache-2.0
"""Reachability: l2, l3 and routed between them, v4 and v6 inside, over v4, v6 and mixed underlays.

      dc: dc1  w1 (web, l2)  a1 a3 (app, l3)  d2 (db, l2)  f1 (loose, l2, floods)
          dc2  w2 (web)
              |  wan  |
     aws: aws1 w3 (web, tap) a2 (app, /32 and /128 with an on-link gateway) d1 (db) f2 (loose)
"""
import re

import pytest
from helpers import GATEWAY_MAC, at_once, copies, drops_of, has, inner_arp_or_solicitation, ping_all

from lab import packet
from lab.fabric import Fabric
from lab.room import Lab
from lab.run import wait_until

UNDERLAYS = {
    "v4": {"dc1": (4,), "dc2": (4,), "aws1": (4,)},
    "v6": {"dc1": (6,), "dc2": (6,), "aws1": (6,)},
    "mixed": {"dc1": (4,), "dc2": (4, 6), "aws1": (6, 4)},
}


def make_fabric(underlay):
    fabric = Fabric()
    for node, families in UNDERLAYS[underlay].items():
        fabric.node(node, node[:-1], families)
    fabric.tenant("red", 5000)
    fabric.network("red/web", vni=5001, subnets=["10.0.1.0/24", "fd00:1::/64"], gateway=["10.0.1.1", "fd00:1::1"])
    fabric.network("red/app", "l3", subnets=["10.0.2.0/24", "fd00:2::/64"], gateway=["10.0.2.1", "fd00:2::1"])
    fabric.network("red/db", vni=5003, subnets=["10.0.3.0/24", "fd00:3::/64"], gateway=["10.0.3.1", "fd00:3::1"])
    fabric.network("red/loose", vni=5004, subnets=["10.0.4.0/24", "fd00:4::/64"], flood=True)
    for name, node, network, number, rig in (
        ("w1", "dc1", "web", 11, {}),
        ("w2", "dc2", "web", 12, {}),
        ("w3", "aws1", "web", 13, {"kind": "tap"}),
        ("a1", "dc1", "app", 11, {}),
        ("a2", "aws1", "app", 12, {"routes": "onlink"}),
        ("a3", "dc1", "app", 13, {}),
        ("d1", "aws1", "db", 11, {}),
        ("d2", "dc1", "db", 12, {}),
        ("f1", "dc1", "loose", 11, {}),
        ("f2", "aws1", "loose", 12, {}),
    ):
        n = {"web": 1, "app": 2, "db": 3, "loose": 4}[network]
        fabric.port(name, node, f"red/{network}", [f"10.0.{n}.{number}", f"fd00:{n}::{number}"], rig=rig)
    return fabric


@pytest.fixture(scope="module", params=UNDERLAYS)
def lab(request):
    with Lab(make_fabric(request.param)) as lab:
        # Workloads talk (MLD) from the moment their link is up, also to nodes that are not ready yet.
        lab.drops_at_start = {name: node.drops() for name, node in lab.nodes.items()}
        yield lab


def both(host):
    return (host.ip4, host.ip6)


def test_everybody_in_a_tenant_reaches_everybody(lab):
    """Same network or routed, local or remote, v4 and v6, without any warm-up: the first ping arrives."""
    hosts = [h for n, h in lab.hosts.items() if not n.startswith("f")]
    assert ping_all((a, address) for a in hosts for b in hosts if a is not b for address in both(b)) == []
    f1, f2 = lab.host("f1"), lab.host("f2")
    assert ping_all([(f1, f2.ip4), (f2, f1.ip4), (f1, f2.ip6), (f2, f1.ip6)]) == []


def test_tcp_and_udp_cross_whole(lab):
    for a, b in (("w1", "w3"), ("w3", "w1"), ("a1", "a2"), ("w1", "a2"), ("a2", "w2"), ("d1", "w1"), ("a1", "a3")):
        for v6 in (False, True):
            assert lab.host(a).tcp_to(lab.host(b), 300000, v6) == 300000, f"{a} -> {b}"
            assert lab.host(a).udp_to(lab.host(b), bytes(1200), v6), f"{a} -> {b}"


def test_gateways_answer_ping_and_have_the_same_mac_everywhere(lab):
    asked = {"w1": (1,), "w3": (1,), "d1": (3,), "a1": (2,), "a2": (2,)}
    assert (
        ping_all((lab.host(h), a) for h, ns in asked.items() for n in ns for a in (f"10.0.{n}.1", f"fd00:{n}::1")) == []
    )
    for h, (n,) in asked.items():
        for a in (f"10.0.{n}.1", f"fd00:{n}::1"):
            assert lab.host(h).arping(a) == [GATEWAY_MAC], f"{h} asks for {a}"
    # Another network's gateway answers too, one hop away.
    assert ping_all([(lab.host("w1"), "10.0.3.1"), (lab.host("w1"), "fd00:2::1")]) == []


def test_known_neighbours_are_answered_from_here_and_nothing_crosses(lab):
    """ARP and ND for known endpoints: one answer with the endpoint's own MAC, none of it on the underlay."""
    lab.host("w1").flush_neighbours()
    with lab.wire_tap(keep=lambda f: inner_arp_or_solicitation(f.data)) as wire:
        for asker in ("w1", "w3"):
            for target in ("w1", "w2", "w3"):
                for address in both(lab.host(target)) if asker != target else ():
                    assert lab.host(asker).arping(address) == [lab.host(target).mac]
        wire.settle(0.1)
        assert wire.total == 0


def test_l3_ports_get_the_gateways_mac_for_every_address_but_their_own(lab):
    a1 = lab.host("a1")
    for address in ("10.0.2.12", "10.0.2.13", "10.0.2.200", "192.0.2.77", "fd00:2::12", "2001:db8:ffff::1"):
        assert a1.arping(address) == [GATEWAY_MAC], address
    assert a1.arping(a1.ip4, timeout=0.15) == [] and a1.arping(a1.ip6, timeout=0.15) == []


@pytest.mark.parametrize("destination", ["ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:fb", "33:33:00:00:00:fb"])
@pytest.mark.parametrize("kind", ["ip", "other"])
def test_l2_broadcast_and_multicast_reach_every_port_exactly_once(lab, destination, kind):
    w = {n: lab.host(n) for n in ("w1", "w2", "w3")}
    for sender in ("w1", "w3"):
        canary = f"canary-{sender}-{kind}-{destination}".encode()
        if kind == "other":
            frame = packet.eth(destination, w[sender].mac, 0x88B5, canary)
        elif destination.startswith("33"):
            frame = packet.udp_frame(w[sender].mac, destination, w[sender].ip6, "ff02::fb", 5353, 5353, canary)
        else:
            group = "255.255.255.255" if destination.startswith("ff") else "224.0.0.251"
            frame = packet.udp_frame(w[sender].mac, destination, w[sender].ip4, group, 5353, 5353, canary)
        with lab.host_tap(keep=lambda f: canary in f.data) as tap:
            w[sender].send(*[frame] * 5)
            tap.wait(has(canary), 10)
            tap.settle(0.1)
            assert copies(tap, has(canary), lab.hosts) == {h: 5 if h in w and h != sender else 0 for h in lab.hosts}
            assert all(f.data == tap.frames[0].data for f in tap.frames)


def test_other_ethertypes_cross_to_a_known_mac(lab):
    for a, b in (("w1", "w3"), ("w3", "w1"), ("w1", "w2")):
        frame = packet.eth(lab.host(b).mac, lab.host(a).mac, 0x88B5, b"not IP " * 20)
        with lab.host_tap(keep=lambda f: b"not IP" in f.data) as tap:
            lab.host(a).send(frame)
            tap.wait(has(b"not IP"))
            tap.settle(0.05)
            assert copies(tap, has(b"not IP"), lab.hosts) == {h: h == b for h in lab.hosts}
            assert tap.frames[0].data == frame


def test_unknown_unicast_is_counted_and_not_flooded(lab):
    w1 = lab.host("w1")
    frame = packet.udp_frame(w1.mac, "02:00:00:00:ee:ee", w1.ip4, "10.0.1.99", 1, 2, b"canary-unknown")
    with lab.host_tap(keep=lambda f: b"canary-unknown" in f.data) as tap, lab.wire_tap(
        keep=lambda f: b"canary-unknown" in f.data
    ) as wire:
        with drops_of(lab.node("dc1"), unknown_mac=100):
            w1.send(*[frame] * 100)
        wire.settle(0.1)
        assert (tap.total, wire.total) == (0, 0)


def test_a_network_with_flooding_floods_unknown_unicast(lab):
    f1 = lab.host("f1")
    frame = packet.udp_frame(f1.mac, "02:00:00:00:ee:ee", f1.ip4, "10.0.4.99", 1, 2, b"canary-unknown")
    with lab.host_tap(keep=lambda f: b"canary-unknown" in f.data) as tap:
        f1.send(*[frame] * 3)
        tap.wait(has(b"canary-unknown"), 3)
        tap.settle(0.05)
        assert copies(tap, has(b"canary-unknown"), lab.hosts) == {h: 3 * (h == "f2") for h in lab.hosts}


def test_unknown_arp_target_is_flooded_once_to_each_port(lab):
    w1 = lab.host("w1")
    question = packet.arp_request(w1.mac, w1.ip4, "10.0.1.99", tail=b"canary")
    with lab.host_tap(keep=lambda f: b"canary" in f.data) as tap:
        w1.send(question)
        tap.wait(has(b"canary"), 2)
        tap.settle(0.05)
        assert copies(tap, has(b"canary"), lab.hosts) == {h: h in ("w2", "w3") for h in lab.hosts}


def test_no_broadcast_crosses_an_l3_network(lab):
    a1 = lab.host("a1")
    frames = [
        packet.udp_frame(a1.mac, packet.BROADCAST, a1.ip4, to, 1, 2, b"canary-l3")
        for to in ("255.255.255.255", "10.0.2.255")
    ]
    frames.append(packet.udp_frame(a1.mac, "01:00:5e:00:00:fb", a1.ip4, "224.0.0.251", 1, 2, b"canary-l3"))
    frames.append(packet.udp_frame(a1.mac, "33:33:00:00:00:fb", a1.ip6, "ff02::fb", 1, 2, b"canary-l3"))
    frames.append(packet.eth(packet.BROADCAST, a1.mac, 0x88B5, b"canary-l3"))
    with lab.host_tap(keep=lambda f: b"canary-l3" in f.data) as tap, lab.wire_tap(
        keep=lambda f: b"canary-l3" in f.data
    ) as wire:
        before = sum(lab.node("dc1").drops().values())
        a1.send(*frames)
        wait_until(
            lambda: sum(lab.node("dc1").drops().values()) >= before + len(frames),
            what="every broadcast counted as a drop",
        )
        wire.settle(0.1)
        # 10.0.2.255 has no host: its sender is told so, nobody else hears of it.
        assert wire.total == 0 and {f.place for f in tap.frames} <= {"a1"}


def test_ttl_goes_down_by_one_when_routed_and_not_at_all_when_bridged(lab):
    def ttl_seen(source, target, v6):
        a, b = lab.host(source), lab.host(target)
        with b.tap(incoming_only=True, keep=lambda f: b"ttl probe" in f.data) as tap:
            assert a.udp_to(b, b"ttl probe", v6)
            frame = tap.wait(has(b"ttl probe"))[0].data
        return frame[21] if v6 else frame[22]

    for v6 in (False, True):
        assert ttl_seen("w1", "w3", v6) == 64
        for a, b in (("w1", "a2"), ("a2", "w1"), ("a1", "a3"), ("a1", "a2"), ("w1", "d2")):
            assert ttl_seen(a, b, v6) == 63, f"{a} -> {b}"


def test_traceroute_and_tracepath_show_the_gateway_and_the_host(lab):
    def hops(tool, a, address):
        argv = (
            ["traceroute", "-n", "-q", 1, "-w", 2, "-m", 5, address]
            if tool == "traceroute"
            else ["tracepath", "-n", "-m", 5, address]
        )
        text = lab.host(a).command(*argv).stdout
        return [m[1] for m in re.finditer(r"^ *\d+:? +([0-9a-f.:]+) ", text, re.M) if m[1] != "1:"], text

    cases = (
        ("w1", "a2", "10.0.1.1", "fd00:1::1"),
        ("a1", "a2", "10.0.2.1", "fd00:2::1"),
        ("a2", "w1", "10.0.2.1", "fd00:2::1"),
        ("d1", "w1", "10.0.3.1", "fd00:3::1"),
    )
    work = [
        (tool, a, lab.host(b).address(":" in gateway), gateway)
        for a, b, *gateways in cases
        for gateway in gateways
        for tool in ("traceroute", "tracepath")
    ]
    for (tool, a, address, gateway), (seen, text) in zip(work, at_once([lambda w=w: hops(*w[:3]) for w in work])):
        found = list(dict.fromkeys(seen))
        assert found == [gateway, address], f"{tool} {a} -> {address}:\n{text}"


def test_unreachable_destinations_are_answered_from_the_gateway(lab):
    w1, a1 = lab.host("w1"), lab.host("a1")
    for host, address, source, word in (
        (w1, "10.0.2.99", "10.0.1.1", "Host Unreachable"),
        (w1, "172.16.0.1", "10.0.1.1", "Net Unreachable"),
        (a1, "10.0.2.99", "10.0.2.1", "Host Unreachable"),
        (w1, "fd00:2::99", "fd00:1::1", "Address unreachable"),
        (w1, "fd00:99::1", "fd00:1::1", "No route"),
        (a1, "fd00:2::99", "fd00:2::1", "Address unreachable"),
    ):
        text = host.ping_output(address)
        assert re.search(f"From {source} .*{word}", text), f"{host.name} -> {address}: {text}"
    for address, source in (("10.0.2.12", "10.0.1.1"), ("fd00:2::12", "fd00:1::1")):
        text = w1.ping_output(address, "-t", 1)
        assert re.search(f"From {source} .*(Time to live|Time) exceeded", text), text


def test_wire_packets_use_the_underlay_of_the_configuration_and_spread_source_ports(lab):
    w1, w3 = lab.host("w1"), lab.host("w3")
    with lab.wire_tap(["dc1"], keep=lambda f: packet.inner_of(f.data)) as wire:
        for port in range(40):
            assert w1.udp_to(w3, b"entropy", port=41000 + port)
        frames = [packet.l3(f.data) for f in wire.wait(has(b"entropy"), 40) if f.incoming]
    ports = {int.from_bytes(p[4][:2], "big") for p in frames}
    assert len(frames) == 40 and len(ports) > 20 and min(ports) >= 49152
    (source,), (remote,) = {p[1] for p in frames}, {p[2] for p in frames}
    assert source in lab.node("dc1").underlay and remote in lab.node("aws1").underlay


def test_no_drop_is_unexplained(lab):
    """After all of the above: nothing malformed, refused by the kernel, or from a stranger.

    Not no_neighbour: workloads talk (MLD) before the nodes have met on the underlay.
    """
    for node in lab.nodes.values():
        seen, before = node.drops(), lab.drops_at_start[node.name]
        for reason in (
            "malformed",
            "encap_failed",
            "unknown_vtep",
            "bad_tunnel_header",
            "bad_router_mac",
            "not_local",
            "port_unknown",
            "no_underlay_route",
            "flood_limit",
            "ecn",
        ):
            assert seen[reason] == before[reason], f"{node.name}: {reason}"
