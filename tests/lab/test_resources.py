# SPDX-License-Identifier: Apache-2.0
"""Row R8: disk full, state directory read only, few descriptors, little memory; and files of the state directory that
cannot be used.  The node says DEGRADED and why within 5 s, goes on, and loses no packet.

    w1 spare -- dc1 -- wan -- aws1 -- w2        the state directory of dc1 is a small file system of its own
"""
import json
import os
import socket
import subprocess
import sys

import pytest

from lab.fabric import Fabric
from lab.host import UdpStream
from lab.room import Lab
from lab.run import command, wait_until

SAID = 5.0


@pytest.fixture(scope="module")
def lab():
    fabric = Fabric()
    fabric.node("dc1", "dc")
    fabric.node("aws1", "aws")
    fabric.tenant("red", 5000)
    fabric.network("red/web", vni=5001, subnets=["10.0.0.0/16"], gateway=["10.0.0.1"])
    fabric.port("w1", "dc1", "red/web", ["10.0.0.11"])
    fabric.port("w2", "aws1", "red/web", ["10.0.0.12"])
    with Lab(fabric, start=False) as lab:
        directory = lab.node("dc1").daemon.state_dir
        command(["mount", "-t", "tmpfs", "-o", "size=256k,nr_inodes=32", "none", directory])
        lab.start()
        yield lab


@pytest.fixture
def traffic(lab):
    """All the while, both ways; whatever the test does, none may be lost."""
    streams = [UdpStream(lab.host("w1"), lab.host("w2")), UdpStream(lab.host("w2"), lab.host("w1"))]
    for s in streams:
        s.wait_flowing()
    yield streams
    for s in streams:
        s.wait_flowing(50)
    results = [s.stop() for s in streams]
    print("sent", sum(r["sent"] for r in results), "lost", sum(r["lost"] for r in results))
    assert [r["lost"] for r in results] == [0, 0]


def status(node):
    return node.isthmus("status", json_output=True, check=False)


def says(node, words, before=lambda: None):
    """DEGRADED, and a reason with these words, within the time; `before` each look."""

    def said():
        before()
        s = status(node)
        return s["daemon"] == "running" and s["state"] == "DEGRADED" and any(words in r for r in s["reasons"])

    wait_until(said, SAID, f"DEGRADED: {words}")


def is_well(node):
    wait_until(lambda: status(node)["state"] == "OK", SAID, "OK")


class Full:
    """Not a byte is left in the state directory, and with `inodes` no file either."""

    def __init__(self, directory, inodes=False):
        self.path, self.inodes, self.more = os.path.join(directory, "filler"), inodes, []

    def __enter__(self):
        with open(self.path, "wb", buffering=0) as f:
            try:
                while True:
                    f.write(bytes(4096))
            except OSError:
                pass
        try:
            while self.inodes:
                path = f"{self.path}{len(self.more)}"
                open(path, "x").close()
                self.more.append(path)
        except OSError:
            pass

    def __exit__(self, *exc):
        for path in (self.path, *self.more):
            os.unlink(path)


class ReadOnly:
    def __init__(self, directory):
        self.directory = directory

    def __enter__(self):
        command(["mount", "-o", "remount,ro", self.directory])

    def __exit__(self, *exc):
        command(["mount", "-o", "remount,rw", self.directory])


FAULTS = [
    pytest.param(Full, "No space left", id="full"),
    pytest.param(lambda d: Full(d, True), "No space left", id="no-inodes"),
    pytest.param(ReadOnly, "Read-only", id="read-only"),
]


def unplugged(lab, name, address):
    """The configuration with one port more; its interface, on the other node, does not exist."""
    changed = lab.fabric.copy()
    changed.port(name, "aws1", "red/web", [address], rig={"plugged": False})
    return changed.yaml()


def saved(lab, file):
    with open(os.path.join(lab.node("dc1").daemon.state_dir, file)) as f:
        return f.read()


@pytest.mark.parametrize("fault,words", FAULTS)
def test_a_state_directory_that_cannot_be_written_is_said(lab, traffic, fault, words):
    """At once and not when something is lost; what cannot be saved is done, with a warning, and saved afterwards."""
    node = lab.node("dc1")
    path = os.path.join(lab.run.directory, "more.yaml")
    with open(path, "w") as f:
        f.write(unplugged(lab, "more", "10.0.0.20"))
    with fault(node.daemon.state_dir):
        says(node, words)
        p = node.isthmus("apply", path)
        assert "warning: not saved:" in p.stderr and words in p.stderr
        line = "port add late --node aws1 --interface late --network red/web --mac 02:00:00:00:09:09"
        plan = node.isthmus(*line.split(), "--address", "10.0.0.21", json_output=True)
        assert plan["changed"] and len(plan["warnings"]) == 1 and words in plan["warnings"][0]
        assert {"more", "late"} <= {p["name"] for p in node.get("ports")}
    is_well(node)
    assert "more" in saved(lab, "fabric.yaml") and "late" in saved(lab, "ports.yaml")
    node.daemon.restart()
    assert {"more", "late"} <= {p["name"] for p in node.get("ports")}
    assert node.isthmus("port", "del", "late", "--yes", json_output=True)["warnings"] == []
    node.apply(lab.fabric.yaml())
    is_well(node)


