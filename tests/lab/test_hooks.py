# SPDX-License-Identifier: Apache-2.0
"""Row R6: somebody takes our hooks away, a hundred times at random; each is back within a second, and no tenant sees
a packet of another meanwhile.

    r1 (red) b1 (blue) q1 (red, l3) -- dc1 -- wan -- aws1 -- r2 b2 q2        red and blue: the same addresses and MACs

All the while red and blue send 1,000 packets/s each that the other must not see.
"""
import glob
import json
import os
import random
import shutil
import statistics
import subprocess
import threading
import time

import pytest
from helpers import ping_all

from lab import packet
from lab.capture import RawPort
from lab.fabric import Fabric
from lab.room import Lab
from lab.run import PATIENCE, command, wait_until

ROUNDS, AT_ONCE = 25, 4
BOUND = 1.0
CANARY = {"red": b"canary-of-red", "blue": b"canary-of-blue"}
# What closes the host's side of a port, and a value that opens it.
SETTINGS = [
    ("ipv4", "forwarding", "1"),
    ("ipv4", "rp_filter", "0"),
    ("ipv4", "arp_ignore", "0"),
    ("ipv4", "proxy_arp", "1"),
    ("ipv4", "accept_local", "1"),
    ("ipv6", "disable_ipv6", "0"),
]


def make_fabric():
    fabric = Fabric()
    fabric.node("dc1", "dc")
    fabric.node("aws1", "aws")
    for tenant, vni in (("red", 5000), ("blue", 5100)):
        fabric.tenant(tenant, vni)
        fabric.network(
            f"{tenant}/web", vni=vni + 1, subnets=["10.0.1.0/24", "fd00:1::/64"], gateway=["10.0.1.1", "fd00:1::1"]
        )
        for n, (node, mac) in enumerate((("dc1", "02:00:00:00:00:aa"), ("aws1", "02:00:00:00:00:bb")), 1):
            addresses = [f"10.0.1.1{n}", f"fd00:1::1{n}"]
            fabric.port(f"{tenant[0]}{n}", node, f"{tenant}/web", addresses, mac=mac)
    fabric.network("red/app", "l3", subnets=["10.0.2.0/24", "fd00:2::/64"], gateway=["10.0.2.1", "fd00:2::1"])
    fabric.port("q1", "dc1", "red/app", ["10.0.2.11", "fd00:2::11"])
    fabric.port("q2", "aws1", "red/app", ["10.0.2.12", "fd00:2::12"])
    return fabric


@pytest.fixture(scope="module")
def lab():
    with Lab(make_fabric(), start=False) as lab:
        for node in lab.nodes.values():
            # A directory below a BPF file system, as /sys/fs/bpf/isthmus is: all of it can be removed.
            top = os.path.join(os.path.dirname(node.daemon.bpf_dir), "fs")
            os.makedirs(top)
            command(["mount", "-t", "bpf", "bpf", top])
            node.daemon.bpf_dir = os.path.join(top, "isthmus")
        lab.start()
        yield lab


@pytest.fixture(scope="module")
def accept(lab):
    """A filter of somebody else's that lets everything go on to the host's own stack."""
    source = os.path.join(lab.run.directory, "accept.c")
    with open(source, "w") as f:
        f.write('__attribute__((section("tc"))) int accept_all(void *skb) { return 0; }\nchar l[] '
                '__attribute__((section("license"))) = "GPL";\n')
    target = source[:-1] + "o"
    command(["clang", "-target", "bpf", "-O2", "-g", "-c", source, "-o", target])
    return target


def quotes_a_tunnel(frame):
    """Where the wire's hook is missing, the node's own stack answers a tunnel packet: nobody listens at that port."""
    p = packet.l3(frame)
    quoted = p and p[3] == 1 and p[4][:2] == b"\x03\x03" and packet.l3(frame[:12] + b"\x08\x00" + p[4][8:])
    return bool(quoted) and quoted[3] == 17 and quoted[4][2:4] == b"\x12\xb5"


