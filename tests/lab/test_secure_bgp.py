# SPDX-License-Identifier: Apache-2.0
"""BGP sessions between nodes ride inside: three sites, what a node has is known to others by BGP alone, and all of the wire
is looked at.

    w1 -- dc1 --+
    w2 -- aws1 -+ wan
    w3 -- gcp1 -+
"""
import contextlib
import os
import struct

import pytest
from helpers import at_once, ping_all

from lab import packet
from lab.fabric import Fabric
from lab.host import TcpFlows, UdpStream
from lab.room import Lab
from lab.run import wait_until
from lab.wireguard import key_pair

NODES = {"dc1": "dc", "aws1": "aws", "gcp1": "gcp"}
BGP, DEVICE = 179, "isthmus-secure"


def fabric_of(family):
    fabric = Fabric(families=(family,), encryption="between-sites")
    for name, site in NODES.items():
        fabric.node(name, site)
    fabric.tenant("red", 5000)
    fabric.network("red/web", vni=5001, subnets=["10.0.1.0/24", "fd00:1::/64"])
    for n, node in enumerate(NODES, 1):
        fabric.port(f"w{n}", node, "red/web", [f"10.0.1.{10 + n}", f"fd00:1::{10 + n}"], rig={"mtu": 1350})
    fabric.config["bgp"] = {"as": 65000}
    return fabric


class InsideLab(Lab):
    """Keys are there before the daemons, so that no session was ever in clear text."""

    def __enter__(self):
        super().__enter__()
        try:
            for name, node in self.nodes.items():
                private, public = key_pair()
                path = os.path.join(node.daemon.state_dir, "private.key")
                with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
                    f.write(private + "\n")
                self.fabric.config["nodes"][name]["public_key"] = public
        except BaseException:
            self.close()
            raise
        return self

    def change(self, encryption, nodes=None):
        self.fabric.config["fabric"]["encryption"] = encryption
        for name in nodes or self.nodes:
            self.node(name).apply(self.fabric.own_yaml(name))

    def neighbors(self, node):
        return {n["description"]: n for n in self.node(node).isthmus("bgp", "summary", json_output=True)["items"]}

    def all_established(self, encrypted=True):
        """Each with each, and as it says; each neighbor's time of its session."""
        found = [n for node in self.nodes for n in self.neighbors(node).values()]
        good = [n for n in found if n["state"] == "Established" and n["encrypted"] is encrypted]
        return len(good) == len(self.nodes) * (len(self.nodes) - 1)

    def wait_sessions(self, encrypted=True, timeout=20):
        wait_until(lambda: self.all_established(encrypted), timeout, "all sessions")

    def wait_reached(self, timeout=20):
        hosts = list(self.hosts.values())
        pairs = [(a, address) for a in hosts for b in hosts if a is not b for address in b.addresses]
        wait_until(lambda: not ping_all(pairs), timeout, "all pairs answer")

    @contextlib.contextmanager
    def wire(self):
        with self.wire_tap(keep=lambda f: is_bgp(f.data)) as tap:
            yield tap


def is_bgp(frame):
    """A TCP segment of BGP's port, either way."""
    p = packet.l3(frame)
    return bool(p) and p[3] == 6 and BGP in struct.unpack_from("!HH", p[4])


def summary(frame):
    p = packet.l3(frame)
    return p[1], p[2], struct.unpack_from("!HH", p[4]), f"flags {p[4][13]:#x}"


@pytest.fixture(scope="module", params=[4, 6], ids=["underlay4", "underlay6"])
def lab(request):
    with InsideLab(fabric_of(request.param), start=False) as lab, lab.wire() as tap:
        lab.tap = tap
        lab.start(file_of=lab.fabric.own_yaml)
        lab.wait_sessions()
        lab.wait_reached()
        yield lab


@pytest.fixture
def unseen(lab):
    """Nothing of BGP is on the wire, from the start on."""
    yield lab.tap
    assert [(f.place, summary(f.data)) for f in lab.tap.snapshot()][:4] == [] and lab.tap.lost == 0


def test_from_the_start_on(lab, unseen):
    for name in NODES:
        for n in lab.neighbors(name).values():
            assert n["encrypted"] and n["waitsFor"] is None


def test_what_is_lost_with_a_daemon_comes_again(lab, unseen):
    for end in ("kill9", "stop"):
        node = lab.node("aws1")
        getattr(node.daemon, end)()
        assert not node.ns.link(DEVICE)
        node.daemon.start()
        lab.wait_sessions()
        lab.wait_reached()
