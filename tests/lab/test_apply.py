# SPDX-License-Identifier: Apache-2.0
"""Changes under traffic: what is not part of a change does not notice it; what fails changes nothing; the end leaves
nothing.

    w1 r1 move1 -- dc1 -- wan -- aws1 -- w2 r2          streams w1 <-> w2 and r1 <-> r2 run through everything
"""
import os
import re
import subprocess

import pytest

from lab import packet
from lab.fabric import Fabric
from lab.host import TcpFlows, UdpStream
from lab.netns import make_namespaces
from lab.node import Node
from lab.room import Lab
from lab.run import Run, wait_until


def make_fabric():
    fabric = Fabric()
    fabric.node("dc1", "dc")
    fabric.node("aws1", "aws")
    fabric.tenant("red", 5000)
    fabric.network("red/web", vni=5001, subnets=["10.0.1.0/24", "fd00:1::/64"], gateway=["10.0.1.1", "fd00:1::1"])
    fabric.network("red/app", "l3", subnets=["10.0.2.0/24", "fd00:2::/64"], gateway=["10.0.2.1", "fd00:2::1"])
    for name, node, net, n in (
        ("w1", "dc1", "web", 11),
        ("w2", "aws1", "web", 12),
        ("r1", "dc1", "app", 11),
        ("r2", "aws1", "app", 12),
        ("c1", "dc1", "web", 31),
        ("c2", "aws1", "web", 32),
    ):
        k = {"web": 1, "app": 2}[net]
        fabric.port(name, node, f"red/{net}", [f"10.0.{k}.{n}", f"fd00:{k}::{n}"])
    return fabric


@pytest.fixture(scope="module")
def lab():
    with Lab(make_fabric()) as lab:
        yield lab


class Traffic:
    """Both networks, both directions, and TCP; nothing may be lost in the `with`."""

    def __init__(self, lab):
        w1, w2, r1, r2 = (lab.host(n) for n in ("w1", "w2", "r1", "r2"))
        self.streams = [UdpStream(w1, w2), UdpStream(w2, w1, v6=True), UdpStream(r1, r2, v6=True), UdpStream(r2, r1)]
        self.flows = TcpFlows(w1, r2, 5)

    def __enter__(self):
        self.go_on()
        return self

    def go_on(self, packets=50):
        for s in self.streams:
            s.wait_flowing(packets)

    def __exit__(self, *exc):
        self.go_on()
        results, tcp = [s.stop() for s in self.streams], self.flows.stop()
        if exc[0] is None:
            assert [(r["lost"], r["duplicates"]) for r in results] == [(0, 0)] * len(results)
            assert tcp["alive"] == 5 and tcp["errors"] == []  # retransmissions: see test_crash


def test_ports_networks_and_tenants_come_and_go_without_a_loss_elsewhere(lab):
    fabric, texts = lab.fabric, []
    with Traffic(lab) as traffic:
        for i in range(5):
            fabric.tenant(f"new{i}", 6000 + 10 * i)
            fabric.network(f"new{i}/web", vni=6001 + 10 * i, subnets=["10.0.1.0/24", "fd00:1::/64"])
            fabric.network(f"new{i}/app", "l3", subnets=["10.0.2.0/24"])
            fabric.network(f"red/more{i}", vni=7000 + i, subnets=[f"10.1.{i}.0/24"], gateway=[f"10.1.{i}.1"])
            fabric.port(f"a{i}", "dc1", f"new{i}/web", ["10.0.1.11"], rig={"plugged": False})
            fabric.port(f"b{i}", "aws1", f"new{i}/web", ["10.0.1.12"], rig={"plugged": False})
            fabric.port(f"m{i}", "dc1", f"red/more{i}", [f"10.1.{i}.11"], rig={"plugged": False})
            lab.apply()
            for name in (f"a{i}", f"b{i}", f"m{i}"):
                lab.plug(name)
            for n in lab.nodes.values():
                n.wait_up()
            assert lab.host(f"a{i}").ping("10.0.1.12") and lab.host(f"m{i}").ping(lab.host("r2").ip4)
            traffic.go_on(10)
            texts.append(fabric.yaml())
        for i in range(5):
            for name in (f"a{i}", f"b{i}", f"m{i}"):
                del fabric.config["ports"][name]
            del fabric.config["tenants"][f"new{i}"]
            del fabric.config["tenants"]["red"]["networks"][f"more{i}"]
            lab.apply()
            assert not lab.host(f"a{i}").ping("10.0.1.12", check=False, timeout=1)
            traffic.go_on(10)


