# SPDX-License-Identifier: Apache-2.0
"""/metrics: both formats, a bounded number of series, and an alert or a reason against one for everything."""
import json
import pathlib
import re
import subprocess
import time

import yaml

from test_api import request

ROOT = pathlib.Path(__file__).resolve().parents[2]
OPEN = {"Accept": "application/openmetrics-text; version=1.0.0"}


def scrape(cli, headers=None):
    status, reply, body = request(cli, "GET", "/metrics", headers=headers)
    assert status == 200
    return reply["Content-Type"], body


def open_metrics(text):
    """A strict reader of what we use of OpenMetrics 1.0: {family: (type, unit, {sample: value})}."""
    families, name = {}, None
    lines = text.split("\n")
    assert lines[-1] == "" and lines[-2] == "# EOF"
    for line in lines[:-2]:
        meta = re.fullmatch(r"# (HELP|TYPE|UNIT) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)", line)
        if meta:
            kind, name, rest = meta.groups()
            family = families.setdefault(name, {"samples": {}})
            assert kind not in family and not family["samples"], f"{line}: metadata comes once and first"
            assert list(families)[-1] == name, f"{line}: families are not interleaved"
            family[kind] = rest
            continue
        sample = re.fullmatch(
            r'([a-z_]+)(\{(?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)+\})? (-?[0-9.]+(?:e[+-]?[0-9]+)?)', line
        )
        assert sample, line
        suffix = {"counter": "_total", "info": "_info", "gauge": ""}[families[name]["TYPE"]]
        assert sample[1] == name + suffix, line
        assert sample[1] + (sample[2] or "") not in families[name]["samples"], f"{line}: twice"
        families[name]["samples"][sample[1] + (sample[2] or "")] = float(sample[3])
    for name, family in families.items():
        assert family["HELP"] and family["TYPE"] and family["samples"], name
        if "UNIT" in family:
            assert name.endswith("_" + family["UNIT"])
    return families


def test_prometheus_text_is_clean(cli):
    kind, text = scrape(cli)
    assert kind.startswith("text/plain; version=0.0.4") and text.endswith("# EOF\n")
    p = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True)
    assert (p.returncode, p.stdout, p.stderr) == (0, "", "")


def test_openmetrics_is_well_formed(cli):
    kind, text = scrape(cli, OPEN)
    assert kind.startswith("application/openmetrics-text; version=1.0.0")
    families = open_metrics(text)
    assert families["isthmus_drops"]["TYPE"] == "counter"
    assert families["isthmus_build"]["TYPE"] == "info"


def test_both_formats_say_the_same(cli):
    _, plain = scrape(cli)
    _, opened = scrape(cli, OPEN)

    def names(text):
        return {line.rsplit(" ", 1)[0] for line in text.splitlines() if not line.startswith("#")}

    assert names(plain) == names(opened)


def test_values_are_those_of_the_commands(cli):
    def sample(name):
        return float(re.search(rf"^{re.escape(name)} (\S+)$", scrape(cli)[1], re.M)[1])

    assert sample('isthmus_ports{state="up"}') == 2 and sample('isthmus_ports{state="remote"}') == 1
    assert sample("isthmus_degraded") == 0
    assert sample("isthmus_config_generation") == json.loads(cli.ok("status", "-o", "json"))["generation"]
    before = sample('isthmus_drops_total{reason="no_host"}')
    cli.lab.host("app1").ping("10.0.2.98", check=False)
    assert sample('isthmus_drops_total{reason="no_host"}') > before
    assert (
        abs(
            sample("process_start_time_seconds")
            + float(cli.shell("isthmus status -o json | sed -n 's/.*uptimeSeconds\": \\([0-9]*\\).*/\\1/p'").stdout)
            - time.time()
        )
        < 3
    )
    assert 1 << 20 < sample("process_resident_memory_bytes") < 1 << 30
    assert 5 < sample("process_open_fds") < 200


def test_series_are_bounded_and_a_scrape_is_quick(cli):
    count = len([line for line in scrape(cli)[1].splitlines() if not line.startswith("#")])
    series = [line for line in scrape(cli)[1].splitlines() if not line.startswith("#")]
    neighbors = {m[1] for line in series if (m := re.search(r'neighbor="([^"]+)"', line))}
    assert len(neighbors) == len(cli.lab.nodes) - 1
    for n in neighbors:
        assert len([line for line in series if f'neighbor="{n}"' in line]) <= 20
    assert count < 200 + 20 * len(neighbors)
    best = 1
    for _ in range(10):
        start = time.monotonic()
        scrape(cli)
        best = min(best, time.monotonic() - start)
    assert best < 0.02
    for i in range(30):
        cli.lab.host("app1").ping(f"10.0.2.{100 + i}", check=False, timeout=0.2) if i % 10 == 0 else None
    assert len([line for line in scrape(cli)[1].splitlines() if not line.startswith("#")]) == count


def drop_reasons():
    text = (ROOT / "src" / "bpf" / "abi.h").read_text()
    table = text[text.index("#define ABI_DROP_REASONS") : text.index("enum drop_reason")]
    return [r for r in re.findall(r'X\([A-Z_0-9]+, "([a-z_0-9]+)"', table) if r != "none"]


def rules():
    groups = yaml.safe_load((ROOT / "doc" / "alerts" / "isthmus.rules.yaml").read_text())["groups"]
    return {r["alert"]: r for g in groups for r in g["rules"]}


def test_every_drop_reason_has_a_series_a_line_and_an_alert_or_none(cli):
    page = (ROOT / "doc" / "alerts.md").read_text()
    lines = dict(re.findall(r"^\| `([a-z_0-9]+)` \|.*\| ([A-Za-z ]+) \|$", page.split("## Reasons to drop")[1], re.M))
    exposed = re.findall(r'isthmus_drops_total\{reason="([a-z_0-9]+)"\}', scrape(cli)[1])
    assert list(lines) == exposed == drop_reasons()
    for reason, alert in lines.items():
        if alert != "no alert":
            assert reason in rules()[alert]["expr"], reason


def test_every_metric_has_a_line_and_every_alert_one_too(cli):
    page = (ROOT / "doc" / "alerts.md").read_text()
    text = scrape(cli)[1]
    names = set(re.findall(r"^# TYPE (\S+)", text, re.M))
    assert names <= set(re.findall(r"`([a-z_]+)`", page))
    for name, rule in rules().items():
        assert name in page
        used = set(re.findall(r"\b(?:isthmus|process)_[a-z_]+", rule["expr"]))
        assert used <= names, f"{name} uses {used - names}"
        assert (
            rule["annotations"]["summary"]
            and rule["annotations"]["next"]
            and rule["labels"]["severity"] in ("warning", "critical")
        )


def test_rules_fire_on_what_they_are_for():
    tested = yaml.safe_load((ROOT / "doc" / "alerts" / "isthmus.test.yaml").read_text())["tests"]
    assert {t["name"] for t in tested} == set(rules())
    for argv in (["check", "rules", "isthmus.rules.yaml"], ["test", "rules", "isthmus.test.yaml"]):
        p = subprocess.run(["promtool", *argv], cwd=ROOT / "doc" / "alerts", text=True, capture_output=True)
        assert p.returncode == 0, p.stdout + p.stderr
