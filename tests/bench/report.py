# SPDX-License-Identifier: Apache-2.0
"""What `make bench` found, as lines, a table, JSON and charts; and whether the targets were met."""
import json
import os
import statistics
import subprocess

from probe import METRICS, QUIET

from lab.node import build_directory
from lab.run import LabError

# What keeps one case from being measured and says nothing about the others.
TROUBLE = (LabError, OSError, KeyError, ValueError, subprocess.SubprocessError)
SHOWN = [m for m in METRICS if not m.endswith("_frame")]
CHARTS = {
    "throughput": (("tcp1", "1 TCP stream"), ("tcp4", "4 TCP streams")),
    "cpu": (("tcp1_cpu", "1 TCP stream"), ("tcp4_cpu", "4 TCP streams")),
    "packets": (("udp64", "64-byte UDP"),),
    "round-trip": (("rtt_p50", "p50"), ("rtt_p99", "p99")),
}
# (case, metric, beside which case, bound on the whole wire, bound on the cut wire), None: none; whether it is a floor or a
# ceiling the metric says.
TARGETS = [
    ("isthmus-l2", "tcp1", "kernel-vxlan", 1.35, 1.25),
    ("isthmus-l2", "tcp1", "plain-bridge", 1.0, 1.0),
    ("isthmus-l2", "tcp1_cpu", "plain-bridge", 1.0, 1.05),
    ("isthmus-l3", "tcp1", "kernel-vxlan", 1.35, 1.25),
    ("native", "tcp1", "plain-route", 1.0, 1.0),
    ("native", "udp64", "plain-route", 1.0, 1.0),
    ("native", "rtt_p50", "plain-route", 1.0, 1.0),
    *(
        (f"isthmus-{mode}", metric, other, bound, bound)
        for mode in ("l2", "l3")
        for metric, other, bound in (
            ("udp64", "kernel-vxlan", 1.6),
            ("udp64", "plain-bridge", 1.0),
            ("rtt_p50", "plain-bridge", 1.0),
            ("rtt_p99", "kernel-vxlan", 1.0),
        )
    ),
    *(
        (f"isthmus-{mode}-{where}6", metric, f"isthmus-{mode}", bound, bound)
        for mode in ("l2", "l3")
        for where in ("inside", "underlay")
        for metric, bound in (("tcp1", 0.95), ("udp64", 0.95), ("rtt_p50", 1.05))
    ),
    ("isthmus-aes", "tcp1", "kernel-vxlan", None, 1.0),
    ("isthmus-aes", "tcp4", "kernel-vxlan", None, 1.0),
    ("isthmus-aes", "tcp1_cpu", "kernel-vxlan", None, 1.0),
    ("isthmus-aes", "tcp1", "wireguard-go", None, 10),
    ("isthmus-aes", "tcp1", "openvpn", None, 8),
    ("isthmus-aes", "rtt_p50", "isthmus-l2", 1.6, 1.6),
    ("isthmus-aes", "udp64", "wireguard-go", 2, 2),
    ("tunnel-chacha", "tcp1", "tunnel-aes", None, 0.75),
]


def directory():
    """Where results go."""
    path = os.path.join(build_directory(), "bench")
    os.makedirs(path, exist_ok=True)
    return path


def markdown(head, rows):
    return "\n".join("| " + " | ".join(r) + " |" for r in (head, ["---"] * len(head), *rows)) + "\n"


