# SPDX-License-Identifier: Apache-2.0
"""Row R9: the clock is set, forth and back, by an hour and by ten years; and the daemon starts where the clocks that
count from boot stand elsewhere (a time namespace).  Nothing depends on the time of day: nothing is lost, drift is repaired
within 2 s, limits and watchdog go on.

    w1 -- dc1 -- wan -- aws1 -- w2

The machine's own clock stays: skew.c answers dc1's daemon for the time of day.  That it did is seen in its log.
"""
import json
import os
import time

import pytest
from helpers import Clock, drops_of
from test_drift import delete, dump, maps_of

from lab import packet
from lab.fabric import Fabric
from lab.host import UdpStream
from lab.room import Lab
from lab.run import wait_until

HOUR, YEARS = 3600, 10 * 365 * 24 * 3600
REPAIR = 2.0


@pytest.fixture(scope="module")
def lab():
    fabric = Fabric()
    fabric.node("dc1", "dc")
    fabric.node("aws1", "aws")
    fabric.tenant("red", 5000)
    fabric.network("red/web", vni=5001, subnets=["10.0.1.0/24"], gateway=["10.0.1.1"])
    fabric.port("w1", "dc1", "red/web", ["10.0.1.11"])
    fabric.port("w2", "aws1", "red/web", ["10.0.1.12"])
    fabric.node("far", "far", foreign=True)
    fabric.port("idle", "far", "red/web", ["10.0.1.77"], mac="02:00:00:00:00:77")  # nobody speaks to it
    with Lab(fabric) as lab:
        lab.clock = Clock(os.path.join(lab.run.directory, "skew"))
        yield lab


def year_of(seconds):
    return time.gmtime(time.time() + seconds).tm_year


def mends(node):
    """A deleted entry is back; how long that took.  The audit is what nothing but the daemon's own clock drives."""
    path = maps_of(node)["macs"]
    wanted = sorted(dump(path))
    (idle,) = [key for key, _ in wanted if 0x77 in key]
    delete(path, idle)
    start = time.monotonic()
    wait_until(lambda: sorted(dump(path)) == wanted, REPAIR, "the deleted entry back")
    return time.monotonic() - start


def samples(node):
    return json.loads(node.request("GET", "/v1/drops")[1])["events"]


def test_setting_the_clock_changes_nothing(lab, record_property):
    node, w1, w2 = lab.node("dc1"), lab.host("w1"), lab.host("w2")
    streams = [UdpStream(w1, w2), UdpStream(w2, w1)]
    node.daemon.kill9()
    node.daemon.start(environment={**lab.clock.environment(), "WATCHDOG_USEC": "3000000"})
    spoofed = packet.udp_frame(w1.mac, w2.mac, "10.0.1.99", w2.ip4, 1, 2, b"x")
    begun, slowest = time.monotonic(), 0
    for step in (HOUR, 0, -HOUR, 0, YEARS, 0, -YEARS, YEARS, 0):
        lab.clock.set(step)
        beats = node.daemon.notified.count("WATCHDOG=1")
        slowest = max(slowest, mends(node))
        size = len(node.daemon.log())
        node.apply(lab.fabric.yaml() + f"# {step} {size}\n")
        assert node.daemon.log()[size:].startswith(f"{year_of(step)}-"), "its own words say where it believes to be"
        with drops_of(node, ip_spoofed=20):
            w1.send(*[spoofed] * 20)
        wait_until(lambda beats=beats: node.daemon.notified.count("WATCHDOG=1") > beats, 3, "the watchdog fed")
        status = node.isthmus("status", json_output=True)
        assert status["state"] == "OK" and status["uptimeSeconds"] <= time.monotonic() - begun + 2
        for s in streams:
            s.wait_flowing(20)
    assert len(samples(node)) > 0
    results = [s.stop() for s in streams]
    record_property("packets sent", sum(r["sent"] for r in results))
    record_property("packets lost", sum(r["lost"] for r in results))
    print(f"{results[0]['sent']}+{results[1]['sent']} sent, slowest repair {slowest:.2f} s")
    assert [r["lost"] for r in results] == [0, 0]
    lab.clock.set(0)
    node.daemon.restart()


def namespace_offsets():
    """What a time namespace can be given: a clock that counts from boot never stands before it."""
    with open("/proc/uptime") as f:
        uptime = float(f.read().split()[0])
    return [HOUR, YEARS, -min(HOUR, int(uptime) - 60)] if uptime > 120 else [HOUR, YEARS]


def test_a_daemon_whose_clocks_stand_elsewhere_takes_over(lab, record_property):
    node, w1, w2 = lab.node("dc1"), lab.host("w1"), lab.host("w2")
    streams = [UdpStream(w1, w2), UdpStream(w2, w1)]
    for offset in namespace_offsets():
        node.daemon.kill9()
        node.daemon.prefix = ["unshare", "--time", "--fork", "--kill-child", "--monotonic", offset, "--boottime", offset]
        try:
            node.daemon.start()
            pid = node.isthmus("status", json_output=True)["pid"]
            assert os.readlink(f"/proc/{pid}/ns/time") != os.readlink("/proc/self/ns/time"), "it is in one of its own"
            mends(node)
            status = node.isthmus("status", json_output=True)
            assert status["state"] == "OK" and status["uptimeSeconds"] < 60
            for s in streams:
                s.wait_flowing(20)
        finally:
            node.daemon.prefix = []
            node.daemon.kill9()
        wait_until(lambda pid=pid: not os.path.exists(f"/proc/{pid}"), 5, "its end")
        node.daemon.start()
    results = [s.stop() for s in streams]
    record_property("packets lost", sum(r["lost"] for r in results))
    assert [r["lost"] for r in results] == [0, 0]


def test_no_decision_reads_the_time_of_day():
    """The source: the time of day is for people (log, samples, doctor, metrics), and is read in those files alone."""
    top = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "src")
    words = ("CLOCK_REALTIME", "time(NULL", "gettimeofday(", "bpf_ktime_get_tai", "TFD_TIMER_ABSTIME")
    found = set()
    for directory, _, files in os.walk(top):
        for name in files:
            if name.endswith((".c", ".h")):
                with open(os.path.join(directory, name)) as f:
                    if any(w in f.read() for w in words):
                        found.add(os.path.relpath(os.path.join(directory, name), top))
    for_people = {"lib/log.c", "agent/event.c", "agent/exposition.c", "agent/doctor_host.c"}
    assert found <= for_people | {"wg/tunnel.c"}, found  # which says it to other nodes, once (doc/encryption.md, Time)
