# SPDX-License-Identifier: Apache-2.0
"""GoBGP as a route reflector, sessions and tunnels over IPv4 and over IPv6.

    w1 r1 -- dc1 --+
    w2 r2 -- aws1 -+ wan -- rr    GoBGP reflects, and knows nothing of anybody
    w3 r3 -- gcp1 -+
"""
import time

import pytest
from helpers import ping_all

from lab import hand as bgp
from lab import packet
from lab.fabric import Fabric
from lab.gobgp import Gobgp, reflector
from lab.host import UdpStream
from lab.peer import KernelPeer
from lab.room import Lab
from lab.run import wait_until

AS = 65000
NODES = ("dc1", "aws1", "gcp1")


@pytest.fixture(scope="module", params=[4, 6], ids=["over-ipv4", "over-ipv6"])
def lab(request):
    fabric = Fabric(families=(request.param,))
    for n, name in enumerate(NODES, 1):
        fabric.node(name, f"site{n}", router_id=f"192.0.2.{n}")
    fabric.node("rr", "hub", foreign=True)
    fabric.tenant("red", 5000)
    fabric.network("red/web", vni=5001, subnets=["10.0.1.0/24", "fd00:1::/64"], gateway=["10.0.1.1", "fd00:1::1"])
    fabric.network("red/app", "l3", subnets=["10.0.2.0/24", "fd00:2::/64"], gateway=["10.0.2.1", "fd00:2::1"])
    for n, node in enumerate(NODES, 1):
        fabric.port(f"w{n}", node, "red/web", [f"10.0.1.{10 + n}", f"fd00:1::{10 + n}"])
        fabric.port(f"r{n}", node, "red/app", [f"10.0.2.{10 + n}", f"fd00:2::{10 + n}"])
    with Lab(fabric, {"rr": KernelPeer}, start=False) as lab:
        rr = lab.peers["rr"]
        lab.reflector = rr.underlay[0]
        lab.rr = Gobgp(lab.run, rr.ns, "gobgp")
        lab.rr.start(reflector(AS, "192.0.2.9", [n.underlay[0] for n in lab.nodes.values()]))
        bgp_section = {"as": AS, "reflectors": [lab.reflector]}
        lab.start(file_of=lambda name: fabric.own_yaml(name, bgp=bgp_section))
        wait_until(lambda: len(lab.rr.established()) == len(NODES), 20, "three clients of the reflector")
        yield lab


def everybody(lab):
    hosts = [lab.host(f"{k}{n}") for k in "wr" for n in (1, 2, 3)]
    return [(a, address) for a in hosts for b in hosts if a is not b for address in b.addresses]


def wait_for_all(lab, timeout=20):
    wait_until(lambda: not ping_all(everybody(lab)), timeout, "all pairs answer")


def types_in(routes):
    return {r["name"].split("]")[0].lstrip("[") for r in routes if r["rd"]}


def test_types_2_3_and_5_both_ways(lab):
    """GoBGP has them from every node, every node from GoBGP, and traffic flows between all."""
    wait_for_all(lab)
    assert {str(r["nlri"]["type"]) for paths in lab.rr.ask("global", "rib", "-a", "evpn").values() for r in paths} == {
        *("2", "3", "5")
    }
    for node in lab.nodes.values():
        received = node.isthmus("bgp", "received", lab.reflector, json_output=True)["items"]
        assert types_in(received) == {"2", "3", "5"} and {r["import"] for r in received} == {"accepted"}


@pytest.mark.parametrize("network, address", [("red/web", "10.0.1.77"), ("red/app", "fd00:2::77")])
def test_an_endpoint_comes_and_goes(lab, network, address):
    host = lab.plug_runtime("extra", "aws1", network, [address])
    others = [lab.host(n) for n in ("w1", "w3", "r1", "r2")]
    wait_until(lambda: not ping_all([(o, address) for o in others]), 10, "the new endpoint answers")
    assert host.ping(lab.host("w1").address(packet.is_v6(address)))
    lab.node("aws1").isthmus("port", "del", "extra", "--yes")
    for node in ("dc1", "gcp1"):
        wait_until(lambda node=node: address not in str(lab.node(node).get("routes")), 5, "the route is gone")
    assert address not in str(lab.rr.ask("global", "rib", "-a", "evpn"))
    lab.unplug("extra")