@pytest.mark.parametrize("fault,words", FAULTS)
def test_a_start_without_a_writable_state_directory_is_a_start(lab, traffic, fault, words):
    node = lab.node("dc1")
    with fault(node.daemon.state_dir):
        node.daemon.restart()
        says(node, words)
    is_well(node)


def test_few_descriptors_are_said(lab, traffic):
    """64 for a daemon that runs, and for one that starts and has everything to load."""
    node = lab.node("dc1")
    pid = str(node.daemon.process.pid)
    before = command(["prlimit", "--pid", pid, "--nofile", "-o", "SOFT", "--noheadings"]).stdout.strip()
    command(["prlimit", "--pid", pid, "--nofile=64:"])
    says(node, "descriptors")
    idle = []
    for _ in range(100):  # more than there is room for: others wait or are turned away, and nothing else happens
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.settimeout(5)
        s.connect(os.path.join(node.daemon.run_dir, "isthmus.sock"))
        idle.append(s)
    for s in traffic:
        s.wait_flowing(500)
    for s in idle:
        s.close()
    wait_until(lambda: status(node)["daemon"] == "running", SAID, "an answer")
    node.apply(unplugged(lab, "more", "10.0.0.20"))
    node.apply(lab.fabric.yaml())
    command(["prlimit", "--pid", pid, f"--nofile={before}:"])
    is_well(node)


def test_a_start_with_few_descriptors_is_a_start(lab):
    node = lab.node("dc1")
    assert node.daemon.teardown().returncode == 0
    node.daemon.prefix = ["prlimit", "--nofile=64:64", "--"]
    try:
        node.daemon.start()
        says(node, "descriptors")
        assert lab.host("w1").ping("10.0.0.12")
    finally:
        node.daemon.prefix = []
        node.daemon.restart()
    is_well(node)


class Group:
    """A control group with a limit of memory, of whichever version this machine has."""

    def __init__(self, name):
        v1 = os.path.exists("/sys/fs/cgroup/memory/memory.limit_in_bytes")
        self.path = os.path.join("/sys/fs/cgroup/memory" if v1 else "/sys/fs/cgroup", name)
        self.names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if v1 else ("memory.max", "memory.current")
        self.cache = "total_cache" if v1 else "file"

    def __enter__(self):
        os.mkdir(self.path)
        return self

    def used(self):
        """As the daemon counts (quota.c): what is kept of files goes when others need the room."""
        with open(os.path.join(self.path, self.names[1])) as f:
            used = int(f.read())
        return used - self.cached()

    def cached(self):
        with open(os.path.join(self.path, "memory.stat")) as f:
            return dict((k, int(v)) for k, v in map(str.split, f))[self.cache]

    def limit(self, size):
        with open(os.path.join(self.path, self.names[0]), "w") as f:
            f.write(str(size))

    def prefix(self):
        return ["sh", "-c", f'echo $$ > {self.path}/cgroup.procs && exec "$@"', "sh"]

    def __exit__(self, *exc):
        wait_until(lambda: os.rmdir(self.path) is None, 10, "the control group gone")


