#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Plants the bugs of list.py, one at a time, in a copy of the tree, and says which test sees each.

run.py [--check] [--list] [--report FILE] [--copy DIR [--as-it-is]] [MUTANT ...]      default: every one

A test that fails without any bug proves nothing: whichever sees a bug is run without it too, and must pass.  A bug that
does not build, or whose old text is not in its file exactly once, is an error in the list and is named.  At most one in
fifteen may be missed (28 of 30 must be seen).  --copy keeps the copy for another run, to go on in pieces.
"""
import argparse
import contextlib
import filecmp
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE]

from list import MUTANTS  # noqa: E402

PYTHON = "/usr/bin/python3"
TIMEOUT = 400
PYTEST_TIERS = ("tree", "conf", "cli", "lab")


class ListError(Exception):
    pass


def mutated(m, root=ROOT):
    """The file's text with the bug in it."""
    try:
        with open(os.path.join(root, m.file)) as f:
            text = f.read()
    except OSError as e:
        raise ListError(f"{m.name}: {m.file}: {e.strerror}") from None
    n = text.count(m.old)
    if n != 1:
        raise ListError(f"{m.name}: its old text is in {m.file} {n} times; expected once: {m.old!r}")
    return text.replace(m.old, m.new)


def problems(root=ROOT, mutants=MUTANTS):
    """What is wrong with the list as it stands."""
    found = []
    for m in mutants:
        try:
            mutated(m, root)
        except ListError as e:
            found.append(str(e))
    names = [m.name for m in MUTANTS]
    found += [f"{n}: twice in the list" for n in sorted(set(names)) if names.count(n) > 1]
    return found


def same(a, b):
    return filecmp.cmp(a, b, shallow=False)


