# SPDX-License-Identifier: Apache-2.0
"""Ports that come and go: waiting interfaces, taps, run-time ports, and what is remembered.

    w1, late (veth), latetap (tap), all in red/web -- dc1 -- wan -- aws1 -- w2
"""
import os
import signal
import time

import pytest
from helpers import drops_of

from lab import packet
from lab.fabric import Fabric, to_yaml
from lab.host import UdpStream
from lab.netns import make_namespaces
from lab.room import Lab
from lab.run import wait_until

FOLLOWED = 20  # seconds; it takes milliseconds, but others hold the kernel's lock over all interfaces for seconds at times


def make_fabric():
    fabric = Fabric()
    fabric.node("dc1", "dc")
    fabric.node("aws1", "aws")
    fabric.tenant("red", 5000)
    fabric.network("red/web", vni=5001, subnets=["10.0.1.0/24", "fd00:1::/64"], gateway=["10.0.1.1", "fd00:1::1"])
    fabric.network("red/app", "l3", subnets=["10.0.2.0/24", "fd00:2::/64"], gateway=["10.0.2.1", "fd00:2::1"])
    fabric.port("w1", "dc1", "red/web", ["10.0.1.11", "fd00:1::11"])
    fabric.port("w2", "aws1", "red/web", ["10.0.1.12", "fd00:1::12"])
    fabric.port("late", "dc1", "red/web", ["10.0.1.21", "fd00:1::21"], rig={"plugged": False})
    fabric.port("latetap", "dc1", "red/web", ["10.0.1.22", "fd00:1::22"], rig={"plugged": False, "kind": "tap"})
    return fabric


@pytest.fixture(scope="module")
def lab():
    with Lab(make_fabric(), start=False) as lab:
        lab.start(wait_up=False)
        lab.node("aws1").wait_up()
        yield lab


def state(node, port):
    return next(p for p in node.get("ports") if p["name"] == port)["state"]


def test_a_missing_interface_is_waiting_and_the_rest_works(lab):
    node = lab.node("dc1")
    assert state(node, "late") == state(node, "latetap") == "waiting" and state(node, "w1") == "up"
    assert lab.host("w1").ping("10.0.1.12")
    p = node.isthmus("status", check=False)
    assert p.returncode == 1 and "late" in p.stdout
    # Somebody already talks to it: known, but not there.
    with drops_of(lab.node("dc1"), port_down=3):
        lab.host("w1").send(
            *[
                packet.udp_frame(
                    lab.host("w1").mac, lab.fabric.config["ports"]["late"]["mac"], "10.0.1.11", "10.0.1.21", 1, 2, b"x"
                )
            ]
            * 3
        )


@pytest.mark.parametrize("port", ["late", "latetap"])
def test_it_comes_up_again_and_again(lab, port):
    """Made, used, deleted, made again: three times."""
    node, w2 = lab.node("dc1"), lab.host("w2")
    for _ in range(3):
        host = lab.plug(port)
        start = time.monotonic()
        wait_until(lambda: state(node, port) == "up", FOLLOWED, f"{port} up")
        took = time.monotonic() - start
        for a, b in ((host, w2), (w2, host), (lab.host("w1"), host)):
            assert a.ping(b.ip4) and a.ping(b.ip6), f"{a} {b} ({took * 1000:.0f} ms)"
        lab.unplug(port)
        wait_until(lambda: state(node, port) == "waiting", FOLLOWED, f"{port} waiting")
    assert lab.host("w1").ping(w2.ip4)


def test_an_interface_that_is_down_says_so_and_recovers(lab):
    node = lab.node("dc1")
    node.ns.ip("link set w1 down")
    wait_until(lambda: state(node, "w1") == "down", FOLLOWED)
    node.ns.ip("link set w1 up")
    wait_until(lambda: state(node, "w1") == "up", FOLLOWED)
    wait_until(lambda: lab.host("w1").ping("10.0.1.12", check=False, timeout=1), 3)


