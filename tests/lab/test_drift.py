# SPDX-License-Identifier: Apache-2.0
"""Rows R6 and F4: somebody deletes what the daemon has made; it is made again within 2 s, and nothing leaks meanwhile.

    w1 (red) b1 (blue) r1 (red, l3) -- dc1 -- wan -- aws1 -- w2 (red) b2 (blue) r2   red and blue: the same addresses
"""
import glob
import json
import os
import random
import re
import signal
import subprocess
import time

import pytest
from helpers import ping_all

from lab import packet
from lab.fabric import Fabric
from lab.room import Lab
from lab.run import command, wait_until

REPAIR = 2.0
# Every write; the underlay neighbours are kept resolved all the time, whatever is applied.
WRITES = re.compile(r"BPF_MAP_(UPDATE|DELETE|CREATE)|BPF_PROG_LOAD|BPF_OBJ_PIN|RTM_(NEW|DEL|SET)(?!NEIGH)")
BPFTOOL = next((p for p in ("/usr/sbin/bpftool", "/sbin/bpftool") if os.path.exists(p)), "bpftool")


@pytest.fixture(scope="module")
def lab():
    fabric = Fabric()
    fabric.node("dc1", "dc")
    fabric.node("aws1", "aws")
    for tenant, vni in (("red", 5000), ("blue", 5100)):
        fabric.tenant(tenant, vni)
        fabric.network(
            f"{tenant}/web", vni=vni + 1, subnets=["10.0.1.0/24", "fd00:1::/64"], gateway=["10.0.1.1", "fd00:1::1"]
        )
        fabric.port(f"{tenant[0]}1", "dc1", f"{tenant}/web", ["10.0.1.11", "fd00:1::11"], mac="02:00:00:00:00:aa")
        fabric.port(f"{tenant[0]}2", "aws1", f"{tenant}/web", ["10.0.1.12", "fd00:1::12"], mac="02:00:00:00:00:bb")
    fabric.network("red/app", "l3", subnets=["10.0.2.0/24", "fd00:2::/64"], gateway=["10.0.2.1", "fd00:2::1"])
    fabric.port("q1", "dc1", "red/app", ["10.0.2.11", "fd00:2::11"])
    fabric.port("q2", "aws1", "red/app", ["10.0.2.12", "fd00:2::12"])
    with Lab(fabric) as lab:
        yield lab


def works(lab):
    r1, r2, q1, q2 = (lab.host(n) for n in ("r1", "r2", "q1", "q2"))
    return ping_all([(r1, r2.ip4), (r1, r2.ip6), (q1, r2.ip4), (q2, q1.ip6), (lab.host("b1"), "10.0.1.12")]) == []


def repairs(node):
    return node.isthmus("status", json_output=True, check=False)["repairs"]


class Watch:
    """Red floods its canary in every way it can; blue must never see it, also while things are broken."""

    def __init__(self, lab):
        self.lab = lab
        r1, r2 = lab.host("r1"), lab.host("r2")
        self.frames = [
            packet.udp_frame(r1.mac, r2.mac, r1.ip4, r2.ip4, 1, 2, b"canary-red"),
            packet.eth(packet.BROADCAST, r1.mac, 0x88B5, b"canary-red"),
            packet.arp_request(r1.mac, r1.ip4, "10.0.1.99", tail=b"canary-red"),
            packet.udp_frame(r1.mac, "02:69:73:74:68:6d", r1.ip4, "10.0.2.12", 1, 2, b"canary-red"),
        ]

    def __enter__(self):
        self.tap = self.lab.host_tap(["b1", "b2"], keep=lambda f: b"canary-red" in f.data).__enter__()
        self.port = self.lab.host("r1").raw()
        return self

    def pulse(self):
        self.port.send(*self.frames)

    def __exit__(self, *exc):
        self.port.close()
        self.tap.settle(0.05)
        self.tap.__exit__(*exc)
        if exc[0] is None:
            assert self.tap.total == 0, "frames of red at blue's ports"