def test_a_gateway_an_address_and_a_mac_change_without_a_loss_elsewhere(lab):
    fabric = lab.fabric
    with Traffic(lab):
        c1, c2 = lab.host("c1"), lab.host("c2")
        assert c1.ping(c2.ip4)
        fabric.config["ports"]["c2"]["addresses"] = ["10.0.1.42", "fd00:1::42"]
        lab.apply()
        c2.ns.ip("addr del 10.0.1.32/24 dev eth0\naddr add 10.0.1.42/24 dev eth0")
        assert c1.ping("10.0.1.42") and not c1.ping("10.0.1.32", check=False, timeout=1)
        fabric.config["ports"]["c2"]["mac"] = "02:00:00:00:cc:02"
        lab.apply()
        c2.ns.ip("link set eth0 address 02:00:00:00:cc:02")
        c1.flush_neighbours()
        assert c1.ping("10.0.1.42") and c1.arping("10.0.1.42") == ["02:00:00:00:cc:02"]
        fabric.network_of("red/web")["gateway"] = ["10.0.1.254", "fd00:1::1"]
        lab.apply()
        assert c1.ping("10.0.1.254") and not c1.ping("10.0.1.1", check=False, timeout=1)
        fabric.network_of("red/web")["gateway"] = ["10.0.1.1", "fd00:1::1"]
        lab.apply()
        assert c1.ping("10.0.1.1")


def test_a_move_to_another_node_is_one_apply(lab):
    """The port's node changes: the workload goes on at the other site with the same addresses."""
    fabric = lab.fabric
    with Traffic(lab):
        lab.unplug("c1")
        fabric.config["ports"]["c1"]["node"] = "aws1"
        lab.apply()
        lab.plug("c1")
        wait_until(lambda: lab.host("c1").ping("10.0.1.11", check=False, timeout=1), 3)
        assert lab.host("w1").ping("10.0.1.31") and lab.host("r1").ping("fd00:1::31")
        lab.unplug("c1")
        fabric.config["ports"]["c1"]["node"] = "dc1"
        lab.apply()
        lab.plug("c1")
        wait_until(lambda: lab.host("c1").ping("10.0.1.42", check=False, timeout=1), 3)


