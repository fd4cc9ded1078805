#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Replays the corpora and says how much of every decoder they run: at least 90 % of the lines, or it fails.

coverage.py BUILD [--uncovered]     BUILD: configured with -Dfuzzing=true, targets built (tools/fuzz does both)

Which files are decoders stands in decoders.txt.  --uncovered lists the lines that no input reaches.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BOUND = 90.0


def tool(name):
    found = shutil.which(name) or shutil.which(name + "-14")
    if not found:
        sys.exit(f"coverage.py: {name} is missing (Debian: llvm)")
    return found


def decoders():
    with open(os.path.join(HERE, "decoders.txt")) as f:
        return [line.strip() for line in f if line.strip() and not line.startswith("#")]


def corpus(target):
    return os.path.join(HERE, "corpus", os.path.basename(target).removeprefix("fuzz_"))


def replay(targets, scratch):
    """Runs every target over its corpus; the merged profile."""
    profiles = []
    running = []
    for target in targets:
        profile = os.path.join(scratch, os.path.basename(target) + ".profraw")
        profiles.append(profile)
        running.append((target, subprocess.Popen(
            [target, "-runs=0", "-rss_limit_mb=4096", "-timeout=30", corpus(target)], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace", cwd=scratch,
            env={**os.environ, "LLVM_PROFILE_FILE": profile})))
    for target, process in running:
        words = process.communicate(timeout=300)[1]
        if process.returncode != 0:
            raise RuntimeError(f"{target} failed on its corpus:\n{words[-3000:]}")
    merged = os.path.join(scratch, "merged.profdata")
    subprocess.run([tool("llvm-profdata"), "merge", "-o", merged, *profiles], check=True)
    return merged


def cov(command, targets, merged, *arguments):
    objects = [targets[0]] + [a for t in targets[1:] for a in ("-object", t)]
    p = subprocess.run([tool("llvm-cov"), command, *objects, "-instr-profile", merged, *arguments],
                       capture_output=True, text=True, check=True)
    return p.stdout


def measure(targets, uncovered=False):
    """[(file, lines, lines that ran)], a file that no target has counts as none of one; and text of what did not run."""
    with tempfile.TemporaryDirectory() as scratch:
        merged = replay(targets, scratch)
        found = {}
        for f in json.loads(cov("export", targets, merged, "-summary-only"))["data"][0]["files"]:
            found[os.path.relpath(os.path.realpath(f["filename"]), ROOT)] = f["summary"]["lines"]
        rows = [(name, found[name]["count"], found[name]["covered"]) if name in found else (name, 1, 0)
                for name in decoders()]
        text = ""
        if uncovered:
            wanted = {os.path.join(ROOT, name): name for name in decoders()}
            for part in re.split(r"^(?=/.*:$)", cov("show", targets, merged), flags=re.M):
                name = wanted.get(os.path.realpath(part.partition(":\n")[0]))
                lines = re.findall(r"^ +\d+\| +0\|.*$", part, re.M) if name else []
                text += "".join(f"{name}:{line}\n" for line in lines)
        return rows, text


def percent(lines, ran):
    return 100.0 * ran / lines


def table(rows):
    return "".join(f"{'ok  ' if percent(n, ran) >= BOUND else 'FAIL'} {name:28} {ran:5} of {n:5} lines "
                   f"{percent(n, ran):6.1f} %\n" for name, n, ran in rows)


def targets_in(build):
    folder = os.path.join(build, "tests", "fuzz")
    return sorted(os.path.join(folder, n) for n in os.listdir(folder)
                  if re.fullmatch(r"fuzz_[a-z_]+", n) and os.access(os.path.join(folder, n), os.X_OK))


def main():
    arguments = [a for a in sys.argv[1:] if not a.startswith("-")]
    if len(arguments) != 1:
        sys.exit(__doc__)
    rows, text = measure(targets_in(os.path.abspath(arguments[0])), "--uncovered" in sys.argv)
    print(text + table(rows), end="")
    sys.exit(0 if all(percent(n, ran) >= BOUND for _, n, ran in rows) else 1)


if __name__ == "__main__":
    main()
