# SPDX-License-Identifier: Apache-2.0
"""A fabric between whose sites everything is encrypted, and who watches that it is.

    w1 (web, l2)  r1 (app, l3)  p1 (plain) -- dc1 == wan == aws1 -- w2, r2, p2, spare       ghost, keyless: nobody there
                                               +---- up1 ----+ when the way goes over there

red/plain says `encryption: never`: that its packets are seen on the wire shows that the others would be.  The clocks of
the daemons can be moved on: sessions grow old, and what is eased after a change is over.
"""
import contextlib
import os
import random
import struct
import time

from helpers import GATEWAY_MAC, Clock, at_once, start_blast

from lab import packet
from lab.capture import Tap
from lab.fabric import Fabric
from lab.host import UdpStream
from lab.room import Lab
from lab.run import wait_until
from lab.wireguard import key_pair

CANARY, PLAIN = "canary", "in-clear"
WEB, APP, PLAIN_VNI = 5001, 5000, 5003  # what is routed has the tenant's VNI
WIREGUARD, VXLAN = 51820, 4789
EASED_S, OLD_S, GIVEN_UP_S = 31, 121, 100  # secure.c; timers.h: a session asks for the next; nobody answers


def make_fabric(family, inside):
    f = Fabric(families=(family,), encryption="between-sites", icmp_limit=10000)
    for node, site in (("dc1", "dc"), ("aws1", "aws"), ("ghost", "gcp"), ("keyless", "gcp")):
        f.node(node, site)
    f.tenant("red", 5000)
    f.network("red/web", vni=WEB, subnets=["10.0.1.0/24", "fd00:1::/64"], gateway=["10.0.1.1", "fd00:1::1"])
    f.network("red/app", "l3", subnets=["10.0.2.0/24", "fd00:2::/64"], gateway=["10.0.2.1", "fd00:2::1"])
    f.network("red/plain", vni=PLAIN_VNI, subnets=["10.0.3.0/24"], encryption="never")
    for name, node, net, n, plugged in (
        ("w1", "dc1", "web", 11, True),
        ("r1", "dc1", "app", 11, True),
        ("p1", "dc1", "plain", 11, True),
        ("w2", "aws1", "web", 12, True),
        ("r2", "aws1", "app", 12, True),
        ("p2", "aws1", "plain", 12, True),
        ("spare", "aws1", "web", 13, True),
        ("wg", "ghost", "web", 21, False),
        ("rg", "ghost", "app", 21, False),
        ("wk", "keyless", "web", 31, False),
        ("rk", "keyless", "app", 31, False),
    ):
        k = {"web": 1, "app": 2, "plain": 3}[net]
        addresses = [f"10.0.{k}.{n}", *([f"fd00:{k}::{n}"] if net != "plain" else [])]
        f.port(name, node, f"red/{net}", addresses, rig={"plugged": plugged, "mtu": inside})
    return f


class SecuredLab(Lab):
    """Started, with keys everywhere but at `keyless`, and with sessions."""

    def __init__(self, family, inside=1500):
        super().__init__(make_fabric(family, inside), start=False)

    def build(self):
        super().build()
        for name in ("ghost", "keyless"):
            del self.nodes[name]
        self.wan.ip(f"""link add x-dc1 mtu 1500 type veth peer name up1 mtu 1500 netns {self.node("dc1").ns.full_name}
                        addr add 198.18.99.254/24 dev x-dc1
                        addr add 2001:db8:99::fe/64 dev x-dc1 nodad
                        link set x-dc1 up""")
        self.node("dc1").ns.ip("""addr add 198.18.99.1/24 dev up1
                                  addr add 2001:db8:99::1/64 dev up1 nodad
                                  link set up1 up""")
        self.clocks = {n: Clock(os.path.join(self.run.directory, f"{n}.skew")) for n in self.nodes}
        for n in self.nodes.values():  # one datagram is one frame on the wire, with a checksum
            n.ns.command("ethtool", "-K", "up0", "tx", "off", "tx-udp-segmentation", "off")
        self.config_nodes()["ghost"]["public_key"] = key_pair()[1]

    def config_nodes(self):
        return self.fabric.config["nodes"]

    def begin(self, node):
        self.node(node).daemon.start(environment=self.clocks[node].environment())

    def __enter__(self):
        super().__enter__()
        try:
            for name, n in self.nodes.items():
                n.daemon.write_config(self.fabric.yaml())
                self.begin(name)
                self.config_nodes()[name]["public_key"] = n.isthmus("key", "show").stdout.strip()
            self.apply()
            self.wait_sessions()
            self.skip(EASED_S)
            self.wait_refusing()
        except BaseException:
            self.close()
            raise
        return self

    def skip(self, seconds):
        for c in self.clocks.values():
            c.skip(seconds)

    def wait_sessions(self, timeout=10):
        for a, b in (("dc1", "aws1"), ("aws1", "dc1")):
            wait_until(lambda a=a, b=b: tunnel(self.node(a), b)["state"] == "up", timeout, f"a session from {a} to {b}")

    def clear_text(self, node, claimed, vni=WEB, body=CANARY):
        """A tunnel packet in clear text, right in all else, to one node from another."""
        here, there = self.underlay_of(claimed), self.underlay_of(node)
        source, target = ("w2", "w1") if node == "dc1" else ("w1", "w2")
        source, target = self.host(source), self.host(target)
        inner = packet.udp_frame(source.mac, target.mac, source.ip4, target.ip4, 1, 9, body.encode())
        return packet.any_ip(here, there, 17, packet.udp(here, there, 1, VXLAN, packet.vxlan(vni, inner)))

    def wait_refusing(self):
        """What was eased is over."""
        for name, other in (("dc1", "aws1"), ("aws1", "dc1")):
            node, before = self.node(name), self.node(name).drops().get("clear_text", 0)

            def refused(name=name, other=other, node=node, before=before):
                self.inject(name, self.clear_text(name, other))
                return node.drops().get("clear_text", 0) > before

            wait_until(refused, 5, f"{name} refuses clear text", every=0.05)

    def underlay_of(self, node):
        return self.config_nodes()[node]["underlay"][0]

    @contextlib.contextmanager
    def wire(self):
        """A tap on all cables of the two nodes that keeps what must not be there, and what shows that it looks."""
        links = {**{n: (self.wan, f"w-{n}") for n in self.nodes}, "dc1 up1": (self.wan, "x-dc1")}
        with Tap(links, keep=lambda f: is_leak(f.data) or PLAIN.encode() in f.data) as tap:
            yield tap

    def canaries(self, alone=False):
        return Canaries(self, alone)


