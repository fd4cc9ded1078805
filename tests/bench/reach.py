# SPDX-License-Identifier: Apache-2.0
"""make bench CASE=reach: how long after its port came up is a new endpoint reachable from every other node?

    new -- a --+          +-- rr      FRR reflects; no node's file names a port of another
      p1 -- b --+-- wan --+
      p2 -- c --+         hosts p1, p2, p3 send a datagram each millisecond to new, which answers
      p3 -- d --+

new's port goes down and is withdrawn everywhere; then it is set up, and for each of the others it is reachable with the
first answer.  The figure of one time is that of the last of them.  Hosts know each other's MACs beforehand, as an ARP
request that is too early is repeated a second later.  COUNT says how many times, 100 unless told.

The same without the reflector, by the mesh of the nodes, tells how much of it is ours.
"""
import fcntl
import json
import math
import os
import select
import socket
import statistics
import struct
import time

import report

from lab.fabric import Fabric
from lab.frr import Frr, reflector
from lab.peer import KernelPeer
from lab.room import Lab
from lab.run import LabError, wait_until

AS, PORT = 65000, 7007
TARGET_MS = 100
PATIENCE_S = 10
NODES = ("a", "b", "c", "d")
WAYS = ("a reflector", "the mesh")
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def make_fabric():
    f = Fabric()
    for node in NODES:
        f.node(node, f"site-{node}")
    f.node("rr", "hub", foreign=True)
    f.tenant("red", 5000)
    f.network("red/web", vni=5001, subnets=["10.0.1.0/24"], gateway=["10.0.1.1"])
    f.port("new", "a", "red/web", ["10.0.1.10"])
    for n, node in enumerate(NODES[1:], 1):
        f.port(f"p{n}", node, "red/web", [f"10.0.1.{10 + n}"])
    return f


class Switch:
    """Sets a link up or down at once, without a program that has to start first."""

    def __init__(self, ns, interface):
        self.socket, self.interface = ns.socket(socket.AF_INET, socket.SOCK_DGRAM), interface.encode()

    def set(self, up):
        request = struct.pack("16sH14x", self.interface, 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(self.socket, SIOCGIFFLAGS, request))[1]
        flags = flags | IFF_UP if up else flags & ~IFF_UP
        fcntl.ioctl(self.socket, SIOCSIFFLAGS, struct.pack("16sH14x", self.interface, flags))


class Reach:
    def __init__(self, count, say):
        self.count, self.say = count, say
        self.values, self.failures = {}, {}  # by the way: ms

    def measure(self):
        for way in WAYS:
            try:
                with Lab(make_fabric(), {"rr": KernelPeer}, start=False) as lab:
                    self._start(lab, way)
                    for i in range(self.count):
                        self.say(f"reach through {way}: {i + 1} of {self.count}")
                        self.values.setdefault(way, []).append(self._once())
            except report.TROUBLE as e:
                self.failures[way] = " ".join(str(e).split()) or repr(e)
        self.say("")

    def _start(self, lab, way):
        rr = lab.peers["rr"]
        bgp = {"as": AS, "reflectors": [rr.underlay[0]] if way == "a reflector" else []}
        if way == "a reflector":
            frr = Frr(lab.run, rr.ns, "frr")
            frr.start(reflector(AS, rr.underlay[0], [n.underlay[0] for n in lab.nodes.values()]))
        lab.start(file_of=lambda node: lab.fabric.own_yaml(node, bgp=bgp))
        if way == "a reflector":
            wait_until(lambda: len(frr.established()) == len(NODES), 30, "clients of the reflector")
        self.new, self.others = lab.host("new"), [lab.host(f"p{n}") for n in range(1, len(NODES))]
        for host in self.others:
            host.command("ip", "neigh", "replace", self.new.ip4, "lladdr", self.new.mac, "dev", "eth0", "nud", "permanent")
            self.new.command("ip", "neigh", "replace", host.ip4, "lladdr", host.mac, "dev", "eth0", "nud", "permanent")
        self.nodes, self.switch = list(lab.nodes.values()), Switch(lab.node("a").ns, "new")
        self.answering = self.new.ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.answering.bind(("0.0.0.0", PORT))
        self.asking = []
        for host in self.others:
            s = host.ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.setblocking(False)
            s.connect((self.new.ip4, PORT))
            self.asking.append(s)

    def _is_known(self, node):
        return any(m["mac"] == self.new.mac for m in node.get("macs"))

    def _once(self):
        """Milliseconds until the last of the others has had an answer."""
        self.switch.set(False)
        wait_until(lambda: not any(self._is_known(n) for n in self.nodes[1:]), PATIENCE_S, "new is withdrawn")
        for s in (self.answering, *self.asking):
            drain(s)
        serial = os.urandom(8)
        start = time.monotonic()
        self.switch.set(True)
        missing, next_send = set(self.asking), start
        while missing:
            now = time.monotonic()
            if now > start + PATIENCE_S:
                raise LabError(f"new is not reachable from {len(missing)} of {len(self.asking)} nodes after {PATIENCE_S} s")
            if now >= next_send:
                next_send = now + 0.001
                for s in missing:
                    s.send(serial)
            ready, _, _ = select.select([self.answering, *missing], [], [], 0.001)
            for s in ready:
                data, sender = s.recvfrom(64)
                if s is self.answering:
                    s.sendto(data, sender)
                elif data == serial:
                    missing.discard(s)
        return (time.monotonic() - start) * 1e3

    # ---- what came of it

    def measured(self):
        return bool(self.values)

    def figures(self):
        for way, values in self.values.items():
            ordered = sorted(values)
            yield way, "p50", statistics.median(ordered), values
            yield way, "p99", ordered[math.ceil(0.99 * len(ordered)) - 1], values

    def lines(self):
        for way, metric, value, values in self.figures():
            verdict = ""
            if (way, metric) == ("a reflector", "p50"):
                verdict = f" target: at most {TARGET_MS}, {'met' if value <= TARGET_MS else 'MISSED'}"
            yield (
                f"reach through {way:<12} {metric} {value:>8.1f} ms  ({min(values):.1f}-{max(values):.1f} of {len(values)})"
                + verdict
            )
        for way, why in self.failures.items():
            yield f"reach through {way}: cannot run: {why}"

    def markdown(self):
        rows = [[way, metric, f"{value:.1f}", str(len(values))] for way, metric, value, values in self.figures()]
        remarks = "".join(f"\nThrough {way} it cannot run: {why}\n" for way, why in self.failures.items())
        return (
            f"### A new endpoint\n\nFrom its port's coming up until the last of {len(NODES) - 1} other nodes has reached it.\n\n"
            + report.markdown(["through", "figure", "ms", "times"], rows)
            + remarks
        )

    def write(self):
        paths = [os.path.join(report.directory(), n) for n in ("reach.md", "reach.json")]
        with open(paths[0], "w") as f:
            f.write(self.markdown())
        with open(paths[1], "w") as f:
            figures = [{"through": w, "metric": m, "ms": v, "values": values} for w, m, v, values in self.figures()]
            json.dump({"figures": figures, "target_ms": TARGET_MS, "remarks": self.failures}, f, indent=1)
        return paths


def drain(s):
    while select.select([s], [], [], 0)[0]:
        try:
            s.recv(64)
        except OSError:  # an ICMP error of before
            continue
