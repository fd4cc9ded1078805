# SPDX-License-Identifier: Apache-2.0
"""Foreign members: a Linux kernel VXLAN device with a bridge, and Open vSwitch's userspace datapath, both ways.

    w1 (web), r1 (app, l3) -- dc1 -- wan -- linux1 -- k1 (web)          macs:  the file lists k1 as a port of linux1
                               |          \\ ovs1  -- o1 (web)       flood: the network floods, the peer learns MACs
                              aws1 -- w2 (web), r2 (app, l3)
"""
import pytest
from helpers import copies, has, ping_all

from lab import packet
from lab.fabric import Fabric
from lab.host import UdpStream
from lab.peer import KernelPeer, OvsPeer
from lab.room import Lab
from lab.run import wait_until

CASES = [
    ("kernel", 4, "macs"),
    ("kernel", 4, "flood"),
    ("kernel", 6, "macs"),
    ("kernel", 6, "flood"),
    ("ovs", 4, "macs"),
    ("ovs", 4, "flood"),
]


def make_fabric(family, way):
    fabric = Fabric(families=(family,))
    fabric.node("dc1", "dc")
    fabric.node("aws1", "aws")
    fabric.node("foreign1", "partner", foreign=True, **({} if way == "macs" else {"networks": ["red/web"]}))
    fabric.tenant("red", 5000)
    fabric.network(
        "red/web",
        vni=5001,
        subnets=["10.0.1.0/24", "fd00:1::/64"],
        gateway=["10.0.1.1", "fd00:1::1"],
        flood=way == "flood",
    )
    fabric.network("red/app", "l3", subnets=["10.0.2.0/24", "fd00:2::/64"], gateway=["10.0.2.1", "fd00:2::1"])
    fabric.tenant("blue", 5100)
    fabric.network("blue/web", vni=5101, subnets=["10.0.1.0/24", "fd00:1::/64"])
    fabric.port("w1", "dc1", "red/web", ["10.0.1.11", "fd00:1::11"])
    fabric.port("w2", "aws1", "red/web", ["10.0.1.12", "fd00:1::12"])
    fabric.port("r1", "dc1", "red/app", ["10.0.2.11", "fd00:2::11"])
    fabric.port("r2", "aws1", "red/app", ["10.0.2.12", "fd00:2::12"])
    fabric.port("b1", "dc1", "blue/web", ["10.0.1.11", "fd00:1::11"])
    # Nobody answers "too big" inside the peer: its workloads must know their MTU.
    mtu = {"mtu": 1450 if family == 4 else 1430}
    fabric.port("k1", "foreign1", "red/web", ["10.0.1.21", "fd00:1::21"], rig=mtu)
    fabric.port("k2", "foreign1", "red/web", ["10.0.1.22", "fd00:1::22"], rig=mtu)
    return fabric


@pytest.fixture(scope="module", params=CASES, ids=["-".join(map(str, c)) for c in CASES])
def lab(request):
    kind, family, way = request.param
    fabric = make_fabric(family, way)
    lab = Lab(fabric, peers={"foreign1": {"kernel": KernelPeer, "ovs": OvsPeer}[kind]}, start=False)
    lab.way, lab.kind, lab.wired = way, kind, family
    with lab:
        peer = lab.peers["foreign1"]
        remotes = {n: lab.node(n).underlay[0] for n in ("dc1", "aws1")}
        if kind == "ovs":
            peer.join(5001, ["k1", "k2"], peer.underlay[0], list(remotes.values()))
        else:
            macs = {lab.host("w1").mac: remotes["dc1"], lab.host("w2").mac: remotes["aws1"]} if way == "macs" else None
            peer.join(
                5001,
                ["k1", "k2"],
                peer.underlay[0],
                list(remotes.values()),
                macs=macs,
                learning=way == "flood",
                mtu=1430 if family == 6 else 1450,
            )
        if way == "flood":
            # The file knows the peer, but not who is behind it: their addresses are found by asking.
            for p in ("k1", "k2"):
                del fabric.config["ports"][p]
        lab.start()
        yield lab


