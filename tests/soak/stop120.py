# SPDX-License-Identifier: Apache-2.0
"""Row R5: the daemon stands still for 120 s under 1,000 packets/s each way; nothing is lost, and it comes back.

    w1 r1 -- dc1 -- wan -- aws1 -- w2 r2         SIGSTOP of dc1's daemon; all other things go on
"""
import signal
import time

from lab.fabric import Fabric
from lab.host import UdpStream
from lab.room import Lab
from lab.run import for_as_long_as
from soak.run import Figure


def make_fabric():
    fabric = Fabric()
    fabric.node("dc1", "dc")
    fabric.node("aws1", "aws")
    fabric.tenant("red", 5000)
    fabric.network("red/web", vni=5001, subnets=["10.0.1.0/24", "fd00:1::/64"], gateway=["10.0.1.1", "fd00:1::1"])
    fabric.network("red/app", "l3", subnets=["10.0.2.0/24", "fd00:2::/64"], gateway=["10.0.2.1", "fd00:2::1"])
    for n, node in ((11, "dc1"), (12, "aws1")):
        fabric.port(f"w{n - 10}", node, "red/web", [f"10.0.1.{n}", f"fd00:1::{n}"])
        fabric.port(f"r{n - 10}", node, "red/app", [f"10.0.2.{n}", f"fd00:2::{n}"])
    return fabric


def stopped(lab, node, seconds):
    """Stop the daemon for so long; returns what every stream has to say, and the seconds until it answered again."""
    w1, w2, r1, r2 = (lab.host(n) for n in ("w1", "w2", "r1", "r2"))
    streams = [
        UdpStream(w1, w2),
        UdpStream(w2, w1),
        UdpStream(r1, r2, v6=True, port=7010, rate=200),
        UdpStream(r2, w1, v6=True, port=7011, rate=200),
    ]
    for s in streams:
        s.wait_flowing()
    node.daemon.signal(signal.SIGSTOP)
    try:
        for_as_long_as(seconds, lambda: node.daemon.running, "the stopped daemon", every=0.2)
    finally:
        node.daemon.signal(signal.SIGCONT)
    start = time.monotonic()
    node.wait_up()
    took = time.monotonic() - start
    for s in streams:
        s.wait_flowing()
    return [s.stop() for s in streams], took


def soak(seconds):
    with Lab(make_fabric()) as lab:
        reports, took = stopped(lab, lab.node("dc1"), min(seconds, 120))
    return [
        Figure("packets sent", sum(r["sent"] for r in reports)),
        Figure("packets lost", sum(r["lost"] for r in reports), "", "= 0"),
        Figure("packets doubled", sum(r["duplicates"] for r in reports), "", "= 0"),
        Figure("until it answered again", took, "s", "<= 5"),
    ]
