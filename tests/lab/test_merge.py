# SPDX-License-Identifier: Apache-2.0
"""A wire that carries packets of its MTU only: TCP segments inside tunnels are merged before they are taken out.

    a -- left ==(no segmentation offload, GRO)== right -- b      underlay IPv4, then IPv6
"""
import json

import pytest

from lab.fabric import Fabric
from lab.room import Lab
from lab.run import wait_until

SIZE = 20_000_000


@pytest.fixture(scope="module", params=[4, 6], ids=["v4", "v6"])
def lab(request):
    fabric = Fabric()
    for name, site in (("left", "dc"), ("right", "aws")):
        fabric.node(name, site, families=(request.param,))
    fabric.tenant("red", 5000)
    fabric.network("red/web", vni=5001, subnets=["10.0.1.0/24", "fd00:1::/64"])
    fabric.port("a", "left", "red/web", ["10.0.1.11", "fd00:1::11"], rig={"mtu": 1430})
    fabric.port("b", "right", "red/web", ["10.0.1.12", "fd00:1::12"], rig={"mtu": 1430})
    with Lab(fabric, cable=True) as lab:
        for node in lab.nodes.values():
            off = ("tso", "gso", "tx-udp_tnl-segmentation", "tx-udp_tnl-csum-segmentation")
            node.ns.command("ethtool", "-K", "up0", *[w for o in off for w in (o, "off")], "gro", "on")
        yield lab


def device(node):
    return node.ns.command("ip", "-d", "link", "show", "isthmus4789", check=False).stdout


def wire_frames(node):
    """(packets, bytes) that came in by the cable."""
    rx = json.loads(node.ns.command("ip", "-s", "-j", "link", "show", "up0").stdout)[0]["stats64"]["rx"]
    return rx["packets"], rx["bytes"]


def inner_frames(node):
    m = node.metrics()
    return tuple(m[f'isthmus_{what}_total{{counter="decap"}}'] for what in ("packets", "bytes"))


def sizes(lab, v6):
    """Bytes of the mean frame, on the wire and after the tunnel header is off, of one transfer from a to b."""
    node = lab.node("right")
    before = wire_frames(node), inner_frames(node)
    lab.host("a").tcp_to(lab.host("b"), SIZE, v6=v6)
    after = wire_frames(node), inner_frames(node)
    return [(y[1] - x[1]) / (y[0] - x[0]) for x, y in zip(before, after)]


@pytest.mark.parametrize("v6", [False, True], ids=["inner4", "inner6"])
def test_segments_are_merged_before_they_are_taken_out(lab, v6):
    wait_until(lambda: "state UNKNOWN" in device(lab.node("right")), 5, "the device is up")
    wire, inner = sizes(lab, v6)
    assert wire <= 1514, "the wire carries packets of its MTU"
    assert inner > 3 * 1500, f"{inner:.0f} bytes a frame"


def test_the_device_accepts_nothing(lab):
    """With the programs torn off, a tunnel packet ends in the device and nowhere else."""
    text = device(lab.node("right"))
    assert "vnifilter" in text and "external" in text
    for name, value in (("ipv4/conf", "forwarding 0"), ("ipv4/conf", "rp_filter 1"), ("ipv6/conf", "disable_ipv6 1")):
        key, wanted = value.split()
        path = f"/proc/sys/net/{name}/isthmus4789/{key}"
        assert lab.node("right").ns.command("cat", path).stdout.strip() == wanted, path


def test_the_device_comes_back_and_is_counted(lab):
    node = lab.node("right")
    before = node.isthmus("status", json_output=True, check=False)["repairs"]
    node.ns.ip("link del isthmus4789")
    wait_until(lambda: "state UNKNOWN" in device(node), 3, "the device is back")
    wait_until(lambda: node.isthmus("status", json_output=True, check=False)["repairs"] > before, 3)


def test_another_device_on_the_port_is_left_alone(lab):
    node = lab.node("left")
    node.daemon.stop()
    node.ns.ip("link del isthmus4789")
    node.ns.ip("link add vx9 type vxlan id 77 dstport 4789 local 192.0.2.9")
    node.ns.ip("link set vx9 up")
    try:
        node.daemon.start()
        wait_until(lambda: "another VXLAN device has the port" in node.daemon.log(), 5)
        assert not device(node)
        assert lab.host("a").ping(lab.host("b").ip4)
    finally:
        node.ns.ip("link del vx9")


def test_teardown_takes_the_device_away(lab):
    node = lab.node("right")
    node.daemon.stop()
    assert device(node)
    node.daemon.teardown()
    assert not device(node)
