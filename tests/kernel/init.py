#!/usr/bin/python3 -IS
# SPDX-License-Identifier: Apache-2.0
"""The first process of the guest: mounts what a system has, runs the tests of /plan.json, turns the machine off.

Each test is one line of JSON on the second serial port, as soon as it is known; the line {"end": true} is the last.
"""
import ctypes
import json
import os
import re
import subprocess
import sys
import time
import traceback

TREE = "/isthmus"
REPORT = "/dev/ttyS1"
# These hold a rate against the clock, which an emulated processor does not keep up with.
TIMED = ("samples_are_limited_and_counters_are_not", "the_limit_is_exact_from_all_cpus")
_libc = ctypes.CDLL(None, use_errno=True)


def mount(kind, where):
    os.makedirs(where, exist_ok=True)
    if _libc.mount(kind.encode(), where.encode(), kind.encode(), 0, None) != 0:
        raise OSError(ctypes.get_errno(), f"mounting {kind} on {where}")


def prepare():
    for kind, where in (("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev"), ("tmpfs", "/run"), ("tmpfs", "/tmp")):
        mount(kind, where)
    mount("devpts", "/dev/pts")
    mount("tmpfs", "/dev/shm")
    mount("bpf", "/sys/fs/bpf")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["modprobe", "tun"], check=True)  # nobody else makes /dev/net/tun


def report(out, name, passed, output=""):
    out.write(json.dumps({"name": name, "passed": passed, "output": "" if passed else output[-6000:]}) + "\n")
    out.flush()


def kernel_log():
    fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    try:
        while record := os.read(fd, 8192):  # one line at a time
            yield record.decode(errors="replace")
    except BlockingIOError:
        pass
    finally:
        os.close(fd)


def run_plan(out):
    with open("/plan.json") as f:
        plan = json.load(f)
    sys.path[:0] = ["/usr/lib/python3/dist-packages", os.path.join(TREE, "tests")]
    import run  # the runner of the suite: it counts here as it does on the host

    for p in plan["programs"]:
        start = time.monotonic()
        for row in run.program(p["name"], p["argv"], p["env"], plan["timeout"]):
            if not any(row[0].endswith(f": {name}") for name in TIMED):
                report(out, *row)
        print(f"{p['name']}: {time.monotonic() - start:.1f} s", flush=True)
    for path in plan["pytest"]:
        start = time.monotonic()
        for row in run.pytest(path, plan["timeout"]):
            report(out, *row)
        print(f"{path}: {time.monotonic() - start:.1f} s", flush=True)
    bad = [line for line in kernel_log() if re.search(r"WARNING:|BUG:|Oops|Call Trace", line)]
    report(out, "the guest's kernel has no complaint", not bad, "\n".join(bad))


def main():
    os.environ.update(PATH="/usr/sbin:/usr/bin:/sbin:/bin", HOME="/root", LANG="C.UTF-8",
                      ISTHMUS_BUILD=os.path.join(TREE, "build"), LAB_PATIENCE="6")
    prepare()
    with open("/proc/uptime") as f:
        print(f"kernel {os.uname().release}, up after {f.read().split()[0]} s", flush=True)
    with open(REPORT, "w") as out:
        run_plan(out)
        out.write('{"end": true}\n')


if __name__ == "__main__":
    try:
        main()
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    _libc.sync()
    _libc.reboot(0x01234567)  # RB_AUTOBOOT: QEMU runs with -no-reboot and ends
