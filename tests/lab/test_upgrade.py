# SPDX-License-Identifier: Apache-2.0
"""Rows R2 and R3: to a version whose maps have another layout, and back, under traffic; and killed on the way.

    w1 r1 t1 late -- dc1 -- wan -- aws1 -- w2 r2 t2        dc1 changes its version; 20,000 endpoints elsewhere

The later version is isthmusd-next: the same sources with another abi.h (see next_abi.py).  What programs and maps
forward is read from the filters on the devices, not from the daemon that is asked to prove itself.
"""
import collections
import glob
import json
import os
import re
import signal
import subprocess
import threading
import time

import pytest
from helpers import ping_all

from lab import packet
from lab.fabric import Fabric
from lab.host import TcpFlows, UdpStream
from lab.node import build_directory
from lab.room import Lab
from lab.run import LabError, command, wait_until

ENDPOINTS = 20000
FEW = 300  # while the daemon is killed at one system call after the other
FLOWS = 1000
COMPLETE = 10.0
BPFTOOL = next((p for p in ("/usr/sbin/bpftool", "/sbin/bpftool") if os.path.exists(p)), "bpftool")
DEVICES = ("w1", "r1", "t1", "late", "up0")
TABLES = "node ports nexthops macs hosts prefixes members floods drops counters events epoch".split()
with open(os.path.join(os.path.dirname(__file__), "../../src/bpf/abi.h")) as f:
    VERSION = int(re.search(r"^#define ABI_VERSION (\d+)$", f.read(), re.M)[1])  # of this tree
CHANGING = "bpf,sendto,sendmsg,rename,renameat,renameat2,unlink,unlinkat"


def make_fabric(endpoints):
    fabric = Fabric(families=(4, 6))
    fabric.node("dc1", "dc")
    fabric.node("aws1", "aws")
    fabric.node("far", "far", foreign=True)
    fabric.tenant("red", 5000)
    fabric.network("red/web", vni=5001, subnets=["10.0.0.0/16", "fd00:1::/64"], gateway=["10.0.0.1", "fd00:1::1"])
    fabric.network("red/app", "l3", subnets=["10.2.0.0/24", "fd00:2::/64"], gateway=["10.2.0.1", "fd00:2::1"])
    for i, node in enumerate(("dc1", "aws1"), 1):
        for name, net, k in (("w", "web", 10), ("t", "web", 20)):
            fabric.port(f"{name}{i}", node, f"red/{net}", [f"10.0.0.{k + i}", f"fd00:1::{k + i}"])
        fabric.port(f"r{i}", node, "red/app", [f"10.2.0.{10 + i}", f"fd00:2::{10 + i}"])
    for i in range(endpoints):
        fabric.port(f"e{i}", "far", "red/web", [f"10.0.{1 + i // 250}.{1 + i % 250}"], rig={"plugged": False})
    return fabric


@pytest.fixture(scope="module")
def later():
    """The daemon of the later version, built now."""
    path = os.path.join(build_directory(), "tests", "lab", "isthmusd-next")
    command(["ninja", "-C", build_directory(), "tests/lab/isthmusd-next"], timeout=300)
    return path


@pytest.fixture(scope="module")
def lab(later):
    with Lab(make_fabric(ENDPOINTS)) as lab:
        node = lab.node("dc1")
        lab.fabric.port("late", "dc1", "red/web", ["10.0.0.40"], rig={"plugged": False})
        late = lab.fabric.config["ports"].pop("late")  # not in the file: added while it runs
        line = f"port add late --interface late --network red/web --mac {late['mac']} --address 10.0.0.40"
        for n in lab.nodes.values():
            n.isthmus(*line.split(), "--node", "dc1")
        lab.fabric.config["ports"]["late"] = late
        lab.plug("late")
        node.wait_up()
        yield lab


# ---- what is in the kernel


def programs_on(node):
    """{(device, side): [program ids]}"""
    found = collections.defaultdict(list)
    for device in DEVICES:
        for side in ("ingress", "egress"):
            text = node.ns.tc("filter", "show", "dev", device, side)
            found[device, side] += [int(i) for i in re.findall(r" id (\d+)", text)]
    return found


