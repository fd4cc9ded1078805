# SPDX-License-Identifier: Apache-2.0
"""Faults are seeded one by one; each is found, named, and comes with the line that mends it, which is then run."""
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys

import pytest

from conftest import Cli, make_fabric
from lab.room import Lab
from lab.run import wait_until


@pytest.fixture(scope="module")
def patient():
    """dc1 with its daemon dead, so that nobody mends what the tests break."""
    fabric = make_fabric()
    # All that fits: a healthy patient has no fault but the dead daemon and, on most machines, no group.
    with Lab(fabric) as lab:
        cli = Cli(lab, "dc1")
        cli.node.wait_up()
        cli.node.daemon.kill9()
        yield cli


def examine(cli, *argv, prefix=(), env=None):
    p = cli.run("doctor", "-o", "json", *argv, prefix=prefix, env=env)
    assert p.returncode in (0, 1, 3), p.stderr
    return json.loads(p.stdout)["checks"]


def faults(cli, **options):
    return {(c["name"], c["seen"]): c for c in examine(cli, **options) if c["state"] != "ok"}


def ip(cli, *argv):
    cli.node.ns.command("ip", *argv)


def test_a_healthy_host_has_no_faults(patient):
    assert {name for name, _ in faults(patient)} <= {"daemon", "group"}
    assert len(examine(patient)) >= 30


class Fault:
    def __init__(self, name, check, seen, seed, undo=None, state="fail"):
        """undo None: the fix line is a command, and running it is the undoing."""
        self.name, self.check, self.seen, self.seed, self.undo, self.state = name, check, seen, seed, undo, state


def sysctl(path, value):
    return lambda c: c.node.ns.write_sysctl(path, value)


def tentative(c):
    for key, value in (("accept_dad", 1), ("dad_transmits", 200)):
        c.node.ns.write_sysctl(f"net/ipv6/conf/up0/{key}", value)
    ip(c, "address", "del", "2001:db8:1::b/64", "dev", "up0")
    ip(c, "address", "add", "2001:db8:1::b/64", "dev", "up0")


def untentative(c):
    for key, value in (("accept_dad", 0), ("dad_transmits", 1)):
        c.node.ns.write_sysctl(f"net/ipv6/conf/up0/{key}", value)
    ip(c, "address", "del", "2001:db8:1::b/64", "dev", "up0")
    ip(c, "address", "add", "2001:db8:1::b/64", "dev", "up0")


def restart_once(c):
    """Programs that were torn off come back with a daemon."""
    c.node.daemon.start()
    c.node.daemon.kill9()


def bind_port(c):
    ip(c, "link", "del", "isthmus4789")
    c.taken = c.node.ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
    c.taken.bind(("0.0.0.0", 4789))


def unbind_port(c):
    c.taken.close()
    restart_once(c)


def replug(c, name):
    c.lab.unplug(name)
    c.lab.plug(name)
    c.lab.host(name)
    restart_once(c)


def unroute(c):
    c.routes = [line for line in c.node.ns.command("ip", "route", "show", "default").stdout.splitlines() if line]
    ip(c, "route", "del", "default")


def reroute(c):
    for r in c.routes:
        ip(c, "route", "replace", *r.split())