def test_interfaces_are_moved_and_renamed_as_people_do(lab):
    """Both ends of the veth here at first, one moved away later; renamed away and back; moved out and back."""
    node, ns = lab.node("dc1"), lab.node("dc1").ns
    (workload,) = make_namespaces(lab.run, ["by-hand"])
    mac = lab.fabric.config["ports"]["late"]["mac"]

    def reaches():
        return workload.command("ping", "-c1", "-W1", "10.0.1.12", check=False).returncode == 0

    ns.ip(f"link add name late type veth peer name inner address {mac}\nlink set dev late up")
    wait_until(lambda: state(node, "late") != "waiting", FOLLOWED)
    ns.ip(f"link set dev inner netns {workload.full_name}")
    workload.ip("link set dev inner up\naddr add 10.0.1.21/24 dev inner")
    wait_until(lambda: state(node, "late") == "up", FOLLOWED)
    assert reaches() and lab.host("w1").ping("10.0.1.21") and lab.host("w2").ping("10.0.1.21")
    ns.ip("link set dev late name other")
    wait_until(lambda: state(node, "late") == "waiting", FOLLOWED)
    assert not reaches(), "it is nobody's port under that name"
    ns.ip("link set dev other name late")
    wait_until(lambda: state(node, "late") == "up", FOLLOWED)
    wait_until(reaches, 3)  # the workload repeats an ARP request that nobody answered once a second
    ns.ip(f"link set dev late netns {workload.full_name}")
    wait_until(lambda: state(node, "late") == "waiting", FOLLOWED)
    workload.ip(f"link set dev late netns {ns.full_name}")
    ns.ip("link set dev late up")
    wait_until(lambda: state(node, "late") == "up", FOLLOWED)
    wait_until(reaches, 3)
    ns.ip("link del dev late")
    wait_until(lambda: state(node, "late") == "waiting", FOLLOWED)


def test_renamed_there_and_back_between_two_looks(lab):
    """Both messages are read at once: the last one counts, and nothing has to be repaired."""
    node = lab.node("dc1")
    filters = node.ns.tc("filter", "show", "dev", "w1", "ingress")
    repairs = node.metrics()["isthmus_repairs_total"]
    there = node.daemon.log().count("interface w1 is there")
    node.daemon.signal(signal.SIGSTOP)
    node.ns.ip("link set w1 down\nlink set w1 name elsewhere\nlink set elsewhere name w1\nlink set w1 up")
    node.daemon.signal(signal.SIGCONT)
    wait_until(lambda: node.daemon.log().count("interface w1 is there") > there, 3)
    wait_until(lambda: state(node, "w1") == "up", 3)
    assert node.ns.tc("filter", "show", "dev", "w1", "ingress") == filters
    assert node.metrics()["isthmus_repairs_total"] == repairs
    assert lab.host("w1").ping("10.0.1.12")


def test_the_hosts_own_packets_never_reach_a_workload(lab):
    """Whatever the node's own stack sends towards a port is dropped there and counted; and the node is deaf to the
    workload.
    """
    node, w1 = lab.node("dc1"), lab.host("w1")
    with w1.tap(incoming_only=True, keep=lambda f: b"canary" in f.data) as tap:
        with drops_of(node, not_ours=5):
            from lab.capture import RawPort

            with RawPort(node.ns, "w1") as port:
                port.send(*[packet.udp_frame("02:00:00:00:00:99", w1.mac, "10.0.1.12", w1.ip4, 1, 2, b"canary")] * 5)
        tap.settle(0.05)
        assert tap.total == 0


# ---- run time


def plug_runtime(lab, name, node, address, mac, network="red/web"):
    """The workload of a run-time port: known to the lab, not to the file."""
    lab.fabric.port(name, node, network, [address], mac=mac)
    host = lab.plug(name)
    del lab.fabric.config["ports"][name]
    return host


def test_a_port_added_at_run_time_works_and_is_remembered(lab):
    """port add, restart, SIGHUP, port del; known to both nodes."""
    dc1, aws1 = lab.node("dc1"), lab.node("aws1")
    mac = lab.fabric.next_mac()
    host = plug_runtime(lab, "extra", "dc1", "10.0.1.31", mac)
    line = f"port add extra --interface extra --network red/web --mac {mac} --address 10.0.1.31"
    dc1.isthmus(*line.split())
    # Without a control plane the other node is told in the same words, by the API.
    port = {"node": "dc1", "interface": "extra", "network": "red/web", "mac": mac, "addresses": ["10.0.1.31"]}
    code, answer = aws1.request("POST", "/v1/ports", to_yaml({"ports": {"extra": port}}))
    assert code == 200, answer
    wait_until(lambda: state(dc1, "extra") == "up", FOLLOWED)
    assert host.ping("10.0.1.12") and lab.host("w2").ping("10.0.1.31")
    stream = UdpStream(lab.host("w2"), host)
    stream.wait_flowing()
    for node in (dc1, aws1):
        node.daemon.restart()
        assert {p["name"]: p["source"] for p in node.get("ports")}["extra"] == "runtime"
    stream.wait_flowing()
    dc1.daemon.signal(signal.SIGHUP)
    stream.wait_flowing(200)
    assert stream.stop()["lost"] == 0
    assert state(dc1, "extra") == "up"
    for node in (dc1, aws1):
        node.isthmus("port", "del", "extra", "--yes")
    wait_until(lambda: not [p for p in dc1.get("ports") if p["name"] == "extra"], FOLLOWED)
    assert not lab.host("w1").ping("10.0.1.31", check=False, timeout=1)
    assert "port_ingress" not in dc1.ns.tc("filter", "show", "dev", "extra", "ingress")
    dc1.daemon.restart()
    assert not [p for p in dc1.get("ports") if p["name"] == "extra"]


