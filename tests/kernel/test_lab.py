# SPDX-License-Identifier: Apache-2.0
"""What another kernel has to show, in one short run (guest.py boots it and calls this):

    dc1: w1 (red/web, l2)  x1 (red/app, l3)  b1 (blue/web, l2, w1's addresses)
    aws1: w2 (red/web)     x2 (red/app)      b2 (blue/web, w2's addresses)
"""
import os
import re
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lab"))

import test_wireguard  # noqa: E402

from lab import packet  # noqa: E402
from lab.fabric import Fabric  # noqa: E402
from lab.room import Lab  # noqa: E402
from lab.run import wait_until  # noqa: E402
from lab.wireguard import KernelWireguard, Tunnels, ping, stream  # noqa: E402

WEB, APP = ["10.0.1.0/24", "fd00:1::/64"], ["10.0.2.0/24", "fd00:2::/64"]


@pytest.fixture(scope="module", params=[4, 6], ids=["v4 underlay", "v6 underlay"])
def lab(request):
    fabric = Fabric(families=(request.param,))
    fabric.node("dc1", "dc")
    fabric.node("aws1", "aws")
    for i, tenant in enumerate(("red", "blue")):
        fabric.tenant(tenant, 5000 + i)
        fabric.network(f"{tenant}/web", vni=6000 + i, subnets=WEB, gateway=["10.0.1.1", "fd00:1::1"])
    fabric.network("red/app", "l3", subnets=APP, gateway=["10.0.2.1", "fd00:2::1"])
    for i, node in enumerate(("dc1", "aws1"), 1):
        fabric.port(f"w{i}", node, "red/web", [f"10.0.1.1{i}", f"fd00:1::1{i}"])
        fabric.port(f"b{i}", node, "blue/web", [f"10.0.1.1{i}", f"fd00:1::1{i}"], mac=f"02:00:00:00:01:0{i}")
        fabric.port(f"x{i}", node, "red/app", [f"10.0.2.1{i}", f"fd00:2::1{i}"])
    with Lab(fabric) as lab:
        yield lab


def test_the_kernel_is_not_that_of_the_host():
    assert os.uname().release.startswith("6.1."), "run by guest.py"


def test_every_program_is_loaded_and_attached(lab):
    for node in lab.nodes.values():
        assert "wire_ingress" in node.ns.tc("filter", "show", "dev", node.uplink, "ingress")
        port = "w1" if node.name == "dc1" else "w2"
        assert "port_ingress" in node.ns.tc("filter", "show", "dev", port, "ingress")
        assert "port_egress" in node.ns.tc("filter", "show", "dev", port, "egress")


@pytest.mark.parametrize("a, b", [("w1", "w2"), ("x1", "x2"), ("w1", "x2"), ("x1", "w2"), ("w1", "x1")])
def test_hosts_of_a_tenant_reach_each_other(lab, a, b):
    for v6 in (False, True):
        lab.host(a).ping(lab.host(b).address(v6), count=3, timeout=5)


@pytest.mark.parametrize("v6", [False, True], ids=["v4", "v6"])
def test_tcp_carries_every_byte(lab, v6):
    for a, b in (("w1", "w2"), ("x2", "x1")):
        assert lab.host(a).tcp_to(lab.host(b), 4 << 20, v6, timeout=60) == 4 << 20


def test_the_gateway_answers(lab):
    for host, addresses in (("w1", ("10.0.1.1", "fd00:1::1")), ("x2", ("10.0.2.1", "fd00:2::1"))):
        for a in addresses:
            lab.host(host).ping(a, timeout=5)


def test_too_big_is_answered_with_the_path_mtu(lab):
    text = lab.host("w1").ping_output("10.0.2.12", "-M", "do", "-s", "1422", "-c", "1")
    wire = 1450 if lab.fabric.families == (4,) else 1430
    assert lab.host("w1").ping("10.0.2.12", size=wire - 28, df=True, timeout=5)
    if wire < 1450:
        assert re.search(f"mtu ?= ?{wire}", text), text