class Ballast:
    """A process that holds memory which counts: 6 % of the daemon's own few MB is less than the kernel charges at once."""

    def __init__(self, group, mebi):
        words = f"b = b'x' * ({mebi} << 20); print(len(b), flush=True); input()"
        self.argv = [*group.prefix(), sys.executable, "-c", words]

    def __enter__(self):
        self.process = subprocess.Popen(self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.process.stdout.readline()
        return self

    def running(self):
        return self.process.poll() is None

    def __exit__(self, *exc):
        self.process.communicate(b"\n", timeout=10)


def test_little_memory_is_said(lab, traffic):
    """A limit just above what is used: said.  A change that would not fit is refused; the kernel never ends the daemon."""
    node = lab.node("dc1")
    big = lab.fabric.copy()
    big.network("red/big", "l3", subnets=["10.1.0.0/16"])
    for i in range(20000):
        big.port(f"e{i}", "aws1", "red/big", [f"10.1.{i // 250}.{1 + i % 250}"], rig={"plugged": False})
    node.daemon.kill9()
    with Group(f"{lab.run.prefix}-memory") as group, Ballast(group, 64) as ballast:
        node.daemon.prefix = group.prefix()
        try:
            file = os.path.join(lab.run.directory, "cached")
            command([*group.prefix(), "dd", "if=/dev/zero", f"of={file}", "bs=1M", "count=32", "conv=fsync"])
            node.daemon.start()
            is_well(node)
            assert group.cached() >= 32 << 20 and group.used() >= 64 << 20
            # What is charged comes and goes by the batch: the limit follows it, always 6 % above, until it was looked at.
            says(node, "MemoryMax=", before=lambda: group.limit(group.used() * 106 // 100))
            group.limit(group.used() + (24 << 20))
            p = node.apply(big.yaml(), check=False)
            assert p.returncode == 1 and "MemoryMax=" in p.stderr and "nothing was changed" in p.stderr
            assert node.daemon.running and ballast.running()
            is_well(node)
            assert len(node.get("ports")) == 2
            group.limit(1 << 30)
            assert node.apply(big.yaml()).returncode == 0, "it is a good one"
            node.apply(lab.fabric.yaml())
            is_well(node)
        finally:
            node.daemon.prefix = []
            node.daemon.kill9()
    node.daemon.start()


# ---- files that cannot be used


def test_a_file_that_does_not_name_this_node_is_not_used(lab, traffic):
    """Somebody wrote another fabric to /etc: the node starts from what it had, and says so."""
    node = lab.node("dc1")
    other = lab.fabric.copy()
    for tree in ("nodes", "ports"):
        for name in [n for n, v in other.config[tree].items() if n == "dc1" or v.get("node") == "dc1"]:
            del other.config[tree][name]
    node.daemon.kill9()
    node.daemon.write_config(other.yaml())
    node.daemon.start()
    says(node, 'this node is called "dc1"')
    node.daemon.kill9()
    os.rename(f"{node.daemon.state_dir}/fabric.yaml", f"{node.daemon.state_dir}/kept")
    p = subprocess.run(node.ns.argv(node.daemon.argv()), capture_output=True, text=True, timeout=20)
    assert p.returncode == 2 and 'this node is called "dc1"' in p.stderr, "with nothing else to start from"
    os.rename(f"{node.daemon.state_dir}/kept", f"{node.daemon.state_dir}/fabric.yaml")
    node.daemon.write_config(lab.fabric.yaml())
    node.daemon.start()
    is_well(node)


@pytest.mark.parametrize("how", ["unreadable", "zero", "broken"])
def test_run_time_ports_that_cannot_be_read_are_kept(lab, traffic, how):
    node = lab.node("dc1")
    line = "port add {0} --node aws1 --interface {0} --network red/web --mac 02:00:00:00:09:{1} --address 10.0.0.{1}"
    node.isthmus(*line.format("early", "31").split())
    path = os.path.join(node.daemon.state_dir, "ports.yaml")
    node.daemon.kill9()
    if how == "unreadable":
        os.unlink(path)
        os.mkdir(path)  # root may read everything else
        open(os.path.join(path, "precious"), "w").close()
    else:
        with open(path, "ab") as f:
            f.write(b"\0" if how == "zero" else b"\nports: [")
    node.daemon.start()
    says(node, "ports added at run time are not used")
    assert os.path.exists(path + ".refused") and not os.path.exists(path)
    node.isthmus(*line.format("later", "32").split())
    assert "later" in saved(lab, "ports.yaml")
    if how == "unreadable":
        os.unlink(path + ".refused/precious")
        os.rmdir(path + ".refused")
    else:
        assert "early" in saved(lab, "ports.yaml.refused")
        os.unlink(path + ".refused")
    node.isthmus("port", "del", "later", "--yes")
    node.apply(lab.fabric.yaml())
    is_well(node)


def test_ports_that_cannot_be_set_aside_are_not_written_over(lab, traffic):
    node = lab.node("dc1")
    path = os.path.join(node.daemon.state_dir, "ports.yaml")
    node.daemon.kill9()
    with open(path, "w") as f:
        f.write("ports: [")
    with ReadOnly(node.daemon.state_dir):
        node.daemon.start()
        says(node, "ports added at run time are not used")
    assert saved(lab, "ports.yaml") == "ports: ["
    line = "port add later --node aws1 --interface later --network red/web --mac 02:00:00:00:09:32 --address 10.0.0.32"
    node.isthmus(*line.split())
    assert saved(lab, "ports.yaml.refused") == "ports: [" and "later" in saved(lab, "ports.yaml")
    os.unlink(path + ".refused")
    node.isthmus("port", "del", "later", "--yes")
    node.apply(lab.fabric.yaml())
    is_well(node)


def test_a_snapshot_that_was_changed_is_said_and_kept(lab, traffic):
    node = lab.node("dc1")
    path = os.path.join(node.daemon.state_dir, "fabric.yaml")
    node.daemon.kill9()
    with open(path, "a") as f:
        f.write("# a bit flipped\n")
    node.daemon.start()
    says(node, "it is not as it was written")
    assert "a bit flipped" in saved(lab, "fabric.yaml.refused") and "a bit flipped" not in saved(lab, "fabric.yaml")
    os.unlink(path + ".refused")
    node.apply(lab.fabric.yaml())
    is_well(node)
    assert json.loads(node.isthmus("status", "-o", "json").stdout)["reasons"] == []


def test_a_purge_knows_all_that_was_set_aside(lab):
    node = lab.node("dc1")
    directory = node.daemon.state_dir
    for name in ("ports.yaml.refused", "ports.yaml.refused.1", "fabric.yaml.refused.9"):
        with open(os.path.join(directory, name), "w") as f:
            f.write("x")
    node.daemon.kill9()
    node.ns.command(*node.daemon.argv("--teardown", "--purge"))
    assert os.listdir(directory) == []
    node.daemon.start()
    is_well(node)
