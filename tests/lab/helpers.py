# SPDX-License-Identifier: Apache-2.0
"""What several scenarios need: counting drops, running many small things at once, common frames, what a process takes."""
import concurrent.futures
import contextlib
import json
import os
import re
import struct

from lab import packet
from lab.node import build_directory
from lab.run import LabError, wait_until

GATEWAY_MAC = "02:69:73:74:68:6d"


def at_once(calls, workers=8):
    """Run functions side by side; returns their results in order."""
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        return [f.result() for f in [pool.submit(c) for c in calls]]


def ping_all(pairs, workers=8):
    """pairs: (host, address).  Returns the pairs that did not answer three pings in a row (ARP included)."""
    pairs = list(pairs)
    answers = at_once([lambda h=h, a=a: h.ping(a, check=False, timeout=2) for h, a in pairs], workers)
    return [f"{h.name} -> {a}" for (h, a), ok in zip(pairs, answers) if not ok]


@contextlib.contextmanager
def drops_of(node, timeout=3.0, **expected):
    """The named counters of the node must rise by exactly this much, and no other may move (except `ignoring`, a
    list).
    """
    # Kernels of workloads report their multicast groups when they like (MLD): dropped in l3 networks, of no interest.
    ignoring = {"suppressed", "not_routable", *expected.pop("ignoring", ())} - set(expected)
    before = node.drops()

    def change():
        after = node.drops()
        return {k: v - before.get(k, 0) for k, v in after.items() if v != before.get(k, 0) and k not in ignoring}

    yield change
    try:
        wait_until(lambda: change() == {k: v for k, v in expected.items() if v}, timeout)
    except LabError:
        assert change() == expected, "drop counters of " + node.name


def blast(ns, interface, frames, count, rate=0, timeout=60):
    """Put `count` frames on a link, the given ones in turn, `rate` a second or as fast as they go; waits for the end.

    Returns {"sent": exactly count, "lost": what the virtual cable dropped (sent anew), "seconds": ...}.
    """
    process = start_blast(ns, interface, frames, count, rate)
    out, _ = process.communicate(timeout=timeout)
    assert process.returncode == 0
    result = json.loads(out)
    assert result["sent"] == count
    return result


def start_blast(ns, interface, frames, count, rate=0):
    """The same, not waited for: a process that prints the result when it is done."""
    path = os.path.join(build_directory(), "tests", "lab", "lab-blast")
    process = ns.spawn(path, interface, count, rate, stdin=-1, stdout=-1)
    process.stdin.write(b"".join(struct.pack("<H", len(f)) + f for f in frames))
    process.stdin.close()
    process.stdin = None
    return process


def copies(tap, test, hosts):
    """place -> number of matching frames received there."""
    found = {h: 0 for h in hosts}
    for f in tap.matching(test):
        found[f.place] = found.get(f.place, 0) + 1
    return found


def has(needle):
    return lambda frame: needle in frame


def inner_arp_or_solicitation(frame):
    """Is this underlay frame a tunnel packet that carries ARP or a neighbour solicitation or advertisement?"""
    inner = packet.inner_of(frame)
    if not inner:
        return False
    if packet.ethertype(inner[1]) == packet.ETH_ARP:
        return True
    p = packet.l3(inner[1])
    return bool(p) and p[3] == 58 and p[4][0] in (135, 136)


class Clock:
    """What a daemon takes for the time of day, and for the time since the machine was started (skew.c)."""

    def __init__(self, path):
        self.path, self.day, self.since_boot = path, 0, 0
        self._write()

    def _write(self):
        with open(self.path, "r+b" if os.path.exists(self.path) else "wb") as f:
            f.write(struct.pack("=qq", self.day, self.since_boot))

    def set(self, seconds):
        """The time of day is wrong by that much."""
        self.day = seconds
        self._write()

    def skip(self, seconds):
        """So much time has passed, as after sleep."""
        self.day += seconds
        self.since_boot += seconds
        self._write()

    def environment(self):
        library = os.path.join(build_directory(), "tests", "lab", "lab-skew.so")
        assert os.path.exists(library)
        return {"LD_PRELOAD": library, "SKEW": self.path, "ASAN_OPTIONS": "verify_asan_link_order=0"}


def processor_seconds(pid):
    """Of its own, user and system."""
    with open(f"/proc/{pid}/stat") as f:
        user, system = f.read().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def resident_kb(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"^VmRSS:\s+(\d+) kB", f.read(), re.M)[1])


def is_sanitized(path):
    """A program, by the address sanitizer: what it takes is another matter then."""
    with open(path, "rb") as f:
        return b"__asan_init" in f.read()
