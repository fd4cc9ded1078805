# SPDX-License-Identifier: Apache-2.0
"""Row C9: around the path MTU every packet is delivered or answered with the right value; nothing vanishes.

    w1 (web, l2, interface MTU 1500)  r1 (app, l3, 9000) -- dc1 -- wan, MTU 1500 -- aws1 -- w2 (web), r2 (app)
    w9 (web, 9000)                                                                     small (web, interface MTU 1300)

The inner packet may be 1450 bytes over an IPv4 underlay (20 + 8 + 8 + 14 less), 1430 over IPv6.
"""
import socket

import pytest
from helpers import GATEWAY_MAC
from sweep import sweep

from lab import packet
from lab.fabric import Fabric
from lab.room import Lab


@pytest.fixture(scope="module", params=[4, 6], ids=["v4 underlay", "v6 underlay"])
def lab(request):
    # Each sweep asks for up to 200 errors at once, and the next one follows: above the default of 1,000 a second.
    fabric = Fabric(families=(request.param,), icmp_limit=10000)
    fabric.node("dc1", "dc")
    fabric.node("aws1", "aws")
    fabric.tenant("red", 5000)
    fabric.network("red/web", vni=5001, subnets=["10.0.1.0/24", "fd00:1::/64"], gateway=["10.0.1.1", "fd00:1::1"])
    fabric.network("red/app", "l3", subnets=["10.0.2.0/24", "fd00:2::/64"], gateway=["10.0.2.1", "fd00:2::1"])
    fabric.network("red/bare", vni=5003)  # no subnet, no gateway: a plain wire
    for name, node, net, n, mtu in (
        ("w1", "dc1", "web", 11, 1500),
        ("w9", "dc1", "web", 19, 9000),
        ("r1", "dc1", "app", 11, 9000),
        ("w2", "aws1", "web", 12, 1500),
        ("r2", "aws1", "app", 12, 9000),
        ("small", "aws1", "web", 13, 1300),
        ("near", "dc1", "web", 14, 1300),
    ):
        k = {"web": 1, "app": 2}[net]
        fabric.port(name, node, f"red/{net}", [f"10.0.{k}.{n}", f"fd00:{k}::{n}"], rig={"mtu": mtu})
    fabric.port("p1", "dc1", "red/bare", rig={"mtu": 1500})
    fabric.port("p2", "aws1", "red/bare", rig={"mtu": 1500})
    with Lab(fabric) as lab:
        lab.path_mtu = 1450 if request.param == 4 else 1430
        yield lab


CASES = [
    ("l2", "w9", "w2", "w2"),
    ("l3", "r1", "r2", None),
    ("l2 to l3", "w9", "r2", None),
    ("l3 to l2", "r1", "w2", None),
]


@pytest.mark.parametrize("case", CASES, ids=[c[0] for c in CASES])
@pytest.mark.parametrize("v6", [False, True], ids=["v4 inside", "v6 inside"])
@pytest.mark.parametrize("df", [True, False], ids=["DF", "no DF"])
def test_around_the_path_mtu_nothing_vanishes(lab, case, v6, df):
    mode, a, b, mac_of = case
    if v6 and not df:
        df = True  # IPv6 knows no other way; the pair of runs shows that it is so each time
    a, b = lab.host(a), lab.host(b)
    assert lab.fabric.rigs[a.name].mtu >= lab.path_mtu + 200  # the workload's own interface lets all of them out
    sizes = range(lab.path_mtu - 4, lab.path_mtu + 201)
    delivered, answered = sweep(lab, a, b, b.mac if mac_of else GATEWAY_MAC, sizes, b.address(v6), df)
    assert delivered == [s for s in sizes if s <= lab.path_mtu]
    gateway = [g for g in lab.fabric.gateways(a.name) if packet.is_v6(g) == v6][0]
    source = b.address(v6) if mode == "l2" else gateway  # bridged: as the kernel's VXLAN device does it
    assert answered == {s: (source, lab.path_mtu) for s in sizes if s > lab.path_mtu}