def is_end_of_rib(m):
    """An MP_UNREACH_NLRI of EVPN with nothing in it (RFC 4724 2), its length in one byte or in two."""
    return m[1] == bgp.UPDATE and len(m[2]) <= 11 and m[2].endswith(b"\x00\x19\x46")


def sent_by(tap, node):
    frames = [f for f in tap.snapshot() if f.incoming]  # at the far end of its cable
    own = [f for f in frames if (p := packet.l3(f.data)) and p[1] == node.underlay[0]]
    return bgp.messages_in(own)


def streams_of(lab, port):
    return [
        UdpStream(lab.host("w2"), lab.host("w1"), port=port),
        UdpStream(lab.host("w1"), lab.host("r3"), port=port, v6=True),
        UdpStream(lab.host("r3"), lab.host("r1"), port=port, rate=500),
    ]


@pytest.mark.parametrize("lab", [4], indirect=True, ids=["over-ipv4"])
def test_a_killed_node_is_back_without_a_loss(lab):
    """Row B6: End-of-RIB comes once, behind all routes; what is not there any more goes within a second of it."""
    node, mac = lab.node("dc1"), lab.fabric.next_mac()
    lab.plug_runtime("brief", "dc1", "red/web", ["10.0.1.99"], mac)
    wait_until(lambda: mac in str(lab.node("aws1").get("macs")), 5, "it is known elsewhere")
    streams = streams_of(lab, 7100)
    for s in streams:
        s.wait_flowing()
    node.daemon.kill9()
    lab.unplug("brief")
    for s in streams:
        s.wait_flowing(1000)
    assert mac in str(lab.node("aws1").get("macs")), "it is kept while nobody knows better"
    with lab.wire_tap(["dc1"], keep=lambda f: (p := packet.l3(f.data)) and p[3] == 6) as tap:
        node.daemon.start()
        wait_until(lambda: mac not in str(lab.node("aws1").get("macs")), 15, "what is gone is swept")
        swept = time.monotonic()
        wait_until(lambda: any(map(is_end_of_rib, sent_by(tap, node))), 5, "End-of-RIB")
        for s in streams:
            s.wait_flowing(500)
        said = sent_by(tap, node)
    ends = [m[0] for m in said if is_end_of_rib(m)]
    routes = [m for m in said if m[1] == bgp.UPDATE and len(m[2]) > 30]
    assert len(ends) == 1 and routes and max(m[0] for m in routes) <= ends[0]
    assert swept - ends[0] <= 1.0
    wait_for_all(lab)
    assert [s.stop()["lost"] for s in streams] == [0, 0, 0]
    node.isthmus("port", "del", "brief", "--yes")


@pytest.mark.parametrize("lab", [6], indirect=True, ids=["over-ipv6"])
def test_a_killed_reflector_is_back_without_a_loss(lab):
    """It waits for its clients before it says that it is through, and until then what was learned stays."""
    streams = streams_of(lab, 7200)
    for s in streams:
        s.wait_flowing()
    lab.rr.kill()
    for s in streams:
        s.wait_flowing(1000)
    lab.rr.start(restarting=True)
    wait_until(lambda: len(lab.rr.established()) == len(NODES), 40, "all are back")
    for node in lab.nodes.values():
        wait_until(
            lambda node=node: all(not n["stale"] for n in node.isthmus("bgp", "neighbors", json_output=True)["items"]),
            40,
            "nothing stale is left",
        )
    wait_for_all(lab)
    assert [s.stop()["lost"] for s in streams] == [0, 0, 0]
