# SPDX-License-Identifier: Apache-2.0
"""Row C9 where packets are encrypted: each is delivered or answered with the right value; see secured.py.

Of 1,500 bytes, over IPv4, 20 + 8 are the datagram's and 32 WireGuard's; then come multiples of 16: 1,440 for the tunnel
packet, whose headers take 50.  Over IPv6 there are 1,420, of which 1,408 is the next multiple, less 70.
"""
import re

import pytest
from helpers import GATEWAY_MAC
from secured import SecuredLab, tunnel
from sweep import sweep

from lab import packet
from lab.host import TcpFlows, UdpStream
from lab.run import wait_until


@pytest.fixture(scope="module", params=[4, 6], ids=["underlay4", "underlay6"])
def lab(request):
    with SecuredLab(request.param, inside=9000) as lab:
        lab.path_mtu = {4: 1390, 6: 1338}[request.param]
        yield lab


@pytest.mark.parametrize("v6", [False, True], ids=["v4 inside", "v6 inside"])
@pytest.mark.parametrize("ends", [("w1", "w2"), ("r1", "r2"), ("w1", "r2"), ("r1", "w2")], ids=lambda e: "-".join(e))
def test_around_the_path_mtu_nothing_vanishes(lab, ends, v6):
    a, b = (lab.host(n) for n in ends)
    bridged = ends == ("w1", "w2")
    sizes = [*range(lab.path_mtu - 20, lab.path_mtu + 21), *range(lab.path_mtu + 21, lab.path_mtu + 140, 7), 1500, 1501]
    for df in (True,) if v6 else (True, False):
        delivered, answered = sweep(lab, a, b, b.mac if bridged else GATEWAY_MAC, sizes, b.address(v6), df)
        assert delivered == [s for s in sizes if s <= lab.path_mtu]
        gateway = [g for g in lab.fabric.gateways(a.name) if packet.is_v6(g) == v6][0]
        assert answered == {s: (b.address(v6) if bridged else gateway, lab.path_mtu) for s in sizes if s > lab.path_mtu}


@pytest.mark.parametrize("v6", [False, True], ids=["v4 inside", "v6 inside"])
def test_super_packets_and_large_datagrams_cross(lab, v6):
    """Real stacks, from interfaces of 9,000 bytes: TCP never stalls, a datagram arrives at the second try at last."""
    for ends in (("w1", "w2"), ("r2", "r1"), ("w2", "r1")):
        a, b = (lab.host(n) for n in ends)
        assert a.tcp_to(b, 4 << 20, v6, timeout=10) == 4 << 20
        payload = bytes(range(256)) * 25
        assert a.udp_to(b, payload, v6, timeout=0.5) or a.udp_to(b, payload, v6)


# Of 1,400: less 60 or 80 around, multiples of 16, less 50 or 70 of the tunnel packet's headers.
NARROW = {4: (1388, 1278), 6: (1392, 1242)}


def forward(lab, rule):
    """What the routers between the sites do with what they forward."""
    lab.wan.command("nft", "-f", "-", input=f"""
        table inet way
        flush table inet way
        table inet way {{
            chain through {{
                type filter hook forward priority 0
                {rule}
            }}
        }}
    """)


def seen(lab, name, other):
    return tunnel(lab.node(name), other)


def measured(lab, key, value=None):
    """Both ends have it."""
    ends = (("dc1", "aws1"), ("aws1", "dc1"))
    return all(seen(lab, *e)[key] == value if value else seen(lab, *e)[key] is not None for e in ends)


def test_a_hop_that_takes_less_and_does_not_say_so(lab):
    """It stays so: nothing longer than 1,400 crosses the WAN, and no ICMP tells."""
    family = 6 if packet.is_v6(lab.underlay_of("dc1")) else 4
    path, inner = NARROW[family]
    w1, w2 = lab.host("w1"), lab.host("w2")
    wait_until(lambda: measured(lab, "rttMicroseconds"), 10, "a round trip")
    flows = TcpFlows(w1, lab.host("r2"), 4, timeout=60)
    forward(lab, "meta length > 1400 drop")
    lab.skip(10)  # since the last probe
    wait_until(lambda: measured(lab, "mtu", inner) or lab.skip(1), 30, f"{inner} bytes inside, of {path}", every=0.3)
    assert w1.tcp_to(w2, 4 << 20, timeout=30) == 4 << 20
    for a, b in ((w1, w2), (w2, w1)):
        sizes = range(inner - 3, inner + 4)
        delivered, answered = sweep(lab, a, b, b.mac, sizes, b.address(False), True)
        assert delivered == [s for s in sizes if s <= inner]
        assert answered == {s: (b.address(False), inner) for s in sizes if s > inner}
    flows.wait_flowing()
    assert flows.stop()["errors"] == []
    ledger = lab.node("dc1").isthmus("describe", "node", "aws1", json_output=True)["ledger"]
    assert (ledger["configured"], ledger["measured"], ledger["path"], ledger["inner"]) == (1500, path, path, inner)
    found = {c["name"]: c for c in lab.node("dc1").isthmus("doctor", json_output=True, check=False)["checks"]}
    assert str(path) in found["path-black-hole"]["seen"] and "ICMP" in found["path-black-hole"]["fix"]
    metrics = lab.node("dc1").metrics()
    assert metrics['isthmus_tunnel_path_mtu_bytes{node="aws1"}'] == path
    assert metrics['isthmus_tunnel_round_trip_seconds{node="aws1"}'] > 0


def test_what_is_lost_on_the_way_is_told(lab):
    """One packet of twenty, there; none back."""
    target = lab.underlay_of("aws1")
    forward(lab, f"{'ip6' if packet.is_v6(target) else 'ip'} daddr {target} numgen random mod 20 < 1 drop")
    stream = UdpStream(lab.host("w1"), lab.host("w2"), 1000)

    def told():
        lab.skip(10)
        stream.wait_flowing(300)
        there, back = seen(lab, "dc1", "aws1"), seen(lab, "aws1", "dc1")
        return all(20000 < (n or 0) < 100000 for n in (there["txLossPpm"], back["rxLossPpm"])) and not there["rxLossPpm"]

    wait_until(told, 30, "a loss of 5 %")
    stream.stop()
    text = lab.node("dc1").isthmus("get", "tunnels").stdout
    assert re.search(r"LOSS +RTT", text) and re.search(r" [2-9]\.\d\d% +\d+\.\d\dms", text)


def test_the_doctor_compares_clocks(lab):
    """The last: handshakes of aws1 with a right clock would be refused after it."""
    clock, aws1 = lab.clocks["aws1"], lab.node("aws1")
    aws1.daemon.kill9()
    clock.set(clock.day + 500)
    lab.begin("aws1")

    def told():
        found = lab.node("dc1").isthmus("doctor", json_output=True, check=False)["checks"]
        return [c for c in found if c["name"] == "clock" and "aws1 was" in c["seen"] and "ahead of" in c["seen"]]

    wait_until(told, 20, "the clock")