class Report:
    def __init__(self, bench, settings):
        self.bench, self.settings = bench, settings
        self.directory = directory()

    def measured(self):
        return bool(self.bench.figures)

    def median(self, wire, case, metric):
        values = self.bench.figures.get((wire, case, metric))
        return statistics.median(values) if values else None

    def ratio(self, wire, case, metric, other):
        a, b = self.median(wire, case, metric), self.median(wire, other, metric)
        return a / b if a is not None and b else None

    def spread(self, wire, case, metric, other):
        """The ratio in each round by itself: least and greatest."""
        pairs = zip(self.bench.figures[wire, case, metric], self.bench.figures[wire, other, metric])
        ratios = [a / b for a, b in pairs if b]
        return min(ratios), max(ratios)

    def each(self, metrics):
        for wire in self.bench.wires:
            for c in self.bench.cases:
                for m in metrics:
                    if (wire, c.name, m) in self.bench.figures:
                        yield wire, c, m

    def lines(self):
        """One a figure: case, wire, metric, value, unit, ratio to the plain path, spread."""
        for wire, c, m in self.each(METRICS):
            unit, digits, _ = METRICS[m]
            values = self.bench.figures[wire, c.name, m]
            ratio = self.ratio(wire, c.name, m, c.plain)
            yield (
                f"{c.name:<21} {wire:<5} {m:<16} {statistics.median(values):>9.{digits}f} {unit:<8} "
                f"{'-' if ratio is None else f'{ratio:.3f}':>6}  ({min(values):.{digits}f}-{max(values):.{digits}f})"
            )
        for (wire, case), why in self.bench.failures.items():
            yield f"{case:<21} {wire:<5} cannot run: {why}"
        for (wire, case), why in self.bench.objections.items():
            yield f"{case:<21} {wire:<5} not what it should be: {why}"

    def markdown(self):
        s = self.settings
        text = (
            f"{s['date']}, Linux {s['kernel']}, {s['cpus']} CPUs; medians of {s['runs']} interleaved runs "
            f"(least-greatest), TCP {s['seconds']} s, {s['idle_cpus']} CPUs busy when idle (taken off); "
            f"{s['took_s']} s in all.\n" + self._warning()
        )
        metrics = [m for m in SHOWN if any(k[2] == m for k in self.bench.figures)]
        for wire in self.bench.wires:
            rows = []
            for c in self.bench.cases:
                cells = [self._cell(wire, c, m) for m in metrics]
                rows.append([c.name, *cells, self._remark(wire, c.name)])
            head = ["case", *(f"{m} {METRICS[m][0]}" for m in metrics), "remark"]
            text += f"\n### The {wire} wire\n\nIn brackets the spread, then the ratio to the plain path.\n\n"
            text += markdown(head, rows)
        return text + self._targets()

    def _warning(self):
        n = self.settings["rounds_disturbed"]
        if not n:
            return ""
        return (
            f"\n**Something else kept more than {QUIET} CPUs busy before {n} of {len(self.bench.idle)} rounds: "
            "do not trust these figures.**\n"
        )

    def _cell(self, wire, c, metric):
        values = self.bench.figures.get((wire, c.name, metric))
        if not values:
            return ""
        digits, ratio = METRICS[metric][1], self.ratio(wire, c.name, metric, c.plain)
        text = f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"
        return text + (f" **{ratio:.2f}**" if ratio is not None and c.name != c.plain else "")

    def _remark(self, wire, case):
        failure, objection = self.bench.failures.get((wire, case)), self.bench.objections.get((wire, case))
        return f"cannot run: {failure}" if failure else f"not what it should be: {objection}" if objection else ""

    def judge(self, wire, case, metric, other, bound):
        """(ratio, least and greatest of the rounds, met) or None when one of the two was not measured."""
        ratio = self.ratio(wire, case, metric, other)
        if ratio is None:
            return None
        met = ratio >= bound if METRICS[metric][2] else ratio <= bound
        return ratio, self.spread(wire, case, metric, other), met and not self._remark(wire, case)

    def targets(self):
        for case, metric, other, *bounds in TARGETS:
            found = {w: b and self.judge(w, case, metric, other, b) for w, b in zip(("whole", "cut"), bounds)}
            if any(found.values()):
                yield case, metric, other, dict(zip(("whole", "cut"), bounds)), found

    def _targets(self):
        rows = []
        for case, metric, other, bounds, found in self.targets():
            row = [f"{case} {metric}", other]
            for wire in ("whole", "cut"):
                f = found[wire]
                sign = "at least" if METRICS[metric][2] else "at most"
                row += [f"{sign} {bounds[wire]:g}" if bounds[wire] else ""]
                row += [f"{f[0]:.3f} ({f[1][0]:.2f}-{f[1][1]:.2f}) {'met' if f[2] else '**missed**'}" if f else ""]
            rows.append(row)
        if not rows:
            return ""
        head = ["figure", "beside", "whole: target", "measured", "cut: target", "measured"]
        return "\n### Targets\n\nRatio of the medians; in brackets the ratios within single rounds.\n\n" + markdown(
            head, rows
        )

    def json(self):
        figures = [
            {
                "case": c.name,
                "wire": wire,
                "metric": m,
                "unit": METRICS[m][0],
                "median": self.median(wire, c.name, m),
                "values": self.bench.figures[wire, c.name, m],
                "ratio_to_plain": self.ratio(wire, c.name, m, c.plain),
            }
            for wire, c, m in self.each(METRICS)
        ]
        targets = [
            {"case": case, "metric": metric, "beside": other, "wire": w, "bound": bounds[w], "ratio": f[0], "met": f[2]}
            for case, metric, other, bounds, found in self.targets()
            for w, f in found.items()
            if f
        ]
        remarks = [
            {"case": case, "wire": wire, kind: why}
            for kind, table in (("cannot_run", self.bench.failures), ("objection", self.bench.objections))
            for (wire, case), why in table.items()
        ]
        return {"settings": self.settings, "figures": figures, "targets": targets, "remarks": remarks}

    def write(self):
        """Returns the paths of the files written."""
        paths = [os.path.join(self.directory, n) for n in ("bench.md", "bench.json")]
        with open(paths[0], "w") as f:
            f.write(self.markdown())
        with open(paths[1], "w") as f:
            json.dump(self.json(), f, indent=1)
        return paths + self.charts()

    def charts(self):
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        paths = []
        for name, series in CHARTS.items():
            series = [s for s in series if any(k[2] == s[0] for k in self.bench.figures)]
            if not series:
                continue
            wires = self.bench.wires
            figure, axes = pyplot.subplots(1, len(wires), figsize=(5.5 * len(wires), 4.2), squeeze=False, sharey=True)
            for axis, wire in zip(axes[0], wires):
                self._bars(axis, wire, series)
                axis.set_title(f"{wire} wire")
                if name == "cpu":
                    axis.set_xscale("log")  # Open vSwitch takes twenty times what the others do
            axes[0][0].invert_yaxis()  # shared: the first case on top of all
            handles = [pyplot.Rectangle((0, 0), 1, 1, color=f"C{i}") for i in range(len(series))]
            figure.legend(handles, [label for _, label in series], fontsize=8, loc="upper right")
            figure.suptitle(f"{name}, {METRICS[series[0][0]][0]}: medians and spread")
            figure.tight_layout()
            paths.append(os.path.join(self.directory, name + ".png"))
            figure.savefig(paths[-1], dpi=110)
            pyplot.close(figure)
        return paths

    def _bars(self, axis, wire, series):
        names = [c.name for c in self.bench.cases]
        height = 0.8 / len(series)
        for i, (metric, _) in enumerate(series):
            for y, name in enumerate(names):
                values = self.bench.figures.get((wire, name, metric))
                if values:
                    m = statistics.median(values)
                    axis.barh(
                        y + (i - (len(series) - 1) / 2) * height,
                        m,
                        height,
                        xerr=[[m - min(values)], [max(values) - m]],
                        color=f"C{i}",
                        capsize=2,
                    )
        axis.set_yticks(range(len(names)), names, fontsize=8)
        axis.grid(axis="x", alpha=0.3)
