# SPDX-License-Identifier: Apache-2.0
"""The room of the BGP cases: two nodes whose neighbors are played by hand.

    w1 -- dc1 (AS 65000) --+
    w2 -- aws1 (AS 65010) -+ wan -- hub: an address for each neighbor, which is a Hand

The same neighbor is an external one of dc1, in AS 65001, and an internal one of aws1.  The nodes know nothing of each other.
"""
from lab.fabric import Fabric
from lab.hand import EVPN, IPV4, IPV6, Hand
from lab.peer import KernelPeer
from lab.room import Lab

SIDES = {"external": ("dc1", 65000, 65001), "internal": ("aws1", 65010, 65010)}  # node, its AS, that of the hands


def make_fabric():
    fabric = Fabric(families=(4,))
    fabric.node("dc1", "dc")
    fabric.node("aws1", "aws")
    fabric.node("hub", "hub", foreign=True)
    fabric.tenant("red", 5000)
    fabric.network("red/web", vni=5001, subnets=["10.0.0.0/16"], gateway=["10.0.0.1"])
    for n, node in enumerate(("dc1", "aws1"), 1):
        fabric.port(f"w{n}", node, "red/web", [f"10.0.1.{10 + n}"])
    return fabric


class HandLab(Lab):
    """neighbors: {name: keys of its entry in the configuration, beside address and AS}."""

    def __init__(self, neighbors):
        fabric = make_fabric()
        super().__init__(fabric, {"hub": KernelPeer}, start=False)
        self.neighbors = {}
        for i, (name, keys) in enumerate(neighbors.items()):
            address = f"198.18.3.{20 + i}"
            self.neighbors[name] = {
                **{"address": address, "families": ["evpn", "ipv4", "ipv6"], "passive": True},
                **{"import": ["all"], "export": ["all"]},
                **keys,
            }

    def build(self):
        super().build()
        self.hub = self.peers["hub"].ns
        self.hub.ip("\n".join(f"addr add {n['address']}/24 dev up0" for n in self.neighbors.values()))

    def start(self, wait_up=False, file_of=None):
        """Up they are not as long as neighbors are missing."""
        super().start(wait_up, file_of or self.file_of)

    def file_of(self, node):
        asn, hands_as = next(s[1:] for s in SIDES.values() if s[0] == node)
        neighbors = {name: {**keys, "remote_as": hands_as} for name, keys in self.neighbors.items()}
        return self.fabric.own_yaml(node, alone=True, bgp={"as": asn, "mesh": "none", "neighbors": neighbors})

    def __enter__(self):
        super().__enter__()
        try:
            self.start()
        except BaseException:
            self.run.close()
            raise
        return self

    def side(self, kind):
        return self.node(SIDES[kind][0])

    def hand(self, name, kind="internal", **options):
        address = self.neighbors[name]["address"]
        options.setdefault("families", (EVPN, IPV4, IPV6))
        hand = Hand(self.hub, address, self.side(kind).underlay[0], SIDES[kind][2], address, **options)
        self.run.on_close(hand.close)
        return hand

    def session(self, name, kind="internal"):
        found = self.side(kind).isthmus("bgp", "neighbors", self.neighbors[name]["address"], json_output=True)
        return found["items"][0] if "items" in found else found

    def received(self, name, kind="internal"):
        return self.side(kind).isthmus("bgp", "received", self.neighbors[name]["address"], json_output=True)["items"]


def memory_kb(node):
    """Resident."""
    with open(f"/proc/{node.daemon.process.pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