def repaired(lab, node, check, what):
    """check() must become true within REPAIR seconds; red keeps shouting.  Returns the time it took."""
    start = time.monotonic()
    with Watch(lab) as watch:

        def looked():
            watch.pulse()
            return check()

        wait_until(looked, REPAIR, what)
    return time.monotonic() - start


def filters(node, device):
    return {
        d: re.findall(r"\b(?:name|bpf|direct-action)\b.*", node.ns.tc("filter", "show", "dev", device, d))
        for d in ("ingress", "egress")
    }


@pytest.mark.parametrize(
    "device,direction", [("r1", "ingress"), ("r1", "egress"), ("up0", "ingress"), ("q1", "ingress")]
)
def test_a_deleted_filter_comes_back(lab, device, direction):
    node = lab.node("dc1")
    wanted = filters(node, device)
    assert wanted[direction], "there is a filter to delete"
    before = repairs(node)
    node.ns.tc("filter", "del", "dev", device, direction)
    took = repaired(lab, node, lambda: bool(filters(node, device)[direction]), f"the {direction} filter of {device}")
    print(f"{device} {direction}: {took * 1000:.0f} ms")
    assert works(lab) and repairs(node) > before


@pytest.mark.parametrize("device", ["r1", "up0"])
def test_a_deleted_qdisc_comes_back(lab, device):
    node = lab.node("dc1")
    node.ns.tc("qdisc", "del", "dev", device, "clsact")
    repaired(
        lab,
        node,
        lambda: all(filters(node, device)[d] for d in (("ingress", "egress") if device == "r1" else ("ingress",))),
        "the hooks",
    )
    assert works(lab)


def test_what_cannot_be_mended_is_said(lab):
    """Another qdisc where ours was: no filter of ours can go there, and nobody may be told that all is well."""
    node = lab.node("dc1")
    node.daemon.signal(signal.SIGSTOP)
    node.ns.tc("qdisc", "del", "dev", "r1", "clsact")
    node.ns.tc("qdisc", "add", "dev", "r1", "ingress")
    node.daemon.signal(signal.SIGCONT)
    wait_until(lambda: "cannot be mended" in node.isthmus("status", check=False).stdout, 3)
    port = next(p for p in node.get("ports") if p["name"] == "r1")
    assert port["state"] == "failed" and "tc qdisc del dev r1 ingress" in json.dumps(port)
    assert "port r1 is failed" in node.isthmus("status", check=False).stdout
    node.ns.tc("qdisc", "del", "dev", "r1", "ingress")
    node.wait_up()
    assert next(p for p in node.get("ports") if p["name"] == "r1")["state"] == "up"
    assert all(filters(node, "r1").values())


def test_a_foreign_program_in_our_place_is_replaced(lab):
    """Somebody puts a filter of theirs at our priority: ours comes back."""
    node = lab.node("dc1")
    text = node.ns.tc("filter", "show", "dev", "r1", "ingress")
    pref, handle = re.search(r"pref (\d+)", text)[1], re.search(r"handle (0x[0-9a-f]+)", text)[1]
    assert "port_ingress" in text
    pin = glob.glob(os.path.join(node.daemon.bpf_dir, "wire_ingress*"))[0]
    node.ns.tc(
        "filter",
        "replace",
        "dev",
        "r1",
        "ingress",
        "pref",
        pref,
        "handle",
        handle,
        "protocol",
        "all",
        "bpf",
        "da",
        "object-pinned",
        pin,
    )
    repaired(
        lab, node, lambda: "port_ingress" in node.ns.tc("filter", "show", "dev", "r1", "ingress"), "our own program"
    )
    assert works(lab)


def maps_of(node):
    return {
        os.path.basename(p).rsplit("_v", 1)[0]: p for p in glob.glob(os.path.join(node.daemon.bpf_dir, "*_v[0-9]*"))
    }