class Probes:
    """Each tenant sends what the other must never see, from both nodes, at 1,000 packets/s each."""

    def __init__(self, lab):
        self.lab = lab
        self.sent = 0
        self._stop = threading.Event()
        self._frames = {}
        for tenant in ("red", "blue"):
            a, b = lab.host(f"{tenant[0]}1"), lab.host(f"{tenant[0]}2")
            c = CANARY[tenant]
            for x, y in ((a, b), (b, a)):
                self._frames[x] = [
                    packet.udp_frame(x.mac, y.mac, x.ip4, y.ip4, 1, 2, c),
                    packet.udp_frame(x.mac, y.mac, x.ip6, y.ip6, 1, 2, c),
                    packet.eth(packet.BROADCAST, x.mac, 0x88B5, c),
                    packet.udp_frame(x.mac, "02:69:73:74:68:6d", x.ip4, "10.0.2.12", 1, 2, c),
                    packet.arp_request(x.mac, x.ip4, "10.0.1.99", tail=c),
                ]
        # Not a workload's: what only the tunnel of the right VNI may carry, and what must not leave in the clear.
        vni = {"red": (5000, 5001), "blue": (5100, 5101)}

        def stray(f):
            for tenant, canary in CANARY.items():
                if canary in f.data:
                    inner = packet.inner_of(f.data)
                    return (not inner or inner[0] not in vni[tenant]) and not quotes_a_tunnel(f.data)
            return False

        self.taps = [
            lab.host_tap(["r1", "r2", "q1", "q2"], keep=lambda f: CANARY["blue"] in f.data),
            lab.host_tap(["b1", "b2"], keep=lambda f: CANARY["red"] in f.data),
            lab.wire_tap(keep=stray),
        ]
        self.arrived = lab.host_tap(["r2", "b2"], keep=lambda f: any(c in f.data for c in CANARY.values()), limit=0)

    def _send(self):
        ports = {host: RawPort(host.ns, host.interface) for host in self._frames}
        start, each = time.monotonic(), sum(map(len, self._frames.values()))
        try:
            while not self._stop.wait(0.005):
                while self.sent < (time.monotonic() - start) * 2000:
                    for host, frames in self._frames.items():
                        ports[host].send(*frames)
                    self.sent += each
        finally:
            for p in ports.values():
                p.close()

    def __enter__(self):
        for tap in (*self.taps, self.arrived):
            tap.__enter__()
        self._thread = threading.Thread(target=self._send)
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self._stop.set()
        self._thread.join()
        self.arrived.settle(0.05)
        for tap in (*self.taps, self.arrived):
            tap.__exit__(*exc)


# ---- one fault each: returns a function that says whether it is mended


def filters(node, device, side):
    """The names of the programs on one side, in the order in which packets meet them, and their handles."""
    shown = json.loads(node.ns.tc("-j", "filter", "show", "dev", device, side) or "[]")
    found = [f for f in shown if "handle" in f.get("options", {})]
    return [(f["options"].get("bpf_name", "?").split(":")[0], f["options"]["handle"]) for f in found]


def is_hooked(node, device):
    """Our program is on each side that it belongs to, and nobody before it.  (The wire belongs to others too.)"""
    if device == "up0":
        return "wire_ingress" in [name for name, _ in filters(node, device, "ingress")]
    return all(
        [name for name, _ in filters(node, device, side)][:1] == [f"port_{side}"] for side in ("ingress", "egress")
    )


def devices_of(node):
    n = "1" if node.name == "dc1" else "2"
    return [f"r{n}", f"b{n}", f"q{n}", "up0"]


def tc(node, *argv):
    """What somebody types; that there is nothing to delete any more is no error."""
    return subprocess.run(["tc", "-n", node.ns.full_name, *argv], capture_output=True, text=True).returncode == 0


def filter_deleted(lab, node, device, pick, accept):
    side = "ingress" if device == "up0" else pick.choice(["ingress", "egress"])
    tc(node, "filter", "del", "dev", device, side)
    return lambda: is_hooked(node, device)


def qdisc_deleted(lab, node, device, pick, accept):
    tc(node, "qdisc", "del", "dev", device, "clsact")
    return lambda: is_hooked(node, device)


def filter_replaced(lab, node, device, pick, accept):
    for name, handle in filters(node, device, "ingress"):
        if name in ("port_ingress", "wire_ingress"):
            where = ("pref", "2" if device == "up0" else "1", "handle", handle, "protocol", "all")
            tc(node, "filter", "replace", "dev", device, "ingress", *where, "bpf", "da", "obj", accept, "sec", "tc")
    return lambda: is_hooked(node, device)


def filter_before(lab, node, device, pick, accept):
    """On a port nobody is before us; what stands there is pushed back, and stays: it is not ours."""
    device = devices_of(node)[0] if device == "up0" else device
    where = ("dev", device, "ingress", "pref", "1", "handle", hex(pick.randrange(2, 1 << 16)), "protocol", "all", "bpf")
    tc(node, "filter", "add", *where, "da", "obj", accept, "sec", "tc")
    return lambda: is_hooked(node, device) and (tc(node, "filter", "del", *where) or True)


def xdp_off(lab, node, device, pick, accept):
    for word in ("xdp", "xdpgeneric", "xdpdrv"):
        command(["ip", "-n", node.ns.full_name, "link", "set", "dev", device, word, "off"], check=False)
    return lambda: is_hooked(node, device)


def pins_of(node):
    return {os.path.basename(p) for p in glob.glob(os.path.join(node.daemon.bpf_dir, "*"))}


WANTED_PINS = {}


def pin_removed(lab, node, device, pick, accept):
    for p in pick.sample(sorted(WANTED_PINS[node]), pick.randint(1, 5)):
        try:
            os.unlink(os.path.join(node.daemon.bpf_dir, p))
        except FileNotFoundError:
            pass
    return lambda: pins_of(node) == WANTED_PINS[node]


def directory_removed(lab, node, device, pick, accept):
    shutil.rmtree(node.daemon.bpf_dir, ignore_errors=True)
    return lambda: pins_of(node) == WANTED_PINS[node]


