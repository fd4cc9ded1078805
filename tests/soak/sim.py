# SPDX-License-Identifier: Apache-2.0
"""Simulated fabrics by BGP, each seed another storm of faults and moves: at least 1,000 of them come to the truth.

tests/sim/sim_fabric.c says what happens to them; `make test` runs the first seeds.  A seed that fails is repeated by
`build/tests/sim/sim_fabric SEED SEED`.
"""
import os
import re
import subprocess
import time

from soak.run import Figure

from lab.node import build_directory

SEEDS, BATCH = 1000, 50
SAID = re.compile(r"(\d+) events, (\d+) messages, (\d+) sessions lost, ([0-9.]+) h")


def soak(seconds):
    program = os.path.join(build_directory(), "tests", "sim", "sim_fabric")
    begin, done, failed, sums = time.monotonic(), 0, 0, [0, 0, 0, 0.0]
    while done < SEEDS or time.monotonic() < begin + seconds:
        argv = [program, str(done + 1), str(done + BATCH)]
        p = subprocess.run(argv, capture_output=True, text=True, check=False)
        said = SAID.search(p.stdout)
        if p.returncode or not said:
            print(p.stdout + p.stderr, flush=True)
            failed += 1
        else:
            sums = [a + float(b) for a, b in zip(sums, said.groups())]
        done += BATCH
    return [
        Figure("seeds", done, "", f">= {SEEDS}"),
        Figure(f"groups of {BATCH} seeds with one that did not come to the truth", failed, "", "= 0"),
        Figure("faults, moves and other events", int(sums[0])),
        Figure("messages", int(sums[1])),
        Figure("sessions lost", int(sums[2])),
        Figure("protocol time", sums[3], "h"),
    ]