def bpf(*commands):
    """The answers of bpftool to several questions, asked at once."""
    text = "".join(" ".join(map(str, c)) + "\n" for c in commands)
    return [row["output"] for row in json.loads(command([BPFTOOL, "-j", "batch", "file", "-"], input=text).stdout)]


def exists(kind, number):
    return subprocess.run([BPFTOOL, kind, "show", "id", str(number)], capture_output=True).returncode == 0


def maps_of(programs):
    """{name: id} of the maps that these programs look into; one of each name, or two data planes are at work."""
    names = {m["id"]: m.get("name") for m in bpf(("map", "show"))[0]}
    found = {}
    for p in bpf(*(("prog", "show", "id", p) for p in programs)):
        for m in p.get("map_ids", []):
            if names.get(m) in TABLES:
                assert found.setdefault(names[m], m) == m, f"two maps {names[m]}"
    return found


def contents(maps):
    """How many entries are in each table."""
    counted = ("hosts", "macs", "ports", "members", "floods", "prefixes")
    return dict(zip(counted, map(len, bpf(*(("map", "dump", "id", maps[n]) for n in counted)))))


def pins(node):
    return sorted(os.path.basename(p) for p in glob.glob(node.daemon.bpf_dir + "/*") if not p.endswith(".debug"))


def clean(node, version, before=None):
    """The state of `node` when it is through with a change of versions: nothing of another version anywhere."""
    on = programs_on(node)
    for device in DEVICES:
        assert len(on[device, "ingress"]) == 1, (device, on)
        assert len(on[device, "egress"]) == (0 if device == "up0" else 1), (device, on)
    programs = sorted({p for ids in on.values() for p in ids})
    assert len(programs) == 3
    maps = maps_of(programs)
    assert sorted(maps) == sorted(TABLES)
    names = [p for p in pins(node) if not re.search(r"_v\d+$", p)]
    assert names == ["build", "port_egress", "port_ingress", "secure_egress", "wire_ingress"]
    assert {re.search(r"_v(\d+)$", p)[1] for p in pins(node) if p not in names} == {str(version)}
    pinned = bpf(
        *(("map", "show", "pinned", f"{node.daemon.bpf_dir}/{n}_v{version}") for n in maps),
        *(("prog", "show", "pinned", f"{node.daemon.bpf_dir}/{n}") for n in names[1:] if n != "secure_egress"),
    )
    assert [p["id"] for p in pinned[: len(maps)]] == list(maps.values())
    assert sorted(p["id"] for p in pinned[len(maps) :]) == programs
    if before:
        old_programs, old_maps = before
        kept = {"drops", "counters"}
        assert {n for n in maps if maps[n] == old_maps[n]} == kept, "only counters go on"
        # The kernel frees them when the last packet is through.
        wait_until(lambda: not any(exists("prog", p) for p in old_programs), 5, "the old programs gone")
        gone = [m for n, m in old_maps.items() if n not in kept]
        wait_until(lambda: not any(exists("map", m) for m in gone), 5, "the old maps gone")
    return programs, maps


# ---- traffic


class Probe(threading.Thread):
    """1,000 packets a second that may not pass: spoofed ones of a workload, and forged ones from the wire."""

    def __init__(self, lab):
        super().__init__(daemon=True)
        self.lab, self.ended, self.spoofed, self.forged = lab, threading.Event(), 0, 0
        w1, w2, dc1 = lab.host("w1"), lab.host("w2"), lab.node("dc1")
        self.spoof = packet.udp_frame(w1.mac, w2.mac, "10.0.0.99", w2.ip4, 1, 2, b"canary")
        inner = packet.vxlan(5001, packet.udp_frame(w2.mac, w1.mac, w2.ip4, w1.ip4, 1, 2, b"canary"))
        here = dc1.underlay[0]
        self.forgery = packet.any_ip("198.18.2.66", here, 17, packet.udp("198.18.2.66", here, 1, 4789, inner))
        self.before = dc1.drops()

    def run(self):
        with self.lab.host("w1").raw() as port:
            while not self.ended.wait(0.02):
                port.send(*[self.spoof] * 10)
                self.spoofed += 10
                self.lab.inject("dc1", *[self.forgery] * 10)
                self.forged += 10

    def __enter__(self):
        self.tap = self.lab.host_tap(keep=lambda f: b"canary" in f.data).__enter__()
        self.start()
        return self

    def __exit__(self, *exc):
        self.ended.set()
        self.join()
        self.tap.settle(0.1)
        self.tap.__exit__(*exc)

    def counted(self):
        """How many of each were counted, in whatever version they came along."""
        now = self.lab.node("dc1").drops()
        return tuple(now[k] - self.before[k] for k in ("ip_spoofed", "unknown_vtep"))