def dump(path):
    """[(key bytes, value bytes)] of a pinned map."""
    rows = json.loads(command([BPFTOOL, "-j", "map", "dump", "pinned", path]).stdout)
    raw = lambda v: tuple(int(x, 16) for x in v)  # noqa: E731
    return [(raw(r["key"]), raw(r["value"])) for r in rows if "value" in r]


def lookup(path, key):
    """One value; dumping a large array takes longer than the repair may."""
    p = command([BPFTOOL, "-j", "map", "lookup", "pinned", path, "key", *map(str, key)])
    return tuple(int(x, 16) for x in json.loads(p.stdout)["value"])


def delete(path, key):
    command([BPFTOOL, "map", "delete", "pinned", path, "key", *map(str, key)])


@pytest.mark.parametrize("name", ["ports", "macs", "hosts", "prefixes", "members", "floods"])
def test_deleted_map_entries_come_back(lab, name):
    node = lab.node("dc1")
    path = maps_of(node)[name]
    wanted = sorted(dump(path))
    assert wanted
    for key, _ in wanted:
        delete(path, key)
    took = repaired(lab, node, lambda: sorted(dump(path)) == wanted, f"all entries of {name}")
    print(f"{name}: {len(wanted)} entries in {took * 1000:.0f} ms")
    assert works(lab)


@pytest.mark.parametrize("name", ["macs", "hosts", "nexthops", "members"])
def test_changed_map_entries_are_set_right(lab, name):
    """Values overwritten, as a stray tool would: next hops of one entry given to another."""
    node = lab.node("dc1")
    path = maps_of(node)[name]
    wanted = sorted(dump(path))
    chosen = [row for row in wanted if any(row[1])]
    key, value = chosen[0]
    other = next(v for _, v in chosen if v != value) if len({v for _, v in chosen}) > 1 else tuple(b ^ 1 for b in value)
    command([BPFTOOL, "map", "update", "pinned", path, "key", *map(str, key), "value", *map(str, other)])
    repaired_in = time.monotonic()
    wait_until(lambda: lookup(path, key) == value, REPAIR, f"the entry of {name} set right")
    print(f"{name}: {(time.monotonic() - repaired_in) * 1000:.0f} ms")
    assert works(lab)


def test_strange_map_entries_are_removed(lab):
    """A member that nobody has configured opens a door: it must be shut again."""
    node = lab.node("dc1")
    path = maps_of(node)["members"]
    wanted = sorted(dump(path))
    key, value = wanted[0]
    intruder = tuple(key[:15]) + (key[15] ^ 0x55,) + tuple(key[16:])
    command([BPFTOOL, "map", "update", "pinned", path, "key", *map(str, intruder), "value", *map(str, value)])
    wait_until(lambda: sorted(dump(path)) == wanted, REPAIR, "the stranger removed")


def pins_of(node):
    """Without maps.debug and progs.debug, which the kernel puts into every BPF file system."""
    return sorted(p for p in glob.glob(os.path.join(node.daemon.bpf_dir, "*")) if not p.endswith(".debug"))


def test_removed_pins_come_back(lab):
    node = lab.node("dc1")
    pins = pins_of(node)
    assert pins
    for p in pins:
        os.unlink(p)
    repaired(lab, node, lambda: pins_of(node) == pins, "the pins")
    assert works(lab)
    node.daemon.restart()  # and they are the right ones: a restart adopts them
    assert works(lab)


