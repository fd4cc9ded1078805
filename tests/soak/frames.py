# SPDX-License-Identifier: Apache-2.0
"""Mutated frames: 100 million in the kernel and in the host build, a million more over devices (row C6).

One process for each core runs test_bpf_differential over five million frames at a time, each time from another PRNG
seed, until the time is over and, in a run of an hour, the number is reached; any difference in verdict, bytes, drop
reason or counter ends it, and so does a line of the kernel's log.  A failure names seed and frame, which
`test_bpf_differential FRAMES SEED` repeats.
"""
import concurrent.futures
import os
import re
import subprocess
import time

from soak.run import Figure

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAMS = os.path.join(os.environ.get("ISTHMUS_BUILD", os.path.join(ROOT, "build")), "tests", "bpf")
WANTED = 100_000_000
ON_DEVICES = 1_000_000
PORTION = 5_000_000
FULL_RUN = 1800  # seconds from which on the numbers above are asked for


def portion(program, frames, seed):
    """Runs it; the number of frames that it compared."""
    p = subprocess.run([os.path.join(PROGRAMS, program), str(frames), str(seed)], stdin=subprocess.DEVNULL,
                       capture_output=True, text=True, errors="replace")
    told = re.search(r"^# (\d+) frames", p.stderr, re.M)
    if p.returncode != 0 or not told:
        raise RuntimeError(f"{program} {frames} {seed} ended with {p.returncode}:\n{p.stdout[-1000:]}{p.stderr[-3000:]}")
    return int(told[1])


def soak(seconds):
    cores = os.cpu_count() or 1
    full = seconds >= FULL_RUN
    size = PORTION if full else PORTION // 10
    begun = time.monotonic()
    compared, seed = 0, 1
    with concurrent.futures.ThreadPoolExecutor(cores) as pool:
        while time.monotonic() < begun + seconds * 0.9 or (full and compared < WANTED):
            compared += sum(pool.map(lambda s: portion("test_bpf_differential", size, s), range(seed, seed + cores)))
            seed += cores
    rate = compared / (time.monotonic() - begun)
    on_devices = portion("test_bpf_cable", ON_DEVICES if full else ON_DEVICES // 10, seed)
    return [
        Figure("frames with equal verdict, bytes and counters", compared, "", f">= {WANTED}" if full else "> 0"),
        Figure("frames over devices with equal counters", on_devices, "", f">= {ON_DEVICES}" if full else "> 0"),
        Figure("frames a second, all cores", rate, "1/s"),
    ]
