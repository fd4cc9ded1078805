# SPDX-License-Identifier: Apache-2.0
"""The underlay changes beneath a running fabric: MTU, routes, uplinks, where the tunnel address lives.

    w1 -- dc1 == up0 == wan -- aws1 -- w2           dc1 gets a second cable, up1, on the way
              == up1 ==
"""
import re

import pytest

from lab import packet
from lab.fabric import Fabric
from lab.host import UdpStream
from lab.room import Lab
from lab.run import wait_until


@pytest.fixture(scope="module", params=[4, 6], ids=["v4 underlay", "v6 underlay"])
def lab(request):
    fabric = Fabric(families=(request.param,))
    fabric.node("dc1", "dc")
    fabric.node("aws1", "aws")
    fabric.tenant("red", 5000)
    fabric.network("red/web", vni=5001, subnets=["10.0.1.0/24", "fd00:1::/64"], gateway=["10.0.1.1", "fd00:1::1"])
    fabric.port("w1", "dc1", "red/web", ["10.0.1.11", "fd00:1::11"], rig={"mtu": 1500})
    fabric.port("w2", "aws1", "red/web", ["10.0.1.12", "fd00:1::12"], rig={"mtu": 1500})
    with Lab(fabric) as lab:
        lab.family, lab.overhead = request.param, 50 if request.param == 4 else 70
        n = lab.node("dc1").ns
        lab.wan.ip(
            f"link add w-dc1b type veth peer name up1 netns {n.full_name}\nlink set dev w-dc1b up\n"
            "addr add 198.18.77.254/24 dev w-dc1b\naddr add 2001:db8:77::fe/64 dev w-dc1b nodad"
        )
        n.ip("link set dev up1 up\naddr add 198.18.77.11/24 dev up1\naddr add 2001:db8:77::11/64 dev up1 nodad")
        lab.far, lab.near, lab.second, lab.router2, lab.plain = (
            ("198.18.2.0/24", "198.18.1.11", "198.18.77.11", "198.18.77.254", "198.18.1.99/24")
            if request.param == 4
            else ("2001:db8:2::/64", "2001:db8:1::b", "2001:db8:77::11", "2001:db8:77::fe", "2001:db8:1::99/64")
        )
        yield lab


def path_mtu(lab, source, target):
    host, address = lab.host(source), lab.host(target).ip4
    host.ns.ip("route flush cache")
    return int(re.findall(r"pmtu (\d+)", host.command("tracepath", "-n", "-m", 3, address).stdout)[-1])


@pytest.mark.parametrize("how", ["interface", "route"])
def test_a_new_mtu_of_the_underlay_is_followed(lab, how):
    """Smaller at once, so that nothing vanishes; larger again when the underlay is."""
    n = lab.node("dc1").ns
    router = lab.router("dc1", lab.family)
    if how == "interface":
        n.ip("link set dev up0 mtu 1400")
    else:
        n.ip(f"route add {lab.far} via {router} mtu 1400")
    wait_until(lambda: path_mtu(lab, "w1", "w2") == 1400 - lab.overhead, 3)
    if how == "interface":
        n.ip("link set dev up0 mtu 1500")
    else:
        n.ip(f"route del {lab.far}")
    wait_until(lambda: path_mtu(lab, "w1", "w2") == 1500 - lab.overhead, 3)


def test_traffic_follows_routes_to_another_uplink_and_back(lab):
    """Out of up1, then in by up1 as well; then up1 is unplugged."""
    w1, w2, n = lab.host("w1"), lab.host("w2"), lab.node("dc1").ns
    there, back = UdpStream(w1, w2), UdpStream(w2, w1)
    there.wait_flowing()
    n.ip(f"route add {lab.far} via {lab.router2}")
    there.wait_flowing(200)
    assert n.link("up1")["stats64"]["tx"]["packets"] > 200
    bits = 32 if lab.family == 4 else 128
    lab.wan.ip(f"route add {lab.near}/{bits} via {lab.second}")
    back.wait_flowing(200, timeout=3)
    assert n.link("up1")["stats64"]["rx"]["packets"] > 200
    lab.wan.ip(f"route del {lab.near}/{bits}")
    n.ip(f"route del {lab.far}")
    there.wait_flowing()
    back.wait_flowing()
    assert there.stop()["duplicates"] == back.stop()["duplicates"] == 0