class Traffic:
    """1,000 packets a second in both directions, l2 and routed, IPv4 and IPv6, and long TCP flows."""

    def __init__(self, lab, flows=FLOWS):
        w1, w2, r1, r2, t1, t2 = (lab.host(n) for n in ("w1", "w2", "r1", "r2", "t1", "t2"))
        self.flows = TcpFlows(t1, t2, flows, interval_ms=1000, timeout=15)
        self.streams = [
            UdpStream(w1, w2, rate=500),
            UdpStream(w2, w1, v6=True, rate=500),
            UdpStream(r2, w1, port=7010, rate=500),
            UdpStream(r1, r2, v6=True, port=7011, rate=500),
        ]
        self.wait_flowing()
        self.n_flows = flows

    def wait_flowing(self, more=100):
        for s in self.streams:
            s.wait_flowing(more)

    def end(self, what, record_property):
        self.wait_flowing()
        self.flows.wait_flowing(1, 10)
        results = [s.stop() for s in self.streams]
        tcp = self.flows.stop()
        figures = {
            "packets sent": sum(r["sent"] for r in results),
            "packets lost": sum(r["lost"] for r in results),
            "TCP flows": tcp["flows"],
            "TCP resets": tcp["flows"] - tcp["alive"],
        }
        for key, value in figures.items():
            record_property(key, value)
        gap = max(r["longest_gap_ms"] for r in results)
        print(f"{what}: {figures}, longest gap {gap:.1f} ms, TCP stall {tcp['longest_stall_ms']:.0f} ms")
        assert [(r["lost"], r["duplicates"]) for r in results] == [(0, 0)] * len(results)
        assert tcp["alive"] == self.n_flows and tcp["errors"] == []


def run_version(node, program):
    """Restart into another version; the seconds until it is ready."""
    node.daemon.kill9()
    node.daemon.program = program
    begun = time.monotonic()
    node.daemon.start()
    return time.monotonic() - begun


def test_a_change_of_layout_loses_nothing(lab, later, record_property):
    """R2 up, R3 down: no packet, no flow, no entry, no count; and no forbidden packet."""
    node = lab.node("dc1")
    before = clean(node, VERSION)
    wanted = contents(before[1])
    assert wanted["hosts"] > ENDPOINTS and wanted["macs"] > ENDPOINTS
    traffic = Traffic(lab)
    with Probe(lab) as probe:
        for version, program in ((VERSION + 1, later), (VERSION, None)):
            traffic.wait_flowing()
            took = run_version(node, program)
            after = clean(node, version, before)
            have = contents(after[1])
            print(f"to layout {version}: {sum(have.values())} entries in {took:.1f} s")
            record_property(f"seconds to layout {version}", round(took, 2))
            assert took <= COMPLETE and have == wanted
            shown = {d["name"] for d in node.get("drops")}
            assert ("later" in shown) == (version > VERSION), "the version that runs"
            assert ping_all([(lab.host("late"), "10.0.0.12"), (lab.host("t2"), "10.0.0.40")]) == []
            assert node.isthmus("status", json_output=True)["state"] == "OK"
            before = after
        traffic.end("up and down", record_property)
    assert probe.tap.total == 0
    wait_until(lambda: probe.counted() == (probe.spoofed, probe.forged), 3, f"{probe.spoofed} and {probe.forged}")
    record_property("forbidden packets", probe.spoofed + probe.forged)


