# SPDX-License-Identifier: Apache-2.0
"""Without encapsulation over BGP: nodes that know nothing of each other's ports but what unicast routes say.

    g1 b1 -- dc1 --+
    g2 ----- dc2 --+-- sw-dc        green: encap none; blue: VXLAN, in the same sessions
    g3 b3 -- dc3 --+

Underlays of both families, and of IPv6 alone: there IPv4 goes over IPv6 next hops (RFC 8950).
"""
import pytest
from helpers import ping_all

from lab import packet
from lab.fabric import Fabric
from lab.host import UdpStream
from lab.room import Lab
from lab.run import wait_until
from test_native import between, is_tunnel, routes

NODES = ("dc1", "dc2", "dc3")
ANYCAST = "10.7.0.200"


def make_fabric(families):
    fabric = Fabric(families=families)
    for node in NODES:
        fabric.node(node, "dc")
    fabric.tenant("green", 7000)
    fabric.network(
        "green/all", "l3", encap="none", subnets=["10.7.0.0/24", "fd00:7::/64"], gateway=["10.7.0.1", "fd00:7::1"]
    )
    fabric.tenant("blue", 6000)
    fabric.network("blue/all", "l3", subnets=["10.8.0.0/24", "fd00:8::/64"], gateway=["10.8.0.1", "fd00:8::1"])
    for n, node in enumerate(NODES, 1):
        fabric.port(f"g{n}", node, "green/all", [f"10.7.0.{10 + n}", f"fd00:7::{10 + n}"])
    for n, node in ((1, "dc1"), (3, "dc3")):
        fabric.port(f"b{n}", node, "blue/all", [f"10.8.0.{10 + n}", f"fd00:8::{10 + n}"])
    fabric.config["bgp"] = {"as": 65000}
    return fabric


@pytest.fixture(scope="module", params=[(4, 6), (6,)], ids=["both", "ipv6-underlay"])
def lab(request):
    with Lab(make_fabric(request.param), start=False) as lab:
        lab.start(file_of=lab.fabric.own_yaml)
        wait_until(lambda: not ping_all(everybody(lab)), 20, "all pairs answer")
        yield lab


def everybody(lab):
    """(host, address) of all ordered pairs that are to reach each other."""
    hosts = [lab.host(f"g{n}") for n in (1, 2, 3)]
    return [(a, address) for a in hosts for b in hosts if a is not b for address in b.addresses] + [
        (lab.host("b1"), a) for a in lab.host("b3").addresses
    ]


def hop(node, address):
    """Where others route to, for an address at this node."""
    same = [a for a in node.underlay if packet.is_v6(a) == packet.is_v6(address)]
    return (same or node.underlay)[0]


def expected(lab, node):
    return {a: {hop(lab.node(f"dc{n}"), a)} for n in (1, 2, 3) if f"dc{n}" != node for a in lab.host(f"g{n}").addresses}


def settled(lab):
    return all(routes(lab.node(n)) == expected(lab, n) for n in NODES)


def plug(lab, name, node, address):
    return lab.plug_runtime(name, node, "green/all", [address])


def unplug(lab, name, node):
    lab.node(node).isthmus("port", "del", name, "--yes")
    lab.unplug(name)


def test_packets_cross_as_they_are(lab):
    g1, g3 = lab.host("g1"), lab.host("g3")
    for name, node in lab.nodes.items():
        assert {p["node"] for p in node.get("ports")} == {name}
    with lab.wire_tap() as tap:
        for v6 in (False, True):
            assert g1.tcp_to(g3, 1 << 20, v6=v6) == g3.tcp_to(g1, 1 << 20, v6=v6) == 1 << 20
        tap.settle()
        for v6 in (False, True):
            assert tap.matching(between(g1.address(v6), g3.address(v6)))
        assert not tap.matching(is_tunnel), "an outer header"
    with lab.wire_tap() as tap:
        assert lab.host("b1").ping(lab.host("b3").ip4)
        tap.settle()
        assert tap.matching(is_tunnel)


def test_the_kernel_has_what_neighbors_say(lab):
    wait_until(lambda: settled(lab), 5, "host routes on all nodes")
    # what lives in the underlay is in unicast, and nothing else is
    told = lab.node("dc1").isthmus("bgp", "advertised", "dc2", json_output=True)["items"]
    unicast = {r["name"]: r for r in told if r["family"] != "l2vpn-evpn"}
    assert set(unicast) == {f"{a}/{128 if packet.is_v6(a) else 32}" for a in lab.host("g1").addresses}
    assert all(r["nextHop"] == hop(lab.node("dc1"), name.split("/")[0]) for name, r in unicast.items())
    assert not [r for r in told if r["family"] == "l2vpn-evpn" and "10.7.0." in r["name"]]


def test_it_is_shown_where_a_route_came_from(lab):
    node, g2 = lab.node("dc1"), lab.host("g2")
    (route,) = [r for r in node.get("routes") if r["prefix"] == f"{g2.ip4}/32"]
    (host,) = [h for h in node.get("hosts") if h["address"] == g2.ip4]
    assert (route["node"], route["via"], route["encap"], route["vtep"]) == ("dc2", "node dc2", "none", None)
    assert route["network"] == host["network"] == "green/all" and host["node"] == "dc2"
    assert route["source"].startswith("bgp ")
    items = node.isthmus("bgp", "routes", "ipv4-unicast", json_output=True)["items"]
    assert {(r["name"], r["import"]) for r in items} == {(f"{lab.host(h).ip4}/32", "accepted") for h in ("g2", "g3")}
    assert {r["name"] for r in node.isthmus("bgp", "received", "dc2", json_output=True)["items"]} >= {f"{g2.ip6}/128"}
    (why,) = node.isthmus("bgp", "why", g2.ip6, json_output=True)["items"]
    assert why["best"] and why["source"] == "bgp" and why["nextHop"] == hop(lab.node("dc2"), g2.ip6)


