# SPDX-License-Identifier: Apache-2.0
"""What is measured on a path, and the proof of what crossed its wire.

Every probe takes (rig, address of b, seconds, idle) and returns {metric: value}; METRICS says what they mean.
"""
import ctypes
import json
import os
import socket
import struct
import time

from lab.node import build_directory
from lab.run import LabError, command

TRIPS = 5000
HEADER = 14  # bytes of Ethernet that a link's MTU does not count
QUIET = 0.25  # CPUs: what idle daemons may take; above it something else is going on
SMALL = 250  # bytes: a 64-byte payload in every header of ours is well below, a burst of 16 that was not cut well above
SKF_PKTTYPE, PACKET_OUTGOING = 0xfffff004, 4
SOL_PACKET, PACKET_STATISTICS, SO_ATTACH_FILTER, ETH_P_ALL = 263, 6, 26, 3

# metric: (unit, digits, is more better)
METRICS = {
    "tcp1": ("Gbit/s", 2, True),
    "tcp1_cpu": ("CPU-s/GB", 3, False),
    "tcp4": ("Gbit/s", 2, True),
    "tcp4_cpu": ("CPU-s/GB", 3, False),
    "udp64": ("kpps", 1, True),
    "udp64_loss": ("%", 3, False),
    "udp64_flood_loss": ("%", 3, False),
    "rtt_p50": ("us", 1, False),
    "rtt_p99": ("us", 1, False),
    "tcp1_frame": ("B", 0, None),
    "tcp4_frame": ("B", 0, None),
    "udp64_frame": ("B", 0, None),
}


def busy():
    """CPU seconds that the whole machine has spent working: user, nice, system, irq, softirq."""
    with open("/proc/stat") as f:
        t = [int(x) for x in f.readline().split()[1:]]
    return (t[0] + t[1] + t[2] + t[5] + t[6]) / os.sysconf("SC_CLK_TCK")


def idle_load(looks=10):
    """CPUs that the machine keeps busy while nothing is measured: waits some seconds for less than QUIET of it."""
    least = None
    for _ in range(looks):
        start, before = time.monotonic(), busy()
        time.sleep(1)
        load = (busy() - before) / (time.monotonic() - start)
        least = load if least is None else min(least, load)
        if least <= QUIET:
            break
    return least


class Watch:
    """with Watch(rig, idle) as w: ...  Then w.cpu (seconds, less the idle load), w.frame (mean bytes on the wire)."""

    def __init__(self, rig, idle):
        # What is more than that gives way when we are busy: to take it off would make figures better than they are.
        self.rig, self.idle = rig, min(idle, QUIET)

    def __enter__(self):
        self._frames, self._bytes = self.rig.wire_counters()
        self._start, self._busy = time.monotonic(), busy()
        return self

    def __exit__(self, *exc):
        self.cpu = busy() - self._busy - self.idle * (time.monotonic() - self._start)
        frames, size = self.rig.wire_counters()
        self.frame = (size - self._bytes) / max(frames - self._frames, 1)


def iperf3(rig, address, *options, timeout=30):
    p = rig.a.command("iperf3", "-c", address, "-C", "cubic", "-J", *options, timeout=timeout, check=False)
    result = json.loads(p.stdout or "{}")
    if "error" in result or "end" not in result:
        raise LabError(f"iperf3: {result.get('error') or p.stderr.strip()}")
    return result["end"]["sum_received"]


def tcp(streams):
    def probe(rig, address, seconds, idle):
        with Watch(rig, idle) as w:
            got = iperf3(rig, address, "-t", seconds, "-P", streams, timeout=seconds + 20)
        name = f"tcp{streams}"
        return {
            name: got["bits_per_second"] / 1e9,
            name + "_cpu": w.cpu / (got["bytes"] / 1e9),
            name + "_frame": w.frame,
        }

    return probe


def program(name, *argv):
    """Run one of the programs beside this file, which enter the namespaces themselves; what it says."""
    path = os.path.join(build_directory(), "tests", "bench", name)
    if not os.access(path, os.X_OK):
        raise LabError(f"{path} is missing: build first (make)")
    p = command([path, *map(str, argv)], check=False)
    if p.returncode:
        raise LabError(p.stderr.strip() or f"{name}: exit {p.returncode}")
    return json.loads(p.stdout)


def packets(rig, mode, address, amount):
    return program("bench-packets", mode, rig.a.ns.path, rig.b.ns.path, address, amount)


def udp(rig, address, seconds, idle):
    with Watch(rig, idle) as w:
        r = packets(rig, "rate", address, seconds / 2)
    return {
        "udp64": r["rate"] / 1e3,
        "udp64_loss": r["loss"] * 100,
        "udp64_flood_loss": r["flood_loss"] * 100,
        "udp64_frame": w.frame,
    }


def rtt(rig, address, seconds, idle):
    r = packets(rig, "trip", address, TRIPS)
    return {"rtt_p50": r["p50"], "rtt_p99": r["p99"]}


PROBES = {"tcp1": tcp(1), "tcp4": tcp(4), "udp64": udp, "rtt": rtt}


class LongFrames:
    """Counts frames longer than the wire's MTU where the left node hands them to its wire, after all segmentation.

    The filter runs in the kernel and nothing is read, so that every frame is seen.
    """

    def __init__(self, rig):
        code = [(0x20, 0, 0, SKF_PKTTYPE), (0x15, 0, 3, PACKET_OUTGOING),  # what GRO has merged comes in
                (0x80, 0, 0, 0), (0x25, 0, 1, rig.mtu + HEADER), (0x06, 0, 0, 1), (0x06, 0, 0, 0)]
        program = b"".join(struct.pack("HBBI", *c) for c in code)
        self._buffer = ctypes.create_string_buffer(program)
        self._socket = rig.left.ns.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(
            socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HxxxxxxP", len(code), ctypes.addressof(self._buffer))
        )
        with rig.left.ns:
            self._socket.bind(("up0", ETH_P_ALL))
        self.count()

    def count(self):
        """Frames since the last call, also those that found no room in the socket's buffer."""
        return struct.unpack("II", self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[0]

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._socket.close()


def prove(rig, wire, address):
    """Send some data outside of any measurement and look at what crosses.  None, or what is not as it must be."""
    with LongFrames(rig) as tap, Watch(rig, 0) as w:
        iperf3(rig, address, "-n", "200M")
        long = tap.count()
    return objection(rig, wire, w.frame, long)


def objection(rig, wire, mean, long):
    limit = rig.mtu + HEADER
    if wire == "cut" and (long or mean > limit):
        return f"{long} frames above {limit} bytes on the wire, mean {mean:.0f}"
    if wire == "whole" and (not long or mean < 2 * limit):
        return f"super-packets do not cross: {long} frames above {limit} bytes on the wire, mean {mean:.0f}"
    return None


def check_run(rig, wire, figures):
    """The same of a measured run, by the wire's counters."""
    for name, mean in figures.items():
        if name in ("tcp1_frame", "tcp4_frame") and wire == "cut" and mean > rig.mtu + HEADER:
            return f"{name}: mean frame of {mean:.0f} bytes on the cut wire"
        if name == "udp64_frame" and mean > SMALL:
            return f"{name}: mean frame of {mean:.0f} bytes: bursts were not cut to single packets"
    return None
