# SPDX-License-Identifier: Apache-2.0
"""make bench CASE=size: does a packet, or one endpoint more, cost more in a larger fabric?

    a ---- left ==== the wire ==== right ---- b        both nodes know: a, b, E - 2 other endpoints behind a third node,
             |                       |                 and N networks, each with a port on either node (a node has
        N - 1 ports             N - 1 ports            nothing of a network that it has no port in)

One l2 network with 10, 10,000 and 1,000,000 endpoints, and 10,000 endpoints in 1, 100 and 4,000 networks: ENDPOINTS and
NETWORKS say others.  All stand at the same time and are measured in turn on the whole wire; only the daemons of the one
that is measured run (the others are stopped by SIGSTOP), so that each pays for its own housekeeping and no other's.
"""
import contextlib
import json
import os
import signal
import statistics
import sys
import time

import report
from case import fabric, pair, Rig
from probe import METRICS, PROBES, program

from lab.run import LabError, command, wait_until

FLAT = 0.10
ADDITIONS, IDLE_SECONDS, LOAD_PATIENCE = 9, 4, 180
USUAL_MIB = 8  # of a configuration that is read without being told that it is a large one
PROBED = ("tcp1", "udp64", "rtt", "spread")
# metric: (unit, digits, must be flat)
FIGURES = {
    "tcp1": ("Gbit/s", 2, True),
    "udp64": ("kpps", 1, True),
    "udp64_loss": ("%", 3, False),
    "rtt_p50": ("us", 1, True),
    "rtt_p99": ("us", 1, True),
    "spread": ("kpps", 1, True),
    "spread_loss": ("%", 3, False),
    "add": ("ms", 2, True),
    "add_cpu": ("ms", 2, True),
    "apply": ("s", 2, False),
    "apply_cpu": ("s", 2, False),
    "load": ("s", 2, False),
    "load_cpu": ("s", 2, False),
    "idle_cpu": ("%", 2, False),
    "maps": ("MB", 2, False),
    "rss": ("MB", 2, False),
}


def cpu_of(process):
    """CPU seconds that all threads of a process have had."""
    total = 0
    for task in os.listdir(f"/proc/{process.pid}/task"):
        with open(f"/proc/{process.pid}/task/{task}/schedstat") as f:
            total += int(f.read().split()[0])
    return total / 1e9


def resident(process):
    with open(f"/proc/{process.pid}/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmRSS:"))


def pinned_memory(directory):
    """Bytes that the kernel charges for the maps that are pinned below a directory."""
    total = 0
    for name in os.listdir(directory):
        p = command(["bpftool", "-j", "map", "show", "pinned", os.path.join(directory, name)], check=False)
        if p.returncode == 0:
            total += int(json.loads(p.stdout).get("bytes_memlock", 0))
    return total


def mac_text(serial):
    return "02:01:" + ":".join(f"{serial >> s & 255:02x}" for s in (24, 16, 8, 0))