@pytest.mark.parametrize("v6", [False, True], ids=["v4 inside", "v6 inside"])
def test_a_wire_without_gateway_answers_too(lab, v6):
    """A network without subnet or gateway: whatever the workloads run over it learns the MTU."""
    a, b = lab.host("p1"), lab.host("p2")
    lines = "addr flush dev eth0\naddr add {}/24 dev eth0\naddr add {}/64 dev eth0 nodad"
    a.ns.ip(lines.format("192.168.9.1", "fd99::1"))
    b.ns.ip(lines.format("192.168.9.2", "fd99::2"))
    a.addresses, b.addresses = ["192.168.9.1", "fd99::1"], ["192.168.9.2", "fd99::2"]
    sizes = range(lab.path_mtu - 2, 1501)
    delivered, answered = sweep(lab, a, b, b.mac, sizes, b.address(v6), True)
    assert delivered == [s for s in sizes if s <= lab.path_mtu]
    assert answered == {s: (b.address(v6), lab.path_mtu) for s in sizes if s > lab.path_mtu}


@pytest.mark.parametrize("v6", [False, True], ids=["v4 inside", "v6 inside"])
@pytest.mark.parametrize("target", ["small", "near"])
def test_a_smaller_port_is_answered_for_as_well(lab, target, v6):
    """The destination's interface has MTU 1300: the packet cannot be delivered there, and the sender is told 1300."""
    a, b = lab.host("w1"), lab.host(target)
    sizes = range(1296, 1320)
    delivered, answered = sweep(lab, a, b, b.mac, sizes, b.address(v6), True)
    assert delivered == [s for s in sizes if s <= 1300]
    assert {s: m for s, (_, m) in answered.items()} == {s: 1300 for s in sizes if s > 1300}


def kernel_sends(lab, a, b, v6, payload, discover):
    """A real socket: sends the same datagram until it arrives; returns the number of tries, or None."""
    family = socket.AF_INET6 if v6 else socket.AF_INET
    with b.socket(family, socket.SOCK_DGRAM) as r, a.socket(family, socket.SOCK_DGRAM) as s:
        r.bind((b.address(v6), 43000))
        r.settimeout(0.2)
        s.setsockopt(socket.IPPROTO_IPV6 if v6 else socket.IPPROTO_IP, 23 if v6 else 10, discover)
        for attempt in range(1, 6):
            try:
                s.sendto(payload, (b.address(v6), 43000))
                if r.recv(65536) == payload:
                    return attempt
            except socket.timeout:
                pass
            except OSError as e:
                if e.errno != 90:  # EMSGSIZE: the path MTU is known now
                    raise
    return None


@pytest.mark.parametrize("v6", [False, True], ids=["v4 inside", "v6 inside"])
@pytest.mark.parametrize("ends", [("w9", "w2"), ("r1", "r2"), ("w1", "r2")], ids=["l2", "l3", "routed"])
def test_real_stacks_get_large_datagrams_through(lab, ends, v6):
    """With path MTU discovery the sender learns and fragments; without DF too: at most the first try is lost."""
    a, b = (lab.host(n) for n in ends)
    for discover in (1, 0):  # IP_PMTUDISC_WANT, _DONT
        tries = kernel_sends(lab, a, b, v6, bytes(range(256)) * 25, discover)
        assert tries is not None and tries <= 2, f"discover={discover}"


@pytest.mark.parametrize("v6", [False, True], ids=["v4 inside", "v6 inside"])
@pytest.mark.parametrize(
    "ends",
    [("w1", "w2"), ("w9", "w2"), ("w9", "small"), ("r1", "r2"), ("r2", "w9"), ("w1", "r2"), ("w9", "w1")],
    ids=lambda e: "-".join(e),
)
def test_tcp_never_stalls(lab, ends, v6):
    """8 MB within 5 s from interfaces of 1500 and 9000 bytes: the first too-big answer is enough."""
    a, b = (lab.host(n) for n in ends)
    for h in (a, b):
        h.command("ip", "-4", "route", "flush", "cache", check=False)
    assert a.tcp_to(b, 8 << 20, v6, timeout=5) == 8 << 20