def test_another_versions_maps_are_never_read(lab, later):
    """R3: the old daemon finds maps of the new layout under the new names, stopped and complete: it makes its own."""
    node = lab.node("dc1")
    run_version(node, later)
    node.daemon.stop()
    node.daemon.program = None
    p = subprocess.run(node.ns.argv(node.daemon.argv("--offline", "/v1/status")), capture_output=True, text=True)
    assert "made by another version" in p.stdout
    node.daemon.start()
    clean(node, VERSION)
    assert node.isthmus("status", json_output=True)["state"] == "OK"


# ---- killed on the way


def kill_traced(node):
    """The daemon itself: one whose tracer is killed lives on."""
    tracer = node.daemon.process.pid
    with open(f"/proc/{tracer}/task/{tracer}/children") as f:
        for pid in f.read().split():
            os.kill(int(pid), signal.SIGKILL)
    node.daemon.process.wait(5)
    node.run.end(node.daemon.process)


def calls_of(node, path):
    """The names of the calls that change something, in their order, of one whole start, until it says that it is ready."""
    node.daemon.prefix = ["strace", "-f", "-e", f"trace={CHANGING}", "-o", path]
    try:
        node.daemon.start()
    finally:
        node.daemon.prefix = []
    kill_traced(node)
    with open(path) as f:
        text = f.read()
    return re.findall(r"^\d+ +(\w+)\(", text[: text.index("READY=1")], re.M)


def moments(calls):
    """(name, how manyth): while the tables are filled, while filters are swapped, while pins change, and at the end."""
    first_pin = calls.index("rename")
    swaps = [i for i in range(first_pin) if calls[i] in ("sendto", "sendmsg")]
    pinning = [i for i in range(first_pin, len(calls)) if calls[i] in ("bpf", "rename", "unlink")]
    chosen = [first_pin // 4, first_pin * 3 // 4, swaps[-18], swaps[-12], first_pin]
    chosen += [pinning[k * len(pinning) // 5] for k in range(1, 5)]
    return [(calls[i], calls[: i + 1].count(calls[i])) for i in chosen]


def start_and_be_killed(node, name, nth):
    node.daemon.prefix = ["strace", "-f", "-e", f"trace={name}", "-o", "/dev/null"]
    node.daemon.prefix += ["-e", f"inject={name}:signal=SIGKILL:when={nth}"]
    try:
        node.daemon.start(wait=False)
        # Without the kill it would say that it is ready.
        wait_until(lambda: node.daemon.process.poll() is not None or "READY=1" in node.daemon.notified, 20)
    finally:
        node.daemon.prefix = []
    if node.daemon.process.poll() is None:
        kill_traced(node)
        raise LabError(f"{name} number {nth} never came")
    node.run.end(node.daemon.process)


def test_a_kill_at_any_moment_of_a_change_leaves_it_forwarding(lab, later, record_property):
    """After each kill the next start, of the one version or the other in turn, finishes or cleans up."""
    node = lab.node("dc1")
    late = lab.fabric.config["ports"].pop("late")
    lab.fabric.config["ports"] = {
        n: p for n, p in lab.fabric.config["ports"].items() if not n.startswith("e") or int(n[1:]) < FEW
    }
    lab.apply()
    lab.fabric.config["ports"]["late"] = late
    node.daemon.kill9()
    node.daemon.program = later
    chosen = moments(calls_of(node, os.path.join(lab.run.directory, "calls")))
    node.daemon.program = None
    node.daemon.start()
    wanted = contents(clean(node, VERSION)[1])
    traffic = Traffic(lab, 100)
    with Probe(lab) as probe:
        for i, (name, nth) in enumerate(chosen):
            node.daemon.kill9()
            node.daemon.program = later
            start_and_be_killed(node, name, nth)
            traffic.wait_flowing(20)
            if i % 2:
                node.daemon.start()  # finishes
                assert contents(clean(node, VERSION + 1)[1]) == wanted
                node.daemon.kill9()
            node.daemon.program = None
            node.daemon.start()  # cleans up, or goes back
            maps = clean(node, VERSION)[1]
        assert contents(maps) == wanted
        traffic.end(f"killed at {len(chosen)} moments", record_property)
    record_property("kills", len(chosen))
    assert probe.tap.total == 0
    wait_until(lambda: probe.counted() == (probe.spoofed, probe.forged), 3, f"{probe.spoofed} and {probe.forged}")
