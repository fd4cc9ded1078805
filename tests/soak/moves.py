# SPDX-License-Identifier: Apache-2.0
"""1,000 moves of one MAC between two nodes: the sequence counts up, nothing is doubled, nothing is left.

    roam -- dc1 --+
    roam -- aws1 -+ wan       the same MAC and address at either, plugged in at one at a time
    w1 --- dc1, w2 --- aws1   who look on

So many moves in so short a time are those of a duplicate: the fifth is held back each time, until an operator's `bgp
free` says that it was meant (row B10 is about that, in tests/lab).
"""
import collections
import struct

from lab import packet
from lab.fabric import Fabric
from lab.host import UdpStream
from lab.room import Lab
from lab.run import wait_until
from lab.talker import HEAD
from soak.run import Figure

NODES = ("dc1", "aws1")
ADDRESS, PORT = "10.0.1.66", 7300


def make_fabric():
    fabric = Fabric(families=(4,))
    fabric.node("dc1", "dc")
    fabric.node("aws1", "aws")
    fabric.tenant("red", 5000)
    fabric.network("red/web", vni=5001, subnets=["10.0.1.0/24"], gateway=["10.0.1.1"])
    for n, node in enumerate(NODES, 1):
        fabric.port(f"w{n}", node, "red/web", [f"10.0.1.{10 + n}"])
    fabric.roaming = fabric.next_mac()
    for node in NODES:
        fabric.port(f"at-{node}", node, "red/web", [ADDRESS], mac=fabric.roaming, interface="roam")
    fabric.config["bgp"] = {"as": 65000}
    return fabric


class MovingLab(Lab):
    """The two places of the MAC are ports of either node's file; where the interface is up, there it is."""

    def __init__(self):
        super().__init__(make_fabric(), start=False)

    def __enter__(self):
        super().__enter__()
        try:
            self.start(file_of=self.fabric.own_yaml)
            for node in NODES:
                self.set_link(node, "down")
            wait_until(lambda: all(self.session(n)["state"] == "Established" for n in NODES), 20, "the session is up")
        except BaseException:
            self.run.close()
            raise
        return self

    def set_link(self, node, state):
        self.node(node).ns.ip(f"link set dev roam {state}")

    def session(self, node):
        (found,) = self.node(node).isthmus("bgp", "neighbors", json_output=True)["items"]
        return found

    def said_by(self, node):
        """Sequences of the MAC's routes that the node announces (no community: 0)."""
        other = NODES[1 - NODES.index(node)]
        told = self.node(node).isthmus("bgp", "advertised", other, json_output=True)["items"]
        return {r["sequence"] or 0 for r in told if self.fabric.roaming in r["name"]}

    def sent_to(self, node):
        """Where the node sends what is for the MAC, by its tables."""
        return [m["node"] for m in self.node(node).get("macs") if m["mac"] == self.fabric.roaming]

    def only_said_by(self, node):
        """What it says, when the other one says nothing."""
        return not self.said_by(NODES[1 - NODES.index(node)]) and self.said_by(node)

    def is_at(self, node):
        """Both agree."""
        return all(self.sent_to(n) == [node] for n in NODES) and self.only_said_by(node)

    def free(self, node):
        return self.node(node).isthmus("bgp", "free", self.fabric.roaming, check=False).returncode == 0


class Deliveries:
    """How often each numbered packet was delivered, at whichever place."""

    def __init__(self, lab):
        self.count = collections.Counter()
        self.tap = lab.host_tap([f"at-{n}" for n in NODES], keep=self._note)

    def _note(self, frame):
        p = packet.l3(frame.data)
        if p and p[3] == 17 and struct.unpack_from("!H", p[4], 2)[0] == PORT:
            self.count[p[4][8 : 8 + HEAD.size]] += 1
        return False


def move(lab, count):
    """There first and gone here after, as in a live migration; figures of it."""
    sequences, frees, w2 = [], 0, lab.host("w2")
    for host in (lab.host(f"at-{n}") for n in NODES):
        host.talker.listen("udp", ADDRESS, PORT)
    lab.set_link(NODES[1], "up")
    wait_until(lambda: lab.is_at(NODES[1]), 5, "it is at its first place")
    deliveries = Deliveries(lab)
    with deliveries.tap:
        stream = UdpStream(w2, lab.host(f"at-{NODES[0]}"), rate=500, port=PORT)
        for i in range(count):
            there, here = NODES[i % 2], NODES[1 - i % 2]
            lab.set_link(there, "up")

            def is_heard():
                nonlocal frees
                found = lab.only_said_by(there)
                if not found:  # each node holds it back for itself
                    frees += sum(map(lab.free, NODES))
                return found

            wait_until(is_heard, 5, f"move {i + 1}: {there} says that it has it")
            lab.set_link(here, "down")
            sequences.append(max(wait_until(lambda: lab.is_at(there), 5, f"move {i + 1}: it is at {there}")))
        here = NODES[(len(sequences) - 1) % 2]
        stream.stop()
    steps = {b - a for a, b in zip(sequences, sequences[1:])}
    lab.set_link(here, "down")

    def nothing_left():
        """But the ports, which wait for their interfaces."""
        told = [str(lab.node(n).isthmus("bgp", "routes", json_output=True)) for n in NODES]
        return not any(map(lab.said_by, NODES)) and all(lab.sent_to(n) == [n] for n in NODES) and lab.fabric.roaming not in str(told)

    wait_until(nothing_left, 5, "nothing is left of it")
    return [
        Figure("moves", len(sequences), "", f"= {count}"),
        Figure("last sequence", sequences[-1]),
        Figure("smallest step of the sequence", min(steps), "", "= 1"),
        Figure("largest step of the sequence (2: it was freed in between)", max(steps), "", "<= 2"),
        Figure("times that it was held back, and freed", frees),
        Figure("packets delivered", len(deliveries.count), "", "> 0"),
        Figure("... more than once", sum(n > 1 for n in deliveries.count.values()), "", "= 0"),
    ]


def soak(seconds):
    with MovingLab() as lab:
        return move(lab, 1000)