FAULTS = [
    Fault("lo does not forward IPv4", "forwarding", "ipv4", sysctl("net/ipv4/conf/lo/forwarding", 0)),
    Fault("lo does not forward IPv6", "forwarding", "ipv6", sysctl("net/ipv6/conf/lo/forwarding", 0)),
    Fault(
        "underlay address missing",
        "underlay-address",
        "198.18.1.11",
        lambda c: (unroute(c), ip(c, "address", "del", "198.18.1.11/24", "dev", "up0")),
        lambda c: (ip(c, "address", "add", "198.18.1.11/24", "dev", "up0"), reroute(c)),
    ),
    Fault("underlay address tentative", "underlay-ipv6", "2001:db8:1::b on up0 is tentative", tentative, untentative),
    Fault("no route to a node", "route", "no route to node aws1", unroute, reroute),
    Fault("path too narrow", "path-mtu", "IPv6 needs 1280", lambda c: ip(c, "link", "set", "up0", "mtu", "1300")),
    Fault(
        "program off the wire",
        "underlay-program",
        "wire_ingress is not on up0",
        lambda c: c.node.ns.tc("filter", "del", "dev", "up0", "ingress"),
        restart_once,
    ),
    Fault(
        "filter before ours",
        "underlay-program",
        "pref 1",
        lambda c: c.node.ns.tc(
            "filter", "add", "dev", "up0", "ingress", "pref", "1", "protocol", "all", "u32", "match", "u32", "0", "0"
        ),
        lambda c: c.node.ns.tc("filter", "del", "dev", "up0", "ingress", "pref", "1"),
        "warn",
    ),
    Fault(
        "no merging",
        "vxlan-port",
        "are not merged on receipt",
        lambda c: ip(c, "link", "del", "isthmus4789"),
        restart_once,
        "warn",
    ),
    Fault("UDP port taken", "vxlan-port", "UDP port 4789", bind_port, unbind_port, "warn"),
    Fault(
        "offload off",
        "offload",
        "tx-udp_tnl-segmentation of up0",
        lambda c: c.node.ns.command("ethtool", "-K", "up0", "tx-udp_tnl-segmentation", "off"),
        None,
        "warn",
    ),
    Fault(
        "port's interface down", "port-link", "interface web1 is down", lambda c: ip(c, "link", "set", "web1", "down")
    ),
    Fault(
        "workload's end down",
        "port-link",
        "no carrier",
        lambda c: c.lab.host("web1").ns.ip("link set eth0 down"),
        lambda c: c.lab.host("web1").ns.ip("link set eth0 up"),
        "warn",
    ),
    Fault(
        "port in a bridge",
        "port-bridged",
        "enslaved to br9",
        lambda c: c.node.ns.ip("link add br9 type bridge\nlink set web1 master br9"),
        None,
    ),
    Fault(
        "address on the node's end",
        "port-address",
        "the node has an address on web1",
        lambda c: ip(c, "address", "add", "10.0.1.200/24", "dev", "web1"),
    ),
    Fault(
        "port's program torn off",
        "port-program",
        "port_ingress is not on web1",
        lambda c: c.node.ns.tc("filter", "del", "dev", "web1", "ingress"),
        restart_once,
    ),
    Fault("guard off", "port-guard", "rp_filter is 0", sysctl("net/ipv4/conf/web1/rp_filter", 0), None, "warn"),
    Fault(
        "port's MTU too large",
        "port-mtu",
        "MTU 9000 of web1",
        lambda c: ip(c, "link", "set", "web1", "mtu", "9000"),
        lambda c: ip(c, "link", "set", "web1", "mtu", "1450"),
        "warn",
    ),
    Fault(
        "state directory open to all",
        "state-directory",
        "written by others",
        lambda c: os.chmod(c.node.daemon.state_dir, 0o777),
    ),
    Fault(
        "run directory open to all",
        "run-directory",
        "written by others",
        lambda c: os.chmod(c.node.daemon.run_dir, 0o777),
    ),
    Fault(
        "state directory missing",
        "state-directory",
        "No such file",
        lambda c: os.rename(c.node.daemon.state_dir, c.directory + "/away"),
        lambda c: (
            shutil.rmtree(c.node.daemon.state_dir, ignore_errors=True),
            os.rename(c.directory + "/away", c.node.daemon.state_dir),
        ),
    ),
    Fault(
        "configuration missing",
        "configuration",
        "No such file",
        lambda c: os.rename(c.node.daemon.config, c.directory + "/c"),
        lambda c: os.rename(c.directory + "/c", c.node.daemon.config),
    ),
    Fault(
        "configuration broken",
        "configuration",
        "isthmus.yaml:1:",
        lambda c: c.node.daemon.write_config("vershun: 1\n"),
        lambda c: c.node.daemon.write_config(c.lab.fabric.yaml()),
    ),
    Fault(
        "configuration not applied",
        "configuration",
        "differs",
        lambda c: c.node.daemon.write_config(c.lab.fabric.yaml().replace("10.0.1.12", "10.0.1.13")),
        lambda c: c.node.daemon.write_config(c.lab.fabric.yaml()),
        "warn",
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name.replace(" ", "_"))
def test_fault_is_found_with_its_fix(patient, fault):
    before = set(faults(patient))
    fault.seed(patient)
    try:
        found = wait_until(
            lambda: [c for (name, seen), c in faults(patient).items() if name == fault.check and fault.seen in seen],
            5,
            fault.name,
        )[0]
        assert found["state"] == fault.state and found["fix"]
        text = patient.run("doctor").stdout
        assert f"{fault.check}: fix: {found['fix']}" in text
        if fault.undo is None:
            patient.node.ns.command("sh", "-c", found["fix"].split(" (")[0])
    finally:
        if fault.undo:
            fault.undo(patient)
    wait_until(
        lambda: set(faults(patient)) <= before, 5, "the host is well again: " + str(set(faults(patient)) - before)
    )


def test_underlay_link_down(patient):
    def addresses():
        return patient.node.ns.command("ip", "-o", "address", "show", "dev", "up0").stdout

    before = addresses()
    unroute(patient)
    ip(patient, "link", "set", "up0", "down")
    try:
        found = [c for (name, seen), c in faults(patient).items() if name == "underlay-link" and "up0 is down" in seen]
        assert found and found[0]["fix"] == "ip link set up0 up"
        patient.node.ns.command(*found[0]["fix"].split())
    finally:
        ip(patient, "link", "set", "up0", "up")
        for line in before.splitlines():
            if "2001:" in line:  # IPv6 addresses do not survive a link that goes down
                patient.node.ns.command("ip", "address", "replace", line.split()[3], "dev", "up0")
        reroute(patient)


def test_interface_of_a_port_missing():
    with Lab(make_fabric()) as lab:
        c = Cli(lab, "dc1")
        c.node.wait_up()
        lab.unplug("web1")
        found = wait_until(
            lambda: [
                f for (name, seen), f in faults(c).items() if name == "port-interface" and "web1 does not exist" in seen
            ]
        )
        assert "ip link add web1" in found[0]["fix"]


def test_dead_daemon(patient):
    found = [c for c in examine(patient) if c["name"] == "daemon"][0]
    assert found["state"] == "fail" and found["fix"] == "systemctl start isthmusd"
    assert patient.run("doctor").returncode == 3


def test_no_pinned_maps(patient, tmp_path):
    found = faults(patient, env={"ISTHMUS_BPF_DIR": str(tmp_path)})
    assert any(name == "bpf-directory" for name, _ in found)
    assert any(name == "data-plane" for name, _ in found)


@pytest.mark.parametrize("options, seen", [("ro", "read only"), ("size=64k", "KiB")])
def test_state_directory_cannot_be_written(patient, options, seen):
    d = patient.node.daemon.state_dir
    copy = shutil.copytree(d, d + ".copy")
    # A mount of its own: the test's namespace of mounts, not the machine's.
    p = subprocess.run(
        patient.node.ns.argv(
            [
                "unshare",
                "-m",
                "sh",
                "-c",
                f"mount -t tmpfs -o size=64k,mode=0755 none {d} && cp {copy}/* {d}/ && "
                f"mount -o remount,{options} {d} && "
                "isthmus doctor -o json",
            ]
        ),
        capture_output=True,
        text=True,
        env=patient.environment,
        timeout=20,
    )
    shutil.rmtree(copy)
    found = [c for c in json.loads(p.stdout)["checks"] if c["name"] == "state-directory"]
    assert found[0]["state"] == "fail" and seen in found[0]["seen"] and found[0]["fix"]


def test_few_descriptors(patient):
    found = faults(patient, prefix=["prlimit", "--nofile=256:256"])
    assert [
        c for (name, seen), c in found.items() if name == "descriptors" and "256" in seen and "LimitNOFILE" in c["fix"]
    ]


def test_node_not_in_the_configuration(patient, tmp_path):
    found = faults(patient, env={"ISTHMUS_NODE": "elsewhere", "ISTHMUS_STATE_DIR": str(tmp_path)})
    assert [c for (name, seen), c in found.items() if name == "configuration" and 'no node "elsewhere"' in seen]


def test_configured_interface_missing(patient, tmp_path):
    path = tmp_path / "isthmus.yaml"
    path.write_text(patient.lab.fabric.yaml().replace("dc1: {site: dc,", "dc1: {site: dc, interfaces: [nope0],"))
    found = faults(patient, env={"ISTHMUS_CONFIG": str(path), "ISTHMUS_STATE_DIR": str(tmp_path)})
    assert [1 for name, seen in found if name == "underlay-interface" and "nope0" in seen]


def test_port_on_the_underlay(patient, tmp_path):
    path = tmp_path / "isthmus.yaml"
    path.write_text(patient.lab.fabric.yaml().replace("interface: web1", "interface: up0"))
    found = faults(patient, env={"ISTHMUS_CONFIG": str(path), "ISTHMUS_STATE_DIR": str(tmp_path)})
    assert [1 for name, seen in found if name == "port-underlay" and "up0" in seen]


def test_firewall_rule_that_drops_tunnels(patient):
    """The rules are read from the kernel: dropped or rejected, by destination or source; others are let alone."""
    nft = patient.node.ns.command
    nft(
        "nft",
        "add table inet t; add chain inet t input; add table ip t; add chain ip t out; "
        "add rule inet t input udp dport 4789 accept; add rule inet t input udp dport 4790 drop; "
        "add rule inet t input ip protocol udp counter drop; add rule inet t input udp dport != 4789 drop",
    )
    try:
        assert not [1 for name, _ in faults(patient) if name == "firewall"]
        nft("nft", "add rule inet t input udp dport 4789 counter drop; add rule ip t out udp sport 4789 reject")
        found = [c for (name, _), c in faults(patient).items() if name == "firewall"]
        assert sorted(c["fix"].split(" handle")[0] for c in found) == [
            "nft delete rule inet t input",
            "nft delete rule ip t out",
        ]
        for c in found:
            nft(*c["fix"].split())
        assert not [1 for name, _ in faults(patient) if name == "firewall"]
    finally:
        nft("nft", "delete table inet t; delete table ip t")


def test_second_daemon(own_cli):
    code = "import ctypes, sys; ctypes.CDLL(None).prctl(15, b'isthmusd'); print('there', flush=True); sys.stdin.read()"
    p = subprocess.Popen(
        [sys.executable, "-c", code, "--bpf-dir", own_cli.node.daemon.bpf_dir],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert p.stdout.readline() == b"there\n"
        found = [c for (name, _), c in faults(own_cli).items() if name == "daemon-rival"]
        assert found and found[0]["fix"] == f"kill {p.pid}"
    finally:
        p.stdin.close()
        p.wait(5)
    assert not [1 for name, _ in faults(own_cli) if name == "daemon-rival"]


def test_a_running_daemon_finds_its_own_faults(own_cli):
    os.chmod(own_cli.socket, 0o666)
    found = [c for (name, _), c in faults(own_cli).items() if name == "socket"]
    assert found and found[0]["fix"] == f"chmod 0660 {own_cli.socket}"
    subprocess.run(found[0]["fix"].split(), check=True)
    assert own_cli.run("doctor").returncode == 0


def test_without_a_daemon_or_a_configuration(cli, tmp_path):
    """A host on which nothing was set up yet: the doctor says what comes first."""
    env = {f"ISTHMUS_{k}": str(tmp_path / k) for k in ("RUN_DIR", "STATE_DIR", "BPF_DIR", "CONFIG")}
    names = {name for name, _ in faults(cli, env=env)}
    assert {"daemon", "configuration", "state-directory", "data-plane"} <= names
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(tmp_path / "BPF_DIR")
