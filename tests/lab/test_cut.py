# SPDX-License-Identifier: Apache-2.0
"""Super-packets of UDP (UDP_SEGMENT, what QUIC sends) cross whole from node to node, and arrive as datagrams."""
import json
import signal
import socket

import pytest

from lab.fabric import Fabric
from lab.room import Lab
from lab.run import wait_until

UDP_SEGMENT, SOL_UDP = 103, 17
SEGMENT, COUNT, BURSTS = 1000, 40, 25


@pytest.fixture(scope="module", params=[4, 6], ids=["v4", "v6"])
def lab(request):
    fabric = Fabric()
    fabric.node("left", "dc", families=(request.param,))
    fabric.node("right", "aws", families=(request.param,))
    fabric.tenant("red", 5000)
    fabric.network("red/web", vni=5001, subnets=["10.0.1.0/24", "fd00:1::/64"])
    fabric.network("red/app", "l3", subnets=["10.0.2.0/24", "fd00:2::/64"])
    for n, (l2, l3, node) in enumerate((("a", "c", "left"), ("b", "d", "right"))):
        fabric.port(l2, node, "red/web", [f"10.0.1.{11 + n}"])
        fabric.port(l3, node, "red/app", [f"10.0.2.{11 + n}", f"fd00:2::{11 + n}"])
    with Lab(fabric, cable=True) as lab:
        yield lab


def burst(lab, source, target, v6):
    """Sends BURSTS super-packets of COUNT datagrams; returns (datagrams that arrived, frames on the wire)."""
    a, b = lab.host(source), lab.host(target)
    family = socket.AF_INET6 if v6 else socket.AF_INET
    address, wire = (b.address(v6), 9000), lab.node("right").ns

    def frames():
        return json.loads(wire.command("ip", "-s", "-j", "link", "show", "up0").stdout)[0]["stats64"]["rx"]["packets"]

    with b.socket(family, socket.SOCK_DGRAM) as r, a.socket(family, socket.SOCK_DGRAM) as s:
        r.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        r.bind(address)
        r.settimeout(1)
        s.setsockopt(SOL_UDP, UDP_SEGMENT, SEGMENT)
        a.ping(address[0])
        before, got = frames(), []
        for n in range(BURSTS):
            s.sendto(b"".join(bytes([n, i]) * (SEGMENT // 2) for i in range(COUNT)), address)
        try:
            while len(got) < BURSTS * COUNT:
                got.append(r.recv(65536))
        except socket.timeout:
            pass
        assert all(len(g) == SEGMENT and g == g[:2] * (SEGMENT // 2) for g in got)
        return len({g[:2] for g in got}), frames() - before


@pytest.mark.parametrize("pair", [("a", "b", False), ("c", "d", False), ("c", "d", True)], ids=["l2", "l3", "l3v6"])
def test_every_datagram_arrives(lab, pair):
    arrived, frames = burst(lab, *pair)
    assert arrived == BURSTS * COUNT
    assert frames < BURSTS * COUNT / 4, "they crossed the wire whole"


def test_without_the_cutter_they_are_counted_and_it_comes_back(lab):
    node = lab.node("right")
    before = node.isthmus("status", json_output=True, check=False)["repairs"]
    node.ns.ip("link del isthmus-cut")
    wait_until(lambda: node.isthmus("status", json_output=True, check=False)["repairs"] > before, 3)
    wait_until(lambda: burst(lab, "a", "b", False)[0] == BURSTS * COUNT, 5)


def test_a_cutter_that_does_not_cut_is_no_loop_and_mended(lab):
    """Stopped, the daemon cannot mend it: what comes back whole is dropped, not sent round."""
    node = lab.node("right")
    before = node.drops()["encap_failed"]
    node.daemon.signal(signal.SIGSTOP)
    try:
        node.ns.command("ethtool", "-K", "isthmus-cut", "tx-udp-segmentation", "on")
        assert burst(lab, "a", "b", False)[0] == 0
    finally:
        node.daemon.signal(signal.SIGCONT)
    assert node.drops()["encap_failed"] == before + BURSTS
    wait_until(lambda: burst(lab, "a", "b", False)[0] == BURSTS * COUNT, 10)


def test_teardown_takes_the_devices_away(lab):
    node = lab.node("right")
    node.daemon.stop()
    node.daemon.teardown()
    assert "isthmus" not in node.ns.command("ip", "-br", "link").stdout
