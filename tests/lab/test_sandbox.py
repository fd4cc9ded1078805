# SPDX-License-Identifier: Apache-2.0
"""Row H2: the running daemon is in its box, and does its work there.  (tests/unit/test_sandbox.c tries the walls.)

    w1 -- dc1 -- wan -- aws1 -- w2
"""
import json
import os
import re
import signal
import socket
import subprocess

import pytest

from lab.fabric import Fabric
from lab.room import Lab
from lab.run import wait_until

BPF, NET_ADMIN, NET_BIND_SERVICE = 39, 12, 10
KEPT = 1 << BPF | 1 << NET_ADMIN | 1 << NET_BIND_SERVICE
SAME_RIGHTS = ["setpriv", "--inh-caps=-all", "--bounding-set=-all,+bpf,+net_admin,+net_bind_service"]


@pytest.fixture(scope="module")
def lab():
    fabric = Fabric()
    fabric.node("dc1", "dc")
    fabric.node("aws1", "aws")
    fabric.tenant("red", 5000)
    fabric.network("red/web", vni=5001, subnets=["10.0.1.0/24"])
    fabric.port("w1", "dc1", "red/web", ["10.0.1.11"])
    fabric.port("w2", "aws1", "red/web", ["10.0.1.12"])
    with Lab(fabric) as lab:
        for node in lab.nodes.values():
            node.wait_up()
        yield lab


def pid_of(node):
    return node.isthmus("status", json_output=True, check=False)["pid"]


def proc(pid, name):
    with open(f"/proc/{pid}/{name}") as f:
        return f.read()


def status_of(pid):
    return dict(re.findall(r"^(\w+):\s*(\S+)", proc(pid, "status"), re.M))


@pytest.mark.parametrize("name", ["dc1", "aws1"])
def test_rights_are_those_it_needs(lab, name):
    s = status_of(pid_of(lab.nodes[name]))
    assert {k: int(s[k], 16) for k in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")} == {
        "CapEff": KEPT,
        "CapPrm": KEPT,
        "CapInh": 0,
        "CapBnd": 0,
        "CapAmb": 0,
    }
    assert (s["NoNewPrivs"], s["Seccomp"], s["Threads"]) == ("1", "2", "1")


def test_it_leaves_no_core_and_no_equal_looks_into_it(lab):
    pid = pid_of(lab.nodes["dc1"])
    assert re.search(r"^Max core file size\s+0\s+0\s", proc(pid, "limits"), re.M)
    # The same user with the same rights, and one of them that may be looked into, to know that it is not for another
    # reason.
    plain = subprocess.Popen([*SAME_RIGHTS, "cat"], stdin=subprocess.PIPE)
    try:
        wait_until(lambda: proc(plain.pid, "comm") == "cat\n", 5)
        for target, code in ((plain.pid, 0), (pid, 1)):
            for name in ("environ", "maps", "auxv"):
                p = subprocess.run([*SAME_RIGHTS, "cat", f"/proc/{target}/{name}"], capture_output=True)
                assert p.returncode == code, (name, target, p.stderr)
    finally:
        plain.communicate()


def test_it_is_not_degraded_and_the_doctor_says_why(lab):
    status = lab.nodes["dc1"].isthmus("status", json_output=True)
    assert status["state"] == "OK"
    checks = lab.nodes["dc1"].isthmus("doctor", json_output=True, check=False)["checks"]
    assert [c["state"] for c in checks if c["name"] == "sandbox"] == ["ok"]
    # What the doctor sees from outside of the box is within its reach there, too.
    node = lab.nodes["dc1"]
    outside = json.loads(node.ns.command(*node.daemon.argv("--offline", "/v1/doctor")).stdout)["checks"]
    seen = {c["name"]: c["state"] for c in checks}
    for c in outside:
        assert c["name"] == "daemon" or seen.get(c["name"]) == c["state"], c
    assert len(outside) > 20


def test_it_reads_a_configuration_that_was_replaced(lab):
    node = lab.nodes["dc1"]
    before = node.isthmus("status", json_output=True)["generation"]
    fabric = lab.fabric.copy()
    fabric.port("w3", "aws1", "red/web", ["10.0.1.13"])
    node.daemon.write_config(fabric.yaml())  # by renaming, as editors do
    node.daemon.signal(signal.SIGHUP)
    wait_until(lambda: node.isthmus("status", json_output=True)["generation"] > before, 5)
    assert any(h["address"] == "10.0.1.13" for h in node.get("hosts"))
    with open(os.path.join(node.daemon.state_dir, "fabric.yaml")) as f:
        assert "10.0.1.13" in f.read()
    node.daemon.write_config(lab.fabric.yaml())
    node.daemon.signal(signal.SIGHUP)
    wait_until(lambda: not any(h["address"] == "10.0.1.13" for h in node.get("hosts")), 5)


def test_traffic_flows_beside_all_of_it(lab):
    assert lab.host("w1").ping("10.0.1.12")


def test_without_the_box_it_says_so(lab):
    node = lab.nodes["aws1"]
    d = node.daemon
    plain = d.argv
    d.stop()
    d.argv = lambda *more: plain("--no-sandbox", *more)
    try:
        d.start()
        p = node.isthmus("status", check=False)
        assert p.returncode == 1 and "DEGRADED" in p.stdout and "--no-sandbox" in p.stdout
        checks = node.isthmus("doctor", json_output=True, check=False)["checks"]
        found = [c for c in checks if c["name"] == "sandbox"]
        assert found[0]["state"] == "fail" and "without --no-sandbox" in found[0]["fix"]
        assert status_of(d.process.pid)["Seccomp"] == status_of("self")["Seccomp"]
        assert "degraded: the daemon's sandbox lacks all of it" in d.log()
    finally:
        d.argv = plain
        d.stop()
        d.start()
    assert node.isthmus("status", json_output=True)["state"] == "OK"


@pytest.mark.parametrize("abstract", [False, True])
def test_a_manager_that_does_not_listen_is_not_waited_for(lab, abstract):
    """Its queue is full from the start; what it has to know comes when it listens again."""
    node = lab.nodes["dc1"]
    d = node.daemon
    name = "\0isthmus-test" if abstract else os.path.join(os.path.dirname(d.config), "deaf")
    d.stop()
    with node.ns.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, node.ns.socket(
        socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
    ) as filler:
        manager.bind(name)
        with pytest.raises(BlockingIOError):
            for _ in range(10000):
                filler.sendto(b"X", name)
        d.start(wait=False, environment={"NOTIFY_SOCKET": name.replace("\0", "@"), "WATCHDOG_USEC": "400000"})
        wait_until(lambda: node.isthmus("status", check=False).returncode == 0, 20)
        manager.settimeout(10)
        heard = []
        for word in ("READY=1", "WATCHDOG=1"):
            while word not in heard:
                heard += manager.recv(4096).decode().split("\n")
        assert f"MAINPID={d.process.pid}" in heard
        d.signal(signal.SIGTERM)
        while "STOPPING=1" not in heard:
            heard += manager.recv(4096).decode().split("\n")
    d.stop()
    d.start()
