# SPDX-License-Identifier: Apache-2.0
"""Many equal paths to a VTEP: all of them carry traffic, and each flow stays on its own.

    a -- left ==up0,up1,up2== right -- b        left's route to right has three next hops, hashed by ports
"""
import collections

import pytest

from lab import packet
from lab.capture import Tap
from lab.fabric import Fabric
from lab.room import Lab
from lab.run import wait_until

FLOWS, ROUNDS, MORE = 96, 20, ("up1", "up2")


@pytest.fixture(scope="module", params=[4, 6], ids=["v4", "v6"])
def lab(request):
    fabric = Fabric()
    fabric.node("left", "dc", families=(request.param,))
    fabric.node("right", "aws", families=(request.param,), interfaces=["up0", *MORE])
    fabric.tenant("red", 5000)
    fabric.network("red/web", vni=5001, subnets=["10.0.1.0/24"])
    fabric.port("a", "left", "red/web", ["10.0.1.11"])
    fabric.port("b", "right", "red/web", ["10.0.1.12"])
    with Lab(fabric, cable=True, start=False) as lab:
        left, right = lab.node("left"), lab.node("right")
        v, hops, there = request.param, "", right.underlay[0]
        for n, name in enumerate(("up0", *MORE)):
            if n:
                left.ns.ip(f"link add {name} type veth peer name {name} netns {right.ns.full_name}")
                for node in (left, right):
                    node.ns.write_sysctl(f"net/ipv6/conf/{name}/accept_dad", 0)
                    node.ns.ip(f"link set {name} up")
                right.ns.write_sysctl(f"net/ipv4/conf/{name}/rp_filter", 0)
            gateway = f"192.0.2.{n + 1}" if v == 4 else f"fe80::{n + 1}"
            mac = right.ns.link(name)["address"]
            left.ns.ip(f"neigh replace {gateway} lladdr {mac} dev {name} nud permanent")
            hops += f" nexthop via {gateway} dev {name} onlink"
        left.ns.ip(f"route replace {there}/{32 if v == 4 else 128} {hops}")
        left.ns.write_sysctl(f"net/ipv{v}/fib_multipath_hash_policy", 1)
        lab.start()
        yield lab


def flow_of(frame):
    inner = packet.inner_of(frame)
    p = inner and packet.l3(inner[1])
    return int.from_bytes(p[4][:2], "big") if p and p[3] == 17 and p[4][2:4] == b"\x00\x09" else None


def test_flows_are_spread_and_stay(lab):
    a, b = lab.host("a"), lab.host("b")
    frames = [packet.udp_frame(a.mac, b.mac, a.ip4, b.ip4, 20000 + i, 9, b"<flow>") for i in range(FLOWS)]
    ns = lab.node("right").ns
    places = collections.defaultdict(set)
    with Tap({name: (ns, name) for name in ("up0", *MORE)}, incoming_only=True) as tap:
        with lab.host_tap(["b"], keep=lambda f: b"<flow>" in f.data) as arrived:
            for n in range(1, ROUNDS + 1):  # each waits for the one before, so all of it takes many ticks of the clock
                a.send(*frames)
                wait_until(lambda n=n: arrived.total >= n * FLOWS, 2, f"round {n} arrives")
            tap.settle(0.2)
            assert arrived.total == FLOWS * ROUNDS
        for f in tap.frames:
            flow = flow_of(f.data)
            if flow is not None:
                places[flow].add(f.place)
    assert len(places) == FLOWS
    assert all(len(p) == 1 for p in places.values()), "a flow changed its path"
    used = collections.Counter(next(iter(p)) for p in places.values())
    assert len(used) == 3 and min(used.values()) >= FLOWS // 10, used