WRONG = {
    "broken YAML": lambda f: "version: 1\nfabric: {encryption: never\n",
    "an unknown key": lambda f: f.yaml() + "nonsense: 1\n",
    "a VNI used twice": lambda f: (f.network("red/twice", vni=5001), f.yaml())[1],
    "overlapping subnets": lambda f: (f.network("red/overlap", vni=5900, subnets=["10.0.1.128/25"]), f.yaml())[1],
    "an address twice": lambda f: (f.port("twice", "dc1", "red/web", ["10.0.1.11"]), f.yaml())[1],
    "an unknown node": lambda f: (f.config["ports"]["w1"].update(node="nowhere"), f.yaml())[1],
    "not this node's file": lambda f: f.yaml().replace("dc1:", "other:").replace("node: dc1", "node: other"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_refused_and_changes_nothing(lab, name):
    node = lab.node("dc1")
    before = node.isthmus("status", json_output=True)
    text = WRONG[name](lab.fabric.copy())
    with Traffic(lab):
        p = node.apply(text, check=False)
        assert p.returncode == 2, f"exit {p.returncode}: {p.stdout} {p.stderr}"
        assert p.stderr.strip()
        if name != "not this node's file":
            assert re.search(r"apply\.yaml:\d+:\d+: ", p.stderr), p.stderr
    after = node.isthmus("status", json_output=True)
    for key in ("state", "generation", "networks", "tenants", "endpoints", "repairs"):
        assert before[key] == after[key]


def test_dry_run_shows_the_steps_and_does_nothing(lab):
    node = lab.node("dc1")
    wanted = lab.fabric.copy()
    wanted.network("red/planned", vni=5950, subnets=["10.9.0.0/24"], gateway=["10.9.0.1"])
    p = node.apply(wanted.yaml(), dry_run=True)
    assert "10.9.0" in p.stdout
    assert "red/planned" not in [n["name"] for n in node.get("networks")]
    path = os.path.join(os.path.dirname(node.daemon.config), "apply.yaml")
    assert node.isthmus("diff", path, check=False).returncode == 1
    node.daemon.write_config(lab.fabric.yaml())
    assert node.isthmus("diff", node.daemon.config, check=False).returncode == 0


# ---- nothing is left


def traces(node):
    """Everything that a daemon may change on its machine, to be compared before and after."""
    ns = node.ns
    sysctls = {}
    for link in ns.ip_json("link"):
        for path in (
            "net/ipv4/conf/{}/rp_filter",
            "net/ipv4/conf/{}/forwarding",
            "net/ipv4/conf/{}/arp_ignore",
            "net/ipv6/conf/{}/disable_ipv6",
            "net/ipv6/conf/{}/forwarding",
            "net/ipv4/conf/{}/accept_local",
            "net/ipv4/conf/{}/proxy_arp",
        ):
            path = path.format(link["ifname"])
            sysctls[path] = ns.read_sysctl(path)
    for name in ("net/ipv4/ip_forward", "net/ipv4/conf/all/rp_filter", "net/ipv6/conf/all/forwarding"):
        sysctls[name] = ns.read_sysctl(name)
    with open("/proc/self/mounts") as f:
        mounts = [line for line in f if node.daemon.bpf_dir in line]
    return {
        "sysctl": sysctls,
        "mounts": mounts,
        "tc": {
            link["ifname"]: ns.tc("qdisc", "show", "dev", link["ifname"])
            + ns.tc("filter", "show", "dev", link["ifname"], "ingress")
            for link in ns.ip_json("link")
        },
        "links": sorted((link["ifname"], link["mtu"], link["address"]) for link in ns.ip_json("link")),
        "routes": ns.ip_json("route"),
        "rules": ns.ip_json("rule"),
        "pins": sorted(os.listdir(node.daemon.bpf_dir)) if os.path.isdir(node.daemon.bpf_dir) else [],
    }


def test_teardown_removes_every_trace():
    with Lab(make_fabric(), start=False) as lab:
        node = lab.node("dc1")
        before = traces(node)
        programs = program_count(lab)
        lab.start()
        assert lab.host("w1").ping("10.0.1.12")
        changed = traces(node)
        assert changed["mounts"] and changed["pins"] and changed["tc"] != before["tc"]
        for n in lab.nodes.values():
            p = n.daemon.teardown()
            assert p.returncode == 0, p.stderr
        after = traces(node)
        for key in before:
            if key != "pins":
                assert after[key] == before[key], key
        assert after["pins"] == []
        wait_until(lambda: program_count(lab) <= programs, 5, "the programs gone from the kernel")
        assert not os.path.exists(node.daemon.run_dir) or os.listdir(node.daemon.run_dir) == []
        # Twice does no harm, and a new start finds a clean machine.
        assert node.daemon.teardown().returncode == 0
        lab.start()
        assert lab.host("w1").ping("10.0.1.12")


def program_count(lab):
    """Our programs in the kernel, seen from outside."""
    out = subprocess.run(
        ["bpftool", "prog", "show"],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"},
    ).stdout
    return len(re.findall(r"name (?:port|wire)_", out))


def test_a_node_that_is_not_in_the_file_refuses_to_start():
    run = Run()
    try:
        (ns,) = make_namespaces(run, ["alone"])
        node = Node("alone", run, ns, [])
        daemon = node.daemon
        daemon.write_config(make_fabric().yaml())
        p = ns.command(*daemon.argv(), check=False, timeout=10)
        assert p.returncode not in (0, None) and "alone" in p.stderr + p.stdout
    finally:
        run.close()


def test_underlay_routes_may_change_while_the_daemon_is_dead():
    """The way out is looked up by the kernel per packet: the WAN renumbers its router, and nobody has to be asked."""
    with Lab(make_fabric()) as lab:
        node, w1 = lab.node("dc1"), lab.host("w1")
        assert w1.ping("10.0.1.12")
        node.daemon.kill9()
        lab.wan.ip(
            "addr del 198.18.1.254/24 dev sw-dc\naddr add 198.18.1.253/24 dev sw-dc\n"
            "link set sw-dc address 02:aa:00:00:00:01"
        )
        node.ns.ip("route replace default via 198.18.1.253")
        wait_until(lambda: w1.ping("10.0.1.12", check=False, timeout=1), 5)
        with lab.wire_tap(["dc1"]) as wire:
            assert w1.ping("10.0.1.12")
            frames = wire.wait(lambda f: packet.inner_of(f) is not None)
            assert any(f.incoming and f.data[:6] == packet.mac("02:aa:00:00:00:01") for f in frames)
        node.daemon.start()
        assert w1.ping("10.0.1.12")