def test_both_ways_v4_and_v6(lab):
    w1, w2, k1 = lab.host("w1"), lab.host("w2"), lab.host("k1")
    wait_until(lambda: k1.ping(w1.ip4, check=False, timeout=1), 10)
    assert (
        ping_all([(a, address) for a, b in ((w1, k1), (k1, w1), (w2, k1), (k1, w2)) for address in (b.ip4, b.ip6)])
        == []
    )
    for a, b in ((w1, k1), (k1, w1), (w2, k1)):
        assert a.tcp_to(b, 2 << 20) == 2 << 20 and a.tcp_to(b, 200000, v6=True) == 200000
        assert a.udp_to(b, bytes(1400)), "as large as the path"


def test_broadcast_reaches_every_port_once(lab):
    w1, k1 = lab.host("w1"), lab.host("k1")
    for sender, receivers in ((w1, {"w2", "k1", "k2"}), (k1, {"w1", "w2", "k2"})):
        mark = f"canary-{sender.name}".encode()
        with lab.host_tap(keep=lambda f: mark in f.data) as tap:
            sender.send(packet.eth(packet.BROADCAST, sender.mac, 0x88B5, mark + bytes(60)))
            tap.wait(has(mark), len(receivers))
            tap.settle(0.1)
            assert copies(tap, has(mark), lab.hosts) == {h: int(h in receivers) for h in lab.hosts}


def test_the_gateway_serves_the_foreign_member(lab):
    """Its workloads ARP for the gateway across the wire and are routed: to the l3 network and back."""
    k1, r1 = lab.host("k1"), lab.host("r1")
    if lab.way == "flood":
        # Nobody has told the fabric where k1 is, so only l2 works: routing to an unknown address is refused,
        # not guessed.
        assert "Unreachable" in r1.ping_output(k1.ip4)
        return
    k1.ns.ip("route replace default via 10.0.1.1 dev eth0\nroute replace default via fd00:1::1 dev eth0")
    assert k1.ping("10.0.1.1") and k1.ping("fd00:1::1")
    assert k1.ping(r1.ip4) and r1.ping(k1.ip4) and r1.ping(k1.ip6)
    # r1 and r2 are on two nodes: from one of them what came out of a tunnel goes into another, super-packets too.
    for other in (r1, lab.host("r2")):
        for a, b in ((k1, other), (other, k1)):
            assert a.tcp_to(b, 1 << 20, timeout=5) == 1 << 20, f"{a} -> {b}"
            assert a.tcp_to(b, 1 << 20, v6=True, timeout=5) == 1 << 20, f"{a} -> {b}, v6"


def test_a_foreign_member_stays_in_its_network(lab):
    """From the peer's own address with blue's VNI, and with the tenant's L3 VNI: refused."""
    source = lab.peers["foreign1"].underlay[0]
    target = lab.node("dc1").underlay[0]
    b1 = lab.host("b1")
    frame = packet.udp_frame(lab.host("k1").mac, b1.mac, "10.0.1.21", b1.ip4, 1, 2, b"canary")
    before = lab.node("dc1").drops()["unknown_vtep"]
    with lab.host_tap(keep=lambda f: b"canary" in f.data) as tap:
        for vni in (5101, 5100, 5000):
            lab.inject(
                "dc1",
                *[packet.any_ip(source, target, 17, packet.udp(source, target, 5, 4789, packet.vxlan(vni, frame)))]
                * 10,
            )
        wait_until(lambda: lab.node("dc1").drops()["unknown_vtep"] == before + 30, 3)
        assert tap.total == 0


def test_a_daemon_restart_is_not_noticed(lab):
    w1, k1 = lab.host("w1"), lab.host("k1")
    stream, back = UdpStream(w1, k1, rate=500), UdpStream(k1, w1, rate=500)
    stream.wait_flowing()
    lab.node("dc1").daemon.restart()
    stream.wait_flowing()
    back.wait_flowing()
    assert [(r["lost"], r["duplicates"]) for r in (stream.stop(), back.stop())] == [(0, 0)] * 2
