#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the tiers of the test suite and ends with one line, `N passed, N failed`.

run.py [--sanitized] [TIER ...]   default: every tier but deb

--sanitized: the build is one with ASan and UBSan; whatever they wrote to its reports/ during a tier fails the tier.

A tier is a list of jobs; a job is a function that returns a list of (name, passed, output).  cmocka programs and pytest
runs count each test of theirs; a program that reports nothing counts as one.  Tests wait more than they work, so jobs go
side by side: WORKERS take them in turn, and beside those goes what measures nothing (POLITE), at low priority.
"""
import collections
import concurrent.futures
import contextlib
import functools
import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import xml.etree.ElementTree as ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("ISTHMUS_BUILD", os.path.join(ROOT, "build"))
PYTHON = "/usr/bin/python3"
KERNEL = os.path.join("tests", "kernel")
REPORTS = os.path.join(BUILD, "reports")
SLOWER = 4  # sanitized programs are that much
FUZZ_SECONDS = int(os.environ.get("FUZZ_SECONDS", "8"))  # each target
FUZZ_WORKERS = 3
WORKERS = 2


def be_polite(pid, niceness):
    """Where the kernel shares time between sessions first (sched_autogroup_enabled), a process's niceness counts only in its own."""
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/autogroup", "w") as f:
            f.write(str(niceness))


