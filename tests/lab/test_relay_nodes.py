# SPDX-License-Identifier: Apache-2.0
"""Daemons that do not reach each other, and one that carries for them.

    web1 -- dc1 ---.          .--- aws1 -- web2      over IPv4 both behind a NAT; over IPv6 without a route to each other
                   +-- wan --+
                    hub -- web3                      relay: true
"""
import os

import pytest
from helpers import Clock
from secured import tunnel
from sweep import sweep

from lab.fabric import Fabric
from lab.room import Lab
from lab.run import wait_until

FIRST_TRY_S = 6  # timers.h
CANARY = b"canary"
NAT = """table ip nat {
    chain out {
        type nat hook postrouting priority 100
        ip saddr 198.18.1.0/24 oifname "sw-hq" masquerade
        ip saddr 198.18.2.0/24 oifname "sw-hq" masquerade
    }
    chain through {
        type filter hook forward priority 0
        ct state new ip daddr { 198.18.1.0/24, 198.18.2.0/24 } drop
    }
}"""


def make_fabric(family):
    f = Fabric(families=(family,), encryption="between-sites", icmp_limit=10000)
    f.node("dc1", "dc", nat=family == 4)
    f.node("aws1", "aws", nat=family == 4)
    f.node("hub", "hq", relay=True)
    f.tenant("red", 5000)
    f.network("red/web", vni=5001, subnets=["10.0.1.0/24", "fd00:1::/64"], gateway=["10.0.1.1", "fd00:1::1"])
    for n, node in enumerate(("dc1", "aws1", "hub"), 1):
        f.port(f"web{n}", node, "red/web", [f"10.0.1.1{n}", f"fd00:1::1{n}"], rig={"mtu": 9000})
    return f


class RelayedLab(Lab):
    def __init__(self, family):
        self.family = family
        super().__init__(make_fabric(family), start=False)

    def build(self):
        super().build()
        if self.family == 4:
            self.wan.command("nft", "-f", "-", input=NAT)
        else:
            for name, other in (("dc1", "aws1"), ("aws1", "dc1")):
                self.node(name).ns.ip(f"route add unreachable {self.underlay(other)}")
        for n in self.nodes.values():  # one datagram is one frame on the wire
            n.ns.command("ethtool", "-K", "up0", "tx", "off", "tx-udp-segmentation", "off")

    def underlay(self, node):
        return self.fabric.config["nodes"][node]["underlay"][0]

    def __enter__(self):
        super().__enter__()
        try:
            self.begin()
        except BaseException:
            self.close()
            raise
        return self

    def begin(self):
        nodes = self.fabric.config["nodes"]
        nodes["hub"].pop("relay")  # a relay has a key, which it makes when it starts
        clocks = {n: Clock(os.path.join(self.run.directory, f"{n}.skew")) for n in self.nodes}
        for name, n in self.nodes.items():
            n.daemon.write_config(self.fabric.yaml())
            n.daemon.start(environment=clocks[name].environment())
            nodes[name]["public_key"] = n.isthmus("key", "show").stdout.strip()
        nodes["hub"]["relay"] = True
        self.apply()
        for name in ("dc1", "aws1"):
            wait_until(lambda name=name: tunnel(self.node(name), "hub")["state"] == "up", 10, f"a tunnel from {name} to hub")
        for c in clocks.values():
            c.skip(FIRST_TRY_S)
        wait_until(lambda: self.host("web1").ping("10.0.1.12", check=False), 20, "a ping")
        for a, b in (("dc1", "aws1"), ("aws1", "dc1")):
            wait_until(lambda a=a, b=b: tunnel(self.node(a), b)["relay"] == "hub", 20, f"{a} reaches {b} through hub")


@pytest.fixture(scope="module", params=[4, 6], ids=["nat", "no-route"])
def lab(request):
    with RelayedLab(request.param) as lab:
        lab.path_mtu = {4: 1342, 6: 1290}[request.param]
        yield lab


def test_workloads_reach_each_other_and_the_relay_sees_nothing(lab):
    web1, web2, web3 = (lab.host(h) for h in ("web1", "web2", "web3"))
    with lab.wire_tap(keep=lambda f: CANARY in f.data) as wire, web3.tap(keep=lambda f: CANARY in f.data) as beside:
        web1.ping("10.0.1.12")
        web2.ping("fd00:1::11")
        web1.ping("10.0.1.13")
        assert web1.udp_to(web2, CANARY * 20, False) and web2.udp_to(web1, CANARY * 20, True)
        assert web1.tcp_to(web2, 4 << 20, False, timeout=10) == web2.tcp_to(web1, 4 << 20, True, timeout=10) == 4 << 20
        assert wire.total == beside.total == 0
    assert tunnel(lab.node("dc1"), "hub")["relay"] is None
    assert lab.node("dc1").isthmus("status", json_output=True)["state"] == "OK"


def test_what_fits_into_a_packet_is_told(lab):
    web1, web2 = lab.host("web1"), lab.host("web2")
    sizes = [*range(lab.path_mtu - 5, lab.path_mtu + 6), 1400, 1500]
    delivered, answered = sweep(lab, web1, web2, web2.mac, sizes, web2.address(False), True)
    assert delivered == [s for s in sizes if s <= lab.path_mtu]
    assert answered == {s: (web2.address(False), lab.path_mtu) for s in sizes if s > lab.path_mtu}
    there = tunnel(lab.node("dc1"), "aws1")
    assert there["mtu"] == lab.path_mtu
    ledger = lab.node("dc1").isthmus("describe", "node", "aws1", json_output=True)["ledger"]
    assert ledger["relay"] == 48 and ledger["inner"] == lab.path_mtu


def test_it_is_shown(lab):
    dc1, hub = lab.node("dc1"), lab.node("hub")
    there = tunnel(dc1, "aws1")
    assert there["state"] == "up" and there["endpoint"] is None
    line, = (s for s in dc1.isthmus("get", "tunnels").stdout.splitlines() if s.startswith("aws1"))
    assert "hub" in line.split()
    assert dc1.metrics()['isthmus_tunnel_relayed{node="aws1"}'] == 1 and dc1.metrics()['isthmus_tunnel_relayed{node="hub"}'] == 0
    for name in ("dc1", "aws1"):
        assert tunnel(hub, name)["carriedPackets"] > 0 and tunnel(hub, name)["carriedBytes"] > 0
        assert hub.metrics()[f'isthmus_tunnel_carried_packets_total{{node="{name}"}}'] > 0
    said = dc1.isthmus("doctor", check=False).stdout
    assert "node aws1 is not heard directly, and reached through hub" in said
    assert "neither can call the other" not in said