def tunnel(node, other):
    return next(t for t in node.get("tunnels") if t["name"] == other)


def tunnel_drops(node):
    """name -> packets, of the tunnel as a whole."""
    found = node.metrics()
    head = 'isthmus_tunnel_drops_total{reason="'
    return {k[len(head) : -2]: int(v) for k, v in found.items() if k.startswith(head)}


def is_leak(frame):
    inner = packet.inner_of(frame)
    return CANARY.encode() in frame or (inner and inner[0] in (WEB, APP))


def is_data(frame):
    """A message of a session that carries something."""
    p = packet.l3(frame)
    return p and p[3] == 17 and p[4][2:4] == struct.pack("!H", WIREGUARD) and p[4][8] == 4 and len(p[4]) > 8 + 32


def ip_packet(frame):
    p = packet.l3(frame)
    return frame[14 : 14 + (len(p[4]) + 20 if p[0] == 4 else len(p[4]) + 40)]


def aimed(lab, source, target, body=CANARY, port=9):
    """A frame of one workload to another by name, whoever is there."""
    host, there = lab.host(source), lab.fabric.config["ports"][target]
    address = there["addresses"][random.randrange(2) if len(there["addresses"]) > 1 else 0]
    to = there["mac"] if there["network"] == "red/web" and source[0] == "w" else GATEWAY_MAC
    return packet.udp_frame(host.mac, to, host.address(packet.is_v6(address)), address, 1, port, body.encode())


class Canaries:
    """Traffic that must not be seen: streams both ways, l2 and l3, v4 and v6; unless alone also to nodes without key or
    daemon, to an endpoint that nobody answers for, and to everybody.
    """

    def __init__(self, lab, alone):
        self.lab = lab
        w1, w2, r1, r2 = (lab.host(n) for n in ("w1", "w2", "r1", "r2"))
        both = ((w1, w2, False), (w2, w1, True), (r1, r2, True), (r2, r1, False), (w1, r2, False))
        self.streams = [UdpStream(a, b, 300, v6, 7000 + n, fill=CANARY) for n, (a, b, v6) in enumerate(both)]
        self.plain = UdpStream(lab.host("p1"), lab.host("p2"), 100, fill=PLAIN)
        self.blasts = [] if alone else [self.blast("w"), self.blast("r")]

    def blast(self, kind):
        host = self.lab.host(f"{kind}1")
        frames = [aimed(self.lab, host.name, n) for n in ("wg", "wk", "rg", "rk", "spare") * 2]
        frames.append(packet.eth(packet.BROADCAST, host.mac, 0x88B5, CANARY.encode() * 8))
        return start_blast(host.ns, "eth0", frames, 10**7, 600)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for b in self.blasts:
            self.lab.run.end(b)
        self.results = at_once([lambda s=s: s.stop(0.3) for s in self.streams])
        self.plain_result = self.plain.stop()

    def wait_flowing(self, more=30, timeout=10):
        """Until `more` further packets of each stream have arrived."""
        wanted = [s.received() + more for s in self.streams]
        all_there = lambda: all(s.received() >= n for s, n in zip(self.streams, wanted))  # noqa: E731
        wait_until(all_there, timeout, f"{more} packets of each stream")

    def wait_stopped(self, timeout=5):
        """Until none of them has got anything through for a fifth of a second."""
        state = [None, 0]

        def still():
            now = [s.received() for s in self.streams]
            if now != state[0]:
                state[:] = [now, time.monotonic()]
            return time.monotonic() - state[1] > 0.2

        wait_until(still, timeout, "nothing gets through")

    def lost(self):
        return [r["lost"] for r in self.results]
