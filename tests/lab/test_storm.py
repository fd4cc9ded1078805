# SPDX-License-Identifier: Apache-2.0
"""Row C8: a storm of broadcast and unknown unicast from one tenant is another's business in no way.

    s1 (red/web, floods unknown) ---- dc1 ---- wan ---- aws1 ---- s2 (red/web)
    b1, b3 (blue/web) ---------------'                     '---- b2 (blue/web)

s1 sends 200,000 frames a second, or what this machine manages.  Its network may have LIMIT of them replicated; the rest
is dropped at once and counted.
"""
import contextlib
import json
import os
import time

import pytest
from helpers import GATEWAY_MAC, blast, drops_of, start_blast

from lab import packet
from lab.fabric import Fabric
from lab.host import UdpStream
from lab.node import build_directory
from lab.room import Lab
from lab.run import command, wait_until

LIMIT = 2000
RATE = 200000
FRAMES = 4 * RATE


@pytest.fixture(scope="module")
def lab():
    fabric = Fabric()
    fabric.node("dc1", "dc")
    fabric.node("aws1", "aws")
    for i, tenant in enumerate(("red", "blue")):
        fabric.tenant(tenant, 5000 + 1000 * i)
        limits = {"flood": True, "storm_limit": LIMIT} if tenant == "red" else {}
        fabric.network(
            f"{tenant}/web",
            vni=5001 + 1000 * i,
            subnets=["10.0.1.0/24", "fd00:1::/64"],
            gateway=["10.0.1.1", "fd00:1::1"],
            **limits,
        )
    for name, node, tenant, n in (
        ("s1", "dc1", "red", 11),
        ("s2", "aws1", "red", 12),
        ("b1", "dc1", "blue", 11),
        ("b2", "aws1", "blue", 12),
        ("b3", "dc1", "blue", 13),
    ):
        fabric.port(name, node, f"{tenant}/web", [f"10.0.1.{n}", f"fd00:1::{n}"])
    with Lab(fabric) as lab:
        yield lab


def storm_frames(lab):
    """Broadcast, multicast and unicast to MACs that nobody has, in turn."""
    s1 = lab.host("s1")
    to = [packet.BROADCAST, "01:00:5e:00:00:fb", "33:33:00:00:00:fb"] + [f"02:00:00:00:ee:{i:02x}" for i in range(29)]
    return [packet.udp_frame(s1.mac, m, s1.ip4, "10.0.1.200", 1, 2, b"<storm>") for m in to]


@contextlib.contextmanager
def storming(lab, count=FRAMES, cpu=None):
    """Until the block is over and the storm, too; yields its result, which is known then."""
    result = {}
    process = start_blast(lab.host("s1").ns, "eth0", storm_frames(lab), count, RATE)
    if cpu is not None:
        os.sched_setaffinity(process.pid, {cpu})
    try:
        yield result
        out, _ = process.communicate(timeout=90)
        result.update(json.loads(out))
    finally:
        lab.run.end(process)


def storm_drops(lab):
    return lab.node("dc1").drops()["storm_limit"]


def arrivals(lab):
    """A tap on the one other member of the network: as many frames as were let through."""
    return lab.host_tap(["s2"], keep=lambda f: b"<storm>" in f.data)


def test_nobody_else_loses_a_packet(lab):
    """blue's streams of 1,000 packets a second, on one node and between nodes, IPv4 and IPv6: 0 lost."""
    h = lab.host
    ends = [("b1", "b2", 7000), ("b2", "b1", 7000), ("b1", "b3", 7001)]
    streams = [UdpStream(h(a), h(b), v6=v6, port=port) for a, b, port in ends for v6 in (False, True)]
    for s in streams:
        s.wait_flowing()
    dropped = storm_drops(lab)
    with storming(lab) as storm:
        for s in streams:
            s.wait_flowing(1000, 60)
    assert storm_drops(lab) - dropped > 0.8 * FRAMES  # there was a storm
    reports = [s.stop(10) for s in streams]
    print(
        f"\nC8: {storm['sent'] / storm['seconds']:,.0f} frames/s of a storm; of {sum(r['sent'] for r in reports):,} "
        f"packets of the other tenant {sum(r['lost'] for r in reports)} lost"
    )
    assert [(r["lost"], r["duplicates"]) for r in reports] == [(0, 0)] * len(streams)


def flooded(lab):
    """(copies that dc1 has made, when at the earliest that was so, when at the latest).  red has one other member: one
    copy for each frame that passes.
    """
    early = time.monotonic()
    return lab.node("dc1").metrics()['isthmus_packets_total{counter="flooded"}'], early, time.monotonic()


def storm_of_three_seconds(lab):
    """(the least that may pass, what passed, the most) while a storm goes on; every other frame is one count."""
    before = storm_drops(lab)
    with arrivals(lab) as tap:
        with storming(lab) as storm:
            wait_until(lambda: tap.total > 1.2 * LIMIT, 30, "the bucket empty")
            first, early, late = flooded(lab)
            total = tap.total
            wait_until(lambda: tap.total > total + 3 * LIMIT, 60, "three seconds of storm")
            last, early2, late2 = flooded(lab)
        wait_until(lambda: storm_drops(lab) - before + tap.total >= FRAMES, 10, "every frame counted")
        tap.settle(0.1)
        assert tap.lost == 0
        passed, dropped = tap.total, storm_drops(lab) - before
    print(
        f"\nC8: {FRAMES:,} frames in {storm['seconds']:.2f} s: {passed:,} passed, {dropped:,} dropped; in "
        f"{early2 - late:.3f} to {late2 - early:.3f} s {last - first:,.0f} passed, allowed {LIMIT}/s"
    )
    assert passed + dropped == storm["sent"] == FRAMES
    return 0.99 * LIMIT * (early2 - late), last - first, 1.01 * LIMIT * (late2 - early)


