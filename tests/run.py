#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the tiers of the test suite and ends with one line, `N passed, N failed`.

run.py [TIER ...]   default: every tier, in the order below

A tier is a function that returns a list of (name, passed, output).  cmocka programs and pytest runs count each test of
theirs; a program that reports nothing counts as one.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("ISTHMUS_BUILD", os.path.join(ROOT, "build"))
PYTHON = "/usr/bin/python3"
FUZZ_SECONDS = int(os.environ.get("FUZZ_SECONDS", "10"))


def run(argv, timeout=600, env=None, cwd=ROOT):
    """Exit status and output; a program that does not end is killed with its group and fails."""
    with tempfile.TemporaryFile("w+", errors="replace") as out:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=cwd,
                                   env={**os.environ, **(env or {})}, start_new_session=True)
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
            status = f"no end after {timeout} s"
        out.seek(0)
        return status, out.read()


def program(name, argv, env=None, timeout=300):
    """One test program; cmocka's TAP lines count singly."""
    status, output = run(argv, timeout, {"CMOCKA_MESSAGE_OUTPUT": "TAP", **(env or {})})
    rows = [(f"{name}: {m[2].strip()}", m[1] is None, output)
            for m in re.finditer(r"^(not )?ok \d+ -? ?(.*)$", output, re.M)]
    if not rows:
        return [(name, status == 0, output)]
    if status != 0 and all(ok for _, ok, _ in rows):
        rows.append((f"{name}: ended with {status}", False, output))
    return rows


def meson_suite(suite):
    tests = json.loads(subprocess.check_output(["meson", "introspect", BUILD, "--tests"], text=True))
    rows = []
    for test in tests:
        if any(s.split(":")[-1] == suite for s in test["suite"]):
            rows += program(test["name"], test["cmd"], test.get("env"), max(test["timeout"], 180))
    return rows


def pytest(folder, timeout=600):
    with tempfile.TemporaryDirectory() as scratch:
        report = os.path.join(scratch, "report.xml")
        status, output = run([PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml", report, folder],
                             timeout, {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": ROOT})
        rows = []
        if os.path.exists(report):
            for case in ElementTree.parse(report).iter("testcase"):
                bad = case.find("failure") is not None or case.find("error") is not None
                name = f"{case.get('classname')}: {case.get('name')}"
                if case.find("skipped") is not None:
                    name, bad = name + " was skipped: " + (case.find("skipped").get("message") or ""), True
                text = "".join((e.text or "") for e in case if e.tag in ("failure", "error"))
                rows.append((name, not bad, text))
        if status != 0 and all(ok for _, ok, _ in rows):
            rows.append((f"{folder}: pytest ended with {status}", False, output))
        return rows


def fuzz_tier():
    """Builds the libFuzzer targets with clang and runs each for a moment over its corpus."""
    build = BUILD + "-fuzz"
    if not os.path.exists(os.path.join(build, "build.ninja")):
        status, output = run(["meson", "setup", build, ROOT, "-Dfuzzing=true", "-Db_sanitize=address,undefined",
                              "-Db_lundef=false"], env={"CC": "clang"})
        if status != 0:
            return [("fuzz: set-up", False, output)]
    targets = [t for t in json.loads(subprocess.check_output(["meson", "introspect", build, "--targets"], text=True))
               if t["name"].startswith("fuzz_")]
    status, output = run(["ninja", "-C", build] + [t["name"] if "/" in t["name"] else
                                                   os.path.relpath(t["filename"][0], build) for t in targets])
    if status != 0:
        return [("fuzz: build", False, output)]
    rows = []
    for target in targets:
        name = target["name"]
        corpus = os.path.join(ROOT, "tests", "fuzz", "corpus", name.removeprefix("fuzz_"))
        dictionary = corpus + ".dict"
        with tempfile.TemporaryDirectory() as scratch:
            argv = [target["filename"][0], f"-max_total_time={FUZZ_SECONDS}", "-rss_limit_mb=2048", "-timeout=10",
                    f"-artifact_prefix={scratch}/", scratch, corpus]
            if os.path.exists(dictionary):
                argv.append(f"-dict={dictionary}")
            status, output = run(argv, FUZZ_SECONDS + 120)
        rows.append((name, status == 0, output))
    return rows or [("fuzz: no target found", False, "")]


def kernel_tier():
    """Debian 12's own kernel, in a guest."""
    sys.path.insert(0, os.path.join(ROOT, "tests", "kernel"))
    import guest

    return guest.rows()


TIERS = {
    "tree": lambda: pytest("tests/tree"),
    "unit": lambda: meson_suite("unit"),
    "bpf": lambda: meson_suite("bpf"),
    "conf": lambda: pytest("tests/conf"),
    "cli": lambda: pytest("tests/cli"),
    "lab": lambda: pytest("tests/lab", 900),
    "fuzz": fuzz_tier,
    "kernel": kernel_tier,
}


def main():
    chosen = sys.argv[1:] or list(TIERS)
    unknown = [t for t in chosen if t not in TIERS]
    if unknown:
        sys.exit(f"run.py: no tier named {unknown[0]}; there are: {' '.join(TIERS)}")
    if os.geteuid() != 0:
        sys.exit("run.py: the tests make network namespaces and load BPF programs: run as root")
    passed = failed = 0
    for tier in chosen:
        start = time.monotonic()
        rows = TIERS[tier]() or [(f"{tier}: ran no test", False, "")]
        good = sum(ok for _, ok, _ in rows)
        passed += good
        failed += len(rows) - good
        print(f"{tier:6} {good:5} passed {len(rows) - good:3} failed {time.monotonic() - start:6.1f} s", flush=True)
        shown = set()
        for name, ok, output in rows:
            if not ok:
                print(f"  FAILED {name}", flush=True)
                if output and output not in shown:
                    shown.add(output)
                    print("    " + "\n    ".join(output.strip().splitlines()[-40:]), flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
