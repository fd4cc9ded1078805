#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make bench: what a path through Isthmus costs beside those that a user would take instead, on this machine, now.

    make bench                                      every case on both wires, about ten minutes
    make bench CASE="isthmus-l2 kernel-vxlan"       some, and the plain path that they are compared with; patterns go
    make bench WIRE=cut RUNS=5 SECONDS=1 METRIC="tcp1 rtt"
    make bench CASE=size                            cost against the number of endpoints and networks (size.py)
    make bench CASE=routes                          routes by BGP, beside BIRD 2 and FRR (routes.py)
    make bench CASE=reach                           how long until a new endpoint is reachable everywhere (reach.py)

For each wire every rig is raised, then measured in rounds: one probe on each case in turn, then the next probe, so that
whatever else the machine does meets all of them.  A figure is the median of the rounds, the spread their least and
greatest.  Ends with the files named at the end; nothing else is left behind, also after Ctrl-C.
"""
import contextlib
import fnmatch
import os
import platform
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

import report  # noqa: E402
from case import CASES, RIGS, WIRES, raise_rig  # noqa: E402
from probe import PROBES, QUIET, check_run, idle_load, prove  # noqa: E402
from reach import Reach  # noqa: E402
from routes import Routes  # noqa: E402
from size import Size, numbers  # noqa: E402

from lab.run import handle_signals  # noqa: E402


def chosen(variable, names, default=None):
    """The names that an environment variable asks for, in the order of `names`; patterns as in a shell."""
    asked = os.environ.get(variable, "").replace(",", " ").split()
    for a in asked:
        if not fnmatch.filter(names, a):
            sys.exit(f"bench: {variable}={a}: no such name; there are: {' '.join(names)}")
    return [n for n in names if not asked or any(fnmatch.fnmatchcase(n, a) for a in asked)]


def number(variable, default):
    text = os.environ.get(variable) or str(default)
    if not text.isdigit() or int(text) < 1:
        sys.exit(f"bench: {variable}={text}: a whole number above 0 is needed")
    return int(text)


class Progress:
    """What is going on, on one line of a terminal that is written over; silent elsewhere."""

    def __init__(self):
        self.shown = sys.stderr.isatty()

    def __call__(self, text):
        if self.shown:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


class Bench:
    def __init__(self, cases, wires, probes, runs, seconds):
        self.cases, self.wires, self.probes, self.runs, self.seconds = cases, wires, probes, runs, seconds
        self.figures = {}  # (wire, case, metric) -> values of the rounds
        self.failures = {}  # (wire, case) -> why it does not run
        self.objections = {}  # (wire, case) -> why its wire was not what it should be
        self.idle = []
        self.say = Progress()

    def measure(self):
        for wire in self.wires:
            with contextlib.ExitStack() as stack:
                self._wire(stack, wire)
        self.say("")

    def _wire(self, stack, wire):
        rigs, why = {}, {}
        for name in RIGS:
            if any(c.rig == name for c in self.cases):
                self.say(f"{wire} wire: raising {name}")
                try:
                    rigs[name] = raise_rig(stack, name, wire)
                    rigs[name].sleep()
                except report.TROUBLE as e:
                    why[name] = " ".join(str(e).split()) or repr(e)
        for c in self.cases:
            if c.rig in why:
                self.failures[wire, c.name] = why[c.rig]
            else:
                self._attempt(wire, c, lambda c=c: self._prove(rigs[c.rig], wire, c))
        for round_ in range(self.runs):
            self.say(f"{wire} wire, round {round_ + 1} of {self.runs}: waiting for an idle machine")
            idle = idle_load()
            self.idle.append(idle)
            for probe in self.probes:
                # Another order in each round: nobody always follows the same neighbour.
                for c in self.cases[round_ % len(self.cases) :] + self.cases[: round_ % len(self.cases)]:
                    if (wire, c.name) not in self.failures:
                        self.say(f"{wire} wire, round {round_ + 1} of {self.runs}: {probe} {c.name}")
                        self._attempt(wire, c, lambda c=c, p=probe: self._run(rigs[c.rig], wire, c, p, idle))

    def _attempt(self, wire, case, what):
        try:
            what()
        except report.TROUBLE as e:
            self.failures[wire, case.name] = " ".join(str(e).split()) or repr(e)

    def _prove(self, rig, wire, case):
        with rig.awake():
            objection = prove(rig, wire, case.target(rig))
        if objection:
            self.objections[wire, case.name] = objection

    def _run(self, rig, wire, case, probe, idle):
        with rig.awake():
            got = PROBES[probe](rig, case.target(rig), self.seconds, idle)
        if objection := check_run(rig, wire, got):
            self.objections.setdefault((wire, case.name), objection)
        for metric, value in got.items():
            self.figures.setdefault((wire, case.name, metric), []).append(value)


def settings(bench):
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "kernel": platform.release(),
        "cpus": os.cpu_count(),
        "runs": bench.runs,
        "seconds": bench.seconds,
        "idle_cpus": round(sum(bench.idle) / max(len(bench.idle), 1), 3),
        "rounds_disturbed": sum(i > QUIET for i in bench.idle),
    }


def compare(bench):
    start = time.monotonic()
    bench.measure()
    return report.Report(bench, {**settings(bench), "took_s": round(time.monotonic() - start)})


def main():
    handle_signals()
    if os.geteuid() != 0:
        sys.exit("bench: network namespaces and BPF programs need root")
    names = [c.name for c in CASES]
    asked = chosen("CASE", [*names, "size", "routes", "reach"]) if os.environ.get("CASE") else names
    plain = {c.plain for c in CASES if c.name in asked}
    cases = [c for c in CASES if c.name in asked or c.name in plain]
    often = {"runs": number("RUNS", 7), "seconds": number("SECONDS", 1)}
    results = []
    if cases:
        results.append(compare(Bench(cases, chosen("WIRE", WIRES), chosen("METRIC", list(PROBES)), **often)))
    if "size" in asked:
        sizes = Size(numbers("ENDPOINTS", "10 10000 1000000"), numbers("NETWORKS", "1 100 4000"), Progress(), **often)
        sizes.measure()
        results.append(sizes)
    if "routes" in asked:
        routes = Routes(numbers("ROUTES", "10000 100000 1000000"), Progress(), number("RUNS", 3))
        routes.measure()
        results.append(routes)
    if "reach" in asked:
        reach = Reach(number("COUNT", 100), Progress())
        reach.measure()
        results.append(reach)
    for r in results:
        print("\n".join(r.lines()) + "\n\n" + r.markdown())
    for path in [p for r in results for p in r.write()]:
        print(path)
    return 0 if any(r.measured() for r in results) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