def test_the_tunnel_address_may_live_on_the_loopback_device(lab):
    """As in a routed data centre; also after a restart of the daemon."""
    node, w1 = lab.node("dc1"), lab.host("w1")
    old, bits = (24, 32) if lab.family == 4 else (64, 128)
    nodad = "" if lab.family == 4 else "nodad"
    node.ns.ip(
        f"addr del {lab.near}/{old} dev up0\naddr add {lab.near}/{bits} dev lo {nodad}\n"
        f"addr add {lab.plain} dev up0 {nodad}\n"
        f"route replace default via {lab.router('dc1', lab.family)} dev up0"
    )
    lab.wan.ip(f"route replace {lab.near}/{bits} via {lab.plain.split('/')[0]}")
    wait_until(lambda: w1.ping("10.0.1.12", check=False, timeout=1), 5)
    node.daemon.restart()
    assert w1.ping("10.0.1.12") and lab.host("w2").ping("fd00:1::11")


def test_no_route_is_counted_and_heals(lab):
    node, w1, w2 = lab.node("dc1"), lab.host("w1"), lab.host("w2")
    node.ns.ip(f"route add unreachable {lab.far}")
    before = node.drops()["no_underlay_route"]
    w1.send(*[packet.udp_frame(w1.mac, w2.mac, w1.ip4, w2.ip4, 1, 2, b"nowhere")] * 10)
    wait_until(lambda: node.drops()["no_underlay_route"] >= before + 10, 3)
    assert node.isthmus("status", check=False).returncode in (0, 1)
    node.ns.ip(f"route del unreachable {lab.far}")
    wait_until(lambda: w1.ping(w2.ip4, check=False, timeout=1), 3)


def test_jumbo_frames_cross_a_jumbo_underlay():
    fabric = Fabric()
    fabric.node("dc1", "dc")
    fabric.node("aws1", "aws")
    fabric.tenant("red", 5000)
    fabric.network("red/web", vni=5001, subnets=["10.0.1.0/24"])
    fabric.port("w1", "dc1", "red/web", ["10.0.1.11"], rig={"mtu": 8950})
    fabric.port("w2", "aws1", "red/web", ["10.0.1.12"], rig={"mtu": 9000})
    with Lab(fabric, underlay_mtu=9000) as lab:
        w1, w2 = lab.host("w1"), lab.host("w2")
        assert w1.ping("10.0.1.12", size=8950 - 28, df=True)
        assert any(w2.udp_to(w1, bytes(20000)) for _ in range(2)) and w1.tcp_to(w2, 4 << 20) == 4 << 20
        assert not w2.ping("10.0.1.11", size=8951 - 28, df=True, check=False, timeout=1)
        assert path_mtu(lab, "w2", "w1") == 8950


@pytest.mark.parametrize("v6", [False, True], ids=["v4 inside", "v6 inside"])
def test_fragments_of_large_packets_arrive(lab, v6):
    """Row C7's other half: legitimate fragments are delivered, all of them, once both ends have learnt the path MTU."""
    w1, w2 = lab.host("w1"), lab.host("w2")
    assert any(w1.ping(w2.address(v6), size=3000, check=False, timeout=1) for _ in range(3))
    for size in (1430, 3000, 20000, 60000):
        assert w1.udp_to(w2, bytes(size), v6) and w2.udp_to(w1, bytes(size), v6)
        assert w2.ping(w1.address(v6), size=size, count=3)
