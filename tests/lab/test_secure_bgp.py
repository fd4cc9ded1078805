# SPDX-License-Identifier: Apache-2.0
"""BGP sessions between nodes ride inside: three sites, what a node has is known to others by BGP alone, and all of the wire
is looked at.

    w1 -- dc1 --+
    w2 -- aws1 -+ wan
    w3 -- gcp1 -+
"""
import os
import re
import struct

import pytest
from helpers import Clock, at_once, ping_all
from secured import tunnel_drops

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
            self.tap = self.wire_tap(keep=lambda f: is_bgp(f.data)).__enter__()
            self.clocks = {n: Clock(os.path.join(self.run.directory, f"{n}.skew")) for n in self.nodes}
            for name, node in self.nodes.items():
                node.daemon.write_config(self.file_of(name))
                self.begin(name, wait=False)
            for node in self.nodes.values():
                node.daemon.wait_ready()
        except BaseException:
            self.close()
            raise
        return self

    def file_of(self, name):
        """Over IPv6 with a key (RFC 2385) besides."""
        bgp = dict(self.fabric.config["bgp"])
        if self.fabric.families == (6,):
            bgp["password_file"] = os.path.join(os.path.dirname(self.node(name).daemon.config), "bgp.key")
            with open(os.open(bgp["password_file"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
                f.write("secret\n")
        return self.fabric.own_yaml(name, bgp=bgp)

    def begin(self, name, wait=True):
        self.node(name).daemon.start(wait, self.clocks[name].environment())

    def age(self):
        """Sessions are old enough that a second connection means that a neighbor began anew (bgp/collision.c)."""
        for c in self.clocks.values():
            c.skip(6)

    def change(self, encryption, nodes=None):
        self.fabric.config["fabric"]["encryption"] = encryption
        for name in nodes or self.nodes:
            self.node(name).apply(self.file_of(name))

    def neighbors(self, node):
        return {n["description"]: n for n in self.node(node).isthmus("bgp", "summary", json_output=True)["items"]}

    def all_established(self, encrypted=True):
        """Each with each, and as it says; each neighbor's time of its session."""
        found = [n for node in self.nodes for n in self.neighbors(node).values()]
        good = [n for n in found if n["state"] == "Established" and n["encrypted"] is encrypted]
        return len(good) == len(self.nodes) * (len(self.nodes) - 1)

    def times(self):
        """node -> neighbor -> how often there was a session."""
        return {name: {d: n["established"] for d, n in self.neighbors(name).items()} for name in self.nodes}

    def wait_told(self, port, node, address):
        """An endpoint that comes is known on the other nodes."""
        self.plug_runtime(port, node, "red/web", [address])
        others = [h for n, h in self.hosts.items() if n[0] == "w"]
        wait_until(lambda: not ping_all([(h, address) for h in others]), 10, f"{address} answers")

    def wait_sessions(self, encrypted=True, timeout=20):
        wait_until(lambda: self.all_established(encrypted), timeout, "all sessions")

    def wait_reached(self, timeout=20):
        hosts = list(self.hosts.values())
        pairs = [(a, address) for a in hosts for b in hosts if a is not b and a.name[0] == b.name[0] for address in b.addresses]
        wait_until(lambda: not ping_all(pairs), timeout, "all pairs answer")


def is_bgp(frame):
    """A TCP segment of BGP's port, either way."""
    p = packet.l3(frame)
    return bool(p) and p[3] == 6 and BGP in struct.unpack_from("!HH", p[4])


def summary(frame):
    p = packet.l3(frame)
    return p[1], p[2], struct.unpack_from("!HH", p[4]), f"flags {p[4][13]:#x}"


@pytest.fixture(scope="module", params=[4, 6], ids=["underlay4", "underlay6"])
def lab(request):
    with InsideLab(fabric_of(request.param), start=False) as lab:
        try:
            lab.wait_sessions()
            lab.wait_reached()
            yield lab
        finally:
            lab.tap.__exit__()


@pytest.fixture
def unseen(lab):
    """Nothing of BGP is on the wire, from the start on."""
    yield lab.tap
    assert [(f.place, summary(f.data)) for f in lab.tap.snapshot()][:4] == [] and lab.tap.lost == 0


def test_from_the_start_on(lab, unseen):
    for name in NODES:
        for n in lab.neighbors(name).values():
            assert n["encrypted"] and n["waitsFor"] is None
            assert n["password"] == (lab.fabric.families == (6,))
        text = lab.node(name).ns.command("ss", "-Htni", "state", "established").stdout
        sizes = [int(n) for n in re.findall(r"\bmss:(\d+)", text)]
        v6 = packet.is_v6(lab.node(name).underlay[0])
        most = 1280 - ((40 + 8 + 32) + 40 if v6 else (20 + 8 + 32) + 20) - 20  # around a segment
        assert sizes and max(sizes) <= most, "it fits into any path"


def test_what_is_lost_with_a_daemon_comes_again(lab, unseen):
    """Killed, its device goes with it, and nobody is told; the others see it when it connects again."""
    for end in ("kill9", "stop"):
        lab.age()
        node, before = lab.node("aws1"), lab.times()
        getattr(node.daemon, end)()
        assert not node.ns.link(DEVICE)
        if end == "stop":
            assert DEVICE not in node.ns.command("ip", "-6", "rule").stdout
        lab.begin("aws1")
        wait_until(lambda b=before: all(lab.times()[n]["aws1"] > b[n]["aws1"] for n in ("dc1", "gcp1")), 20, "new sessions")
        lab.wait_sessions()
        lab.wait_reached()


def test_what_others_change_is_put_right(lab, unseen):
    dc1, before = lab.node("dc1"), lab.times()
    v6 = packet.is_v6(dc1.underlay[0])
    changes = (
        [("ip", "-6", "rule", "del", "pref", "69"), ("ip", "-6", "route", "flush", "table", "4919")]
        if v6
        else [("ip", "address", "flush", "dev", DEVICE), ("sysctl", "-q", f"net.ipv4.conf.{DEVICE}.rp_filter=1")]
    )
    changes.append(("tc", "filter", "del", "dev", DEVICE, "egress"))
    for argv in changes:
        mended = repairs(dc1)
        dc1.ns.command(*argv)
        wait_until(lambda m=mended: repairs(dc1) > m, 5, f"mended after {' '.join(argv)}")
    wait_until(lambda: way(dc1, v6), 5, "all of it")
    lab.wait_sessions()
    assert lab.times() == before, "no session was lost by that"
    lab.age()
    dc1.ns.ip(f"link del {DEVICE}")
    wait_until(lambda: way(dc1, v6) and lab.times()["dc1"] != before["dc1"], 20, "another device, and sessions by it")
    lab.wait_sessions()
    lab.wait_reached()


def repairs(node):
    return node.isthmus("status", json_output=True)["repairs"]


def way(node, v6):
    if not v6:
        return "127.73.83.84/32" in node.ns.command("ip", "address", "show", "dev", DEVICE).stdout
    rules = node.ns.command("ip", "-6", "rule").stdout
    route = node.ns.command("ip", "-6", "route", "show", "table", "4919", check=False).stdout
    return f"oif {DEVICE} lookup 4919" in rules and f"default dev {DEVICE}" in route


SPEAK = """
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, sys.argv[3].encode())
s.bind((sys.argv[1], 0))
s.settimeout(0.3)
try:
    s.connect((sys.argv[2], 179))
except OSError:
    sys.exit(7)
"""


def test_another_user_of_the_node_does_not_speak_for_it(lab, unseen):
    dc1, before = lab.node("dc1"), lab.times()
    here, there = (lab.fabric.config["nodes"][n]["underlay"][0] for n in ("dc1", "aws1"))
    dropped = tunnel_drops(dc1).get("not_ours", 0)
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    p = dc1.ns.command(*nobody, "/usr/bin/python3", "-c", SPEAK, here, there, DEVICE, check=False)
    assert p.returncode == 7, (p.stdout, p.stderr)
    assert tunnel_drops(dc1)["not_ours"] > dropped
    assert lab.times() == before


def test_what_is_forged_in_clear_text_changes_nothing(lab):
    """From a neighbor's address: connections, and segments for the connection that there is."""
    dc1, before = lab.node("dc1"), lab.times()
    here, there = (lab.fabric.config["nodes"][n]["underlay"][0] for n in ("dc1", "aws1"))
    own, theirs = ports_of(dc1, there)
    forged = [packet.tcp(there, here, 4000 + n, BGP) for n in range(20)]
    for flags in (0x02, 0x04, 0x10, 0x11, 0x14, 0x18):
        forged += [packet.tcp(there, here, theirs, own, flags, b"\xff" * 16 + b"\0\x13\4") for _ in range(10)]
    lab.inject("dc1", *[packet.any_ip(there, here, 6, segment) for segment in forged])
    lab.tap.settle(0.3)
    lab.wait_sessions()
    assert lab.times() == before and ports_of(dc1, there) == (own, theirs)
    assert not [f for f in lab.tap.snapshot() if packet.l3(f.data)[4][20:].startswith(b"\xff" * 16) and f.incoming]
    lab.tap.clear()  # what the forger wrote, and the kernel answered


def ports_of(node, remote):
    """Of the connection that there is with the neighbor."""
    text = node.ns.command("ss", "-Htn", "state", "established", "dst", f"[{remote}]" if packet.is_v6(remote) else remote).stdout.split()
    return int(text[2].rsplit(":", 1)[1]), int(text[3].rsplit(":", 1)[1])


def test_to_change_sides_loses_nothing(lab):
    """Node by node, under traffic that nobody knows the way of but by BGP."""
    hosts = [lab.host(f"w{n}") for n in (1, 2, 3)]
    pairs = [(a, b, v6) for a in hosts for b in hosts if a is not b for v6 in (False, True)]
    streams = [UdpStream(a, b, 200, v6, 7200 + n) for n, (a, b, v6) in enumerate(pairs)]
    flows = TcpFlows(hosts[0], hosts[1], 10, port=7300, timeout=10)
    for s in streams:
        s.wait_flowing(20)
    lab.change("never")
    lab.wait_sessions(encrypted=False)
    lab.wait_told("x1", "dc1", "10.0.1.101")
    lab.tap.wait(is_bgp, what="BGP in clear text, for once: the look at the wire is one")
    lab.change("between-sites")
    lab.wait_sessions()
    lab.tap.settle(0.3)
    lab.tap.clear()
    lab.wait_told("x2", "aws1", "10.0.1.102")
    for s in streams:
        s.wait_flowing(20)
    results = at_once([lambda s=s: s.stop() for s in streams])
    flows.wait_flowing()
    report = flows.stop()
    lab.tap.settle(0.1)
    assert [r["lost"] for r in results] == [0] * len(streams), results
    assert report["alive"] == 10, report
    assert [summary(f.data) for f in lab.tap.snapshot()][:4] == [] and lab.tap.lost == 0
