# SPDX-License-Identifier: Apache-2.0
"""An automatic mesh: three nodes that know nothing of each other's ports but what BGP says.

    w1 r1 -- dc1 --+
    w2 r2 -- aws1 -+ wan        each node's file lists its own ports only; sessions over IPv4
    w3 r3 -- gcp1 -+
"""
import pytest
from helpers import ping_all

from lab import packet
from lab.fabric import Fabric
from lab.host import TcpFlows, UdpStream
from lab.room import Lab
from lab.run import wait_until

NODES = {"dc1": "dc", "aws1": "aws", "gcp1": "gcp"}


def fabric_of(families=(4,)):
    fabric = Fabric(families=families)
    for name, site in NODES.items():
        fabric.node(name, site)
    fabric.tenant("red", 5000)
    fabric.network("red/web", vni=5001, subnets=["10.0.1.0/24", "fd00:1::/64"], gateway=["10.0.1.1", "fd00:1::1"])
    fabric.network("red/app", "l3", subnets=["10.0.2.0/24", "fd00:2::/64"], gateway=["10.0.2.1", "fd00:2::1"])
    fabric.tenant("blue", 5100)
    fabric.network("blue/web", vni=5101, subnets=["10.0.1.0/24"])
    for n, node in enumerate(NODES, 1):
        fabric.port(f"w{n}", node, "red/web", [f"10.0.1.{10 + n}", f"fd00:1::{10 + n}"])
        fabric.port(f"r{n}", node, "red/app", [f"10.0.2.{10 + n}", f"fd00:2::{10 + n}"])
        fabric.port(f"b{n}", node, "blue/web", [f"10.0.1.{10 + n}"])
    fabric.config["bgp"] = {"as": 65000}
    return fabric


def everybody(lab, names="wr"):
    """(host, address) of all ordered pairs that are to reach each other."""
    hosts = [lab.host(f"{k}{n}") for k in names for n in (1, 2, 3)]
    return [(a, address) for a in hosts for b in hosts if a is not b for address in b.addresses]


def wait_for_all(lab, timeout=15):
    wait_until(lambda: not ping_all(everybody(lab)), timeout, "all pairs answer")


@pytest.fixture(scope="module", params=[(4,), (6,)], ids=["over-ipv4", "over-ipv6"])
def lab(request):
    with Lab(fabric_of(request.param), start=False) as lab:
        lab.start(file_of=lab.fabric.own_yaml)
        wait_for_all(lab)
        yield lab


def test_all_that_is_known_of_others_came_by_bgp(lab):
    for name, node in lab.nodes.items():
        assert {p["node"] for p in node.get("ports")} == {name}
    for kind in "wrb":
        assert not ping_all(everybody(lab, kind))


def test_tenants_stay_apart(lab):
    with lab.host_tap(["b1", "b2", "b3"], keep=lambda f: b"canary" in f.data) as tap, lab.host("w1").raw() as port:
        for b in ("b2", "b3"):
            other = lab.host(b)
            port.send(*[packet.udp_frame(lab.host("w1").mac, other.mac, lab.host("w1").ip4, other.ip4, 1, 2, b"canary")] * 5)
        tap.settle(0.2)
        assert tap.total == 0


@pytest.mark.parametrize("network, address", [("red/web", "10.0.1.77"), ("red/app", "10.0.2.77")])
def test_an_endpoint_that_appears_is_reached_from_everywhere_and_gone_again(lab, network, address):
    host = lab.plug_runtime("extra", "aws1", network, [address])
    try:
        others = [lab.host(n) for n in ("w1", "w3", "r1", "r2")]
        wait_until(lambda: not ping_all([(o, address) for o in others]), 5, "the new endpoint answers")
        assert host.ping(lab.host("w1").ip4)
    finally:
        lab.node("aws1").isthmus("port", "del", "extra", "--yes")
    for node in ("dc1", "gcp1"):
        wait_until(lambda node=node: address not in str(lab.node(node).get("routes")), 3, "the route is gone")
    lab.unplug("extra")


def test_an_endpoint_moves_with_its_addresses(lab):
    """The same MAC and address at another node: taken there first, given up here after, as a live migration does."""
    mac, address = lab.fabric.next_mac(), "10.0.1.88"
    lab.plug_runtime("roam", "dc1", "red/web", [address], mac)
    w3 = lab.host("w3")
    wait_until(lambda: w3.ping(address, check=False, timeout=1), 5, "it answers at dc1")
    for there, here in (("aws1", "dc1"), ("dc1", "aws1")):
        lab.unplug("roam")
        host = lab.plug_runtime("roam", there, "red/web", [address], mac)
        wait_until(lambda: w3.ping(address, check=False, timeout=1), 5, f"it answers at {there}")
        assert host.ping(w3.ip4)
        lab.node(here).isthmus("port", "del", "roam", "--yes")
        assert w3.ping(address), "what is given up takes nothing with it"
    lab.node("dc1").isthmus("port", "del", "roam", "--yes")
    lab.unplug("roam")


def streams_of(lab, port):
    return [
        UdpStream(lab.host("w1"), lab.host("w2"), port=port),
        UdpStream(lab.host("w2"), lab.host("w3"), v6=True, port=port),
        UdpStream(lab.host("r3"), lab.host("w1"), port=port + 1, rate=500),
    ]


@pytest.mark.parametrize("how, port", [("kill9", 7100), ("stop", 7200)])
def test_a_restart_loses_nothing(lab, how, port):
    """kill -9 and SIGTERM: what the others learned of it, and it of them, forwards on."""
    streams = streams_of(lab, port)
    flows = TcpFlows(lab.host("w1"), lab.host("w2"), 10, port=port + 2)
    for s in streams:
        s.wait_flowing()
    for name in NODES:
        node = lab.node(name)
        getattr(node.daemon, how)()
        for s in streams:
            s.wait_flowing(500)  # without it
        node.daemon.start()
        for s in streams:
            s.wait_flowing(500)
        # Sessions are back, and nothing was swept that is still needed.
        wait_until(lambda: not ping_all(everybody(lab)), 15, "all pairs answer")
    assert [s.stop()["lost"] for s in streams] == [0, 0, 0]
    flows.wait_flowing()
    assert flows.stop()["alive"] == 10


def test_what_went_while_the_daemon_was_dead_is_swept(lab):
    mac, address = lab.fabric.next_mac(), "10.0.1.99"
    lab.plug_runtime("brief", "aws1", "red/web", [address], mac)
    w1, dc1 = lab.host("w1"), lab.node("dc1")
    wait_until(lambda: w1.ping(address, check=False, timeout=1), 5, "it answers")
    dc1.daemon.kill9()
    lab.node("aws1").isthmus("port", "del", "brief", "--yes")
    dc1.daemon.start()
    wait_until(lambda: mac not in str(dc1.get("routes")) and address not in str(dc1.get("routes")), 15, "it is swept")
    lab.unplug("brief")
    wait_for_all(lab)