def test_port_add_refuses_what_the_file_would_not_allow(lab):
    node = lab.node("dc1")
    before = node.get("ports")
    for name, interface, network, address, words in (
        ("dup", "dup", "red/web", "10.0.1.12", "w2"),
        ("w1", "other", "red/web", "10.0.1.77", "w1"),
        ("dup", "w1", "red/web", "10.0.1.77", "w1"),
        ("dup", "dup", "red/nothing", "10.0.1.77", "nothing"),
        ("dup", "dup", "red/web", "10.9.9.9", "10.9.9.9"),
    ):
        argv = f"{name} --interface {interface} --network {network} --mac {lab.fabric.next_mac()} --address {address}"
        p = node.isthmus("port", "add", *argv.split(), check=False)
        assert p.returncode == 2 and words in p.stderr, f"{argv}: {p.returncode} {p.stderr}"
    p = node.isthmus("port", "del", "w1", "--yes", check=False)
    assert p.returncode not in (0, 3) and "w1" in p.stderr, "a port of the file belongs to the file"
    strip = lambda ports: [{k: v for k, v in p.items() if not k.startswith(("rx", "tx"))} for p in ports]  # noqa: E731
    assert strip(node.get("ports")) == strip(before)


# ---- what is remembered


def test_what_was_applied_survives_a_restart_and_an_edited_file_wins(lab):
    """apply FILE is remembered in the state directory; a daemon that starts prefers its own file when that was edited
    since.
    """
    node = lab.node("dc1")
    other = lab.fabric.copy()
    other.network("red/new", vni=5009)
    node.apply(other.yaml())
    assert "red/new" in [n["name"] for n in node.get("networks")]
    node.daemon.restart()
    assert "red/new" in [n["name"] for n in node.get("networks")], "what was applied last survives"
    edited = lab.fabric.copy()
    edited.network("red/edited", vni=5010)
    node.daemon.write_config(edited.yaml())
    node.daemon.restart()
    names = [n["name"] for n in node.get("networks")]
    assert "red/edited" in names and "red/new" not in names, "the edited file wins"
    node.daemon.write_config(lab.fabric.yaml())
    node.daemon.signal(signal.SIGHUP)
    wait_until(lambda: "red/edited" not in [n["name"] for n in node.get("networks")], FOLLOWED, "SIGHUP applies the file")
    assert lab.host("w1").ping("10.0.1.12")


def test_a_broken_file_degrades_and_the_last_good_configuration_runs_on(lab):
    node = lab.node("dc1")
    stream = UdpStream(lab.host("w1"), lab.host("w2"))
    stream.wait_flowing()
    node.daemon.write_config("version: 1\nnonsense: [\n")
    node.daemon.signal(signal.SIGHUP)
    wait_until(
        lambda: "broken" in " ".join(status(node)["reasons"]) or "isthmus.yaml" in " ".join(status(node)["reasons"]),
        2.0,
        "DEGRADED with the reason",
    )
    stream.wait_flowing(100)
    node.daemon.restart()
    s = status(node)
    assert s["state"] == "DEGRADED" and "isthmus.yaml" in " ".join(s["reasons"]), s
    stream.wait_flowing(100)
    assert node.isthmus("status", check=False).returncode == 1
    node.daemon.write_config(lab.fabric.yaml())
    node.daemon.signal(signal.SIGHUP)
    wait_until(lambda: not [r for r in status(node)["reasons"] if "isthmus.yaml" in r], FOLLOWED, "OK again")
    assert stream.stop()["lost"] == 0


def status(node):
    return node.isthmus("status", json_output=True, check=False) if os.path.exists(node.daemon.run_dir) else None