def test_a_hundred_random_deletions(lab):
    """R6 at random, seeded: hooks and entries of both nodes; afterwards everything is as it was."""
    pick = random.Random(6)
    wanted = {
        n: {
            m: sorted(dump(p))
            for m, p in maps_of(n).items()
            if m in ("ports", "macs", "hosts", "members", "floods", "prefixes")
        }
        for n in lab.nodes.values()
    }
    with Watch(lab) as watch:
        for _ in range(100):
            node = pick.choice(list(lab.nodes.values()))
            if pick.random() < 0.5:
                device = pick.choice([d for d in ("r1", "b1", "q1", "r2", "b2", "q2", "up0") if node.ns.link(d)])
                subprocess.run(
                    ["tc", "-n", node.ns.full_name, "filter", "del", "dev", device, "ingress"], capture_output=True
                )
            else:
                name = pick.choice(list(wanted[node]))
                key, _ = pick.choice(wanted[node][name])
                subprocess.run(
                    [BPFTOOL, "map", "delete", "pinned", maps_of(node)[name], "key", *map(str, key)],
                    capture_output=True,
                )
            watch.pulse()
        for node, maps in wanted.items():
            for name, rows in maps.items():
                wait_until(
                    lambda node=node, name=name, rows=rows: sorted(dump(maps_of(node)[name])) == rows,
                    REPAIR,
                    f"{name} on {node.name}",
                )
    wait_until(lambda: works(lab), REPAIR)


SETTINGS = {
    "ipv6/conf/{}/disable_ipv6": (0, 1),
    "ipv4/conf/{}/rp_filter": (0, 1),
    "ipv4/conf/{}/forwarding": (1, 0),
    "ipv4/conf/{}/arp_ignore": (0, 8),
    "ipv4/conf/{}/proxy_arp": (1, 0),
    "ipv4/conf/{}/accept_local": (1, 0),
    "ipv4/conf/{}/route_localnet": (1, 0),
    "ipv4/conf/{}/accept_source_route": (1, 0),
    "ipv4/conf/{}/accept_redirects": (1, 0),
    "ipv4/conf/{}/send_redirects": (1, 0),
}


def test_opened_settings_of_a_port_are_closed_and_counted(lab):
    """What keeps the node's own stack from a workload, should our program be gone: each one, also those that the kernel
    tells nobody about.
    """
    node = lab.node("dc1")
    before = repairs(node)
    for device in ("r1", "q1"):
        for path, (wrong, _) in SETTINGS.items():
            node.ns.write_sysctl("net/" + path.format(device), wrong)

    def closed():
        return all(
            node.ns.read_sysctl("net/" + path.format(device)) == str(right)
            for device in ("r1", "q1")
            for path, (_, right) in SETTINGS.items()
        )

    wait_until(closed, REPAIR, "every setting as it should be")
    # One that was put right before the next was opened may have been opened again by it: never fewer than were wrong.
    wait_until(lambda: repairs(node) >= before + 2 * len(SETTINGS), REPAIR, "each counted")
    assert works(lab)


def test_applying_the_same_file_a_hundred_times_writes_nothing(lab):
    """F4: no step in any plan, the same programs, the same generation of every object, no repair, no bpf() write."""
    node = lab.node("dc1")
    text = lab.fabric.yaml()
    node.apply(text)
    before = repairs(node)
    trace = os.path.join(lab.run.directory, "writes")
    ids = node.ns.tc("filter", "show", "dev", "r1", "ingress"), node.ns.tc("filter", "show", "dev", "up0", "ingress")
    strace = start_strace(lab, node, trace)
    path = os.path.join(os.path.dirname(node.daemon.config), "same.yaml")
    with open(path, "w") as f:
        f.write(text)
    for _ in range(100):
        p = node.isthmus("apply", path, json_output=True)
        assert p["changed"] is False and p["steps"] == []
    assert ids == (
        node.ns.tc("filter", "show", "dev", "r1", "ingress"),
        node.ns.tc("filter", "show", "dev", "up0", "ingress"),
    )
    assert repairs(node) == before
    lab.run.end(strace)
    with open(trace) as f:
        calls = f.read().splitlines()
    assert any("BPF_" in c for c in calls) and any("RTM_GET" in c for c in calls), "the daemon was seen at work"
    assert [c for c in calls if WRITES.search(c)] == []


def start_strace(lab, node, trace):
    """strace of the daemon's bpf() and netlink calls; from its network namespace, or it takes no socket for netlink."""
    p = node.ns.spawn(
        *["strace", "-f", "-e", "trace=bpf,sendmsg,sendto", "-o", trace, "-p", str(node.daemon.process.pid)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: os.path.exists(trace), 5)
    return p