def test_nothing_of_a_tenant_reaches_another(lab):
    others = [h for h in lab.hosts if h != "w1"]  # w2 sends it errors that quote the canary
    with lab.host_tap(others, keep=lambda f: b"<canary>" in f.data) as tap:
        w1, w2 = lab.host("w1"), lab.host("w2")
        w1.send(
            packet.udp_frame(w1.mac, w2.mac, w1.ip4, w2.ip4, 1, 2, b"<canary>"),
            packet.udp_frame(w1.mac, w2.mac, w1.ip6, w2.ip6, 1, 2, b"<canary>"),
            packet.udp_frame(w1.mac, packet.BROADCAST, w1.ip4, "255.255.255.255", 1, 2, b"<canary>"),
        )
        tap.wait(lambda f: True, 3, timeout=10)
        tap.settle(0.3)
        assert [f.place for f in tap.frames] == ["w2"] * 3


@pytest.mark.parametrize("reason", ["mac_spoofed", "ip_spoofed", "no_route", "unknown_mac"])
def test_a_refused_packet_is_counted_by_its_reason(lab, reason):
    w1, w2 = lab.host("w1"), lab.host("w2")
    udp = lambda **k: packet.udp_frame(  # noqa: E731
        k.get("mac", w1.mac), k.get("to", w2.mac), k.get("source", w1.ip4), k.get("target", w2.ip4), 1, 2, b"refused"
    )
    frame = {
        "mac_spoofed": udp(mac="02:00:00:00:00:99"),
        "ip_spoofed": udp(source="10.0.1.99"),
        "no_route": udp(to="02:69:73:74:68:6d", target="172.16.0.1"),
        "unknown_mac": udp(to="02:00:00:00:00:98"),
    }[reason]
    node = lab.node("dc1")
    before = node.drops()[reason]
    w1.send(*[frame] * 5)
    wait_until(lambda: node.drops()[reason] == before + 5, 10, f"5 more {reason}")


def test_a_stranger_on_the_underlay_is_refused(lab):
    """A valid tunnel packet from a source that is no member."""
    node, w1, w2 = lab.node("dc1"), lab.host("w1"), lab.host("w2")
    inner = packet.udp_frame(w2.mac, w1.mac, w2.ip4, w1.ip4, 1, 2, b"<stranger>")
    v6 = lab.fabric.families == (6,)
    source, target = "2001:db8:1::66" if v6 else "198.18.1.66", node.underlay[0]
    outer = packet.any_ip(source, target, 17, packet.udp(source, target, 50000, 4789, packet.vxlan(6000, inner)))
    before = node.drops()["unknown_vtep"]
    with lab.host_tap(["w1"], keep=lambda f: b"<stranger>" in f.data) as tap:
        lab.inject("dc1", *[outer] * 10)
        wait_until(lambda: node.drops()["unknown_vtep"] == before + 10, 10, "10 counted")
        assert tap.frames == []


def test_the_data_plane_forwards_without_its_daemon_and_is_taken_over(lab):
    node = lab.node("dc1")
    programs = node.bpf_ids()
    node.daemon.kill9()
    lab.host("w1").ping(lab.host("w2").ip4, count=3, timeout=5)
    node.daemon.start()
    node.wait_up()
    assert node.bpf_ids() == programs
    lab.host("w1").ping(lab.host("w2").ip6, count=3, timeout=5)


@pytest.mark.parametrize("underlay", ["4", "6"])
def test_an_encrypted_tunnel_carries_every_byte(underlay):
    """VXLAN in super-packets is for BPF to take off: before 6.17 the kernel's own device cannot."""
    with Tunnels(underlay) as two:
        two.ready()
        for last in ("10.9.0.2", "fd09::2", "10.8.0.2", "fd08::2"):
            ping(two.a, last)
        for last in ("10.9.0.2", "fd09::2"):
            stream(two.a, two.b, last, 2 << 20)
        assert two.lost() == [{}, {}]


def test_the_kernels_own_wireguard_and_ours():
    """Both begin, and ask for new sessions.  `make test-kernel` does all that is done with wireguard-go."""
    with test_wireguard.Two(KernelWireguard) as two:
        ping(two.a, "10.9.0.2")
        stream(two.a, two.b, "fd09::2", 1 << 20)
        two.ours.tell("rekey")
        two.ours.wait(handshakes=2)
        stream(two.b, two.a, "10.9.0.1", 1 << 20)
        two.other.forget()
        two.other.add(two.a_endpoint)
        ping(two.b, "fd09::1")
        two.ours.wait(handshakes=3)
        assert two.other.handshake_s() > 0
        assert two.ours.state["refused"] == two.ours.state["forged"] == two.ours.state["lost"] == 0
