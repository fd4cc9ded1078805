# SPDX-License-Identifier: Apache-2.0
"""Row C9 where packets are encrypted: each is delivered or answered with the right value; see secured.py.

Of 1,500 bytes, over IPv4, 20 + 8 are the datagram's and 32 WireGuard's; then come multiples of 16: 1,440 for the tunnel
packet, whose headers take 50.  Over IPv6 there are 1,420, of which 1,408 is the next multiple, less 70.
"""
import pytest
from helpers import GATEWAY_MAC
from secured import SecuredLab
from sweep import sweep

from lab import packet


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