def test_the_limit_is_exact(lab):
    """While the storm goes on LIMIT a second pass, within 1 %; best of 3, as a sender that the machine held up just before
    finds what the bucket saved meanwhile.
    """
    for _ in range(3):
        least, passed, most = storm_of_three_seconds(lab)
        if least <= passed <= most:
            return
    assert least <= passed <= most


def burst(lab, count):
    """How many of so many frames at once pass a bucket that is full."""
    with arrivals(lab) as tap:
        before = storm_drops(lab)
        blast(lab.host("s1").ns, "eth0", storm_frames(lab), count)
        wait_until(lambda: storm_drops(lab) - before + tap.total >= count, 10, "every frame counted")
        tap.settle(0.05)
        assert tap.total + storm_drops(lab) - before == count
        return tap.total


def test_the_limit_changes_while_everything_runs(lab):
    """Of the port, of the network, none: each holds from its apply on, and no program is loaded for it."""
    dc1, port, web = lab.node("dc1"), lab.fabric.config["ports"]["s1"], lab.fabric.network_of("red/web")
    ids = dc1.bpf_ids()
    for where, value in ((port, 20), (port, 1), (port, "none"), (web, 30), (web, "none"), (web, LIMIT)):
        port.pop("storm_limit", None)
        where["storm_limit"] = value
        lab.apply()
        shown = next(p for p in dc1.get("ports") if p["name"] == "s1")["stormLimit"]
        assert shown == (None if value == "none" else value)
        start = time.monotonic()
        got = burst(lab, 2000)
        seconds = time.monotonic() - start
        if value == "none":
            assert got == 2000
        else:
            assert got <= value * (1 + seconds) + 1
    assert dc1.bpf_ids() == ids


def counter(lab, name):
    return lab.node("dc1").metrics()[f'isthmus_packets_total{{counter="{name}"}}']


def errors_of(lab, host, count):
    """How many ICMP errors so many packets to nowhere are answered with, how many not, and how long it took."""
    h = lab.host(host)
    to_nowhere = packet.udp_frame(h.mac, GATEWAY_MAC, h.ip4, "192.0.2.1", 1, 2, b"<nowhere>")
    made, held, start = counter(lab, "icmp_errors"), counter(lab, "icmp_limited"), time.monotonic()
    with drops_of(lab.node("dc1"), 10, no_route=count):
        blast(h.ns, "eth0", [to_nowhere], count)
    seconds = time.monotonic() - start
    return counter(lab, "icmp_errors") - made, counter(lab, "icmp_limited") - held, seconds


def test_errors_are_limited_by_port(lab):
    """RFC 4443 2.4(f), RFC 1812 4.3.2.8: of 5,000 packets to nowhere at once 1,000 are answered and what the time
    allows; the packets are counted all the same.  Another port still gets its errors.
    """
    made, held, seconds = errors_of(lab, "s1", 5000)
    print(f"\nICMP errors: {made:,.0f} sent, {held:,.0f} held back in {seconds:.2f} s")
    assert made + held == 5000 and 1000 <= made <= 1000 * (1 + seconds) + 1
    assert errors_of(lab, "b1", 100)[:2] == (100, 0)
    fabric = lab.fabric.config["fabric"]
    for limit, expected in ((10, 10), ("none", 2000)):
        fabric["icmp_limit"] = limit
        lab.apply()
        made, held, seconds = errors_of(lab, "b3", 2000)
        assert made + held == 2000
        assert expected <= made <= (expected * (1 + seconds) + 1 if limit != "none" else 2000)
    del fabric["icmp_limit"]
    lab.apply()


def trips(lab, count):
    """p50 and p99 of round trips between b1 and b2, microseconds, both on the last processor."""
    path = os.path.join(build_directory(), "tests", "bench", "bench-packets")
    b1, b2 = lab.host("b1"), lab.host("b2")
    return json.loads(command([path, "trip", b1.ns.path, b2.ns.path, b2.ip4, str(count), "together"], timeout=60).stdout)


def test_round_trips_of_others_stay_short(lab):
    """p99 at most twice that without a storm, measured in turns; the best of three, as others use this machine.

    The storm has the first processor, with what the kernel does for it, the other tenant the last: how much of a
    processor a workload may take is the scheduler's business, what one tenant's packets do to another's is ours.
    """
    rows = []
    for _ in range(3):
        calm = trips(lab, 3000)
        with storming(lab, 2 * FRAMES, cpu=0) as storm:
            stormy = trips(lab, 3000)
        rows.append((stormy["p99"] / calm["p99"], calm, stormy, storm["sent"] / storm["seconds"]))
        assert (calm["lost"], stormy["lost"]) == (0, 0)
        if rows[-1][0] <= 2:
            break
    ratio, calm, stormy, rate = min(rows, key=lambda r: r[0])
    print(
        f"\nC8: round trips of the other tenant p50/p99 {calm['p50']:.0f}/{calm['p99']:.0f} us, in a storm of "
        f"{rate:,.0f} frames/s {stormy['p50']:.0f}/{stormy['p99']:.0f} us"
    )
    assert ratio <= 2, rows