def setting_opened(lab, node, device, pick, accept):
    device = pick.choice(devices_of(node)[:3])
    family, key, value = pick.choice(SETTINGS)
    path = f"net/{family}/conf/{device}/{key}"
    node.ns.write_sysctl(path, value)
    return lambda: node.ns.read_sysctl(path) != value


def interface_recreated(lab, node, device, pick, accept):
    port = devices_of(node)[2]
    if node.ns.link(port):
        lab.unplug(port)
    lab.plug(port)
    return lambda: is_hooked(node, port) and node.ns.read_sysctl(f"net/ipv6/conf/{port}/disable_ipv6") == "1"


FAULTS = [
    filter_deleted,
    qdisc_deleted,
    filter_replaced,
    filter_before,
    xdp_off,
    pin_removed,
    directory_removed,
    setting_opened,
    interface_recreated,
]


def waited_for_a_processor(nodes):
    """Seconds in all that the daemons stood ready while others ran (proc(5): schedstat)."""
    total = 0
    for node in nodes:
        with open(f"/proc/{node.daemon.process.pid}/schedstat") as f:
            total += int(f.read().split()[1])
    return total / 1e9


def times_until_mended(lab, broken, timeout=20.0):
    """fault -> seconds.  What a look at it took above 0.1 s, or the daemons had to wait for a processor, is not theirs:
    the machine did other things.
    """
    start, waited = time.monotonic(), waited_for_a_processor(lab.nodes.values())
    stood, took, open_ = 0.0, {}, dict(broken)

    def look():
        nonlocal stood
        for what, mended in list(open_.items()):
            asked = time.monotonic()
            is_mended = mended()
            now = time.monotonic()
            stood += max(0.0, now - asked - 0.1)
            if is_mended:
                excuse = max(stood, waited_for_a_processor(lab.nodes.values()) - waited)
                took[what] = max(0.0, now - start - excuse)
                del open_[what]
        return not open_

    wait_until(look, timeout, f"mended: {', '.join(str(w) for w in broken)}")
    return took


def works(lab):
    pairs = ("r1", "10.0.1.12"), ("b1", "fd00:1::12"), ("q1", "10.0.2.12")
    return ping_all([(lab.host(a), b) for a, b in pairs]) == []


@pytest.mark.parametrize("fault", FAULTS, ids=[f.__name__ for f in FAULTS])
def test_each_is_mended(lab, accept, fault):
    """One at a time, so that each is known to be seen by what the test of a hundred looks at."""
    node, pick = lab.node("dc1"), random.Random(fault.__name__)
    WANTED_PINS.setdefault(node, pins_of(node))
    took = []
    while not took or (took[-1] > BOUND * PATIENCE and len(took) < 3):  # a disk that stands still holds the log up
        mended = fault(lab, node, "r1", pick, accept)
        took.append(times_until_mended(lab, {fault.__name__: mended})[fault.__name__])
    print(f"{fault.__name__}: {' '.join(f'{t * 1000:.0f}' for t in took)} ms")
    assert took[-1] <= BOUND * PATIENCE
    wait_until(lambda: works(lab), 3)


def test_a_hundred_at_random(lab, accept, record_property):
    pick = random.Random(6)
    for node in lab.nodes.values():
        WANTED_PINS[node] = pins_of(node)
        assert all(is_hooked(node, d) for d in devices_of(node))
    times = []
    with Probes(lab) as probes:
        wait_until(lambda: probes.arrived.total > 100, 3, "probes that arrive where they may")
        for _ in range(ROUNDS):
            broken = {}
            while len(broken) < AT_ONCE:
                fault, node = pick.choice(FAULTS), pick.choice(list(lab.nodes.values()))
                device = pick.choice(devices_of(node))
                if (fault.__name__, node.name) not in broken:
                    broken[fault.__name__, node.name] = fault(lab, node, device, pick, accept)
            times += [(t, *what) for what, t in times_until_mended(lab, broken).items()]
        wait_until(lambda: works(lab), 3)
    times.sort()
    median, late, worst = statistics.median(t for t, *_ in times), times[int(len(times) * 0.95)][0], times[-1]
    record_property("faults", len(times))
    record_property("median ms", round(median * 1000))
    record_property("worst ms", round(worst[0] * 1000))
    print(
        f"{len(times)} faults mended: median {median * 1000:.0f} ms, 95 % within {late * 1000:.0f} ms, "
        f"worst {worst[0] * 1000:.0f} ms ({worst[1]}); {probes.sent} probes"
    )
    for tap in probes.taps:
        assert [(f.place, f.data[:64]) for f in tap.frames] == [], "packets where another tenant's must not be"
        assert tap.lost == 0
    # All were mended, or this was not reached.  The last of them are those that the machine itself held up.
    assert len(times) == ROUNDS * AT_ONCE and late <= BOUND * PATIENCE, times[-10:]
    for node in lab.nodes.values():
        assert all(is_hooked(node, d) for d in devices_of(node)) and pins_of(node) == WANTED_PINS[node]