def test_a_port_that_appears_is_reached_from_everywhere_and_gone_again(lab):
    for address in ("10.7.0.77", "fd00:7::77"):
        host = plug(lab, "extra", "dc2", address)
        others = [lab.host("g1"), lab.host("g3")]
        wait_until(lambda: not ping_all([(o, address) for o in others]), 5, "the new port answers")
        assert host.ping(next(a for a in lab.host("g1").addresses if packet.is_v6(a) == packet.is_v6(address)))
        unplug(lab, "extra", "dc2")
        wait_until(lambda: settled(lab), 5, "its routes are gone")


def test_a_host_moves_and_is_never_without_a_route(lab):
    """There first and gone here after: in between both are next hops."""
    address, g3, dc3 = "10.7.0.88", lab.host("g3"), lab.node("dc3")
    plug(lab, "roam1", "dc1", address)
    wait_until(lambda: g3.ping(address, check=False, timeout=1), 5, "it answers at dc1")
    with dc3.ns.spawn("ip", "monitor", "route", stdout=-1, text=True) as monitor:
        plug(lab, "roam2", "dc2", address)
        wait_until(lambda: len(routes(dc3)[address]) == 2, 5, "it is at both")
        unplug(lab, "roam1", "dc1")
        wait_until(lambda: routes(dc3)[address] == {hop(lab.node("dc2"), address)}, 5, "it is at dc2 alone")
        monitor.terminate()
        assert not [line for line in monitor.stdout.read().splitlines() if "Deleted" in line and address in line]
    assert g3.ping(address)
    unplug(lab, "roam2", "dc2")
    wait_until(lambda: settled(lab), 5, "its routes are gone")


def test_traffic_is_shared_among_equal_next_hops(lab):
    """One address at two nodes: a third one sends flows to both."""
    dc3, g3 = lab.node("dc3"), lab.host("g3")
    for v in (4, 6):
        dc3.ns.write_sysctl(f"net/ipv{v}/fib_multipath_hash_policy", 1)
    for n in (1, 2):
        plug(lab, f"any{n}", f"dc{n}", ANYCAST)
    both = {hop(lab.node(n), ANYCAST) for n in ("dc1", "dc2")}
    wait_until(lambda: routes(dc3).get(ANYCAST) == both, 5, "both are next hops")
    (route,) = [r for r in dc3.get("routes") if r["prefix"] == f"{ANYCAST}/32"]
    assert route["via"] == "nodes dc1, dc2"
    frames = [
        packet.udp_frame(g3.mac, "02:69:73:74:68:6d", g3.ip4, ANYCAST, 20000 + i, 9, b"<flow>") for i in range(96)
    ]
    g3.ping(ANYCAST)
    with lab.host_tap(["any1", "any2"], keep=lambda f: b"<flow>" in f.data) as tap:
        g3.send(*frames)
        wait_until(lambda: tap.total >= 96, 3, "all arrive")
        share = [sum(f.place == f"any{n}" for f in tap.frames) for n in (1, 2)]
    assert sum(share) == 96 and min(share) >= 96 // 5, share
    unplug(lab, "any1", "dc1")
    wait_until(lambda: routes(dc3)[ANYCAST] == {hop(lab.node("dc2"), ANYCAST)}, 5, "one is left")
    assert g3.ping(ANYCAST)
    unplug(lab, "any2", "dc2")
    wait_until(lambda: settled(lab), 5, "its routes are gone")


@pytest.mark.parametrize("how", ["kill9", "stop"])
def test_a_restart_loses_nothing(lab, how):
    streams = [
        UdpStream(lab.host("g1"), lab.host("g2")),
        UdpStream(lab.host("g2"), lab.host("g3"), v6=True),
        UdpStream(lab.host("g3"), lab.host("g1"), port=7010),
    ]
    for s in streams:
        s.wait_flowing()
    for name in NODES:
        node = lab.node(name)
        with node.ns.spawn("ip", "monitor", "route", stdout=-1, text=True) as monitor:
            getattr(node.daemon, how)()
            for s in streams:
                s.wait_flowing(500)  # without it
            node.daemon.start()
            for s in streams:
                s.wait_flowing(500)
            wait_until(lambda: not ping_all(everybody(lab)), 15, "all pairs answer")
            monitor.terminate()
            assert "proto 73" not in monitor.stdout.read(), "a route was written anew"
        assert settled(lab)
    assert [s.stop()["lost"] for s in streams] == [0, 0, 0]


def test_what_went_while_the_daemon_was_dead_is_swept(lab):
    address, g1, dc1 = "10.7.0.99", lab.host("g1"), lab.node("dc1")
    plug(lab, "brief", "dc2", address)
    wait_until(lambda: g1.ping(address, check=False, timeout=1), 5, "it answers")
    dc1.daemon.kill9()
    unplug(lab, "brief", "dc2")
    assert address in routes(dc1)
    dc1.daemon.start()
    wait_until(lambda: settled(lab), 15, "it is swept")
