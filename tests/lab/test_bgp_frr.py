# SPDX-License-Identifier: Apache-2.0
"""FRR as a route reflector, and as an EVPN leaf with the kernel's VXLAN device; sessions over IPv4 and IPv6.

Tunnels run over IPv4 in both: FRR 8.4 takes no other tunnel endpoint (it resets a session that names an IPv6 one).

    w1 r1 -- dc1 --+      +-- rr     FRR reflects, and knows nothing of anybody
    w2 r2 -- aws1 -+ wan -+-- leaf -- h    FRR drives a bridge and a vxlan device
"""
import pytest
from helpers import ping_all

from lab.fabric import Fabric
from lab.frr import Frr, reflector, vtep
from lab.host import UdpStream
from lab.peer import KernelPeer
from lab.room import Lab
from lab.run import wait_until

AS = 65000


@pytest.fixture(scope="module", params=[4, 6], ids=["over-ipv4", "over-ipv6"])
def lab(request):
    fabric = Fabric(families=(4, 6))
    fabric.node("dc1", "dc")
    fabric.node("aws1", "aws")
    fabric.node("rr", "hub", foreign=True)
    fabric.node("leaf", "metal", foreign=True)
    fabric.tenant("red", 5000)
    fabric.network("red/web", vni=5001, subnets=["10.0.1.0/24", "fd00:1::/64"], gateway=["10.0.1.1", "fd00:1::1"])
    fabric.network("red/app", "l3", subnets=["10.0.2.0/24", "fd00:2::/64"], gateway=["10.0.2.1", "fd00:2::1"])
    for n, node in enumerate(("dc1", "aws1"), 1):
        fabric.port(f"w{n}", node, "red/web", [f"10.0.1.{10 + n}", f"fd00:1::{10 + n}"])
        fabric.port(f"r{n}", node, "red/app", [f"10.0.2.{10 + n}", f"fd00:2::{10 + n}"])
    fabric.port("h", "leaf", "red/web", ["10.0.1.31", "fd00:1::31"])
    with Lab(fabric, {"rr": KernelPeer, "leaf": KernelPeer}, start=False) as lab:
        rr, leaf = lab.peers["rr"], lab.peers["leaf"]
        lab.reflector = rr.underlay[request.param == 6]
        lab.rr = Frr(lab.run, rr.ns, "frr-rr")
        clients = [m.underlay[request.param == 6] for name, m in lab.machines().items() if name != "rr"]
        lab.rr.start(reflector(AS, "198.18.3.11", clients))
        bgp = {"as": AS, "reflectors": [lab.reflector]}
        lab.start(file_of=lambda node: fabric.own_yaml(node, bgp=bgp))
        leaf.join(5001, ["h"], leaf.underlay[0], [])
        lab.leaf = Frr(lab.run, leaf.ns, "frr-leaf")
        lab.leaf.start(vtep(AS, "198.18.4.11", lab.reflector))
        wait_until(lambda: len(lab.rr.established()) == 3, 20, "three clients of the reflector")
        wait_until(lambda: not ping_all(of_nodes(lab) + with_leaf(lab)), 15, "all pairs answer")
        yield lab


def of_nodes(lab):
    hosts = [lab.host(n) for n in ("w1", "w2", "r1", "r2")]
    return [(a, address) for a in hosts for b in hosts if a is not b for address in b.addresses]


def with_leaf(lab):
    hosts, h = [lab.host("w1"), lab.host("w2")], lab.host("h")
    return [(w, a) for w in hosts for a in h.addresses] + [(h, a) for w in hosts for a in w.addresses]


def test_nodes_reach_each_other_through_the_reflector(lab):
    wait_until(lambda: not ping_all(of_nodes(lab)), 15, "all pairs answer")


def test_frr_as_a_leaf(lab):
    """MACs of either side are known to the other by routes, and traffic flows both ways."""
    wait_until(lambda: not ping_all(with_leaf(lab)), 15, "all pairs answer")
    w1 = lab.host("w1")
    remote = lab.leaf.json("show evpn mac vni 5001")["macs"]
    assert remote[w1.mac]["type"] == "remote"


def test_a_host_moves_to_the_leaf_and_back(lab):
    """The same MAC and address: from dc1 to FRR's bridge, and home again."""
    mac, address, w2 = lab.fabric.next_mac(), "10.0.1.66", lab.host("w2")
    for place in ("dc1", "leaf", "dc1", "leaf"):
        if "roam" in lab.hosts:
            lab.unplug("roam")
        lab.fabric.port("roam", place, "red/web", [address], mac=mac, interface="roam")
        host = lab.plug("roam")
        if place == "leaf":
            lab.peers["leaf"].ns.ip("link set dev roam master br5001 up")
        elif not [p for p in lab.node("dc1").get("ports") if p["name"] == "roam"]:
            lab.node("dc1").isthmus(
                *("port", "add", "roam", "--interface", "roam", "--network", "red/web", "--mac", mac, "--address", address)
            )
        host.ping(w2.ip4, check=False, timeout=1)  # a bridge learns from what it hears
        wait_until(lambda: w2.ping(address, check=False, timeout=1), 10, f"it answers at {place}")
    lab.node("dc1").isthmus("port", "del", "roam", "--yes")
    lab.unplug("roam")


def test_a_dead_reflector_costs_nothing(lab):
    """Row B7: while the reflector is dead what was learned forwards on.

    When it is back, FRR ends its EVPN routes before its other clients are, and theirs are swept for that moment: it
    takes a second reflector to get over that without a loss.
    """
    streams = [
        UdpStream(lab.host("w1"), lab.host("w2")),
        UdpStream(lab.host("r2"), lab.host("w1"), port=7010, v6=True),
        UdpStream(lab.host("w1"), lab.host("h"), port=7011),
    ]
    for s in streams:
        s.wait_flowing()
    lab.rr.kill()
    for s in streams:
        s.wait_flowing(3000, timeout=10)
    assert [s.stop()["lost"] for s in streams] == [0, 0, 0]
    lab.rr.start_one("bgpd")
    wait_until(lambda: len(lab.rr.established()) == 3, 40, "all are back")
    wait_until(lambda: not ping_all(of_nodes(lab) + with_leaf(lab)), 20, "all pairs answer")