class Copy:
    """The tree as git knows it, with what is not committed yet, and its build."""

    def __init__(self, directory, as_it_is):
        self.root, self.build = os.path.join(directory, "tree"), os.path.join(directory, "build")
        self.sound_path = os.path.join(directory, "sound")  # the tests that passed without any bug
        if not as_it_is:
            self.fill()
        tests = json.loads(subprocess.check_output(["meson", "introspect", self.build, "--tests"], text=True))
        self.programs = {(s.split(":")[-1], t["name"]): t for t in tests for s in t["suite"]}

    def fill(self):
        if os.path.exists(self.sound_path):
            os.unlink(self.sound_path)
        files = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, text=True)
        for name in filter(None, files.split("\0")):
            source, target = os.path.join(ROOT, name), os.path.join(self.root, name)
            if os.path.isfile(source) and not (os.path.exists(target) and same(source, target)):
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copyfile(source, target, follow_symlinks=False)
                shutil.copymode(source, target, follow_symlinks=False)
        steps = [["meson", "setup", "-Dwerror=false", self.build, self.root], ["ninja", "-C", self.build]]
        for argv in steps[os.path.exists(os.path.join(self.build, "build.ninja")) :]:
            status, output = self.run(argv, 1800)
            if status:
                raise SystemExit(f"{' '.join(argv)}: {status}\n{output[-3000:]}")

    def run(self, argv, timeout=TIMEOUT, env=None):
        """Status and output; who does not end is killed with its group, which is as good as a failure."""
        with tempfile.TemporaryFile("w+", errors="replace") as out:
            p = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=self.root if os.path.isdir(self.root) else ROOT,
                env={**os.environ, "ISTHMUS_BUILD": self.build, "PYTHONPATH": self.root, **(env or {})},
                start_new_session=True,
            )
            try:
                status = p.wait(timeout)
            except subprocess.TimeoutExpired:
                os.killpg(p.pid, 15)  # the lab takes its namespaces away
                try:
                    p.wait(20)
                except subprocess.TimeoutExpired:
                    os.killpg(p.pid, 9)
                    p.wait()
                status = f"no end after {timeout} s"
            out.seek(0)
            return status, out.read()

    def make(self, test=None):
        """Build what a test needs: its program, or the two binaries; everything without a test."""
        targets = []
        if test:
            tier, _, name = test.partition(" ")
            program = self.programs.get((tier, self.program_name(tier, name)))
            targets = ["src/agent/isthmusd", "src/cli/isthmus", "tests/unit/conf-check"]
            if program:
                targets = [os.path.relpath(program["cmd"][0], self.build)]
        return self.run(["ninja", "-C", self.build, *targets], 900)

    @staticmethod
    def program_name(tier, name):
        return f"bpf_{name}" if tier == "bpf" else name

    def test(self, test):
        """None when it passes, else the first words of what failed."""
        tier, _, rest = test.partition(" ")
        program = self.programs.get((tier, self.program_name(tier, rest)))
        if program:
            status, output = self.run(program["cmd"], env={"CMOCKA_MESSAGE_OUTPUT": "TAP", **program["env"]})
            words = [line for line in output.splitlines() if line.startswith("not ok")]
        elif tier in PYTEST_TIERS:
            path, *options = rest.split() if rest else [""]
            argv = [PYTHON, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", f"tests/{tier}/{path}", *options]
            status, output = self.run(argv, env={"PYTHONDONTWRITEBYTECODE": "1"})
            words = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
            if status == 5:
                raise ListError(f"{test}: no such test")
        elif not rest:
            status, output = self.run([PYTHON, "tests/run.py", tier], 1800)
            words = [line.strip() for line in output.splitlines() if "FAILED" in line]
        else:
            raise ListError(f"{test}: no such test")
        if status == 0:
            return None
        return (words or [f"{test}: {status}"])[0][:200]


def seen_by(copy, m):
    """The test that sees the planted bug, or None."""
    for test in m.tests:
        status, output = copy.make(test)
        if status:
            raise ListError(f"{m.name}: does not build:\n{output[-1500:]}")
        failure = copy.test(test)
        if failure:
            return test, failure
    for tier in dict.fromkeys(t.split()[0] for t in m.tests):
        copy.make()
        failure = copy.test(tier)
        if failure:
            return f"{tier} (whole tier)", failure
    return None


def plant(copy, m):
    path = os.path.join(copy.root, m.file)
    with open(path) as f:
        before = f.read()
    text = mutated(m, copy.root)
    try:
        with open(path, "w") as f:
            f.write(text)
        return seen_by(copy, m)
    finally:
        with open(path, "w") as f:
            f.write(before)


def is_sound(copy, test):
    """Does the test that saw a bug pass without it?  A machine that stands still fails one of the lab now and then."""
    with open(copy.sound_path, "a+") as f:
        f.seek(0)
        if test in f.read().splitlines():
            return True
        status, output = copy.make(test if " " in test else None)
        if status:
            raise ListError(f"the copy does not build any more:\n{output[-1500:]}")
        if copy.test(test) and copy.test(test):
            return False
        f.write(test + "\n")
    return True


def select(names):
    if not names:
        return MUTANTS
    known = {m.name: m for m in MUTANTS}
    unknown = [n for n in names if n not in known]
    if unknown:
        sys.exit(f"run.py: no mutant named {unknown[0]}; there are: {' '.join(known)}")
    return [known[n] for n in names]


def main():
    parser = argparse.ArgumentParser(description="Plants bugs and sees the tests catch them.")
    parser.add_argument("--check", action="store_true", help="only look whether every old text is there")
    parser.add_argument("--list", action="store_true", help="say which bugs there are")
    parser.add_argument("--report", metavar="FILE", help="append one line of JSON for each")
    parser.add_argument("--copy", metavar="DIR", help="make the copy there and leave it, or use the one that is there")
    parser.add_argument("--as-it-is", action="store_true", help="... which is not brought up to date")
    parser.add_argument("mutant", nargs="*")
    asked = parser.parse_args()
    chosen = select(asked.mutant)
    found = problems(os.path.join(asked.copy, "tree") if asked.copy and asked.as_it_is else ROOT, chosen)
    if found:
        sys.exit("\n".join(["the list does not fit the tree:", *found]))
    if asked.list or asked.check:
        for m in chosen if asked.list else []:
            print(f"{m.name:28} {m.file:24} {m.why}")
        return
    if os.geteuid() != 0:
        sys.exit("run.py: the tests make network namespaces and load BPF programs: run as root")
    missed, errors = [], []
    with contextlib.ExitStack() as stack:
        place = asked.copy or stack.enter_context(tempfile.TemporaryDirectory(prefix="isthmus-mutate-"))
        copy = Copy(place, asked.as_it_is)
        for m in chosen:
            start = time.monotonic()
            try:
                seen = plant(copy, m)
                if seen and not is_sound(copy, seen[0].removesuffix(" (whole tier)")):
                    raise ListError(f"{m.name}: seen by {seen[0]}, which fails without it too: {seen[1]}")
            except ListError as e:
                errors.append(str(e))
                print(f"ERROR  {e}", flush=True)
                continue
            took = time.monotonic() - start
            word = "seen  " if seen else "MISSED"
            print(f"{word} {m.name:28} {took:4.0f} s  {seen[0] if seen else m.why}", flush=True)
            if not seen:
                missed.append(m.name)
            if asked.report:
                with open(asked.report, "a") as f:
                    json.dump({"name": m.name, "file": m.file, "why": m.why, "seen": seen}, f)
                    f.write("\n")
    n_seen = len(chosen) - len(missed) - len(errors)
    print(f"{len(chosen)} bugs, {n_seen} seen, {len(missed)} missed, {len(errors)} errors")
    for m in missed:
        print(f"  missed: {m}")
    sys.exit(1 if errors or len(missed) > len(chosen) // 15 else 0)


if __name__ == "__main__":
    main()