class SizeRig(Rig):
    def __init__(self, stack, endpoints, networks):
        self.name, self.endpoints, self.networks = f"{endpoints:,} in {networks:,}", endpoints, networks
        if endpoints < 2 * networks or networks > 4096:
            raise LabError("a network has two endpoints at least, and there are at most 4,096 networks")
        self.bits = max(networks - 1, 1).bit_length() if networks > 1 else 0
        text = self._text()
        lab = pair(stack, "whole", self.fabric)
        for node in lab.nodes.values():
            self._ports(node.ns)
            # The third node is nobody: what is sent to it ends at the right node.
            node.ns.ip("route add 198.18.1.13 dev up0")
            node.daemon.write_config(text)
            node.daemon.options = self._allow(len(text))
        far_mac = lab.uplink_mac("right")
        lab.node("left").ns.ip(f"neigh add 198.18.1.13 lladdr {far_mac} dev up0 nud permanent")
        self.figures = self._load(lab.node("left"))
        lab.node("right").daemon.start(wait=False)
        lab.node("right").daemon.wait_ready(LOAD_PATIENCE)
        for node in lab.nodes.values():
            node.wait_up(LOAD_PATIENCE)
        super().__init__(lab, 1500)
        self.daemons = [n.daemon.process for n in lab.nodes.values()]
        wait_until(lambda: self.a.ping(self.b.ip4, check=False, timeout=1), 10, f"{self.name}: b answers")

    def _address(self, network, n):
        """The n-th address of a network: they share 10.0.0.0/8 evenly."""
        value = (10 << 24) + (network << (24 - self.bits)) + n
        return ".".join(str(value >> s & 255) for s in (24, 16, 8, 0))

    def _port(self, name, node, network, n, serial, interface=""):
        return (
            f'  {name}: {{node: {node}, {interface}network: red/n{network}, mac: "{mac_text(serial)}", '
            f'addresses: "{self._address(network, n)}"}}\n'
        )

    def _text(self):
        """The file.  Nearly all of it are ports of the same form, so they are written as text."""
        f = self.fabric = fabric(foreign=False)
        f.node("far", "dc", foreign=True)
        f.config["tenants"]["red"]["networks"] = {}
        for n in range(self.networks):
            f.network(f"red/n{n}", "l2", vni=10000 + n, subnets=[f"{self._address(n, 0)}/{8 + self.bits}"])
        for i, port in enumerate(("a", "b")):
            f.config["ports"][port].update(network="red/n0", addresses=[self._address(0, 11 + i)])
        serial, parts = 0, [f.yaml()]
        for n in range(1, self.networks):
            for i, node in enumerate(("left", "right")):
                parts.append(self._port(f"{node}{n}", node, n, 11 + i, serial := serial + 1, f"interface: p{n}, "))
        far, self.first_far = self.endpoints - 2 * self.networks, serial + 1
        for i in range(far):
            parts.append(
                self._port(f"far{i}", "far", i % self.networks, 256 + i // self.networks, serial := serial + 1)
            )
        self.one_more = self._port("more", "far", 0, 200, serial + 1)
        return "".join(parts)

    def _allow(self, size):
        """What lets the daemon, and the command line in our environment, read a file of this size."""
        mib = 3 * (size >> 20)  # the number of values is limited with it, and there is little text to a value here
        if mib <= USUAL_MIB:
            return []
        os.environ["ISTHMUS_MAX_CONFIG"] = str(max(mib, int(os.environ.get("ISTHMUS_MAX_CONFIG", 0))))
        return ["--max-config", str(mib)]

    def spread(self, seconds):
        """Packets to every endpoint of the third node in the network of a and b, in no order; what reaches the wire."""
        count = len(range(0, self.endpoints - 2 * self.networks, self.networks))
        if not count:
            return {}
        first = mac_text(self.first_far), self.networks, self._address(0, 256), count
        before, _ = self.wire_counters()
        got = program("bench-spread", self.a.ns.path, "eth0", seconds, self.a.mac, self.a.ip4, *first)
        arrived = self.wire_counters()[0] - before
        return {
            "spread": arrived / got["seconds"] / 1e3,
            "spread_loss": max(0.0, 100 * (1 - arrived / max(got["sent"], 1))),
        }

    def _ports(self, ns):
        ns.write_sysctl("net/ipv6/conf/default/disable_ipv6", 1)
        # Both ends of a veth are ports: half as many devices.
        pairs = [("more", "more-peer"), *((f"p{n}", f"p{n + 1}") for n in range(1, self.networks, 2))]
        ns.ip("".join(f"link add {x} type veth peer name {y}\nlink set {x} up\nlink set {y} up\n" for x, y in pairs))

    def _load(self, node):
        """From the start of the daemon until it is ready: everything read, resolved, and in the kernel."""
        start = time.monotonic()
        node.daemon.start(wait=False)
        node.daemon.wait_ready(LOAD_PATIENCE)
        took, cpu = time.monotonic() - start, cpu_of(node.daemon.process)
        node.wait_up(LOAD_PATIENCE)
        known = node.isthmus("status", json_output=True)["endpoints"]
        if known < self.endpoints:
            raise LabError(f"{self.name}: the node knows {known} endpoints")
        return {"load": [took], "load_cpu": [cpu]}

    def note(self, **figures):
        for metric, value in figures.items():
            self.figures.setdefault(metric, []).append(value)

    def measure_daemon(self):
        node = self.lab.node("left")
        process = node.daemon.process
        before, start = cpu_of(process), time.monotonic()
        time.sleep(IDLE_SECONDS)
        self.note(idle_cpu=100 * (cpu_of(process) - before) / (time.monotonic() - start))
        self.note(maps=pinned_memory(node.daemon.bpf_dir) / 1e6, rss=resident(process) / 1e6)
        line = "port add more -i more --network red/n0 -m 02:01:ff:ff:ff:ff -a".split() + [self._address(0, 201)]
        for i in range(ADDITIONS + 1):
            before, start = cpu_of(process), time.monotonic()
            node.isthmus(*line)
            took, cpu = time.monotonic() - start, cpu_of(process) - before
            node.isthmus("port", "del", "more", "--yes")
            if i:  # the first may have to prepare what all others use
                self.note(add=took * 1e3, add_cpu=cpu * 1e3)

    def measure_apply(self):
        """The whole file once more, with one endpoint more: what a change costs that comes as a file."""
        node = self.lab.node("left")
        with open(node.daemon.config) as f:
            text = f.read() + self.one_more
        before, start = cpu_of(node.daemon.process), time.monotonic()
        path = node.daemon.config + ".more"
        with open(path, "w") as f:
            f.write(text)
        node.isthmus("apply", path, timeout=LOAD_PATIENCE)
        self.note(apply=time.monotonic() - start, apply_cpu=cpu_of(node.daemon.process) - before)


class Size:
    def __init__(self, endpoints, networks, say, runs, seconds):
        self.few, self.middle = networks[0], sorted(endpoints)[len(endpoints) // 2]
        self.sizes = [(e, self.few) for e in endpoints] + [(self.middle, n) for n in networks[1:]]
        self.say, self.runs, self.seconds = say, runs, seconds
        self.rigs, self.failures = [], {}

    def measure(self):
        with contextlib.ExitStack() as stack:
            for e, n in self.sizes:
                self.say(f"size: raising {e:,} endpoints in {n:,} networks")
                self._attempt(f"{e:,} in {n:,}", lambda e=e, n=n: self._raise(stack, e, n))
            for rig in self.rigs:
                self.say(f"size: {rig.name}: daemon")
                with rig.awake():
                    self._attempt(rig.name, rig.measure_daemon)
            for round_ in range(self.runs):
                for probe in PROBED:
                    first = round_ % max(len(self.rigs), 1)
                    for rig in self.rigs[first:] + self.rigs[:first]:
                        self.say(f"size: round {round_ + 1} of {self.runs}: {probe} {rig.name}")
                        with rig.awake():
                            self._attempt(rig.name, lambda p=probe, r=rig: self._run(r, p))
            for rig in self.rigs:
                self.say(f"size: {rig.name}: one endpoint more, by the file")
                with rig.awake():
                    self._attempt(rig.name, rig.measure_apply)
            for rig in self.rigs:  # they end when they are told to
                for p in rig.daemons:
                    p.send_signal(signal.SIGCONT)
        self.say("")

    def _raise(self, stack, endpoints, networks):
        with contextlib.ExitStack() as own:
            rig = SizeRig(own, endpoints, networks)
            stack.push(own.pop_all())
        rig.sleep()
        self.rigs.append(rig)

    def _attempt(self, name, what):
        try:
            what()
        except report.TROUBLE as e:
            self.failures[name] = " ".join(str(e).split()) or repr(e)

    def _run(self, rig, probe):
        got = rig.spread(self.seconds) if probe == "spread" else PROBES[probe](rig, rig.b.ip4, self.seconds, 0)
        rig.note(**{k: v for k, v in got.items() if k in FIGURES})

    # ---- what came of it

    def measured(self):
        return bool(self.rigs)

    def _median(self, rig, metric):
        return statistics.median(rig.figures[metric]) if rig.figures.get(metric) else None

    def rows(self):
        """(rig, metric, median, values, ratio to the smallest, flat or None where it need not be)"""
        for rig in self.rigs:
            for metric, (_, _, flat) in FIGURES.items():
                value, first = self._median(rig, metric), self._median(self.rigs[0], metric)
                if value is None:
                    continue
                ratio = value / first if first else None
                better = metric == "spread" or metric in METRICS and METRICS[metric][2]
                good = ratio is None or (ratio >= 1 - FLAT if better else ratio <= 1 + FLAT)
                yield rig, metric, value, rig.figures[metric], ratio, good if flat else None

    def slope(self, metric, along):
        """Bytes for one endpoint or network more: between the smallest and the largest that differ in nothing else."""
        fixed, value = {"endpoints": ("networks", self.few), "networks": ("endpoints", self.middle)}[along]
        group = [r for r in self.rigs if metric in r.figures and getattr(r, fixed) == value]
        if len(group) < 2:
            return None
        low, high = (pick(group, key=lambda r: getattr(r, along)) for pick in (min, max))
        rise = self._median(high, metric) - self._median(low, metric)
        return rise * 1e6 / (getattr(high, along) - getattr(low, along))

    def slopes(self):
        for along in ("endpoints", "networks"):
            for metric, what in (("maps", "kernel maps"), ("rss", "daemon")):
                value = self.slope(metric, along)
                if value is not None:
                    yield along[:-1], what, value

    def lines(self):
        for rig, metric, value, values, ratio, flat in self.rows():
            unit, digits, _ = FIGURES[metric]
            verdict = {None: "", True: " flat", False: " NOT FLAT"}[flat]
            yield (
                f"size {rig.name:<18} {metric:<11} {value:>9.{digits}f} {unit:<7} "
                f"{'-' if ratio is None else f'{ratio:.3f}':>7}  ({min(values):.{digits}f}-{max(values):.{digits}f})"
                + verdict
            )
        for along, what, value in self.slopes():
            yield f"size memory of one {along} more, {what}: {value:.0f} bytes"
        for name, why in self.failures.items():
            yield f"size {name}: cannot run: {why}"

    def markdown(self):
        metrics = [m for m in FIGURES if any(m in r.figures for r in self.rigs)]
        found = {(rig, metric): row for rig, metric, *row in self.rows()}
        rows = []
        for rig in self.rigs:
            cells = [f"{rig.endpoints:,}", f"{rig.networks:,}"]
            for m in metrics:
                value, _, ratio, flat = found.get((rig, m), (None, None, None, None))
                shown = "" if value is None else f"{value:.{FIGURES[m][1]}f}"
                if ratio is not None and FIGURES[m][2]:
                    shown += f" ({ratio:.2f})" if flat else f" (**{ratio:.2f}**)"
                cells.append(shown)
            rows.append([*cells, self.failures.get(rig.name, "")])
        raised = {rig.name for rig in self.rigs}
        for e, n in self.sizes:
            if f"{e:,} in {n:,}" not in raised:
                rows.append(
                    [f"{e:,}", f"{n:,}", *[""] * len(metrics), f"cannot run: {self.failures[f'{e:,} in {n:,}']}"]
                )
        head = ["endpoints", "networks", *(f"{m} {FIGURES[m][0]}" for m in metrics), "remark"]
        text = (
            f"### Cost against size\n\nMedians of {self.runs} interleaved runs on the whole wire.  In brackets the "
            f"ratio to the smallest; bold where it is worse by more than {FLAT:.0%}.\n\n" + report.markdown(head, rows)
        )
        lines = [f"- one {along} more, {what}: {value:.0f} bytes" for along, what, value in self.slopes()]
        return text + "\n" + "\n".join(lines) + "\n"

    def write(self):
        directory = report.directory()
        paths = [os.path.join(directory, n) for n in ("size.md", "size.json")]
        with open(paths[0], "w") as f:
            f.write(self.markdown())
        with open(paths[1], "w") as f:
            figures = [
                {
                    "endpoints": rig.endpoints,
                    "networks": rig.networks,
                    "metric": metric,
                    "unit": FIGURES[metric][0],
                    "median": value,
                    "values": values,
                    "ratio_to_smallest": ratio,
                    "flat": flat,
                }
                for rig, metric, value, values, ratio, flat in self.rows()
            ]
            memory = [{"of": a, "in": w, "bytes": round(v)} for a, w, v in self.slopes()]
            json.dump({"figures": figures, "memory": memory, "remarks": self.failures}, f, indent=1)
        return paths


def numbers(variable, default):
    text = os.environ.get(variable) or default
    values = text.replace(",", " ").split()
    if not values or not all(v.isdigit() and int(v) > 0 for v in values):
        sys.exit(f"bench: {variable}={text}: whole numbers are needed")
    return [int(v) for v in values]