def run(argv, timeout=600, env=None, cwd=ROOT):
    """Exit status and output; a program that does not end is killed with its group and fails."""
    timeout *= float(os.environ.get("LAB_PATIENCE", "1"))
    with tempfile.TemporaryFile("w+", errors="replace") as out:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=cwd,
                                   env={**os.environ, **(env or {})}, start_new_session=True)
        be_polite(process.pid, os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
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
    """A job for each program."""
    tests = json.loads(subprocess.check_output(["meson", "introspect", BUILD, "--tests"], text=True))
    return [functools.partial(program, test["name"], test["cmd"], test.get("env"), max(test["timeout"], 180))
            for test in tests if any(s.split(":")[-1] == suite for s in test["suite"])]


def pytest_files(folder, first, without):
    """A job for each file but one; `first`: those that take longest, so that none of them is alone at the end."""
    names = sorted(glob.glob(os.path.join(ROOT, folder, "test_*.py")))
    names.sort(key=lambda n: not re.fullmatch(f"test_({first}).py", os.path.basename(n)))
    return [functools.partial(pytest, os.path.relpath(n, ROOT)) for n in names if not n.endswith(f"/test_{without}.py")]


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


def fuzz_one(target):
    """One target for a moment over its corpus; what it finds is kept beside the build."""
    name = os.path.basename(target)
    corpus = os.path.join(ROOT, "tests", "fuzz", "corpus", name.removeprefix("fuzz_"))
    with tempfile.TemporaryDirectory() as scratch:
        argv = [target, f"-max_total_time={FUZZ_SECONDS}", "-rss_limit_mb=2048", "-timeout=10", "-print_final_stats=1",
                f"-artifact_prefix={os.path.dirname(target)}/", scratch, corpus]
        if os.path.exists(corpus + ".dict"):
            argv.append(f"-dict={corpus}.dict")
        status, output = run(argv, FUZZ_SECONDS + 120, {"LLVM_PROFILE_FILE": "/dev/null"}, cwd=scratch)
    runs = re.search(r"number_of_executed_units: (\d+)", output)
    return f"{name}: {runs[1] if runs else 'no'} inputs", status == 0, output


def coverage_rows(targets):
    """How much of each decoder the corpora run: one row per file."""
    sys.path.insert(0, os.path.join(ROOT, "tests", "fuzz"))
    import coverage

    try:
        rows, _ = coverage.measure(targets)
    except (RuntimeError, subprocess.SubprocessError) as e:
        return [("coverage: replay of the corpora", False, str(e))]
    return [(f"coverage: {name} {coverage.percent(n, ran):.1f} %", coverage.percent(n, ran) >= coverage.BOUND,
             f"at least {coverage.BOUND} % is wanted") for name, n, ran in rows]


def fuzz_tier():
    """Builds the libFuzzer targets with clang, replays the corpora, then runs the targets, each for its time by the clock."""
    build = BUILD + "-fuzz"
    if not os.path.exists(os.path.join(build, "build.ninja")):
        status, output = run(["meson", "setup", build, ROOT, "-Dfuzzing=true", "-Db_sanitize=address,undefined",
                              "-Db_lundef=false"], env={"CC": "clang"})
        if status != 0:
            return [("fuzz: set-up", False, output)]
    targets = sorted(t["filename"][0] for t in
                     json.loads(subprocess.check_output(["meson", "introspect", build, "--targets"], text=True))
                     if t["name"].startswith("fuzz_"))
    status, output = run(["ninja", "-C", build] + [os.path.relpath(t, build) for t in targets])
    if status != 0 or not targets:
        return [("fuzz: build", False, output)]
    with concurrent.futures.ThreadPoolExecutor(FUZZ_WORKERS) as pool:
        return coverage_rows(targets) + list(pool.map(fuzz_one, targets))


def kernel_tier():
    """Debian 12's own kernel, in a guest: all programs are loaded, and a lab runs.  `make test-kernel` does more."""
    with tempfile.TemporaryDirectory() as scratch:
        report = os.path.join(scratch, "report.json")
        status, output = run([PYTHON, os.path.join(KERNEL, "guest.py"), "--report", report, os.path.join(KERNEL, "test_lab.py")], 900)
        rows = []
        if os.path.exists(report):
            with open(report) as f:
                rows = [tuple(row) for row in json.load(f)]
        if status != 0 and all(ok for _, ok, _ in rows):
            rows.append((f"6.1: guest.py ended with {status}", False, output))
        return rows


def with_lines(report):
    """The report, with file and line behind places like (/path/isthmusd+0x1234): in its sandbox a daemon cannot look."""
    def line(m):
        p = subprocess.run(["addr2line", "-spfe", m[1], m[2]], capture_output=True, text=True)
        return f"{m[0]} {p.stdout.strip()}"

    return re.sub(r"\((/[^\s()]+)\+(0x[0-9a-f]+)\)", line, report)


def sanitizer_reports():
    """What was found since the last call, as rows; tests/sanitize/report.c makes one file a process, mostly empty."""
    rows = []
    for name in sorted(os.listdir(REPORTS)):
        path = os.path.join(REPORTS, name)
        with open(path, errors="replace") as f:
            text = f.read()
        os.unlink(path)
        if text.strip():
            found = re.search(r"(ERROR: \w+Sanitizer: [\w-]+|runtime error: .*)", text)
            rows.append((f"sanitizer: {name.rsplit('.', 1)[0]}: {found[1] if found else 'report'}", False, with_lines(text)))
    return rows


def prepare_sanitized():
    os.makedirs(REPORTS, exist_ok=True)
    os.chmod(REPORTS, 0o1777)  # tests run programs as nobody, too
    sanitizer_reports()
    os.environ["ISTHMUS_SANITIZED"] = "1"
    os.environ["LAB_PATIENCE"] = str(SLOWER * float(os.environ.get("LAB_PATIENCE", "1")))


def one(job, *arguments):
    return lambda: [functools.partial(job, *arguments)]


TIERS = {
    "tree": one(pytest, "tests/tree"),
    "conf": one(pytest, "tests/conf"),
    "fuzz": one(fuzz_tier),
    "memory": one(pytest, "tests/lab/test_memory.py", 900),  # builds a daemon with sanitizers
    "kernel": one(kernel_tier),
    "cli": one(pytest, "tests/cli"),
    "lab": lambda: pytest_files("tests/lab", "bgp_mesh|drift|resources|upgrade|churn", "memory"),
    "bpf": lambda: meson_suite("bpf"),
    "unit": lambda: meson_suite("unit"),
    "deb": one(pytest, "tests/deb", 900),
}
POLITE = {"tree", "conf", "memory", "fuzz", "unit"}
NOT_BY_DEFAULT = {"deb"}  # builds all of it anew: `make test-deb`


def tell(tier, rows, seconds):
    good = sum(ok for _, ok, _ in rows)
    print(f"{tier:6} {good:5} passed {len(rows) - good:3} failed {seconds:6.1f} s", flush=True)
    shown = set()
    for name, ok, output in rows:
        if not ok:
            print(f"  FAILED {name}", flush=True)
            if output and output not in shown:
                shown.add(output)
                print("    " + "\n    ".join(output.strip().splitlines()[-40:]), flush=True)
    return good


class Tally:
    """What the tiers have come to so far; a tier is told of when its last job has ended."""

    def __init__(self, sanitized):
        self.sanitized, self.passed, self.failed = sanitized, 0, 0
        self._lock = threading.Lock()
        self._rows, self._left, self._start = collections.defaultdict(list), collections.Counter(), {}

    def expect(self, tier, jobs):
        self._left[tier] = jobs

    def start(self, tier):
        with self._lock:
            self._start.setdefault(tier, time.monotonic())

    def add(self, tier, rows):
        with self._lock:
            self._rows[tier] += rows + (sanitizer_reports() if self.sanitized else [])
            self._left[tier] -= 1
            if self._left[tier] == 0:
                self._close(tier)

    def _close(self, tier):
        rows = self._rows[tier]
        good = tell(tier, rows, time.monotonic() - self._start[tier])
        self.passed += good
        self.failed += len(rows) - good


def work(jobs, niceness, tally):
    """Takes jobs until there are none; what is started from here is as polite."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
    while jobs:
        try:
            tier, job = jobs.popleft()
        except IndexError:  # the other one was faster
            return
        tally.start(tier)
        try:
            rows = job() or [(f"{tier}: ran no test", False, "")]
        except Exception as e:  # the others go on, and the sum tells
            rows = [(f"{tier}: {type(e).__name__}: {e}", False, traceback.format_exc())]
        tally.add(tier, rows)


def jobs_of(tiers, tally):
    """In the order of TIERS, so that many small ones come last."""
    jobs = collections.deque()
    for tier in (t for t in TIERS if t in tiers):
        found = TIERS[tier]() or [lambda: []]
        tally.expect(tier, len(found))
        jobs += [(tier, job) for job in found]
    return jobs


def main():
    sanitized = "--sanitized" in sys.argv[1:]
    chosen = [a for a in sys.argv[1:] if a != "--sanitized"] or [t for t in TIERS if t not in NOT_BY_DEFAULT]
    unknown = [t for t in chosen if t not in TIERS]
    if unknown:
        sys.exit(f"run.py: no tier named {unknown[0]}; there are: {' '.join(TIERS)}")
    if os.geteuid() != 0:
        sys.exit("run.py: the tests make network namespaces and load BPF programs: run as root")
    if sanitized:
        prepare_sanitized()
    tally = Tally(sanitized)
    if sanitized:  # one at a time: a report is told of with the tier that it came from
        lanes = [(jobs_of(chosen, tally), 0)]
    else:
        lanes = [(jobs_of(set(chosen) - POLITE, tally), 0)] * WORKERS
        lanes.append((jobs_of(set(chosen) & POLITE, tally), 10 if set(chosen) - POLITE else 0))
    with concurrent.futures.ThreadPoolExecutor(len(lanes)) as pool:
        for done in [pool.submit(work, jobs, niceness, tally) for jobs, niceness in lanes]:
            done.result()
    print(f"{tally.passed} passed, {tally.failed} failed")
    sys.exit(1 if tally.failed else 0)


if __name__ == "__main__":
    main()
