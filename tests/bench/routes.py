# SPDX-License-Identifier: Apache-2.0
"""make bench CASE=routes: what it costs to hear 10,000, 100,000 and 1,000,000 routes, beside BIRD 2 and FRR.

    receiver (left) ==== veth, TCP port 179 ==== right: bench-feed, a speaker of the same AS that sends the same to each

IPv4 unicast goes to all, EVPN MAC/IP to those that have it: BIRD 2 of Debian 12 does not.  Nobody puts a route into the
kernel, and nobody has another neighbor: bgpd runs with --no_kernel, BIRD without a kernel protocol.  Isthmus twice for
EVPN: "isthmus" has the networks and no port in them, so routes are kept; "isthmus, in scope" has a port in each, so every
route is imported and written into the pinned maps that packets are forwarded by.

A receiver has converged when all was sent and it does no more than keep house: measured are the time from the first byte,
its CPU seconds, and what it holds more than before, resident and (isthmusd) in maps.  ROUTES says other numbers.
"""
import contextlib
import json
import os
import select
import statistics
import time

import report
from size import cpu_of, pinned_memory, resident

from lab.fabric import Fabric
from lab.frr import Frr
from lab.node import build_directory
from lab.peer import KernelPeer
from lab.room import Lab
from lab.run import LabError, wait_until

AS = 65000
PATIENCE = 400  # seconds
LOOK, STILL, SHARE = 0.05, 1.0, 0.5  # looks every so often; still: for so long it wants less than this share of a CPU
FIRST_VNI, NETWORKS = 10000, 10  # as in generator.c
HOPS = "10.200.0.0/13"
# metric: (unit, digits)
FIGURES = {
    "time": ("s", 2),
    "cpu": ("s", 2),
    "cpu_route": ("us", 2),
    "memory": ("MB", 1),
    "memory_route": ("B", 0),
    "maps_route": ("B", 0),
}


def demand(process):
    """Seconds that all threads of a process have run or wanted to."""
    total = 0
    for task in os.listdir(f"/proc/{process.pid}/task"):
        with open(f"/proc/{process.pid}/task/{task}/schedstat") as f:
            total += sum(map(int, f.read().split()[:2]))
    return total / 1e9


