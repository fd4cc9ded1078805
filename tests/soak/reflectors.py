# SPDX-License-Identifier: Apache-2.0
"""Row B7: both route reflectors are dead for 120 s; traffic does not notice.

    w1 r1 -- dc1 --+       +-- rr1    FRR
    w2 r2 -- aws1 -+- wan -+-- rr2    GoBGP

What was learned is kept for as long as the reflectors asked for when they came up, and then goes.
"""
import time

from lab import frr, gobgp
from lab.fabric import Fabric
from lab.host import UdpStream
from lab.peer import KernelPeer
from lab.room import Lab
from lab.run import wait_until
from soak.run import Figure

AS = 65000


class ReflectedLab(Lab):
    def __init__(self, restart_s):
        fabric = Fabric(families=(4,))
        fabric.node("dc1", "dc")
        fabric.node("aws1", "aws")
        fabric.node("rr1", "hub", foreign=True)
        fabric.node("rr2", "hub", foreign=True)
        fabric.tenant("red", 5000)
        fabric.network("red/web", vni=5001, subnets=["10.0.1.0/24", "fd00:1::/64"], gateway=["10.0.1.1", "fd00:1::1"])
        fabric.network("red/app", "l3", subnets=["10.0.2.0/24", "fd00:2::/64"], gateway=["10.0.2.1", "fd00:2::1"])
        for n, node in enumerate(("dc1", "aws1"), 1):
            fabric.port(f"w{n}", node, "red/web", [f"10.0.1.{10 + n}", f"fd00:1::{10 + n}"])
            fabric.port(f"r{n}", node, "red/app", [f"10.0.2.{10 + n}", f"fd00:2::{10 + n}"])
        super().__init__(fabric, {"rr1": KernelPeer, "rr2": KernelPeer}, start=False)
        self.restart_s = restart_s

    def __enter__(self):
        super().__enter__()
        try:
            self.start_all()
        except BaseException:
            self.run.close()
            raise
        return self

    def start_all(self):
        clients = [n.underlay[0] for n in self.nodes.values()]
        one, two = (self.peers[n] for n in ("rr1", "rr2"))
        self.reflectors = [frr.Frr(self.run, one.ns, "frr"), gobgp.Gobgp(self.run, two.ns, "gobgp")]
        for r, peer, module in zip(self.reflectors, (one, two), (frr, gobgp)):
            r.start(module.reflector(AS, peer.underlay[0], clients, self.restart_s))
        section = {"as": AS, "reflectors": [one.underlay[0], two.underlay[0]]}
        self.start(file_of=lambda name: self.fabric.own_yaml(name, bgp=section))
        self.wait_sessions()

    def bring_back(self, *reflectors):
        for r in reflectors or self.reflectors:
            r.start_one("bgpd") if isinstance(r, frr.Frr) else r.start(restarting=True)
        self.wait_sessions()

    def sessions(self):
        return [s for n in self.nodes.values() for s in n.isthmus("bgp", "neighbors", json_output=True)["items"]]

    def wait_sessions(self):
        """Both reflectors have told everything to both nodes."""
        wait_until(
            lambda: all(s["state"] == "Established" and not s["stale"] and s["prefixesReceived"] for s in self.sessions()),
            60,
            "the sessions of both reflectors",
        )

    def streams(self, port):
        w1, w2, r1, r2 = (self.hosts[n] for n in ("w1", "w2", "r1", "r2"))
        found = [
            UdpStream(w1, w2, port=port),
            UdpStream(w2, w1, port=port, v6=True),
            UdpStream(r1, r2, port=port, rate=200),
            UdpStream(r2, w1, port=port + 1, v6=True, rate=200),
        ]
        for s in found:
            s.wait_flowing()
        return found

    def lines_of(self, word):
        """{(node, reflector): lines of the log that name the reflector and the word}."""
        return {
            (name, peer): sum(self.peers[peer].underlay[0] in line and word in line for line in n.daemon.log().splitlines())
            for name, n in self.nodes.items()
            for peer in self.peers
        }


def dead_for(lab, seconds, port=7000):
    """One is killed, then the other too; both come back after so long.  What every stream has to say."""
    streams = lab.streams(port)
    for r in lab.reflectors:
        r.kill()
        for s in streams:
            s.wait_flowing()
    for s in streams:
        s.wait_flowing(seconds * (1000 if s is streams[0] else 1), timeout=seconds * 3 + 10)
    lab.bring_back()
    for s in streams:
        s.wait_flowing()
    return [s.stop() for s in streams]


def soak(seconds):
    dead = min(seconds, 120)
    with ReflectedLab(restart_s=dead + 60) as lab:
        start = time.monotonic()
        reports = dead_for(lab, dead)
        took = time.monotonic() - start
        said = lab.lines_of(": down: ")
    return [
        Figure("packets sent", sum(r["sent"] for r in reports)),
        Figure("packets lost", sum(r["lost"] for r in reports), "", "= 0"),
        Figure("packets doubled", sum(r["duplicates"] for r in reports), "", "= 0"),
        Figure("from the kill until all was told again", took, "s", f">= {dead}"),
        Figure("lines that say so, for each node and reflector: most", max(said.values()), "", "= 1"),
        Figure("lines that say so, for each node and reflector: fewest", min(said.values()), "", "= 1"),
    ]