class Feed:
    """bench-feed in the right machine."""

    def __init__(self, machine, family, routes):
        program = os.path.join(build_directory(), "tests", "bench", "bench-feed")
        argv = [program, machine.underlay[0], machine.underlay[0], family, str(routes)]
        self.process = machine.ns.spawn(*argv, stdin=-1, stdout=-1, text=True)
        self.sent = False
        self.wait("listening")

    def wait(self, word):
        line = self.process.stdout.readline().strip()
        if line != word:
            raise LabError(f"bench-feed said {line!r}, not {word!r}")

    def has_sent(self):
        if not self.sent and select.select([self.process.stdout], [], [], 0)[0]:
            self.wait("sent")
            self.sent = True
        return self.sent

    def go(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()


class Isthmus:
    families = ("ipv4-unicast", "l2vpn-evpn")
    foreign = False

    def __init__(self, lab, in_scope):
        self.node = lab.node("left")
        config = {"as": AS, "reflectors": [lab.peers["right"].underlay[0]]}
        self.node.daemon.write_config(lab.fabric.own_yaml("left", alone=True, bgp=config))
        self.node.daemon.start()
        self.process = self.node.daemon.process

    def known(self, family):
        return sum(n["prefixesReceived"] for n in self.node.isthmus("bgp", "summary", json_output=True)["items"])

    def maps(self):
        return pinned_memory(self.node.daemon.bpf_dir)


class FrrReceiver:
    families = ("ipv4-unicast", "l2vpn-evpn")
    foreign = True

    def __init__(self, lab, in_scope):
        left, right = lab.peers["left"], lab.peers["right"].underlay[0]
        self.frr = Frr(lab.run, left.ns, "frr", ("--no_kernel",))
        families = "".join(
            f" address-family {f}\n  neighbor {right} activate\n exit-address-family\n" for f in ("ipv4 unicast", "l2vpn evpn")
        )
        self.frr.start(
            f"router bgp {AS}\n bgp router-id {left.underlay[0]}\n no bgp default ipv4-unicast\n"
            f" neighbor {right} remote-as {AS}\n neighbor {right} timers connect 1\n{families}"
        )
        self.process = self.frr.processes["bgpd"]
        self.right = right

    def known(self, family):
        command = {"ipv4-unicast": "show bgp ipv4 unicast summary", "l2vpn-evpn": "show bgp l2vpn evpn summary"}[family]
        return self.frr.json(command)["peers"][self.right]["pfxRcd"]


class Bird:
    families = ("ipv4-unicast",)
    foreign = True

    def __init__(self, lab, in_scope):
        left, right = lab.peers["left"], lab.peers["right"].underlay[0]
        directory = lab.run.directory
        path, self.control, self.ns = f"{directory}/bird.conf", f"{directory}/bird.ctl", left.ns
        with open(path, "w") as f:
            f.write(
                f"router id {left.underlay[0]};\nprotocol device {{}}\n"
                f'protocol static {{ ipv4; route {HOPS} via "up0"; }}\n'
                f"protocol bgp feed {{ local {left.underlay[0]} as {AS}; neighbor {right} as {AS}; connect delay time 1;\n"
                "  ipv4 { import all; export none; }; }\n"
            )
        self.process = left.ns.spawn("bird", "-f", "-c", path, "-s", self.control, stdout=-3, stderr=-3)
        wait_until(lambda: os.path.exists(self.control), 10, "BIRD")

    def known(self, family):
        said = self.ns.command("birdc", "-s", self.control, "show", "route", "count", "protocol", "feed").stdout
        return int(said.split("\n")[1].split()[0])


RECEIVERS = {
    "isthmus": (Isthmus, False),
    "isthmus, in scope": (Isthmus, True),
    "BIRD 2": (Bird, False),
    "FRR": (FrrReceiver, False),
}
PEER = {"ipv4-unicast": "BIRD 2", "l2vpn-evpn": "FRR"}


def room(foreign, in_scope):
    f = Fabric()
    f.node("left", "dc", foreign=foreign)
    f.node("right", "aws", foreign=True)
    for n in range(NETWORKS):
        f.tenant(f"t{n}", 5000 + n)
        f.network(f"t{n}/n", vni=FIRST_VNI + n, subnets=["10.0.0.0/8"])
        if in_scope:
            f.port(f"p{n}", "left", f"t{n}/n")
    kinds = {"left": KernelPeer, "right": KernelPeer} if foreign else {"right": KernelPeer}
    return Lab(f, kinds, cable=True, start=False, hosts=False)


def links(ns):
    ns.ip("".join(f"link add p{n} type veth peer name p{n + 1}\nlink set p{n} up\nlink set p{n + 1} up\n" for n in range(0, NETWORKS, 2)))


def measure(name, family, routes):
    kind, in_scope = RECEIVERS[name]
    with room(kind.foreign, in_scope) as lab:
        left, right = lab.machines()["left"], lab.peers["right"]
        left.ns.ip(f"link set lo up\nroute add {HOPS} via {right.underlay[0]} dev up0 onlink")
        if in_scope:
            links(left.ns)
        feed = Feed(right, family, routes)
        receiver = kind(lab, in_scope)
        feed.wait("up")
        converge(receiver.process, time.monotonic())
        before = cpu_of(receiver.process)
        time.sleep(STILL)  # for as long as converge() goes on looking
        housekeeping = cpu_of(receiver.process) - before
        memory, maps = resident(receiver.process), receiver.maps() if hasattr(receiver, "maps") else 0
        start, cpu = time.monotonic(), cpu_of(receiver.process)
        feed.go()
        took, spent = converge(receiver.process, start, feed)
        figures = {"time": took, "cpu": spent - cpu - housekeeping, "memory": (resident(receiver.process) - memory) / 1e6}
        known = receiver.known(family)
        if known != routes:
            raise LabError(f"{name} knows {known} of {routes} routes")
        if in_scope:
            figures["maps_route"] = (receiver.maps() - maps) / routes
        figures["cpu_route"] = figures["cpu"] / routes * 1e6
        figures["memory_route"] = figures["memory"] * 1e6 / routes
        return figures


def converge(process, start, feed=None):
    """Seconds since start until all was sent and the process wants no more CPU than its housekeeping, and what CPU seconds
    it has had a moment later.
    """
    looks = []
    while time.monotonic() < start + PATIENCE:
        now = time.monotonic()
        looks.append((now, cpu_of(process), demand(process)))
        while now - looks[0][0] > STILL + LOOK:
            looks.pop(0)
        if feed and not feed.has_sent():
            looks = looks[-1:]
        elif now - looks[0][0] >= STILL and looks[-1][2] - looks[0][2] < SHARE * STILL:
            return max(looks[0][0] - start, LOOK), looks[-1][1]
        time.sleep(LOOK)
    raise LabError(f"still busy after {PATIENCE} s")


class Routes:
    def __init__(self, numbers, say, runs):
        self.numbers, self.say, self.runs = sorted(numbers), say, runs
        self.figures = {}  # (family, routes, receiver, metric) -> values
        self.failures = {("l2vpn-evpn", "BIRD 2"): "has no EVPN (2.0.12 of Debian 12)"}
        self.took = 0

    def cases(self):
        for family in PEER:
            for routes in self.numbers:
                for name, (kind, in_scope) in RECEIVERS.items():
                    if family in kind.families and (family == "l2vpn-evpn" or not in_scope):
                        yield family, routes, name

    def measure(self):
        start = time.monotonic()
        for round_ in range(self.runs):
            for family, routes, name in self.cases():
                self.say(f"routes: round {round_ + 1} of {self.runs}: {routes:,} of {family} to {name}")
                try:
                    for metric, value in measure(name, family, routes).items():
                        self.figures.setdefault((family, routes, name, metric), []).append(value)
                except report.TROUBLE as e:
                    self.failures[family, f"{name}, {routes:,}"] = " ".join(str(e).split()) or repr(e)
        self.took = time.monotonic() - start
        self.say("")

    # ---- what came of it

    def measured(self):
        return bool(self.figures)

    def median(self, *key):
        values = self.figures.get(key)
        return statistics.median(values) if values else None

    def ratio(self, family, routes, name, metric):
        a, b = self.median(family, routes, name, metric), self.median(family, routes, PEER[family], metric)
        return a / b if a is not None and b else None

    def growth(self, family, name, metric):
        """What a route costs of the most, beside what one costs of the fewest."""
        first, last = (self.median(family, n, name, metric) for n in (self.numbers[0], self.numbers[-1]))
        return last / first if first and last else None

    def rows(self):
        for family, routes, name in self.cases():
            for metric in FIGURES:
                if (family, routes, name, metric) in self.figures:
                    values = self.figures[family, routes, name, metric]
                    yield family, routes, name, metric, statistics.median(values), values

    def lines(self):
        for family, routes, name, metric, value, values in self.rows():
            unit, digits = FIGURES[metric]
            ratio = self.ratio(family, routes, name, metric)
            yield (
                f"routes {family:<12} {routes:>9,} {name:<17} {metric:<12} {value:>9.{digits}f} {unit:<3}"
                f" {'-' if ratio is None else f'{ratio:.3f}':>7}  ({min(values):.{digits}f}-{max(values):.{digits}f})"
            )
        for (family, name), why in self.failures.items():
            yield f"routes {family:<12} {name}: cannot run: {why}"

    def markdown(self):
        text = (
            "### Routes by BGP\n\n"
            f"Medians of {self.runs} interleaved runs; {self.took:.0f} s in all.  In brackets the ratio to "
            f"{' and '.join(f'{p} ({f})' for f, p in PEER.items())}.\n"
        )
        for family in PEER:
            rows = []
            for f, routes, name in self.cases():
                if f == family:
                    rows.append([f"{routes:,}", name, *(self._cell(family, routes, name, m) for m in FIGURES)])
            head = ["routes", "receiver", *(f"{m} {u}" for m, (u, _) in FIGURES.items())]
            text += f"\n#### {family}\n\n" + report.markdown(head, rows)
        failures = [f"- {family}, {name}: {why}" for (family, name), why in self.failures.items()]
        return text + "\n" + "\n".join([*failures, *self._growths()]) + "\n"

    def _cell(self, *key):
        value, ratio = self.median(*key), self.ratio(*key)
        if value is None:
            return ""
        text = f"{value:.{FIGURES[key[3]][1]}f}"
        return text + (f" (**{ratio:.2f}**)" if ratio is not None and key[2] != PEER[key[0]] else "")

    def _growths(self):
        for family in PEER:
            for name in RECEIVERS:
                found = {m: self.growth(family, name, m) for m in ("cpu_route", "memory_route")}
                if len(self.numbers) > 1 and all(found.values()):
                    yield (
                        f"- {family}, {name}: a route of {self.numbers[-1]:,} costs {found['cpu_route']:.2f} times the CPU and "
                        f"{found['memory_route']:.2f} times the memory of one of {self.numbers[0]:,}"
                    )

    def write(self):
        paths = [os.path.join(report.directory(), n) for n in ("routes.md", "routes.json")]
        with open(paths[0], "w") as f:
            f.write(self.markdown())
        figures = [
            {
                "family": family,
                "routes": routes,
                "receiver": name,
                "metric": metric,
                "unit": FIGURES[metric][0],
                "median": value,
                "values": values,
                "ratio_to_peer": self.ratio(family, routes, name, metric),
            }
            for family, routes, name, metric, value, values in self.rows()
        ]
        remarks = [{"family": f, "receiver": n, "cannot_run": why} for (f, n), why in self.failures.items()]
        with open(paths[1], "w") as f:
            json.dump({"runs": self.runs, "figures": figures, "remarks": remarks}, f, indent=1)
        with contextlib.suppress(ImportError):
            paths.append(self.chart())
        return paths

    def chart(self):
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        figure, axes = pyplot.subplots(2, 2, figsize=(11, 8), squeeze=False)
        for column, family in enumerate(PEER):
            for row, metric in enumerate(("cpu_route", "memory_route")):
                axis = axes[row][column]
                for name in RECEIVERS:
                    points = [(n, self.median(family, n, name, metric)) for n in self.numbers]
                    points = [p for p in points if p[1] is not None]
                    if points:
                        axis.plot(*zip(*points), marker="o", label=name)
                axis.set(xscale="log", yscale="log", title=f"{family}: {metric}, {FIGURES[metric][0]}", xlabel="routes")
                axis.grid(alpha=0.3)
                axis.legend(fontsize=8)
        figure.tight_layout()
        path = os.path.join(report.directory(), "routes.png")
        figure.savefig(path, dpi=110)
        pyplot.close(figure)
        return path
